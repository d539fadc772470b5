"""Random forest, logistic regression and Maxent, one model per species: the baselines of the NCEAS study.

Shape legend: N training rows, P presences of one species, K background sites, M survey sites, C covariates,
S species.

A species' records are set against background sites, as if these were absences, and a model learns from the
covariates to tell the two apart. Its scores order the sites of one species; they are no probabilities, and
those of two species share no scale. Coordinates are not read, as in the published comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from presence_only.common.errors import DataError, UserError
from presence_only.common.random_streams import numpy_stream
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.metrics import METRICS

Floats = NDArray[np.floating[Any]]
Scorer = Callable[[Floats], NDArray[np.float64]]
BackgroundChoice = Literal["random", "target_group"]

TREES = 300
# A tree sees at most so many presences: at a few thousand of them it would take seconds, and 300 trees together
# see nearly all of them anyway.
TREE_PRESENCES = 500
# Of the L2 penalty; the smaller, the stronger.
LOGISTIC_C = 0.1
MAXENT_PRESENCES = 2_000
MAXENT_BACKGROUND = 10_000
# Elapid's own, 2e-6, takes two to three times as long and orders sites alike (rank correlation 0.96 or more).
MAXENT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class BaselineFiles:
    """The files of one method with one background on one data set, relative to the folder of params.yaml."""

    dataset: str
    method: str
    background: str

    @property
    def name(self) -> str:
        """How tables call the method."""
        return f"{self.method}_{self.background}"

    @property
    def scores(self) -> Path:
        """One row per species."""
        return Path("results/baselines", self.dataset, f"{self.name}.parquet")

    @property
    def timing(self) -> Path:
        """Seconds of all fits. No output of a stage, for no two runs take the same time and dvc.lock should."""
        return Path("timing/baselines", self.dataset, f"{self.name}.json")


@dataclass(frozen=True)
class Baseline:
    """One fitted model a species.

    Args:
        fill_C: What stands for an unknown covariate: its mean over training rows and background.
        scorers: For every species the function from complete covariates (M, C) to scores (M,).
    """

    fill_C: NDArray[np.float64]
    scorers: tuple[Scorer, ...]

    def scores(self, covariates_MC: Floats) -> NDArray[np.float64]:
        """Score of every species at every site, shape (M, S), the higher the more suitable.

        Raises:
            ValueError: If the covariates are not those of the training data in number.
        """
        if covariates_MC.ndim != 2 or covariates_MC.shape[1] != len(self.fill_C):
            raise ValueError(f"covariates have shape {covariates_MC.shape}; (sites, {len(self.fill_C)}) expected")
        filled_MC = _filled(covariates_MC, self.fill_C)
        return np.stack([scorer(filled_MC) for scorer in self.scorers], axis=1)


def fit_baseline(method: str, data: TrainingData, background: BackgroundChoice, seed: int) -> Baseline:
    """Fit one model a species.

    Source: target-group background Phillips et al. (2009), https://doi.org/10.1890/07-2153.1; the methods
    :func:`random_forest`, :func:`logistic` and :func:`maxent`.

    Args:
        method: A name of ``METHODS``.
        data: Records with covariates; a survey is never seen.
        background: ``random``: the data's background sites, each once, without those that have a record,
            so that a background mixed of random and target-group sites gives its random ones;
            ``target_group``: the distinct sites of all records of the species' taxon group, its own among
            them, each once.
        seed: Of every draw, at least 0. Every species has a stream of its own.

    Raises:
        ValueError: If the method or the background is unknown.
        DataError: If the data has no covariates or no random background site.
        UserError: If maxent is asked for and elapid is not installed.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if background not in get_args(BackgroundChoice):
        raise ValueError(f"unknown background {background!r}; known: {', '.join(get_args(BackgroundChoice))}")
    records = data.records
    if not records.covariate_names:
        raise DataError(f"method = {method!r}: the data set has no covariates; baselines are fitted to nothing else")
    fill_C = _means(np.concatenate([records.covariates_NC, data.background.covariates_KC]))
    rows_NC = _filled(records.covariates_NC, fill_C)
    random_KC = _filled(data.background.covariates_KC[random_sites(data)], fill_C) if background == "random" else None
    scorers = []
    for i, name in enumerate(records.species):
        rng = numpy_stream(seed, f"baseline/{method}/{background}/{name}")
        present_PC = rows_NC[records.row_P[records.species_P == i]]
        background_KC = rows_NC[target_group_sites(data, records.groups[i])] if random_KC is None else random_KC
        scorers.append(METHODS[method](present_PC, background_KC, rng))
    return Baseline(fill_C, tuple(scorers))


