"""GeoPlant, the data of GeoLifeCLEF 2023 to 2026: records of 10,000 European plants, and surveys to score them by.

Source: Picek et al. (2024), https://arxiv.org/abs/2408.13928; downloads: https://github.com/plantnet/GeoPlant and
https://www.kaggle.com/competitions/geolifeclef-2025

The published protocol is that of DeepMaxent (Ryckewaert et al. 2024, https://arxiv.org/abs/2412.19217): train on the
presence-only records, test on the presence-absence surveys. ``docs/records/geoplant.md`` has the settings.

Covariates come from tables of predictors, from rasters, or from both. Tables know the places of records and of surveys
alone: a background must then be drawn from the records, and no map can be made.

Shape legend: N training rows, V surveys, C covariates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.settings import Need, Settings
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.data.sites import sites_of
from presence_only.datasets.geoplant.folder import Download, side_of, stem
from presence_only.datasets.geoplant.records import read_records
from presence_only.datasets.geoplant.surveys import Surveys, Wanted, names_species, read_surveys
from presence_only.occurrences.assemble import Assembled, assemble, assemble_training
from presence_only.occurrences.assembly_settings import AssemblySettings, RecordsSettings, environment_at
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.predictor_tables import Predictors, PredictorTable, join_predictors
from presence_only.occurrences.records import RecordTable
from presence_only.surveys.assembly import Visits, survey_of_rows
from presence_only.surveys.rows import COVARIATE, SurveyRows

Words = Annotated[tuple[str, ...], Field(strict=False)]
Area = Annotated[float, Field(ge=0.0)]


class PredictorFiles(Settings):
    """The two tables of one theme of predictors, by their files.

    Args:
        records: The table of the records, as a path below ``root``.
        surveys: That of the surveys.
    """

    records: str
    surveys: str


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """A download of GeoPlant, and which of its records, surveys and predictors to use.

    Args:
        root: The folder as it is downloaded; files are found by their names anywhere below it. ``~`` is the home
            folder.
        records_file: The table of presence-only records, if its name does not tell; a path below ``root``.
        surveys_file: The table of presence-absence surveys, if its name does not tell.
        labels_file: The table of what test surveys found, if its name does not tell.
        truth: Which surveys are the truth: ``train``, or such as ``test_iid``, ``test_ood`` and ``test_glc25``; or
            ``evaluation``: none of the download's, but what ``evaluation`` says, as of all records.
        survey_countries: Surveys of these countries alone; empty: of all.
        survey_regions: Surveys of these biogeographical regions alone, such as ``ALPINE``; empty: of all.
        survey_area_m2: Surveys of at least and at most this area in square metres alone; null: of any.
        repeated_visits: Whether surveys of one site are ``merge``d or, as in published figures, ``keep`` apart.
        predictors: Tables of covariates: names such as ``bioclimatic``, ``elevation``, ``landcover``, ``soilgrids`` and
            ``human_footprint``; patterns of the path of one, such as ``*/v2/*soilgrids*``; or ``{records: ...,
            surveys: ...}``, two files.
        background: As of all records; with ``predictors`` it must be ``target_group``.
    """

    needs: ClassVar[Mapping[str, Need]] = dict.fromkeys(
        ("surveys_file", "labels_file", "survey_countries", "survey_regions", "survey_area_m2", "repeated_visits"),
        Need(lambda geoplant: geoplant.truth != "evaluation", "truth names surveys of the download"),
    )

    kind: Literal["geoplant"]
    root: str
    records_file: str | None = None
    surveys_file: str | None = None
    labels_file: str | None = None
    truth: Annotated[str, Field(pattern=r"^(train|test(_[a-z0-9]+)?|evaluation)$")] = "train"
    survey_countries: Words = ()
    survey_regions: Words = ()
    survey_area_m2: Annotated[tuple[Area, Area], Field(strict=False)] | None = None
    repeated_visits: Visits = "keep"
    predictors: Annotated[tuple[str | PredictorFiles, ...], Field(strict=False)] = ()
    background: str = "target_group"

    @field_validator("predictors", mode="before")
    @classmethod
    def _names_or_files(cls, given: object) -> object:
        for one in given if isinstance(given, list | tuple) else ():
            files = (
                isinstance(one, dict) and one.keys() == {"records", "surveys"} and {*map(type, one.values())} == {str}
            )
            if not (isinstance(one, str | PredictorFiles) or files):
                raise ValueError(
                    f"names or patterns of tables, or pairs {{records: <file>, surveys: <file>}}; {one!r} is neither"
                )
        return given

    @field_validator("survey_area_m2", mode="before")
    @classmethod
    def _two_areas(cls, given: object) -> object:
        if isinstance(given, list | tuple) and len(given) != 2:
            raise ValueError("a list of two areas in square metres, the least and the most")
        return given

    @model_validator(mode="after")
    def _predictors_have_sites_of_their_own(self) -> Self:
        if not self.predictors:
            return self
        if self.background != "target_group":
            raise ValueError(
                "settings with background 'target_group', as predictors are known at the records and surveys alone and "
                f"background {self.background!r} has other sites; for these give an environment of rasters in place of "
                "predictors"
            )
        if self.rows != "records":
            raise ValueError(
                "settings with rows 'records', as predictors belong to single records and not to cells; for checklists "
                "give an environment of rasters in place of predictors"
            )
        if self.sea == "drop":
            raise ValueError("settings where sea is keep or nearest, as predictors are given")
        if len({str(word) for word in self.predictors}) < len(self.predictors):
            raise ValueError("settings with each of the predictors once")
        return self

    @model_validator(mode="after")
    def _one_truth(self) -> Self:
        given = {"evaluation", "evaluation_sites"} & self.model_fields_set
        if given and self.truth != "evaluation":
            raise ValueError(
                f"settings with truth 'evaluation', as {min(given)} is given; truth is {self.truth!r}, and the surveys "
                "of the download make the evaluation"
            )
        if self.truth == "evaluation" and self.predictors:
            raise ValueError(
                "settings without predictors, as truth is 'evaluation': predictors are known at the records and the "
                "surveys of the download alone; give an environment of rasters in their place"
            )
        return self

    @model_validator(mode="after")
    def _areas_in_order(self) -> Self:
        if self.survey_area_m2 is not None and self.survey_area_m2[0] > self.survey_area_m2[1]:
            raise ValueError("settings with a survey_area_m2 of the least and the most area, in this order")
        return self

    def build(self) -> Dataset:
        """Read the download; see :func:`build`."""
        return build(self)

    def covariate_source(self) -> Callable[[Floats], Floats]:
        """The function from sites (M, 2) to covariates (M, C), for maps.

        Raises:
            DataError: If there are predictors, which are known at the sites of the data set only.
        """
        if self.predictors:
            raise DataError(
                "predictors are known at the places of records and surveys alone; none can be sampled elsewhere: for "
                "maps give an environment of rasters in place of predictors"
            )
        return AssemblySettings.covariate_source(self)


def build(settings: DatasetSettings) -> Dataset:
    """Read records, surveys and predictors.

    Returns:
        Species are called by their numbers. All are of one target group, so that a background of the target group is
        one of the sites of the records. A species that a survey does not list is absent there. Covariates are those of
        the environment, then those of the predictors in the order of the settings.

    Raises:
        DataError: If a file is not found, found several times, damaged or not of its form, or no record or survey is
            left.
    """
    download = Download.under(settings.root)
    tables = [_tables(download, word, settings.truth) for word in settings.predictors]
    surveys_path = None if settings.truth == "evaluation" else _surveys_path(download, settings)
    records_path = (
        download.one(("*P[O0]*metadata*train*", "*Presences_only_train*"), "presence-only records", "records_file")
        if settings.records_file is None
        else download.named(settings.records_file, "records_file")
    )
    if surveys_path is None:
        return assemble(read_records(records_path, settings, weeks=settings.weeks, visits=False), settings)
    surveys = read_surveys(surveys_path, _labels_path(download, settings, surveys_path), _wanted(settings))
    records = read_records(records_path, settings, weeks=settings.weeks, visits=bool(tables))
    if not tables:
        return _assembled(assemble_training(records, settings), surveys, None, settings)
    of_records, of_surveys = join_predictors(tables, records.table["visit"], surveys.surveys["visit"])
    made = assemble_training(records, settings, of_records)
    facts = _predictor_facts(of_records, of_surveys, records, surveys, made)
    made = Assembled(
        made.training,
        made.filters,
        made.facts | facts,
        (*made.notes, *of_records.notes, *of_surveys.notes),
        made.added,
    )
    return _assembled(made, surveys, of_surveys, settings)


def _assembled(made: Assembled, read: Surveys, predictors: Predictors | None, settings: DatasetSettings) -> Dataset:
    """The data set of training data and surveys."""
    environment = environment_at(settings)
    surveys, notes = read.surveys, list(read.notes)
    if predictors is not None:
        own_VC = predictors.of(surveys)
        possible = pl.col("longitude").is_between(-180, 180) & pl.col("latitude").is_between(-90, 90)
        possible_V = surveys.select(possible.fill_null(False)).to_series().to_numpy()
        layers_VC = np.full((len(surveys), len(environment.names)), np.nan, dtype=np.float32)
        layers_VC[possible_V] = environment.sample(sites_of(surveys)[possible_V])
        columns = dict(zip(environment.names, layers_VC.T, strict=True))
        columns |= dict(zip(predictors.names, own_VC.T, strict=True))
        surveys = surveys.with_columns(pl.Series(f"{COVARIATE}{name}", column) for name, column in columns.items())
    weeks = settings.weeks and "week" in surveys.columns
    if settings.weeks and not weeks:
        notes.append(
            "The surveys have no dates: a species that was found counts as present in any week, and is scored by the "
            "mean over the months."
        )
    names = made.training.records.covariate_names
    survey = survey_of_rows(
        SurveyRows.complete(
            surveys.drop("visit"), read.presences, filters=read.filters, facts=read.facts, notes=tuple(notes)
        ),
        made.training.records.species,
        environment=environment,
        covariate_names=names,
        weeks=weeks,
        drop_undefined=settings.sea == "drop",
        repeated_visits=settings.repeated_visits,
    )
    return Dataset(
        made.training,
        survey.survey,
        made.filters,
        (*made.notes, *survey.notes),
        made.facts | survey.facts,
        added=made.added,
        survey_filters=survey.filters,
    )


def _predictor_facts(
    of_records: Predictors, of_surveys: Predictors, records: RecordTable, surveys: Surveys, made: Assembled
) -> dict[str, int | float]:
    """How many records, surveys and values lack predictors."""
    unknown_NC = np.isnan(made.training.records.covariates_NC[:, -len(of_records.names) :])
    unknown_VC = np.isnan(of_surveys.of(surveys.surveys))
    return {
        **of_records.facts,
        **of_surveys.facts,
        "records_without_predictors": int((~of_records.found(records.table)).sum()),
        "surveys_without_predictors": int((~of_surveys.found(surveys.surveys)).sum()),
        "predictor_values_unknown": int(unknown_NC.sum()),
        "survey_predictor_values_unknown": int(unknown_VC.sum()),
    }


def _wanted(settings: DatasetSettings) -> Wanted:
    """Which surveys are the truth."""
    return Wanted(
        settings.survey_countries,
        settings.survey_regions,
        settings.survey_area_m2,
        settings.longitudes,
        settings.ragged_rows,
    )


def _surveys_path(download: Download, settings: DatasetSettings) -> Path:
    """The table of the surveys that are the truth."""
    if settings.surveys_file is not None:
        return download.named(settings.surveys_file, "surveys_file")
    part = settings.truth.replace("_", "[-_ ]")
    patterns = [f"*PA*metadata*{part}*"]
    if settings.truth == "train":
        patterns.append("*Presences_Absences_train*")
    return download.one(patterns, f"surveys of truth {settings.truth!r}", "surveys_file")


def _labels_path(download: Download, settings: DatasetSettings, surveys: Path) -> Path | None:
    """The table of what test surveys found, where there is one and their own table does not say it."""
    if settings.labels_file is not None:
        return download.named(settings.labels_file, "labels_file")
    if settings.truth == "train" or names_species(surveys):
        return None
    patterns = ["*test[-_ ]labels" + "".join(f"[-_ ]{part}*" for part in settings.truth.split("_")[1:])]
    if not download.matching(patterns):
        return None
    return download.one(patterns, f"labels of truth {settings.truth!r}", "labels_file")


def _tables(download: Download, word: str | PredictorFiles, part: str) -> PredictorTable:
    """The two tables that an entry of the predictors means."""
    if isinstance(word, str):
        return PredictorTable(word, download.predictor(word, "PO", "train"), download.predictor(word, "PA", part))
    records, surveys = (
        download.named(given, f"predictors.{name}")
        for name, given in (("records", word.records), ("surveys", word.surveys))
    )
    for path, wrong, whose in ((records, "PA", "records"), (surveys, "PO", "surveys")):
        if side_of(path) == wrong:
            raise DataError(
                f"predictors.{whose} = {path.name!r}: is a table of {wrong} by its name; records (PO) and surveys (PA) "
                "have ids of their own, which mean other places"
            )
    return PredictorTable(stem(records), records, surveys)
