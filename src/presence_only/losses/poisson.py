"""Poisson point process: the log-likelihood of records as points of an intensity exp(logit).

Shape legend: B rows of a batch, S species, K background sites, P positives (records).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from presence_only.losses.argument_checks import check_background, check_floating
from presence_only.losses.base import TrainingCounts
from presence_only.losses.fast_curves import Curve, capped_exponential_curve
from presence_only.losses.negatives import open_targets, zero
from presence_only.losses.numerics import widen
from presence_only.losses.pair_weights import DenseSettings, PairWeights, loss_from_all_logits
from presence_only.losses.parameters import check_parameters, from_parameters, parameter, with_parameters
from presence_only.losses.penalties import Penalty
from presence_only.losses.species_weights import Weighting, check_species_weights

# More than the intensity of a range that one of 20,000 background sites lies in; its slope fits into half precision.
CAP = 10.0


def poisson(
    logits_BS: Tensor,
    targets_BS: Tensor,
    background_KS: Tensor,
    *,
    background_mask_KS: Tensor | None = None,
    species_weights_S: Tensor | None = None,
    intensity_cap: float = CAP,
) -> Tensor:
    """How likely the records are as points of a Poisson process with the intensity exp(logit).

    For every species s: mean over background sites of exp(x'_ks) - sum_i y_is x_is / n_s, with the species' n_s records
    in the batch; then the weighted mean over the species present in the batch. It is the negative log-likelihood of
    the process, the integral of the intensity taken as the mean over the background, divided by the number of records.
    An intensity of 1 is that of records spread evenly.

    Above the cap c, exp(x) goes on as its tangent, exp(c) (1 + x - c), so that one bad site has a bounded slope and
    nothing overflows. exp(10) is 22,000 times the mean intensity.

    There is no lower bound for a flexible network: raising the logits at records alone lowers the loss, as with
    :func:`~presence_only.losses.maxent.maxent` without presences in its sum.

    Source: Warton and Shepherd (2010), https://doi.org/10.1214/10-AOAS331; Renner et al. (2015),
    https://doi.org/10.1111/2041-210X.12352; as a neural loss a baseline of DeepMaxent, Ryckewaert et al. (2024),
    https://arxiv.org/abs/2412.19217

    Args:
        logits_BS: Logits at the recorded sites, the logarithms of intensities.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        background_KS: Logits at background sites, at least one.
        background_mask_KS: Which species a background site counts for, bool; None: all. A species that no site counts
            for has no term.
        species_weights_S: Weights of the mean over species, >= 0; None: all alike.
        intensity_cap: Logit from which on exp is continued by its tangent, in [0, 30].

    Returns:
        Scalar loss in nats. A batch without records gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, there is no background site, a target is neither 0 nor 1, a weight is negative,
            NaN or infinite, or the cap is out of range.
    """
    positives = open_targets(logits_BS, targets_BS)
    check_floating("background_KS", background_KS, 2)
    check_background(background_KS, background_mask_KS, logits_BS)
    penalty = Intensity(intensity_cap)
    n_rows, n_species = logits_BS.shape
    weight_S = check_species_weights(species_weights_S, n_species)
    if weight_S is None:
        weight_S = torch.ones(n_species, device=logits_BS.device)
    if logits_BS.numel() == 0:
        return zero(logits_BS, background_KS)
    if len(background_KS) == 0:
        raise ValueError(f"background_KS has shape {tuple(background_KS.shape)}: must have at least one row")
    n_S = positives.records_per_species_S().double()
    if background_mask_KS is not None:
        n_S = torch.where(background_mask_KS.any(dim=0), n_S, 0.0)
    weights = process(penalty, TrainingCounts(n_rows, n_S), weight_S)
    return loss_from_all_logits(weights, logits_BS, positives, background_KS, background_mask_KS)


@dataclass(frozen=True)
class Intensity(Penalty):
    """-x where a species was recorded; exp(x), up to a cap, at a site of the integral.

    Args:
        intensity_cap: Logit from which on exp is continued by its tangent, in [0, 30].

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is out of range.
    """

    intensity_cap: float = parameter(CAP, low=0, high=30)

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """-x."""
        return -widen(logits)

    def negative(self, logits: Tensor) -> Tensor:
        """exp(x) up to the cap, its tangent beyond."""
        result: Tensor = _CappedExponential.apply(widen(logits), self.intensity_cap)  # type: ignore[no-untyped-call, unused-ignore]
        return result

    def fast_negative(self) -> Curve:
        """One exponential a logit for value and slope."""
        return partial(capped_exponential_curve, cap=self.intensity_cap)


class _CappedExponential(torch.autograd.Function):
    """exp(min(x, c)) (1 + max(x - c, 0)), with slope exp(min(x, c))."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, cap: float) -> Tensor:
        return torch.exp(x.clamp(max=cap)) * (1 + (x - cap).clamp(min=0))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.cap = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x: Tensor
        (x,) = ctx.saved_tensors
        return gradient * torch.exp(x.clamp(max=ctx.cap)), None


def process(penalty: Penalty, counts: TrainingCounts, weight_S: Tensor) -> PairWeights:
    """The likelihood as weights of pairs: unobserved pairs of the rows have none.

    Args:
        penalty: :class:`Intensity`.
        counts: Records per species n_s among n rows; with those of the training set, the mean over equal batches is
            the loss of the whole set.
        weight_S: Weights of the mean over species; those of species without records do not count.
    """
    n_S = counts.records_per_species_S
    weight_S = torch.where(n_S > 0, weight_S.to(n_S), 0.0)
    total = weight_S.sum()
    share_S = len(n_S) * weight_S / torch.where(total > 0, total, 1.0)
    return PairWeights(penalty, positive=counts.n_rows * share_S / n_S.clamp(min=1), unobserved=0.0, background=share_S)


@with_parameters(Intensity)
class PoissonSettings(DenseSettings):
    """Poisson point process: records are points of an intensity, which is integrated over the background sites.

    Args:
        weighting: Weight of a species with n records: ``uniform`` 1, ``sqrt`` sqrt(n), ``records`` n.
    """

    loss: Literal["poisson"]
    weighting: Weighting = "uniform"

    def build_penalty(self) -> Penalty:
        """The intensity, with its cap."""
        return from_parameters(Intensity, dict(self))

    def pair_weights(self, counts: TrainingCounts) -> PairWeights:
        """The weights of the training set."""
        n_S = counts.records_per_species_S
        return process(
            self.build_penalty(), counts, n_S ** {"uniform": 0.0, "sqrt": 0.5, "records": 1.0}[self.weighting]
        )