def random_sites(data: TrainingData) -> NDArray[np.int64]:
    """Rows of the background's distinct sites that have no record, ascending.

    Raises:
        DataError: If there is none, as with a target-group background alone.
    """
    recorded = set(map(tuple, data.records.sites_N2.tolist()))
    first: dict[tuple[float, ...], int] = {}
    for row, site in enumerate(map(tuple, data.background.sites_K2.tolist())):
        if site not in recorded:
            first.setdefault(site, row)
    if not first:
        raise DataError(
            f"background = 'random': all sites of the data set's {data.background.kind} background are sites of "
            "records; it must hold random sites, as a given or a mixed one does"
        )
    return np.array(list(first.values()))


def target_group_sites(data: TrainingData, group: str) -> NDArray[np.int64]:
    """For every distinct site with a record of the taxon group its first training row, ascending."""
    records = data.records
    own_S = np.array([name == group for name in records.groups])
    row_K = np.unique(records.row_P[own_S[records.species_P]])
    first_U: NDArray[np.int64] = row_K[np.sort(np.unique(records.sites_N2[row_K], axis=0, return_index=True)[1])]
    return first_U


@dataclass(frozen=True)
class Forest:
    """The share of presences in a site's leaf, averaged over trees; within 0..1."""

    trees: tuple[Any, ...]

    def __call__(self, covariates_MC: Floats) -> NDArray[np.float64]:
        """Score of every site, shape (M,)."""
        # Trees compare in float32; converted once, not once a tree.
        covariates_MC = np.ascontiguousarray(covariates_MC, dtype=np.float32)
        share_M = np.zeros(len(covariates_MC))
        for tree in self.trees:
            share_M += tree.predict_proba(covariates_MC, check_input=False)[:, 1]
        return share_M / len(self.trees)


def random_forest(present_PC: Floats, background_KC: Floats, rng: np.random.Generator) -> Forest:
    """Down-sampled random forest: every tree is grown on as many background sites as presences.

    Each of the ``TREES`` trees draws presences and background with replacement, as many of either as there are
    presences, at most ``TREE_PRESENCES``; it is grown until leaves are pure, with the square root of C
    covariates tried at a split. Without down-sampling, the background swamps the trees.

    Source: Valavi et al. (2021), https://doi.org/10.1002/ecm.1486 and https://doi.org/10.1111/ecog.05615;
    their forests have 1,000 trees and no cap.
    """
    n_drawn = min(len(present_PC), TREE_PRESENCES)
    label_D = np.repeat([1, 0], n_drawn)
    trees = []
    for _ in range(TREES):
        drawn_DC = np.concatenate(
            [
                present_PC[rng.integers(len(present_PC), size=n_drawn)],
                background_KC[rng.integers(len(background_KC), size=n_drawn)],
            ]
        )
        tree = DecisionTreeClassifier(max_features="sqrt", random_state=int(rng.integers(2**31)))
        trees.append(tree.fit(drawn_DC.astype(np.float32), label_D, check_input=False))
    return Forest(tuple(trees))


def logistic(present_PC: Floats, background_KC: Floats, rng: np.random.Generator) -> Scorer:
    """Logistic regression on standardised covariates, their squares and products, with an L2 penalty.

    All background sites together weigh as much as all presences, so that the penalty (C =
    ``LOGISTIC_C``) shrinks the models of rarely recorded species more. Nothing is drawn.

    Source: infinitely or down-weighted logistic regression, Fithian and Hastie (2013),
    https://doi.org/10.1214/13-AOAS667
    """
    del rng
    weight_D = np.repeat([1.0, len(present_PC) / len(background_KC)], [len(present_PC), len(background_KC)])
    model = make_pipeline(
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        LogisticRegression(C=LOGISTIC_C, max_iter=1000, tol=1e-3),
    )
    label_D = np.repeat([1, 0], [len(present_PC), len(background_KC)])
    model.fit(np.concatenate([present_PC, background_KC]), label_D, logisticregression__sample_weight=weight_D)

    def scorer(covariates_MC: Floats) -> NDArray[np.float64]:
        logits_M: NDArray[np.float64] = model.decision_function(covariates_MC)
        return logits_M

    return scorer


