"""Settings of users' records: how they become training data, and what makes the survey.

Shape legend: M sites, C covariates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from presence_only.common.arrays import Floats
from presence_only.common.settings import Need, Settings
from presence_only.geography.rasters import Environment, Layers, open_environment
from presence_only.occurrences.background import check_kind, is_table
from presence_only.occurrences.held_out_area import EvaluationSettings
from presence_only.occurrences.label_propagation import PropagationSettings
from presence_only.surveys.own_survey import SurveyEvaluation


class AssemblySettings(Settings):
    """How occurrence records become training data.

    Args:
        environment: Where covariates come from: ``earth``, the shipped grid of 1 degree, or the path of a
            GeoTIFF, of a folder of GeoTIFFs or of an .npz of layers. Without it sites have none; an encoder
            with ``input: covariates`` or ``both`` needs some, and so do multi-task heads.
        sea: What becomes of a site where a layer is undefined: ``keep`` gives the encoder the layer's
            mean; ``drop`` leaves the site out, and counts it; ``nearest`` takes the nearest cell where
            the layer is defined, within ``nearest_km``, and keeps what has none.
        nearest_km: How far ``nearest`` looks, in kilometres.
        background: How background sites are drawn: ``uniform`` on the sphere, ``land``, ``range``
            (within the convex hull of the training records), ``target_group``, the path of a table
            (.csv, .tsv or .parquet) with longitude, latitude and, if wanted, group and week, or the path of a raster
            (.tif, .tiff or .npz) in proportion to whose values sites are drawn.
        background_sites: How many are drawn; a table gives all of its own.
        rows: ``records``: a training row is one record; ``checklists``: it is an h3 cell, or with
            ``weeks`` a cell in a week, with all species recorded there.
        checklist_resolution: h3 resolution of a checklist's cell; 5 is cells of 16 km.
        propagation: Whether checklists with few species receive those of similar ones nearby, and by which rules; see
            :class:`~presence_only.occurrences.label_propagation.PropagationSettings`. None: they do not.
        weeks: Whether the encoder reads the week of the year, 1..48; needs dates.
        seed: Of the background, the folds and the survey's sites.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "nearest_km": Need(lambda records: records.sea == "nearest", "sea is 'nearest'"),
        "background_sites": Need(lambda records: not is_table(records.background), "background is no table"),
        "checklist_resolution": Need(lambda records: records.rows == "checklists", "rows is 'checklists'"),
    }

    environment: str | None = None
    sea: Literal["keep", "drop", "nearest"] = "keep"
    nearest_km: Annotated[float, Field(gt=0.0, le=2000.0)] = 50.0
    background: str = "uniform"
    background_sites: Annotated[int, Field(ge=1, le=100_000_000)] = 50_000
    rows: Literal["records", "checklists"] = "records"
    checklist_resolution: Annotated[int, Field(ge=0, le=9)] = 5
    propagation: PropagationSettings | None = None
    weeks: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @field_validator("background")
    @classmethod
    def _known_background(cls, kind: str) -> str:
        check_kind(kind)
        return kind

    @model_validator(mode="after")
    def _sea_needs_layers(self) -> Self:
        if self.sea != "keep" and self.environment is None:
            raise ValueError(
                f"settings with an environment, as sea is {self.sea!r}; where no layer is read none is undefined"
            )
        return self

    @model_validator(mode="after")
    def _propagation_needs_checklists_and_layers(self) -> Self:
        check_propagation(self.propagation, self.rows)
        if self.propagation is not None and self.environment is None:
            raise ValueError("settings with an environment, as propagation compares rows by their covariates")
        return self

    def open_layers(self) -> Environment:
        """As of :func:`environment_at`; a kind whose file brings layers of its own has its own way."""
        if self.environment is None:
            return Layers(())
        return open_environment(self.environment, self.nearest_km if self.sea == "nearest" else None)

    def covariate_source(self) -> Callable[[Floats], Floats]:
        """The function from sites (M, 2) to covariates (M, C), for maps."""
        return environment_at(self).sample


def check_propagation(propagation: PropagationSettings | None, rows: str) -> None:
    """Refuse to propagate between rows of one record each.

    Raises:
        ValueError: In the words of a rule of settings.
    """
    if propagation is not None and rows != "checklists":
        raise ValueError(
            f"settings with rows 'checklists', as propagation is given; rows is {rows!r}, and a row of one record "
            "says little of what else is there"
        )


def _choice(raw: object) -> str:
    """Which settings of an evaluation are meant."""
    kind = raw.get("kind") if isinstance(raw, dict) else getattr(raw, "kind", None)
    return "survey" if kind == "survey" else "area"


class RecordsSettings(AssemblySettings):
    """How occurrence records become training data, and what makes the survey.

    Args:
        evaluation: Which area is held out of training and makes the survey; or, with ``kind: survey``, the file of a
            survey of one's own.
        evaluation_sites: At most so many sites make up the survey, drawn alike; null: 10,000 of a held-out area, all
            of a survey.
    """

    evaluation: Annotated[
        Annotated[EvaluationSettings, Tag("area")] | Annotated[SurveyEvaluation, Tag("survey")],
        Discriminator(_choice),
    ] = EvaluationSettings()
    evaluation_sites: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


def environment_at(settings: AssemblySettings) -> Environment:
    """The layers that sites get their covariates from, with the rule for the sea; none where none are read."""
    return settings.open_layers()
