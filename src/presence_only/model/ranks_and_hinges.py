"""Ways to enter a column of numbers: by its rank, or by hinges as Maxent's features.

Both are measured on training rows and background sites alone. Shape legend: R reference rows, B sites,
C columns, Q quantiles, K knots.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from presence_only.common.arrays import Floats

QUANTILES = 1001
# Inner knots of the hinges, at equal shares of the reference rows.
KNOTS = 5


class RankGauss(nn.Module):
    """A column becomes the normal deviate of its rank, so that its outliers and its units do not matter.

    Columns of two values, such as the levels of a class, stay standardised.

    Args:
        n_columns: C.
    """

    quantiles_QC: Tensor
    binary_C: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.size = n_columns
        self.register_buffer("quantiles_QC", torch.zeros(QUANTILES, n_columns, dtype=torch.float64))
        self.register_buffer("binary_C", torch.zeros(n_columns, dtype=torch.bool))

    def fit(self, reference_RC: Floats) -> Self:
        """Take the quantiles of every column's known values."""
        for column, values in enumerate(reference_RC.T):
            known = values[~np.isnan(values)]
            if len(known):
                self.quantiles_QC[:, column] = torch.from_numpy(np.quantile(known, np.linspace(0, 1, QUANTILES)))
            self.binary_C[column] = len(np.unique(known)) <= 2
        return self

    def forward(self, values_BC: Floats, standard_BC: Floats) -> Floats:
        """Normal deviates, 0 where unknown, within the deviate of one rank in a thousand."""
        # Not at the top: scipy takes a tenth of the time of torch to import, and few encoders read ranks.
        from scipy.special import ndtri

        out_BC = np.nan_to_num(standard_BC, nan=0.0)
        quantiles_QC, binary_C = self.quantiles_QC.cpu().numpy(), self.binary_C.cpu().numpy()
        for column in np.flatnonzero(~binary_C):
            values, quantiles = values_BC[:, column], quantiles_QC[:, column]
            # The middle of the ranks of equal values.
            rank = (np.searchsorted(quantiles, values, "left") + np.searchsorted(quantiles, values, "right")) / 2
            share = np.clip(rank / QUANTILES, 1 / QUANTILES, 1 - 1 / QUANTILES)
            out_BC[:, column] = np.where(np.isnan(values), 0.0, ndtri(share))
        return out_BC


class Hinges(nn.Module):
    """A column becomes itself, its square, and ramps that begin at some of its quantiles; all of unit variance.

    A linear model over these is a smooth additive response, as Maxent's with hinge features. Beyond the
    reference rows' range a column stays at its end.

    Source: Phillips and Dudik (2008), https://doi.org/10.1111/j.0906-7590.2008.5203.x

    Args:
        n_columns: C.
    """

    knots_KC: Tensor
    mean_F: Tensor
    scale_F: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.size = n_columns * (2 + KNOTS)
        self.register_buffer("knots_KC", torch.zeros(KNOTS + 2, n_columns, dtype=torch.float64))
        self.register_buffer("mean_F", torch.zeros(self.size, dtype=torch.float64))
        self.register_buffer("scale_F", torch.ones(self.size, dtype=torch.float64))

    def fit(self, standard_RC: Floats) -> Self:
        """Place the knots by standardised reference rows, and measure what the features' variance is."""
        filled_RC = np.nan_to_num(standard_RC, nan=0.0)
        self.knots_KC.copy_(torch.from_numpy(np.quantile(filled_RC, np.linspace(0, 1, KNOTS + 2), axis=0)))
        raw_RF = self._raw(filled_RC)
        deviation_F = raw_RF.std(axis=0)
        deviation_F[deviation_F < 1e-9] = 1.0
        self.mean_F.copy_(torch.from_numpy(raw_RF.mean(axis=0)))
        self.scale_F.copy_(torch.from_numpy(deviation_F))
        return self

    def forward(self, standard_BC: Floats) -> Floats:
        """Features (B, C * (2 + K)) of standardised columns, an unknown value being the mean."""
        raw_BF = self._raw(np.nan_to_num(standard_BC, nan=0.0))
        scaled_BF: Floats = (raw_BF - self.mean_F.cpu().numpy()) / self.scale_F.cpu().numpy()
        return scaled_BF

    def _raw(self, filled_BC: Floats) -> Floats:
        knots_KC = self.knots_KC.cpu().numpy()
        inside_BC = np.clip(filled_BC, knots_KC[0], knots_KC[-1])
        ramps = [np.maximum(inside_BC - knot_C, 0.0) for knot_C in knots_KC[1:-1]]
        return np.concatenate([inside_BC, inside_BC**2, *ramps], axis=1)
