"""The spread of a run's scores over its seeds or members: what it is of, and its numbers.

Shape legend: M sites, s some species.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.export.trained_run import Run
from presence_only.model.interface import SpeciesModel
from presence_only.model.range_map import Sample
from presence_only.model.spread import Reference, SpreadOver, parts_of, spread

REFERENCE_SITES = 1000
SPREAD_OF = {"score": "relative suitability", "rank": "the rank among background sites (0 to 1)"}


@dataclass(frozen=True)
class Spread:
    """What a user asked to be told of how far scores lie apart.

    Args:
        parts: The models whose scores differ.
        over: What they are.
        of: What the spread is the deviation of, for titles.
        reference: Sites among which scores are ranked; None: of the score itself.
        sample: Gives covariates anywhere, for models that read any.
    """

    parts: tuple[SpeciesModel, ...]
    over: SpreadOver
    of: str
    reference: Reference | None
    sample: Sample | None

    @classmethod
    def asked(cls, run: Run, over: SpreadOver, of: str | None) -> Spread:
        """The spread over a run's ``seeds`` or ``members``, of its ``score`` (None: this too) or its ``rank``.

        Raises:
            MapError: If there are fewer than two of them.
        """
        return cls(parts_of(run.models, over), over, SPREAD_OF[of or "score"], _reference(run, of), run.sample)

    @property
    def words(self) -> str:
        """What it is, as a part of a sentence."""
        return f"standard deviation of {self.of} over {len(self.parts)} {self.over}"

    def at(self, sites_M2: Floats, species: slice, week: int | None) -> NDArray[np.float32]:
        """The spread (M, s) of some species at sites, NaN where the environment is unknown."""
        return spread(self.parts, sites_M2, self.sample, species, week, self.reference)


def _reference(run: Run, of: str | None) -> Reference | None:
    """Background sites among which scores are ranked, evenly spread over their file; None: of the score itself."""
    if of != "rank":
        return None
    background = run.background
    rows = np.unique(np.linspace(0, len(background.sites_K2) - 1, REFERENCE_SITES).astype(int))
    return Reference(background.sites_K2[rows], background.covariates_KC[rows])
