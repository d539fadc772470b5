"""Permutation importance: how much worse the scores get when one input no longer belongs to its site.

Shape legend: M sites, C covariates, Q species, I inputs, R repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.random_streams import numpy_stream
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.data.truth import ABSENT, NOT_SURVEYED, PRESENT
from presence_only.evaluation.metrics import average_precision
from presence_only.model.interface import SpeciesModel

# Sites of each kind that are scored, drawn at random where there are more.
MOST_SITES = 10_000
# What is permuted as one: a longitude with the latitude of another site is no place.
PLACE, WEEK = "longitude and latitude", "week"
# Row of the table for the mean over the species.
MEAN = "mean over species"


@dataclass(frozen=True)
class LabelledSites:
    """Sites with what is known of some species there.

    Args:
        sites_M2: Longitude, latitude in degrees.
        covariates_MC: In their own units, NaN where unknown.
        week_M: 1..48, or None.
        truth_MQ: 1 present, 0 absent, -1 not known.
    """

    sites_M2: Floats
    covariates_MC: Floats
    week_M: Ints | None
    truth_MQ: NDArray[np.int8]


def training_sites(training: TrainingData, species_Q: Ints, seed: int) -> LabelledSites:
    """Training rows of some species as presences, and background sites as absences of all of them.

    Of a row that holds one of the species, nothing is known of the others.

    Args:
        training: Records and background.
        species_Q: Indices of the species.
        seed: Of the draw, where there are more rows or sites than ``MOST_SITES``.
    """
    records, background = training.records, training.background
    place_S = np.full(records.n_species, -1)
    place_S[species_Q] = np.arange(len(species_Q))
    ours_P = place_S[records.species_P] >= 0
    row_A = _drawn(np.unique(records.row_P[ours_P]), seed, "rows of permutation importance")
    site_A = _drawn(np.arange(len(background.sites_K2)), seed, "background of permutation importance")
    truth = np.full((len(row_A) + len(site_A), len(species_Q)), NOT_SURVEYED, dtype=np.int8)
    truth[len(row_A) :] = ABSENT
    ours_P &= np.isin(records.row_P, row_A)
    truth[np.searchsorted(row_A, records.row_P[ours_P]), place_S[records.species_P[ours_P]]] = PRESENT
    week_M = None
    if records.week_N is not None and background.week_K is not None:
        week_M = np.concatenate([records.week_N[row_A], background.week_K[site_A]])
    return LabelledSites(
        np.concatenate([records.sites_N2[row_A], background.sites_K2[site_A]]),
        np.concatenate([records.covariates_NC[row_A], background.covariates_KC[site_A]]),
        week_M,
        truth,
    )


def survey_sites(survey: Survey, species_Q: Ints, seed: int) -> LabelledSites:
    """Sites of a survey, which training never saw, with its truth; of many sites ``MOST_SITES`` drawn at random."""
    site_A = _drawn(np.arange(len(survey.sites_M2)), seed, "survey of permutation importance")
    truth = survey.truth.of_species(species_Q).columns(slice(None))[site_A]
    week = None if survey.week_M is None else survey.week_M[site_A]
    return LabelledSites(survey.sites_M2[site_A], survey.covariates_MC[site_A], week, truth)


def _drawn(indices: Ints, seed: int, name: str) -> Ints:
    """At most ``MOST_SITES`` of some indices, ascending."""
    if len(indices) <= MOST_SITES:
        return indices
    return np.sort(numpy_stream(seed, name).choice(indices, MOST_SITES, replace=False))


class _Rearranged:
    """Scores at sites whose inputs are taken from rows of their own: what scikit-learn permutes are row numbers.

    So the two coordinates stay together, and an unknown covariate is a row like any other.
    """

    def __init__(
        self, models: Sequence[SpeciesModel], at: LabelledSites, species_Q: Ints, inputs: Sequence[str]
    ) -> None:
        self.models, self.at, self.species_Q, self.inputs = models, at, species_Q, inputs

    def fit(self, rows_MI: Ints, truth_M: Ints) -> None:
        """Nothing; scikit-learn takes no estimator without it."""

    def scores(self, rows_MI: Ints) -> Floats:
        """Relative suitability (M, Q), the mean over the models."""
        rows = dict(zip(self.inputs, np.asarray(rows_MI).T, strict=True))
        sites_M2, covariates_MC, week_M = self.at.sites_M2, self.at.covariates_MC.copy(), self.at.week_M
        if PLACE in rows:
            sites_M2 = sites_M2[rows[PLACE]]
        if WEEK in rows and week_M is not None:
            week_M = week_M[rows[WEEK]]
        for name, column_M in rows.items():
            if name not in (PLACE, WEEK):
                column = int(name)
                covariates_MC[:, column] = self.at.covariates_MC[column_M, column]
        found: Floats = np.mean(
            [
                expit(m.scores(sites_M2, covariates_MC, week_M, species_Q=self.species_Q).columns(slice(None)))
                for m in self.models
            ],
            axis=0,
        )
        return found


def permutation_importance(
    models: Sequence[SpeciesModel],
    at: LabelledSites,
    species_Q: Ints,
    names_Q: Sequence[str],
    covariate_names: Sequence[str],
    *,
    reads_coordinates: bool,
    seed: int,
    repeats: int = 5,
) -> pl.DataFrame:
    """The drop of average precision when one input is permuted over the sites, for every species and their mean.

    Source: Breiman (2001), https://doi.org/10.1023/A:1010933404324; computed by scikit-learn's
    ``permutation_importance``, whose definitions hold: the drop is the score before less the score after, its mean
    and its deviation (divisor R) are over the repeats.

    Args:
        models: The seeds of a run; the score is the mean of theirs.
        at: Where they are scored.
        species_Q: Indices of the species.
        names_Q: Their names.
        covariate_names: Of the columns of ``at.covariates_MC``, with units.
        reads_coordinates: Whether the models read coordinates.
        seed: Of the permutations.
        repeats: R.

    Returns:
        One row per species and input, the largest mean drop first: ``species``, ``input``, ``ap``: average precision
        as it is, ``drop``, ``drop_sd`` over the repeats, ``repeats``, ``sites`` and ``presences``. With several
        species the mean over them comes first. A species without a presence or an absence has none.

    Raises:
        DataError: If no species has a presence among the sites.
    """
    from sklearn.inspection import permutation_importance as of_sklearn

    labels = {PLACE: PLACE} if reads_coordinates else {}
    labels |= {str(column): name for column, name in enumerate(covariate_names)} if models[0].reads_covariates else {}
    labels |= {WEEK: WEEK} if models[0].weeks and at.week_M is not None else {}
    presences_Q = (at.truth_MQ == PRESENT).sum(axis=0)
    defined_Q = np.flatnonzero((presences_Q > 0) & (at.truth_MQ == ABSENT).any(axis=0))
    if not len(defined_Q):
        raise DataError("no species that was asked for has both presences and absences among the sites")
    estimator = _Rearranged(models, at, species_Q, list(labels))

    def score(asked: _Rearranged, rows_MI: Ints, _: Ints) -> dict[str, float]:
        ap_Q = average_precision(asked.scores(rows_MI), at.truth_MQ)[defined_Q]
        return {MEAN: float(ap_Q.mean())} | {f"species {q}": float(ap) for q, ap in zip(defined_Q, ap_Q, strict=True)}

    rows_MI = np.tile(np.arange(len(at.sites_M2))[:, None], (1, len(labels)))
    before = score(estimator, rows_MI, rows_MI)
    found = of_sklearn(estimator, rows_MI, np.zeros(len(rows_MI)), scoring=score, n_repeats=repeats, random_state=seed)
    keys = {MEAN: MEAN} if len(species_Q) > 1 else {}
    counts = {MEAN: int(presences_Q[defined_Q].sum())}
    for q in defined_Q.tolist():
        keys[f"species {q}"], counts[f"species {q}"] = names_Q[q], int(presences_Q[q])
    tables = [
        pl.DataFrame(
            {
                "species": [name] * len(labels),
                "input": list(labels.values()),
                "ap": [before[key]] * len(labels),
                "drop": found[key].importances_mean,
                "drop_sd": found[key].importances_std,
                "repeats": [repeats] * len(labels),
                "sites": [len(rows_MI)] * len(labels),
                "presences": [counts[key]] * len(labels),
            }
        ).sort("drop", descending=True)
        for key, name in keys.items()
    ]
    return pl.concat(tables)
