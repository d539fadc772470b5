"""Lists of species for places, and how long and how right they are against a survey.

Shape legend: M survey sites, L sites of lists, S species. Scores are logits; truth is 1 present, 0 absent, -1 not
surveyed, and what was not surveyed has no influence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints, mean_where_defined
from presence_only.common.random_streams import numpy_stream
from presence_only.data.survey import Survey
from presence_only.data.truth import PRESENT
from presence_only.evaluation.expected_f1 import best_lengths
from presence_only.evaluation.presence_calibration import Calibration
from presence_only.evaluation.threshold_numbers import TOP, list_number
from presence_only.model.interface import Scores, SpeciesModel

Array = NDArray[Any]
Bools = NDArray[np.bool_]

# Sites at which lists are judged, and how many are looked at for such with a presence.
_SITES, _LOOKED_AT = 1000, 20_000
# Species less probable than this are left out of what a list of the highest expected F1 is chosen from, and so are
# all but the most probable ones: both change it by little, and the exact list takes time with the square of their
# number.
_LEAST_PROBABLE, _MOST_CANDIDATES = 1e-4, 256


@dataclass(frozen=True, eq=False)
class ListSites:
    """Sites at which lists of species are judged: at most 1,000 of those with a presence, drawn at random.

    Args:
        site_L: Which sites of the survey, ascending.
        truth_LS: What is there.
    """

    site_L: Ints
    truth_LS: NDArray[np.int8]

    @classmethod
    def of(cls, survey: Survey) -> ListSites:
        """Draw the sites, by a stream with a name."""
        n_sites, n_species = survey.truth.shape
        rows: dict[int, NDArray[np.int8]] = {}
        for site in numpy_stream(0, "sites of lists").permutation(n_sites)[:_LOOKED_AT].tolist():
            truth_S = survey.truth.rows(slice(site, site + 1))[0]
            if (truth_S == PRESENT).any():
                rows[site] = truth_S
            if len(rows) == _SITES:
                break
        site_L = np.array(sorted(rows), dtype=np.int64)
        return cls(site_L, np.array([rows[site] for site in site_L.tolist()], dtype=np.int8).reshape(-1, n_species))


def above(logits_LS: Floats, logit_S: Floats) -> Bools:
    """Lists of the species that score at least as high as their thresholds; none without a threshold."""
    listed_LS: Bools = logits_LS >= logit_S
    return listed_LS


def most_probable(scores_LS: Floats, length_L: Ints) -> Bools:
    """Lists of the species with the highest scores, of given lengths; of equal scores the first species."""
    order_LS = np.argsort(-scores_LS, axis=1, kind="stable")
    listed_LS = np.zeros(scores_LS.shape, dtype=bool)
    np.put_along_axis(listed_LS, order_LS, np.arange(scores_LS.shape[1]) < length_L[:, None], axis=1)
    return listed_LS


def best_expected_f1(probability_LS: Floats) -> Bools:
    """Lists with the highest expected F1; see :func:`~presence_only.evaluation.expected_f1.best_lengths`.

    Species of a probability below 0.0001, and all but the 256 most probable ones of a place, are taken as absent.

    Args:
        probability_LS: Probabilities of presence within 0..1.
    """
    candidate_LS = probability_LS >= _LEAST_PROBABLE
    n_L = np.minimum(candidate_LS.sum(axis=1), _MOST_CANDIDATES)
    falling_LS = -np.sort(-probability_LS, axis=1)
    length_L = np.zeros(len(probability_LS), dtype=np.int64)
    # Sites with about as many candidates together: a matrix as wide as the widest of them.
    order_L = np.argsort(n_L, kind="stable")
    for start in range(0, len(order_L), 64):
        own = order_L[start : start + 64]
        width = int(n_L[own[-1]])
        if width:
            falling = falling_LS[own, :width]
            length_L[own] = best_lengths(np.where(np.arange(width) < n_L[own, None], falling, 0.0))
    return most_probable(probability_LS, length_L)


class SpeciesLists:
    """The lists of a model at the sites of lists, and their numbers.

    Args:
        model: A trained model.
        survey: Of which the sites are.
        sites: Where.
        logit_S: Rule of ``THRESHOLD_RULES`` to the thresholds that it chose.
        calibration: Of the model's scores.
    """

    def __init__(
        self,
        model: SpeciesModel,
        survey: Survey,
        sites: ListSites,
        logit_S: Mapping[str, Floats],
        calibration: Calibration,
    ) -> None:
        at = sites.site_L
        week_L = None if survey.week_M is None else survey.week_M[at]
        scores = Scores(model.eval(), survey.sites_M2[at], survey.covariates_MC[at], week_L)
        logits_LS = scores.columns(slice(None))
        # A list has surveyed species alone.
        unsurveyed_LS = sites.truth_LS < 0
        logits_LS[unsurveyed_LS] = -np.inf
        self.lists = {rule: above(logits_LS, own_S) for rule, own_S in logit_S.items()}
        surveyed_L = (~unsurveyed_LS).sum(axis=1)
        self.lists[f"top{TOP}"] = most_probable(logits_LS, np.minimum(TOP, surveyed_L))
        self.lists["expected_f1"] = best_expected_f1(calibration.probabilities(logits_LS))
        self._present_LS = sites.truth_LS == PRESENT

    def numbers(self) -> dict[str, float]:
        """``list_<rule>_<measure>`` of all rules and ``LIST_MEASURES``; NaN without sites."""
        present_L = self._present_LS.sum(axis=1)
        found = {}
        for rule, listed_LS in self.lists.items():
            length_L, hit_L = listed_LS.sum(axis=1), (listed_LS & self._present_LS).sum(axis=1)
            found[list_number(rule, "ratio")] = mean_where_defined(length_L / present_L)
            found[list_number(rule, "f1")] = mean_where_defined(2 * hit_L / (length_L + present_L))
        return found
