"""The expansion ``rank``: covariates enter by the normal deviate of their rank.

Shape legend: R reference rows, B sites, P coordinates, C covariates, F features, Q quantiles.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from presence_only.common.arrays import Floats
from presence_only.model.expansions.base import Columns, Expansion

QUANTILES = 1001


class RankGauss(Expansion):
    """A covariate becomes the normal deviate of its rank, so that its outliers and its units do not matter.

    Ranks are those among the reference rows. Coordinates, and covariates of two values such as the levels of a
    class, stay as they are, standardised.
    """

    quantiles_QC: Tensor
    binary_C: Tensor

    def __init__(self, n_place: int, n_covariates: int) -> None:
        super().__init__(n_place, n_covariates)
        self.size = n_place + n_covariates
        self.register_buffer("quantiles_QC", torch.zeros(QUANTILES, n_covariates, dtype=torch.float64))
        self.register_buffer("binary_C", torch.zeros(n_covariates, dtype=torch.bool))

    def fit(self, reference: Columns, covariate_names: tuple[str, ...]) -> None:
        """Take the quantiles of every covariate's known values."""
        for column, values in enumerate(reference.covariates_BC.T):
            known = values[~np.isnan(values)]
            if len(known):
                self.quantiles_QC[:, column] = torch.from_numpy(np.quantile(known, np.linspace(0, 1, QUANTILES)))
            self.binary_C[column] = len(np.unique(known)) <= 2

    def forward(self, columns: Columns) -> Floats:
        """Coordinates and normal deviates, 0 where unknown, within the deviate of one rank in a thousand."""
        out_BC = np.nan_to_num(columns.standard_BC, nan=0.0)
        quantiles_QC, binary_C = self.quantiles_QC.cpu().numpy(), self.binary_C.cpu().numpy()
        for column in np.flatnonzero(~binary_C):
            values, quantiles = columns.covariates_BC[:, column], quantiles_QC[:, column]
            # The middle of the ranks of equal values.
            rank = (np.searchsorted(quantiles, values, "left") + np.searchsorted(quantiles, values, "right")) / 2
            share = np.clip(rank / QUANTILES, 1 / QUANTILES, 1 - 1 / QUANTILES)
            out_BC[:, column] = np.where(np.isnan(values), 0.0, ndtri(share))
        return np.concatenate([columns.place_BP, out_BC], axis=1)
