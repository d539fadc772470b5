"""Settings of a search: the group ``search`` of params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from presence_only.common.settings import Need, Settings, known_name
from presence_only.search.criteria import CRITERIA
from presence_only.study.settings import Name, Seed

# Cells of effort are so many resolutions finer than blocks: 49 to a block.
FINER = 2


class HeldOutSettings(Settings):
    """Which records are held out of training, to judge a trial by.

    All h3 cells of one resolution, the blocks, are dealt to folds with about as many records each. A fold that is held
    out takes its records and its background sites out of training.

    Args:
        resolution: Of the blocks: 0 is cells of 1,100 km, 1 of 420 km, 2 of 160 km, 3 of 60 km, 4 of 23 km.
        folds: Number of folds; one of them has 1 / folds of the records.
        used: How many of the folds are held out, each in a training of its own; a trial takes so many times as long.
        effort_resolution: Of the cells in which places are counted for ``ap_uniform_effort``; two finer than the
            blocks if left out.
        seed: Deals the blocks.
    """

    resolution: Annotated[int, Field(ge=0, le=6)] = 2
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    used: Annotated[int, Field(ge=1)] = 1
    effort_resolution: Annotated[int, Field(ge=0, le=10)] | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _used_folds_exist(self) -> Self:
        if self.used > self.folds:
            raise ValueError(f"settings with used at most folds, which is {self.folds}; it is {self.used}")
        return self

    @property
    def effort_cells(self) -> int:
        """The h3 resolution of cells of effort."""
        return self.resolution + FINER if self.effort_resolution is None else self.effort_resolution


class PruningSettings(Settings):
    """Which trials are ended early, to save time.

    Args:
        checks: A trial is looked at after each of so many equal parts of its epochs; the last look is its end. 1 is to
            end none early.
        startup: Finished trials before any is ended early.
        quantile: A trial ends if it is below this share of the finished trials at the same look.
    """

    needs: ClassVar[Mapping[str, Need]] = dict.fromkeys(
        ("startup", "quantile"), Need(lambda pruning: pruning.checks > 1, "checks is 2 or more")
    )

    checks: Annotated[int, Field(ge=1, le=100)] = 4
    startup: Annotated[int, Field(ge=1, le=1_000_000)] = 8
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5


class SearchSettings(Settings):
    """How the settings of a variant are searched for.

    Args:
        trials: How many settings are tried.
        parallel: Trials that are drawn at a time, from what all trials before them scored; as many can run side by
            side. The number of workers changes no trial, this number does.
        criterion: What a trial is judged by, a name in ``CRITERIA`` of ``criteria.py``. experiments/selection has
            how much mAP each loses against the truth.
        seed: Fixes which settings are tried, and every draw of their training.
        held_out: Which records a trial is judged by.
        pruning: Which trials are ended early.
        spaces: Name to what is tried: setting to its range or its choices. A variant is searched in the space of its
            own name, or else of its loss's.
    """

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 40
    parallel: Annotated[int, Field(ge=1, le=10_000)] = 4
    criterion: str = "ap_background"
    seed: Seed = 0
    held_out: HeldOutSettings = HeldOutSettings()
    pruning: PruningSettings = PruningSettings()
    spaces: dict[Name, dict[str, Any]]

    @field_validator("criterion")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known_name(name, CRITERIA)
