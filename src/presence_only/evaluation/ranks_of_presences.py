"""Ranks of presences among surveyed scores, and the evaluation of a formula for every species or every site.

Shape legend: M survey sites, S species, U units (species or sites), N what a unit is ranked over, P presences of some
units. Scores and truth are (M, S) or (U, N); truth is 1 present, 0 absent, -1 not surveyed, and what was not surveyed
has no influence.

A metric has one of two kinds of formula: a plain function of the scores and presences of one unit, or one of
:class:`Ranks` (:class:`OfRanks`), where the presences of many units stand. Ranks are found once for all such metrics,
and faster than by sorting every score.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presence_only.common.array_likes import as_array, check_same_labels, real_numbers
from presence_only.common.matrices import Matrix, as_matrix, is_matrix
from presence_only.data.truth import PRESENT, SurveyTruth, as_truth
from presence_only.evaluation.order import Ordered
from presence_only.evaluation.units import TruthUnits, Unit, Units, contiguous

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# 64 columns fill a few cache lines of every row.
_CHUNK = 64
# Picking the scores above the lowest presence pays where less than about this share of them is above,
# which is judged by so many of them.
_FEW, _SAMPLE = 0.6, 128
# Units of up to so many scores are ranked all at once, longer ones one after the other.
_SHORT = 1024
# Units of equal length are summed together where so many, on average, are of one length.
_MANY = 4
# Scores that a thread holds at a time: 256 MB of float32.
_CHUNK_SCORES = 2**26


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where the presences of some units stand among what was surveyed; units without presences are left out.

    Args:
        n_surveyed_U: Number of surveyed scores of every unit.
        start_U1: The presences of unit u are those from ``start_U1[u]`` to ``start_U1[u + 1]``.
        below_P: Number of surveyed scores of the unit that are less than each presence's, ascending within a unit.
        up_to: Number of surveyed scores of the unit that are at most each presence's, shape (P,); counted when called.
    """

    n_surveyed_U: Ints
    start_U1: Ints
    below_P: Ints
    up_to: Callable[[], Ints]

    def first_tie(self) -> Ints:
        """For every presence the place of the first presence of its unit with the same score, shape (P,)."""
        return _first_tie(self.start_U1, self.below_P)

    def precision(self) -> Floats:
        """For every presence the share of presences among all that score at least as high, shape (P,)."""
        return precision_of_presences(self.n_surveyed_U, self.start_U1, self.below_P)


def precision_of_presences(n_surveyed_U: Ints, start_U1: Ints, below_P: Ints) -> Floats:
    """For every presence the share of presences among all that score at least as high; arguments as of ``Ranks``."""
    length_U = np.diff(start_U1)
    found_P = np.repeat(start_U1[1:], length_U) - _first_tie(start_U1, below_P)
    precision_P: Floats = found_P / (np.repeat(n_surveyed_U, length_U) - below_P)
    return precision_P


def _first_tie(start_U1: Ints, below_P: Ints) -> Ints:
    place_P = np.arange(len(below_P))
    tied_P = below_P[1:] == below_P[:-1]
    tied_P[start_U1[1:-1] - 1] = False
    place_P[1:][tied_P] = 0
    return np.maximum.accumulate(place_P)


def mean_of_each(values_P: Floats, start_U1: Ints) -> Floats:
    """Mean of the values of every unit, one at least; unit u has those from ``start_U1[u]`` to ``start_U1[u + 1]``.

    Units of equal length are summed together where there are many, each as it would be alone, to the last bit.
    """
    length_U = np.diff(start_U1)
    by_length = np.argsort(length_U, kind="stable")
    edges = np.flatnonzero(np.diff(length_U[by_length], prepend=0, append=0)).tolist()
    if _MANY * len(edges) > len(length_U):
        return np.array([values_P[first:last].sum() / (last - first) for first, last in pairwise(start_U1.tolist())])
    sum_U = np.empty(len(length_U))
    for first, last in pairwise(edges):
        units = by_length[first:last]
        place_UP = start_U1[units, None] + np.arange(length_U[units[0]])
        sum_U[units] = values_P[place_UP].sum(axis=1)
    return sum_U / length_U


@dataclass(frozen=True, eq=False)
class Block:
    """Scores of some units, in memory and checked, with their truth.

    Args:
        scores_UN: float32 or float64, contiguous; only surveyed ones are known to be numbers.
        units: The truth.
        part: Which units they are.
        in_order: Whether somebody asks for ``ordered``, from which the ranks then come.
    """

    scores_UN: Array
    units: Units
    part: slice
    in_order: bool = False

    @cached_property
    def ranks(self) -> Ranks:
        """The ranks of the units that have a presence.

        Only the presences need a rank. Unless the order of all scores is asked for anyway, each unit is sorted by
        value, which is faster than sorting indices, and its presences are then found by bisection.
        """
        if self.in_order:
            return _ranks_of_ordered(self.ordered, self.units)
        together = self.scores_UN.shape[1] <= _SHORT
        return _ranks_together(self.scores_UN, self.units) if together else _ranks_by_unit(self.scores_UN, self.units)

    @cached_property
    def ordered(self) -> Ordered:
        """All surveyed scores in order."""
        return Ordered.of(self.scores_UN, self.units)


