"""Features of the encoder as operations of tensors, for graphs that run without this package.

``presence_only.model.features`` computes features by numpy in float64. Here the same features are made of
operations that ONNX has, in float32, which every runtime has, browsers included. Differences to constants keep
all digits of float32, since each constant is kept as the sum of two numbers.

Shape legend: B sites, P coordinates, C covariates, A = P + C columns, F features, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor, nn

from presence_only.common.arrays import Floats
from presence_only.common.errors import UserError
from presence_only.data.sites import WEEKS
from presence_only.model.coordinates import week_features
from presence_only.model.expansions.base import Expansion, NoExpansion
from presence_only.model.expansions.hinge import Hinges
from presence_only.model.expansions.rank import QUANTILES, RankGauss
from presence_only.model.features import Features


class ExportError(UserError, ValueError):
    """A model cannot be exported; the message is one sentence with the reason and what helps."""


class Scales(NamedTuple):
    """Mean and deviation by which columns are standardised, float64, each (A,)."""

    mean: Floats
    scale: Floats


class Difference(nn.Module):
    """``x - constant``, exact to the digits of the difference, not of the constant.

    A covariate of 2,000,000 +- 1 would lose six of its seven digits otherwise. The constant is kept as two numbers of
    the graph's precision, whose sum has twice the digits.
    """

    high: Tensor
    low: Tensor

    def __init__(self, constant: Floats, dtype: torch.dtype) -> None:
        super().__init__()
        exact = torch.as_tensor(constant, dtype=torch.float64)
        high = exact.to(dtype)
        self.register_buffer("high", high)
        self.register_buffer("low", (exact - high.to(torch.float64)).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` minus the constant, in the graph's precision."""
        return (x - self.high) - self.low