def maxent(present_PC: Floats, background_KC: Floats, rng: np.random.Generator) -> Scorer:
    """Maxent with linear, quadratic and hinge features, by the package elapid.

    Features by the number of records as in Maxent: linear below 10, squares from 10, hinges from 15.
    Products are left out, and at most ``MAXENT_PRESENCES`` records and ``MAXENT_BACKGROUND`` sites are
    drawn without replacement, and the solver stops at ``MAXENT_TOLERANCE``, all for time. It is elapid's
    solver from scikit-learn whether glmnet is installed or not: one L1 penalty for all features, where
    Maxent has one for every kind of feature.

    Source: Phillips and Dudik (2008), https://doi.org/10.1111/j.0906-7590.2008.5203.x; as a penalised
    logistic regression Fithian and Hastie (2013), https://doi.org/10.1214/13-AOAS667; Anderson (2023),
    https://doi.org/10.21105/joss.04930, for elapid.

    Raises:
        UserError: If elapid is not installed.
    """
    try:
        from elapid import MaxentModel
    except ImportError:
        raise UserError("method = 'maxent' needs elapid: pip install 'presence-only[maxent]'") from None
    n_records = len(present_PC)
    features = ["linear", *(["quadratic"] if n_records >= 10 else []), *(["hinge"] if n_records >= 15 else [])]
    present_PC, background_KC = (
        _capped(present_PC, MAXENT_PRESENCES, rng),
        _capped(background_KC, MAXENT_BACKGROUND, rng),
    )
    model = MaxentModel(
        feature_types=features,
        beta_multiplier=1.0,
        # Raw: no two scores are made equal by saturation.
        transform="raw",
        convergence_tolerance=MAXENT_TOLERANCE,
        n_cpus=1,
        use_sklearn=True,
        random_state=int(rng.integers(2**31)),
    )
    covariates_DC = np.concatenate([present_PC, background_KC]).astype(np.float64)
    model.fit(covariates_DC, np.repeat([1, 0], [len(present_PC), len(background_KC)]))

    def scorer(covariates_MC: Floats) -> NDArray[np.float64]:
        return np.asarray(model.predict(covariates_MC.astype(np.float64)), dtype=np.float64)

    return scorer


# Adding a method is one function and one line here.
METHODS: dict[str, Callable[[Floats, Floats, np.random.Generator], Scorer]] = {
    "random_forest": random_forest,
    "logistic": logistic,
    "maxent": maxent,
}


def score_species(baseline: Baseline, survey: Survey) -> pl.DataFrame:
    """Every metric per species, over the sites where it was surveyed.

    Returns:
        One row per species: species, and the column of every metric of species, NaN where undefined.
    """
    scores_MS = baseline.scores(survey.covariates_MC)
    metrics = [metric for metric in METRICS.values() if metric.unit == "species"]
    values = {metric.column: metric.function(scores_MS, survey.truth) for metric in metrics}
    return pl.DataFrame({"species": survey.species} | values)


def _means(covariates_NC: Floats) -> NDArray[np.float64]:
    """Mean of every column over its known values, shape (C,); 0 where none is known."""
    known_NC = ~np.isnan(covariates_NC)
    sum_C = np.where(known_NC, covariates_NC, 0.0).sum(axis=0, dtype=np.float64)
    mean_C: NDArray[np.float64] = sum_C / np.maximum(known_NC.sum(axis=0), 1)
    return mean_C


def _filled(covariates_NC: Floats, fill_C: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariates with the column's value where they are unknown."""
    return np.where(np.isnan(covariates_NC), fill_C, covariates_NC)


def _capped(covariates_NC: Floats, limit: int, rng: np.random.Generator) -> Floats:
    """At most ``limit`` rows, drawn without replacement."""
    if len(covariates_NC) <= limit:
        return covariates_NC
    return covariates_NC[rng.choice(len(covariates_NC), size=limit, replace=False)]