def _ranks_of_ordered(ordered: Ordered, units: Units) -> Ranks:
    """Ranks of units that were put in order."""
    (first_P, end_P), before_P = ordered.bounds, ordered.start_U1[:-1].repeat(np.diff(units.start_U1))
    n_surveyed_U = units.n_surveyed_U[units.present_U]
    return Ranks(n_surveyed_U, units.start_of_present, first_P - before_P, lambda: end_P - before_P)


def _ranks_by_unit(scores_UN: Array, units: Units) -> Ranks:
    """Ranks of units one after the other; what scores less than all presences is counted and not sorted.

    That spares most of the work where scores are good.
    """
    start_U1, n_ranked = units.start_of_present, scores_UN.shape[1]
    n_surveyed_U = units.n_surveyed_U[units.present_U]
    presences_P = scores_UN.ravel()[units.place_P]
    bounds = list(pairwise(start_U1.tolist()))
    for first, last in bounds:
        presences_P[first:last].sort()
    sample_UN = scores_UN[units.present_U, :: max(1, n_ranked // _SAMPLE)]
    above_U = np.count_nonzero(sample_UN >= presences_P[start_U1[:-1], None], axis=1)
    few_U = (above_U < _FEW * sample_UN.shape[1]).tolist()
    below_P = np.empty(len(presences_P), dtype=np.int64)
    nears = []
    for u, few, n_surveyed, (first, last) in zip(
        units.present_U.tolist(), few_U, n_surveyed_U.tolist(), bounds, strict=True
    ):
        near_N, presences = scores_UN[u], presences_P[first:last]
        if units.surveyed_UN is not None:
            near_N = near_N.compress(units.surveyed_UN[u] & (near_N >= presences[0]))
        elif few:
            near_N = near_N.compress(near_N >= presences[0])
        else:
            # Sorted in place, and other formulas read the block too.
            near_N = near_N.copy()
        near_N.sort()
        below_P[first:last] = near_N.searchsorted(presences) + (n_surveyed - len(near_N))
        nears.append(near_N)

    def up_to() -> Ints:
        up_to_P = np.empty(len(presences_P), dtype=np.int64)
        for near_N, n_surveyed, (first, last) in zip(nears, n_surveyed_U.tolist(), bounds, strict=True):
            found_P = near_N.searchsorted(presences_P[first:last], side="right")
            up_to_P[first:last] = found_P + (n_surveyed - len(near_N))
        return up_to_P

    return Ranks(n_surveyed_U, start_U1, below_P, up_to)


def _ranks_together(scores_UN: Array, units: Units) -> Ranks:
    """Ranks of many short units at once: all are sorted, and all presences are bisected for together."""
    n_units, n_ranked = scores_UN.shape
    # Filled up to a power of two by the highest value, so that bisection halves and has no border to look at.
    size = 1 << n_ranked.bit_length()
    sorted_UN = np.empty((n_units, size), dtype=scores_UN.dtype)
    sorted_UN[:, :n_ranked] = scores_UN
    sorted_UN[:, n_ranked:] = np.inf
    if units.surveyed_UN is not None:
        sorted_UN[:, :n_ranked][~units.surveyed_UN] = np.inf
    sorted_UN[:, :n_ranked].sort(axis=1)
    sorted_N = sorted_UN.ravel()
    presences_P = scores_UN.ravel()[units.place_P]
    row_P = np.repeat(np.arange(n_units) * size, np.diff(units.start_U1))

    def count(is_less: Callable[[Array, Array], Bools], presences_P: Array) -> Ints:
        """Number of scores of the unit for which the comparison with the presence holds."""
        place_P, looked_P, step = row_P.copy(), np.empty_like(row_P), size // 2
        while step:
            np.add(place_P, step - 1, out=looked_P)
            np.multiply(is_less(sorted_N.take(looked_P), presences_P), step, out=looked_P)
            place_P += looked_P
            step //= 2
        place_P -= row_P
        return place_P

    # Ascending within a unit; units stay in their order.
    place_P = np.sort(row_P + count(np.less, presences_P))
    n_surveyed_U, start_U1 = units.n_surveyed_U[units.present_U], units.start_of_present

    def up_to() -> Ints:
        # An infinite presence does not count what fills up.
        limit_P = np.repeat(n_surveyed_U, np.diff(start_U1))
        return np.minimum(count(np.less_equal, sorted_N.take(place_P)), limit_P)

    return Ranks(n_surveyed_U, start_U1, place_P - row_P, up_to)


@dataclass(frozen=True)
class OfRanks:
    """The formula of a metric that looks at the order of scores alone.

    Args:
        function: From the ranks of some units, which all have a presence, to one value each; NaN where undefined.
    """

    function: Callable[[Ranks], Floats]


# A plain formula goes from the surveyed scores (N,) of one unit, and which of them are presences (N,), to its value,
# NaN where undefined. It is asked only where something is present.
Formula = OfRanks | Callable[[Array, Bools], float]


def values_of(block: Block, formula: Formula) -> Floats:
    """One value per unit of a block, NaN where undefined."""
    units = block.units
    values_U = np.full(len(block.scores_UN), np.nan)
    if isinstance(formula, OfRanks):
        if len(units.present_U):
            values_U[units.present_U] = formula.function(block.ranks)
        return values_U
    for u in units.present_U.tolist():
        # A copy, which the function may overwrite: other formulas read the block too.
        scores_N = np.array(units.surveyed(u, block.scores_UN[u]))
        values_U[u] = formula(scores_N, units.surveyed(u, units.truth_UN[u] == PRESENT))
    return values_U


def matrices(scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth) -> tuple[Matrix, SurveyTruth]:
    """Scores and truth as matrices that give parts.

    Args:
        scores_MS: Numbers (M, S), or a matrix that gives parts; see :func:`~presence_only.common.array_likes.as_array`.
        truth_MS: 1 present, 0 absent, -1 not surveyed, likewise.

    Raises:
        ValueError: If the shapes disagree.
        DataError: If one is no array of numbers, truth is of another type or holds another value, or two tables name
            their rows or columns differently.
    """
    scores = scores_MS if is_matrix(scores_MS) else real_numbers("scores", scores_MS)
    truth: SurveyTruth | Array = truth_MS if is_matrix(truth_MS) else as_array("truth", truth_MS)  # type: ignore[assignment]
    check_same_labels("scores", scores_MS, "truth", truth_MS)
    if len(scores.shape) != 2 or scores.shape != truth.shape:
        raise ValueError(f"scores have shape {scores.shape} and truth {truth.shape}: both must be (sites, species)")
    return as_matrix(scores), as_truth(truth)


def per_unit(unit: Unit, scores: Matrix, truth: SurveyTruth, formulas: Sequence[Formula]) -> list[Floats]:
    """The values of every formula for every species or every site, each (U,), on all cores.

    Args:
        unit: ``species``: a unit is a species, over sites; ``site``: a unit is a site, over species.
        scores: The higher the more likely; infinite is allowed.
        truth: The same shape; see :func:`matrices`.
        formulas: What to evaluate.

    Returns:
        NaN for a unit without presences among what was surveyed.

    Raises:
        ValueError: If a surveyed score is NaN.
    """
    n_sites, n_species = truth.shape
    n_units, n_ranked = (n_species, n_sites) if unit == "species" else (n_sites, n_species)
    values = [np.full(n_units, np.nan) for _ in formulas]
    if not n_units or not n_ranked:
        return values
    width = max(1, min(_CHUNK, _CHUNK_SCORES // n_ranked))
    starts = iter(range(0, n_units, width))
    truths, lock = TruthUnits(truth), Lock()

    def work(_: int) -> None:
        while True:
            # A matrix that is made part by part makes one at a time.
            with lock:
                start = next(starts, None)
                if start is None:
                    return
                part = slice(start, min(start + width, n_units))
                scores_UN = scores.columns(part).T if unit == "species" else scores.rows(part)
                units = truths.of(unit, part)
            block = Block(as_scores(scores_UN), units, part)
            if holds_nan(block.scores_UN):
                check_numbers(unit, block)
            for value, formula in zip(values, formulas, strict=True):
                value[part] = values_of(block, formula)

    # NumPy sorts without the interpreter's lock, so threads share the work; units are independent,
    # and the result is the same for any number of threads.
    n_threads = min(os.cpu_count() or 1, -(-n_units // width))
    with ThreadPoolExecutor(max_workers=n_threads) as pool:
        for _ in pool.map(work, range(n_threads)):
            pass
    return values


def holds_nan(scores: Array) -> bool:
    """Whether a score is NaN, surveyed or not: the highest is, which is found without a matrix of comparisons."""
    return bool(scores.size and np.isnan(scores.max()))


def check_numbers(unit: Unit, block: Block) -> None:
    """Refuse NaN among the surveyed scores of a block."""
    wrong_UN = np.isnan(block.scores_UN)
    if block.units.surveyed_UN is not None:
        wrong_UN &= block.units.surveyed_UN
    if wrong_UN.any():
        number = block.part.start + int(np.flatnonzero(wrong_UN.any(axis=1))[0])
        raise ValueError(f"scores hold NaN at {unit} {number}: every surveyed score must be a number")


def as_scores(scores_UN: Array) -> Array:
    """Scores in C order, as float32 or float64, the width they are compared in; no float is rounded."""
    if scores_UN.dtype not in (np.float32, np.float64):
        scores_UN = scores_UN.astype(np.float32 if scores_UN.dtype == np.float16 else np.float64)
    return contiguous(scores_UN)
