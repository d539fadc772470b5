"""Binary maps and species lists of a trained run, by thresholds and a calibration fitted to its training records.

Shape legend: H rows and W columns of a map, M sites, S species, Q those asked for, s some of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import Floats, Ints
from presence_only.evaluation.presence_thresholds import threshold_rule
from presence_only.evaluation.species_lists import best_expected_f1, most_probable
from presence_only.evaluation.threshold_numbers import TOP
from presence_only.evaluation.training_fits import fit_to_training
from presence_only.evaluation.training_scores import Logits, TrainingSites, training_scores
from presence_only.export.trained_run import Run
from presence_only.model.interface import SpeciesModel
from presence_only.model.range_map import BinaryRange, MapError, logits_of_mean
from presence_only.pipeline.place_lists import logits_at, print_species

SUITABILITY = "suitability (0 to 1)"


class MeanOfModels:
    """Several models as one, whose suitability is the mean of theirs, as on a map.

    Args:
        models: At least one, of one run.
    """

    def __init__(self, models: Sequence[SpeciesModel]) -> None:
        self._models = models

    def scores(
        self, sites_M2: Floats, covariates_MC: Floats, week_M: Ints | None = None, *, species_Q: Ints | None = None
    ) -> Logits:
        """Logits of the mean suitability at some sites."""
        return _MeanLogits([m.scores(sites_M2, covariates_MC, week_M, species_Q=species_Q) for m in self._models])


class _MeanLogits:
    """Logits of the mean suitability of several models."""

    def __init__(self, scores: Sequence[Logits]) -> None:
        self._scores = scores

    def columns(self, species: slice) -> Floats:
        """Logits (M, s) of some species."""
        return logits_of_mean([scores.columns(species) for scores in self._scores])


def cut(run: Run, species: int, logit_HW: NDArray[np.float64], threshold: str, week: int | None) -> BinaryRange:
    """A map, cut at the species' threshold.

    Args:
        run: The run.
        species: Index of the species.
        logit_HW: Logits of its suitability, NaN where unknown.
        threshold: A rule, see :func:`~presence_only.evaluation.presence_thresholds.threshold_rule`.
        week: Of the map; None: any time of the year. Scores at the records are of their own weeks, or of the year.

    Raises:
        ThresholdError: If there is no such rule.
        MapError: If the rule gives no threshold.
    """
    rule = threshold_rule(threshold)
    (scores,) = training_scores(MeanOfModels(run.models), _sites(run, week), np.array([species]))
    at = rule.choose(scores)
    if np.isnan(at):
        raise MapError(f"--threshold {threshold}: the run has no background sites of the species' group to choose by")
    in_range_HW = np.where(np.isnan(logit_HW), -1, logit_HW >= at).astype(np.int8)
    return BinaryRange(in_range_HW, float(expit(at)), threshold, rule.meaning)


def list_above(run: Run, site: tuple[float, float], threshold: str, week: int | None) -> None:
    """Print the species whose suitability at a place reaches their thresholds, by suitability.

    Raises:
        ThresholdError: If there is no such rule.
    """
    rule = threshold_rule(threshold)
    logit_S = logits_at(run, site, week)
    chosen, _ = fit_to_training(MeanOfModels(run.models), _sites(run, week), {threshold: rule})
    columns = {SUITABILITY: expit(logit_S), "threshold": expit(chosen[threshold])}
    n_listed = _print(run, site, columns, logit_S >= chosen[threshold])
    print(f"{n_listed:,} species, whose suitability is at least {rule.meaning}.")


def list_top(run: Run, site: tuple[float, float], week: int | None) -> None:
    """Print the species with the highest suitability at a place."""
    logit_S = logits_at(run, site, week)
    listed_S = most_probable(logit_S[None], np.array([TOP]))[0]
    n_listed = _print(run, site, {SUITABILITY: expit(logit_S)}, listed_S)
    print(f"{n_listed:,} species with the highest suitability, whether or not so many are there.")


def list_expected_f1(run: Run, site: tuple[float, float], typical: float, week: int | None) -> None:
    """Print the species list with the highest expected F1 at a place, by probability of presence.

    Args:
        run: The run.
        site: Longitude, latitude in degrees.
        typical: Probability of presence that every species is taken to have where it is typically recorded.
        week: 1..48; None: any time of the year.
    """
    logit_S = logits_at(run, site, week)
    _, calibration = fit_to_training(MeanOfModels(run.models), _sites(run, week), {})
    probability_S = calibration.probabilities(logit_S, typical)
    listed_S = best_expected_f1(probability_S[None])[0]
    n_listed = _print(run, site, {"probability of presence": probability_S}, listed_S)
    print(
        f"{n_listed:,} species: the list with the highest expected F1. Probabilities take every species to be present "
        f"with {typical:g} where it is typically recorded, which the records cannot tell."
    )


def _sites(run: Run, week: int | None) -> TrainingSites:
    """Where thresholds and calibration are fitted."""
    return TrainingSites.of(run.recorded, run.background, weeks=week is not None)


def _print(run: Run, site: tuple[float, float], columns: Mapping[str, Floats], listed_S: NDArray[np.bool_]) -> int:
    """Print the listed species, the highest number of the first column first; returns how many they are."""
    order_S = np.argsort(-next(iter(columns.values())), kind="stable")
    species = order_S[listed_S[order_S]].tolist()
    print_species(run, site, species, columns)
    return len(species)
