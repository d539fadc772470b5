"""One pass over the scores of a model for all that is computed from them: by species, and by site.

The scores of a large survey are made a part at a time, and are too large to keep. Whatever is computed from them is a
reader: :func:`read_species` and :func:`read_sites` make every part once, and hand it to all readers.

Shape legend: M survey sites, m some of them, S species, s some of them, U units of a block (species or sites), N what
a unit is ranked over. Truth is 1 present, 0 absent, -1 not surveyed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from presence_only.common.matrices import ArrayMatrix, Matrix
from presence_only.evaluation.ranks_of_presences import Block, Formula, as_scores, check_numbers, holds_nan, values_of
from presence_only.evaluation.units import WHOLE, TruthUnits

Array = NDArray[Any]
Floats = NDArray[np.float64]

# Scores that are made together: 16 MB of float32.
_PART = 2**22
# Of fewer species a model makes logits more slowly, and rounds them otherwise; not of so many sites, though.
_LEAST_SPECIES, _MOST = 16, 2**26
# Species of a block, and scores of a block: what is sorted stays in the cache. Not of fewer sites, though, for a truth
# that is held as lists is looked through for every block.
_SPECIES, _BLOCK, _LEAST_SITES = 64, 2**20, 64


@dataclass(frozen=True, eq=False)
class SpeciesPart:
    """Scores of some species at all sites, as they are made or, where they are held, all of them.

    Args:
        species: Which species.
        scores_Ms: Their scores.
        truth_Ms: Their truth.
    """

    species: slice
    scores_Ms: Array
    truth_Ms: Array


class PartReader(Protocol):
    """What reads the scores of some species as they are made."""

    def read_part(self, part: SpeciesPart) -> None:
        """Take note of some species; they come in order."""


class BlockReader(Protocol):
    """What reads the scores of some species, or of some sites, unit by unit."""

    def read(self, block: Block) -> None:
        """Take note of some units; they come in order."""


class Values:
    """Reads the values of formulas, one per unit and formula; NaN where undefined.

    Args:
        n_units: Number of species or sites.
        formulas: The formulas of some metrics.
    """

    def __init__(self, n_units: int, formulas: Sequence[Formula]) -> None:
        self._formulas = formulas
        self.values = [np.full(n_units, np.nan) for _ in formulas]

    def read(self, block: Block) -> None:
        """Evaluate every formula."""
        for value, formula in zip(self.values, self._formulas, strict=True):
            value[block.part] = values_of(block, formula)


def read_species(
    scores: Matrix,
    truth: TruthUnits,
    readers: Sequence[BlockReader] = (),
    part_readers: Sequence[PartReader] = (),
    *,
    in_order: bool = False,
) -> None:
    """Hand all species to some readers.

    Args:
        scores: The higher the more likely.
        truth: Of the same shape.
        readers: What reads by species.
        part_readers: What reads parts as they are made.
        in_order: Whether a reader asks for the order of all scores.

    Raises:
        ValueError: If a surveyed score is NaN.
    """
    n_sites, n_species = truth.shape
    held = isinstance(scores, ArrayMatrix) and n_sites * n_species <= WHOLE
    width = max(1, min(_SPECIES, _BLOCK // max(1, n_sites)))
    for part in slices(0, n_species, max(1, n_species) if held else species_at_once(n_sites)):
        scores_Ms = scores.columns(part)
        if holds_nan(scores_Ms):
            check_numbers("species", Block(scores_Ms.T, truth.species(part), part))
        if part_readers:
            made = SpeciesPart(part, scores_Ms, truth.truth.columns(part))
            for part_reader in part_readers:
                part_reader.read_part(made)
        for own in slices(part.start, part.stop, width) if readers else ():
            scores_UN = as_scores(scores_Ms[:, own.start - part.start : own.stop - part.start].T)
            block = Block(scores_UN, truth.species(own), own, in_order)
            for reader in readers:
                reader.read(block)


def read_sites(scores: Matrix, truth: TruthUnits, readers: Sequence[BlockReader]) -> None:
    """Hand all sites to some readers.

    Raises:
        ValueError: If a surveyed score is NaN.
    """
    n_sites, n_species = truth.shape
    for part in slices(0, n_sites, max(1, _PART // max(1, n_species))):
        scores_mS = as_scores(scores.rows(part))
        for own in slices(0, len(scores_mS), max(_LEAST_SITES, _BLOCK // max(1, n_species))):
            sites = slice(part.start + own.start, part.start + own.stop)
            block = Block(scores_mS[own], truth.sites(sites), sites)
            if holds_nan(block.scores_UN):
                check_numbers("site", block)
            for reader in readers:
                reader.read(block)


def species_at_once(n_sites: int) -> int:
    """Number of species whose scores are made together, at that many sites."""
    n_sites = max(1, n_sites)
    return max(1, _PART // n_sites, min(_LEAST_SPECIES, _MOST // n_sites))


def slices(start: int, stop: int, width: int) -> Iterator[slice]:
    """Neighbouring slices of a width, the last one of what is left."""
    for first in range(start, stop, width):
        yield slice(first, min(first + width, stop))
