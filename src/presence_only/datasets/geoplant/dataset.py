"""GeoPlant, the data of GeoLifeCLEF 2023 to 2026: records of 10,000 European plants, and surveys to score them by.

Source: Picek et al. (2024), https://arxiv.org/abs/2408.13928; downloads by https://github.com/plantnet/GeoPlant and from
https://www.kaggle.com/competitions/geolifeclef-2025

The published protocol is that of DeepMaxent (Estopinan et al. 2024, https://arxiv.org/abs/2412.19217): train on the
presence-only records, test on the presence-absence surveys. ``docs/records/geoplant.md`` has the settings.

Covariates come from tables of predictors, from rasters, or from both. Tables know the places of records and of surveys
alone: a background must then be drawn from the records, and no map can be made.

Shape legend: N training rows, V surveys, C covariates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.settings import Settings
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.data.sites import sites_of
from presence_only.datasets.geoplant.folder import Download, side_of
from presence_only.datasets.geoplant.records import read_records
from presence_only.datasets.geoplant.surveys import Surveys, Wanted, read_surveys
from presence_only.occurrences.assemble import Assembled, AssemblySettings, assemble_training, environment_at
from presence_only.occurrences.cleaning import CleaningSettings
from presence_only.occurrences.predictor_tables import Predictors, PredictorTable, join_predictors
