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
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from presence_only.common.matrices import Matrix, as_matrix
from presence_only.data.truth import SurveyTruth, as_truth

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Unit = Literal["species", "site"]

# 64 columns fill a few cache lines of every row; a tile of 512 rows of them and its copy fit the second cache.
_CHUNK = 64
_TILE = 512
# Picking the scores above the lowest presence pays where less than about this share of them is above,
# which is judged by so many of them.
_FEW, _SAMPLE = 0.6, 128
# Scores that a thread holds at a time: 256 MB of float32.
_CHUNK_SCORES = 2**26


@dataclass(frozen=True)
class Ranks:
    """Where the presences of some units stand among what was surveyed; units without presences are left out.

    Args:
        n_surveyed_U: Number of surveyed scores of every unit.
        start_U1: The presences of unit u are those from ``start_U1[u]`` to ``start_U1[u + 1]``.
        presences_P: Scores of the presences, ascending within a unit.
        below_P: Number of surveyed scores of the unit that are less than each presence's.
        near: For every unit the surveyed scores from its lowest presence on, or more, ascending.
    """

    n_surveyed_U: Ints
    start_U1: Ints
    presences_P: Array
    below_P: Ints
    near: list[Array]

    def up_to(self) -> Ints:
        """Number of surveyed scores of the unit that are at most each presence's, shape (P,)."""
        up_to_P = np.empty(len(self.presences_P), dtype=np.int64)
        for near_N, n_surveyed, (first, last) in zip(
            self.near, self.n_surveyed_U.tolist(), pairwise(self.start_U1.tolist()), strict=True
        ):
            found_P = near_N.searchsorted(self.presences_P[first:last], side="right")
            up_to_P[first:last] = found_P + (n_surveyed - len(near_N))
        return up_to_P

    def first_tie(self) -> Ints:
        """For every presence the place of the first presence of its unit with the same score, shape (P,)."""
        place_P = np.arange(len(self.presences_P))
        tied_P = self.presences_P[1:] == self.presences_P[:-1]
        tied_P[self.start_U1[1:-1] - 1] = False
        place_P[1:][tied_P] = 0
        return np.maximum.accumulate(place_P)


