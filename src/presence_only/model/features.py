"""Features of the encoder: coordinates, covariates and week of sites, as numbers of about unit size.

Shape legend: B sites, R reference rows, P coordinates, C covariates, F features.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.registry import resolve
from presence_only.data.training import TrainingData
from presence_only.model.coordinates import WEEK_FEATURES, coordinate_features, local_coordinates, week_features
from presence_only.model.expansions.base import Columns, Expansion
from presence_only.model.settings import EXPANSIONS, EncoderSettings


class Features(nn.Module):
    """Turns sites, covariates and weeks into the encoder's features, by what was seen in training.

    Covariates are standardised with the mean and deviation over training rows and background
    sites; an unknown covariate (NaN) becomes the mean. Coordinates are SINR's sines on the ``sphere``,
    and standardised degrees in a ``local`` region. An expansion then replaces these columns by others. The
    features of the week, where the data has weeks, are the last four.

    Args:
        settings: ``input``, ``coordinates`` and ``expansion`` say what is read, and how.
        n_covariates: C, of the data.
        weeks: Whether the data has weeks.

    Raises:
        DataError: If the settings need covariates or weeks that the data does not have.
    """

    longitude: Tensor
    mean_P: Tensor
    scale_P: Tensor
    mean_C: Tensor
    scale_C: Tensor

    def __init__(self, settings: EncoderSettings, n_covariates: int, *, weeks: bool = False) -> None:
        super().__init__()
        check_data(settings, n_covariates, weeks)
        self.settings = settings
        self.n_covariates = n_covariates
        self.weeks = weeks
        n_place = {"sphere": 4, "local": 2}[settings.coordinates]
        # float64: a region of a few kilometres leaves few digits.
        self.register_buffer("longitude", torch.zeros((), dtype=torch.float64))
        for name, size in (("P", n_place), ("C", n_covariates)):
            self.register_buffer(f"mean_{name}", torch.zeros(size, dtype=torch.float64))
            self.register_buffer(f"scale_{name}", torch.ones(size, dtype=torch.float64))
        expansion: type[Expansion] = resolve(EXPANSIONS[settings.expansion])
        self.expansion = expansion(n_place * settings.reads_coordinates, n_covariates * settings.reads_covariates)

    @property
    def size(self) -> int:
        """Number of features F."""
        return self.expansion.size + WEEK_FEATURES * self.weeks

    def fit(self, data: TrainingData) -> Self:
        """Measure on the training rows and the background sites all that the features are made by."""
        records, background = data.records, data.background
        covariates = np.concatenate([records.covariates_NC, background.covariates_KC])
        _measure(covariates.astype(np.float64), self.mean_C, self.scale_C)
        if self.settings.coordinates == "local":
            sites = np.concatenate([records.sites_N2, background.sites_K2]).astype(np.float64)
            radians = np.radians(sites[:, 0])
            self.longitude.fill_(float(np.degrees(np.arctan2(np.sin(radians).mean(), np.cos(radians).mean()))))
            _measure(self._place(sites), self.mean_P, self.scale_P)
        # Rows and background alike, whichever are more.
        n = min(records.n_rows, len(background.sites_K2))
        row_R, site_R = (
            np.linspace(0, total - 1, n).astype(int) for total in (records.n_rows, len(background.sites_K2))
        )
        sites_R2 = np.concatenate([records.sites_N2[row_R], background.sites_K2[site_R]])
        covariates_RC = np.concatenate([records.covariates_NC[row_R], background.covariates_KC[site_R]])
        self.expansion.fit(self._columns(sites_R2, covariates_RC), records.covariate_names)
        return self

    def forward(self, sites_B2: Floats, covariates_BC: Floats, week_B: Ints | None = None) -> Tensor:
        """Features of shape (B, F), float32, on the CPU.

        Raises:
            ValueError: If the number of covariates is not the one seen in training, or weeks are
                given to an encoder made without, or not given to one made with them.
        """
        if (week_B is not None) != self.weeks:
            raise ValueError(
                f"week_B is {'missing' if self.weeks else 'given'}: the encoder was made "
                f"{'with' if self.weeks else 'without'} weeks"
            )
        features_BF: Floats = self.expansion(self._columns(sites_B2, covariates_BC))
        if week_B is not None:
            features_BF = np.concatenate([features_BF, week_features(week_B)], axis=1)
        return torch.from_numpy(features_BF.astype(np.float32))

    def _columns(self, sites_B2: Floats, covariates_BC: Floats) -> Columns:
        """What the encoder reads of coordinates and covariates, in float64."""
        place_BP: Floats = np.empty((len(sites_B2), 0))
        standard_BC = self._standard_covariates(covariates_BC)
        if self.settings.reads_coordinates:
            place_BP = _standardise(self._place(sites_B2.astype(np.float64)), self.mean_P, self.scale_P)
        if not self.settings.reads_covariates:
            covariates_BC, standard_BC = covariates_BC[:, :0], standard_BC[:, :0]
        return Columns(place_BP, covariates_BC.astype(np.float64), standard_BC)

    def _place(self, sites_B2: Floats) -> Floats:
        if self.settings.coordinates == "local":
            return local_coordinates(sites_B2, float(self.longitude))
        return coordinate_features(sites_B2)

    def environment(self, covariates_BC: Floats) -> Tensor:
        """Standardised covariates of shape (B, C), float32, on the CPU, NaN where unknown.

        Raises:
            ValueError: If the number of covariates is not the one seen in training.
        """
        return torch.from_numpy(self._standard_covariates(covariates_BC).astype(np.float32))

    def _standard_covariates(self, covariates_BC: Floats) -> Floats:
        if covariates_BC.shape[1] != self.n_covariates:
            raise ValueError(
                f"covariates_BC has {covariates_BC.shape[1]} columns; the encoder was made for {self.n_covariates}"
            )
        return _standardise(covariates_BC.astype(np.float64), self.mean_C, self.scale_C)


def check_data(settings: EncoderSettings, n_covariates: int, weeks: bool) -> None:
    """Refuse settings of an encoder that the data cannot serve.

    Raises:
        DataError: If they need covariates and there are none, or weeks.
    """
    if settings.reads_covariates and not n_covariates:
        raise DataError(
            f"encoder.input = {settings.input!r}: the data set has no covariates; give it some, as "
            "environment: earth does for records, or use 'coordinates'"
        )
    if settings.environment_head and not n_covariates:
        raise DataError("encoder.environment_head = true: the data set has no covariates to predict")
    if settings.week == "film" and not weeks:
        raise DataError(
            "encoder.week = 'film': the data set has no weeks; give it some, as weeks: true does for records "
            "with dates, or use 'features'"
        )


def _measure(values: Floats, mean: Tensor, scale: Tensor) -> None:
    """Store mean and deviation of every column's known values; a constant column keeps its scale."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt(np.where(known, (values - centre) ** 2, 0.0).sum(axis=0) / count)
    deviation[deviation < 1e-12] = 1.0
    mean.copy_(torch.from_numpy(centre))
    scale.copy_(torch.from_numpy(deviation))


def _standardise(values: Floats, mean: Tensor, scale: Tensor) -> Floats:
    """``(values - mean) / scale`` in float64."""
    standard: Floats = (values - mean.cpu().numpy()) / scale.cpu().numpy()
    return standard
