"""The expansion ``hinge``: every column enters with its square and ramps, as the features of Maxent.

Shape legend: R reference rows, B sites, C columns of coordinates and covariates, F features, K knots.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from presence_only.common.arrays import Floats
from presence_only.model.expansions.base import Columns, Expansion

# Inner knots, at equal shares of the reference rows.
KNOTS = 5


class Hinges(Expansion):
    """A column becomes itself, its square, and ramps that begin at some of its quantiles; all of unit variance.

    A linear model over these is a smooth additive response, as Maxent's with hinge features. Beyond the
    reference rows' range a column stays at its end.

    Source: Phillips and Dudik (2008), https://doi.org/10.1111/j.0906-7590.2008.5203.x
    """

    knots_KC: Tensor
    mean_F: Tensor
    scale_F: Tensor

    def __init__(self, n_place: int, n_covariates: int) -> None:
        super().__init__(n_place, n_covariates)
        n_columns = n_place + n_covariates
        self.size = n_columns * (2 + KNOTS)
        self.register_buffer("knots_KC", torch.zeros(KNOTS + 2, n_columns, dtype=torch.float64))
        self.register_buffer("mean_F", torch.zeros(self.size, dtype=torch.float64))
        self.register_buffer("scale_F", torch.ones(self.size, dtype=torch.float64))

    def fit(self, reference: Columns, covariate_names: tuple[str, ...]) -> None:
        """Place the knots by the reference rows, and measure what the features' variance is."""
        columns_RC = reference.joined()
        self.knots_KC.copy_(torch.from_numpy(np.quantile(columns_RC, np.linspace(0, 1, KNOTS + 2), axis=0)))
        raw_RF = self._raw(columns_RC)
        deviation_F = raw_RF.std(axis=0)
        deviation_F[deviation_F < 1e-9] = 1.0
        self.mean_F.copy_(torch.from_numpy(raw_RF.mean(axis=0)))
        self.scale_F.copy_(torch.from_numpy(deviation_F))

    def forward(self, columns: Columns) -> Floats:
        """Features (B, C * (2 + K)), an unknown value being the mean."""
        raw_BF = self._raw(columns.joined())
        scaled_BF: Floats = (raw_BF - self.mean_F.cpu().numpy()) / self.scale_F.cpu().numpy()
        return scaled_BF

    def _raw(self, columns_BC: Floats) -> Floats:
        knots_KC = self.knots_KC.cpu().numpy()
        inside_BC = np.clip(columns_BC, knots_KC[0], knots_KC[-1])
        ramps = [np.maximum(inside_BC - knot_C, 0.0) for knot_C in knots_KC[1:-1]]
        return np.concatenate([inside_BC, inside_BC**2, *ramps], axis=1)