@dataclass(frozen=True)
class Block:
    """Scores and truth of some units, in memory and checked; :func:`open_block` makes one.

    Args:
        scores_UN: float32 or float64; only surveyed ones are known to be numbers.
        truth_UN: 1 present, 0 absent, -1 not surveyed.
        surveyed_UN: Which scores were surveyed; None: all.
    """

    scores_UN: Array
    truth_UN: Array
    surveyed_UN: Bools | None

    @cached_property
    def ranked(self) -> tuple[Ints, Ranks]:
        """The units with presences, and their ranks.

        Only the presences need a rank, so each unit is sorted by value, which is several times faster than sorting
        indices, and its presences are then found by bisection. What scores less than all presences is counted and not
        sorted, which spares most of the work where scores are good.
        """
        n_units, n_ranked = self.truth_UN.shape
        place_P = np.flatnonzero(self.truth_UN == 1)
        presences_P = self.scores_UN.ravel()[place_P]
        start_U1 = np.searchsorted(place_P, np.arange(n_units + 1) * n_ranked)
        units = np.flatnonzero(np.diff(start_U1))
        start_U1 = np.append(start_U1[units], len(presences_P))
        bounds = list(pairwise(start_U1.tolist()))
        for first, last in bounds:
            presences_P[first:last].sort()
        sample_UN = self.scores_UN[units, :: max(1, n_ranked // _SAMPLE)]
        above_U = np.count_nonzero(sample_UN >= presences_P[start_U1[:-1], None], axis=1)
        few_U = (above_U < _FEW * sample_UN.shape[1]).tolist()
        n_surveyed_U = np.full(len(units), n_ranked)
        if self.surveyed_UN is not None:
            n_surveyed_U = np.array([np.count_nonzero(self.surveyed_UN[u]) for u in units], dtype=np.int64)
        below_P = np.empty(len(presences_P), dtype=np.int64)
        nears = []
        for u, few, n_surveyed, (first, last) in zip(units.tolist(), few_U, n_surveyed_U.tolist(), bounds, strict=True):
            near_N, presences = self.scores_UN[u], presences_P[first:last]
            if self.surveyed_UN is not None:
                near_N = near_N.compress(self.surveyed_UN[u] & (near_N >= presences[0]))
            elif few:
                near_N = near_N.compress(near_N >= presences[0])
            else:
                # Sorted in place, and other formulas read the block too.
                near_N = near_N.copy()
            near_N.sort()
            below_P[first:last] = near_N.searchsorted(presences) + (n_surveyed - len(near_N))
            nears.append(near_N)
        return units, Ranks(n_surveyed_U, start_U1, presences_P, below_P, nears)


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
    values_U = np.full(len(block.truth_UN), np.nan)
    if isinstance(formula, OfRanks):
        units, ranks = block.ranked
        values_U[units] = formula.function(ranks)
        return values_U
    present_UN = block.truth_UN == 1
    for u in np.flatnonzero(present_UN.any(axis=1)).tolist():
        surveyed = slice(None) if block.surveyed_UN is None else block.surveyed_UN[u]
        # A copy, which the function may overwrite: other formulas read the block too.
        values_U[u] = formula(np.array(block.scores_UN[u][surveyed]), present_UN[u][surveyed])
    return values_U


def matrices(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> tuple[Matrix, SurveyTruth]:
    """Scores and truth as matrices that give parts.

    Raises:
        ValueError: If the shapes disagree.
        DataError: If truth is an array of another type, or holds another value.
    """
    if len(scores_MS.shape) != 2 or scores_MS.shape != truth_MS.shape:
        raise ValueError(
            f"scores have shape {scores_MS.shape} and truth {truth_MS.shape}: both must be (sites, species)"
        )
    return as_matrix(scores_MS), as_truth(truth_MS)


def per_unit(unit: Unit, scores: Matrix, truth: Matrix, formulas: Sequence[Formula]) -> list[Floats]:
    """The values of every formula for every species or every site, each (U,).

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
    lock = Lock()

    def work(_: int) -> None:
        while True:
            # A matrix that is made part by part makes one at a time.
            with lock:
                start = next(starts, None)
                if start is None:
                    return
                part = slice(start, start + width)
                if unit == "species":
                    scores_UN, truth_UN = scores.columns(part).T, truth.columns(part).T
                else:
                    scores_UN, truth_UN = scores.rows(part), truth.rows(part)
            block = open_block(unit, scores_UN, truth_UN, start)
            for value, formula in zip(values, formulas, strict=True):
                value[part] = values_of(block, formula)

    # NumPy sorts without the interpreter's lock, so threads share the work; units are independent,
    # and the result is the same for any number of threads.
    n_threads = min(os.cpu_count() or 1, -(-n_units // width))
    with ThreadPoolExecutor(max_workers=n_threads) as pool:
        for _ in pool.map(work, range(n_threads)):
            pass
    return values


def open_block(unit: Unit, scores_UN: Array, truth_UN: Array, start: int) -> Block:
    """Some units' scores and truth, copied and checked; ``start`` is the number of the first, for messages."""
    scores_UN, truth_UN = _as_float(_copied(scores_UN)), _copied(truth_UN)
    surveyed_UN = truth_UN >= 0 if truth_UN.min() < 0 else None
    wrong_UN = np.isnan(scores_UN)
    if surveyed_UN is not None:
        wrong_UN &= surveyed_UN
    if wrong_UN.any():
        number = start + int(np.flatnonzero(wrong_UN.any(axis=1))[0])
        raise ValueError(f"scores hold NaN at {unit} {number}: every surveyed score must be a number")
    return Block(scores_UN, truth_UN, surveyed_UN)


def _copied(chunk_UN: Array) -> Array:
    """A contiguous copy; a transpose is copied in tiles that fit the cache, four times faster than whole."""
    if abs(chunk_UN.strides[1]) <= abs(chunk_UN.strides[0]):
        return chunk_UN.copy()
    copy_UN = np.empty(chunk_UN.shape, chunk_UN.dtype)
    for start in range(0, chunk_UN.shape[1], _TILE):
        copy_UN[:, start : start + _TILE] = chunk_UN[:, start : start + _TILE]
    return copy_UN


def _as_float(scores: Array) -> Array:
    """Scores as float32 or float64, the width it is compared in; no float is rounded."""
    if scores.dtype in (np.float32, np.float64):
        return scores
    return scores.astype(np.float32 if scores.dtype == np.float16 else np.float64)
