"""The base of every expansion: how columns of coordinates and covariates become the encoder's features.

Shape legend: R reference rows, B sites, P coordinates, C covariates, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from torch import nn

from presence_only.common.arrays import Floats


@dataclass(frozen=True)
class Columns:
    """What the encoder reads of some sites, before an expansion.

    Args:
        place_BP: Coordinates as they enter; P is 0 where the encoder reads none.
        covariates_BC: Covariates in their own units, NaN where unknown; C is 0 where the encoder reads none.
        standard_BC: The same standardised, NaN where unknown.
    """

    place_BP: Floats
    covariates_BC: Floats
    standard_BC: Floats

    def joined(self) -> Floats:
        """Coordinates and standardised covariates (B, P + C), an unknown covariate being its mean, 0."""
        return np.concatenate([self.place_BP, np.nan_to_num(self.standard_BC, nan=0.0)], axis=1)


class Expansion(nn.Module, ABC):
    """Makes features of columns; a line in ``EXPANSIONS`` of ``settings.py`` names it.

    What it measures while fitting is kept in buffers, which are saved with the weights.

    Args:
        n_place: P.
        n_covariates: C.

    Attributes:
        size: F.
    """

    size: int

    def __init__(self, n_place: int, n_covariates: int) -> None:
        super().__init__()
        self.n_place, self.n_covariates = n_place, n_covariates

    @abstractmethod
    def fit(self, reference: Columns, covariate_names: tuple[str, ...]) -> None:
        """Measure what the features are made by.

        Args:
            reference: Training rows and background sites, as many of each.
            covariate_names: Name of every covariate, with its unit.
        """

    @abstractmethod
    def forward(self, columns: Columns) -> Floats:
        """Finite features (B, F) in float64."""


class NoExpansion(Expansion):
    """Columns enter as they are."""

    def __init__(self, n_place: int, n_covariates: int) -> None:
        super().__init__(n_place, n_covariates)
        self.size = n_place + n_covariates

    def fit(self, reference: Columns, covariate_names: tuple[str, ...]) -> None:
        """Nothing is to be measured."""

    def forward(self, columns: Columns) -> Floats:
        """Coordinates and standardised covariates."""
        return columns.joined()
