"""Complete checklists of eBird held out of training, by year, by place or by both: settings of the evaluation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from presence_only.common.settings import Settings
from presence_only.datasets.ebird.effort import EffortSettings
from presence_only.occurrences.cleaning_settings import Year
from presence_only.occurrences.held_out_area import EvaluationSettings


class ChecklistEvaluation(Settings):
    """What is held out of training, where complete checklists of the sampling file are the truth.

    With years and an area, the truth is the checklists of these years in this area, and training sees neither the
    area nor the years. With neither, the area is that of blocks as by default.

    Args:
        kind: ``checklists``.
        years: The years that are held out, such as ``[2023, 2024]``; empty: none.
        area: The area that is held out, by the settings of other records, such as ``{kind: blocks, degrees: 1.0}``.
        effort: Which checklists are good enough for the truth; null: all complete ones.
        without_records: What becomes of a complete checklist of which the EBD has no record: its species are
            ``absent``, as in an extract of a few species, or it is dropped (``drop``), for a sampling file that
            covers more places or years than the EBD.
        repeated_visits: Whether visits of one site (with weeks: in one week) are one site of the truth, where a
            species is present if one of them found it, or each is a site of its own (``keep``).
    """

    kind: Literal["checklists"] = "checklists"
    years: Annotated[tuple[Year, ...], Field(strict=False)] = ()
    area: EvaluationSettings | None = None
    effort: EffortSettings | None = None
    without_records: Literal["absent", "drop"] = "absent"
    repeated_visits: Literal["merge", "keep"] = "merge"

    @model_validator(mode="before")
    @classmethod
    def _some_area(cls, raw: object) -> object:
        if isinstance(raw, dict) and not raw.get("years") and not raw.get("area"):
            if "years" in raw:
                raise ValueError("settings with a year or an area to hold out; years is empty and there is no area")
            return {**raw, "area": {"kind": "blocks"}}
        return raw

    @model_validator(mode="after")
    def _years_once(self) -> Self:
        if len(set(self.years)) < len(self.years):
            raise ValueError(f"settings with every year once; years is {list(self.years)}")
        return self