class ClippedDifference(nn.Module):
    """``clip(x - centre, low, high) * factor + offset``, one constant of each per column."""

    low: Tensor
    high: Tensor
    factor: Tensor
    offset: Tensor

    def __init__(
        self, centre: Floats, low: Floats, high: Floats, factor: Floats, offset: Floats, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.difference = Difference(centre, dtype)
        for name, values in (("low", low), ("high", high), ("factor", factor), ("offset", offset)):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float64).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Of the columns of ``x``."""
        within = torch.minimum(torch.maximum(self.difference(x), self.low), self.high)
        return within * self.factor + self.offset


class PlainColumns(nn.Module):
    """The expansion ``none``: columns standardised, an unknown one being its mean."""

    scale: Tensor

    def __init__(self, expansion: Expansion, scales: Scales, dtype: torch.dtype) -> None:
        super().__init__()
        self.difference = Difference(scales.mean, dtype)
        self.register_buffer("scale", torch.as_tensor(scales.scale).to(dtype))

    def forward(self, columns_BA: Tensor) -> Tensor:
        """Features (B, A) of columns in their own units, NaN where unknown."""
        standard_BA = self.difference(columns_BA) / self.scale
        return torch.where(torch.isnan(standard_BA), torch.zeros_like(standard_BA), standard_BA)


class HingeColumns(nn.Module):
    """The expansion ``hinge``: columns with squares and ramps, cut off at the ends of what training saw."""

    unknown_F: Tensor

    def __init__(self, expansion: Hinges, scales: Scales, dtype: torch.dtype) -> None:
        super().__init__()
        knots_KA = expansion.knots_KC.numpy()
        n_columns = knots_KA.shape[1]
        # The order of the features: columns, squares, one block of ramps a knot.
        mean_XA = expansion.mean_F.numpy().reshape(-1, n_columns)
        deviation_XA = expansion.scale_F.numpy().reshape(-1, n_columns)
        first_A, last_A = knots_KA[0], knots_KA[-1]

        def about(centre_A: Floats, low_A: Floats, high_A: Floats, weight_A: Floats, add_A: Floats) -> nn.Module:
            """Of constants in standardised units the module that takes columns in their own units."""
            own = (scales.mean + centre_A * scales.scale, low_A * scales.scale, high_A * scales.scale)
            return ClippedDifference(*own, weight_A / scales.scale, add_A, dtype)

        mean_A, nothing_A, ones_A = mean_XA[0], np.zeros(n_columns), np.ones(n_columns)
        self.inside = about(mean_A, first_A - mean_A, last_A - mean_A, 1 / deviation_XA[0], nothing_A)
        # x^2 - m = (x - sqrt(m)) (x + sqrt(m)), without the digits that a difference of near numbers loses.
        root_A = np.sqrt(mean_XA[1])
        self.lower = about(root_A, first_A - root_A, last_A - root_A, 1 / deviation_XA[1], nothing_A)
        self.upper = about(-root_A, first_A + root_A, last_A + root_A, ones_A, nothing_A)
        self.ramps = nn.ModuleList(
            about(knot_A, nothing_A, last_A - knot_A, 1 / deviation_A, -mean_A / deviation_A)
            for knot_A, mean_A, deviation_A in zip(knots_KA[1:-1], mean_XA[2:], deviation_XA[2:], strict=True)
        )
        inside_A = np.clip(0.0, first_A, last_A)
        raw_F = np.concatenate(
            [inside_A, inside_A**2, *(np.maximum(inside_A - knot_A, 0.0) for knot_A in knots_KA[1:-1])]
        )
        unknown_F = (raw_F - expansion.mean_F.numpy()) / expansion.scale_F.numpy()
        self.register_buffer("unknown_F", torch.as_tensor(unknown_F).to(dtype))

    def forward(self, columns_BA: Tensor) -> Tensor:
        """Features (B, F) of columns in their own units, NaN where unknown."""
        square_BA = self.lower(columns_BA) * self.upper(columns_BA)
        blocks = [self.inside(columns_BA), square_BA, *(ramp(columns_BA) for ramp in self.ramps)]
        unknown_BA = torch.isnan(columns_BA)
        features_BF = torch.cat(blocks, dim=1)
        return torch.where(torch.cat([unknown_BA] * len(blocks), dim=1), self.unknown_F, features_BF)


class RankColumns(nn.Module):
    """The expansion ``rank``: covariates by the normal deviate of their rank, found by halving the list of quantiles.

    ``searchsorted`` and the normal quantile function have no operator in ONNX. A rank takes one of 2,003 values, whose
    deviates are a table.
    """

    below_QC: Tensor
    up_to_QC: Tensor
    binary_A: Tensor
    deviates: Tensor

    def __init__(self, expansion: RankGauss, scales: Scales, dtype: torch.dtype) -> None:
        super().__init__()
        self.plain = PlainColumns(expansion, scales, dtype)
        self.n_place = expansion.n_place
        quantiles_QC = expansion.quantiles_QC.numpy()
        self.steps = [2**power for power in reversed(range(QUANTILES.bit_length()))]
        # Filled to the length that can be halved.
        fill = ((0, sum(self.steps) - QUANTILES), (0, 0))
        padded_QC = np.pad(quantiles_QC, fill, constant_values=np.inf)
        # q < x and q <= x of a float64 q and a float32 x hold as well of q rounded down and rounded up to float32.
        self.register_buffer("below_QC", torch.from_numpy(_rounded(padded_QC, -np.inf)))
        self.register_buffer("up_to_QC", torch.from_numpy(_rounded(padded_QC, np.inf)))
        untouched_A = np.concatenate([np.ones(self.n_place, dtype=bool), expansion.binary_C.numpy()])
        self.register_buffer("binary_A", torch.from_numpy(untouched_A))
        share = np.clip(np.arange(2 * QUANTILES + 1) / 2 / QUANTILES, 1 / QUANTILES, 1 - 1 / QUANTILES)
        self.register_buffer("deviates", torch.from_numpy(ndtri(share)).to(dtype))

    def forward(self, columns_BA: Tensor) -> Tensor:
        """Features (B, A) of columns in their own units, NaN where unknown."""
        plain_BA = self.plain(columns_BA)
        values_BC = columns_BA[:, self.n_place :].to(torch.float32)
        twice_BC = self._count(self.below_QC, values_BC, torch.lt) + self._count(self.up_to_QC, values_BC, torch.le)
        deviates_BC = self.deviates[twice_BC]
        deviates_BC = torch.where(torch.isnan(values_BC), torch.zeros_like(deviates_BC), deviates_BC)
        ranked_BA = torch.cat([plain_BA[:, : self.n_place], deviates_BC], dim=1)
        return torch.where(self.binary_A, plain_BA, ranked_BA)

    def _count(self, sorted_QC: Tensor, values_BC: Tensor, before: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """How many quantiles of its column are before each value, int64 (B, C)."""
        count_BC = torch.zeros_like(values_BC, dtype=torch.int64)
        for step in self.steps:
            next_BC = torch.gather(sorted_QC, 0, count_BC + (step - 1))
            count_BC = count_BC + step * before(next_BC, values_BC).to(torch.int64)
        return torch.clamp(count_BC, max=QUANTILES)


def _rounded(values: Floats, towards: float) -> np.ndarray:
    """float64 to the next float32 that is not beyond it, in the direction ``towards`` (+-infinity)."""
    near = values.astype(np.float32)
    wrong = near > values if towards < 0 else near < values
    return np.where(wrong, np.nextafter(near, np.float32(towards)), near)


# Class of an expansion to the module that computes it from columns in their own units.
EXPANSIONS: dict[type[Expansion], Callable[..., nn.Module]] = {
    NoExpansion: PlainColumns,
    Hinges: HingeColumns,
    RankGauss: RankColumns,
}


class GraphFeatures(nn.Module):
    """Features (B, F) of coordinates, covariates and weeks, as :class:`presence_only.model.features.Features`.

    Args:
        features: What the encoder reads, measured on its training data.
        dtype: Precision of the computation; float32 runs everywhere.

    Raises:
        ExportError: If the expansion has no graph.
    """

    radians_P: Tensor
    quarter: Tensor
    week_table: Tensor

    def __init__(self, features: Features, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        settings = features.settings
        self.dtype = dtype
        self.reads_coordinates, self.reads_covariates = settings.reads_coordinates, settings.reads_covariates
        self.weeks, self.local = features.weeks, settings.coordinates == "local"
        if self.local:
            # Of three turns the middle one is the nearest: adding 360 degrees to a difference would cost its digits.
            turns = features.longitude.numpy() + np.array([-360.0, 0.0, 360.0])
            self.east = Difference(turns, dtype)
        # A buffer: the exporter writes a number of Python's in float32, whatever it is multiplied with.
        self.register_buffer("quarter", torch.tensor(np.pi / 2, dtype=torch.float64).to(dtype))
        self.register_buffer("radians_P", torch.tensor([np.pi / 180, np.pi / 90], dtype=torch.float64).to(dtype))
        parts = [(features.mean_P, features.scale_P)] * self.reads_coordinates
        parts += [(features.mean_C, features.scale_C)] * self.reads_covariates
        scales = Scales(*(np.concatenate([part[i].numpy() for part in parts]) for i in range(2)))
        make = EXPANSIONS.get(type(features.expansion))
        if make is None:
            raise ExportError(
                f"encoder.expansion = {settings.expansion!r}: has no graph; add its module to EXPANSIONS of {__name__}"
            )
        self.columns = make(features.expansion, scales, dtype)
        if self.weeks:
            # Row 0 is no week: whoever asks for it is told by NaN.
            table = np.concatenate([np.full((1, 4), np.nan), week_features(np.arange(1, WEEKS + 1))])
            self.register_buffer("week_table", torch.from_numpy(table.astype(np.float32)))

    def forward(
        self, longitude_B: Tensor | None, latitude_B: Tensor | None, covariates_BC: Tensor | None, week_B: Tensor | None
    ) -> Tensor:
        """Features (B, F), float32.

        Args:
            longitude_B: Degrees WGS84; None where no coordinates are read.
            latitude_B: Degrees WGS84.
            covariates_BC: In their own units, NaN where unknown; None where none are read.
            week_B: 1..48; None where no week is read.
        """
        columns = []
        if self.reads_coordinates:
            assert longitude_B is not None
            assert latitude_B is not None
            columns.append(self._place(longitude_B.to(self.dtype), latitude_B.to(self.dtype)))
        if self.reads_covariates:
            assert covariates_BC is not None
            columns.append(covariates_BC.to(self.dtype))
        features_BF: Tensor = self.columns(torch.cat(columns, dim=1)).to(torch.float32)
        if self.weeks:
            assert week_B is not None
            features_BF = torch.cat([features_BF, self.week_table[week_B.to(torch.int64)]], dim=1)
        return features_BF

    def _place(self, longitude_B: Tensor, latitude_B: Tensor) -> Tensor:
        """Columns of the coordinates (B, P), before they are standardised."""
        if self.local:
            below_B, same_B, above_B = self.east(longitude_B[:, None]).unbind(dim=1)
            east_B = torch.where(same_B >= 180.0, above_B, torch.where(same_B < -180.0, below_B, same_B))
            return torch.stack([east_B, latitude_B], dim=1)
        angles = [longitude_B * self.radians_P[0], latitude_B * self.radians_P[1]]
        return torch.stack([wave for angle in angles for wave in (torch.sin(angle), self._cosine(angle))], dim=1)

    def _cosine(self, angle: Tensor) -> Tensor:
        """cos; of float64 as a sine, since runtimes have sines of float64 and no cosines."""
        return torch.cos(angle) if self.dtype == torch.float32 else torch.sin(angle + self.quarter)
