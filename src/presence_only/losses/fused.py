"""Losses over all pairs, value and gradient in one walk over chunks of species, without B x S.

Most losses of this package are one sum: positive pairs, unobserved pairs and background pairs, each
with a weight. ``PairWeights`` says which; :func:`fused_loss` computes it from the embedding and the
species matrix. It equals the plain loss up to rounding, at any finite logit.

What saves time: a chunk's logits stay in the cache while they become slopes, nothing of the size
B x S is written or read, and a logit costs one exponential (``tiles.py``). Backward has nothing left
to do but to scale the gradients that forward kept.

Shape legend: B rows of a batch, K background sites, S species, D embedding, P positives, R rows of a
tile (B or K), C species of a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeGuard, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from presence_only.losses.batch import LossBatch
from presence_only.losses.checks import check_batch, check_floating, check_shape
from presence_only.losses.elementwise import Penalty, widen
from presence_only.losses.negatives import zero
from presence_only.losses.tiles import ABSENT, Tile, tile_curve

# Logits at a time, 2.5 MiB in float32: three such tiles fit into a core's share of the last-level cache.
TILE = 5 * 2**17
# Fewer columns make matrix products slow.
NARROWEST = 64


@dataclass(frozen=True)
class PairWeights:
    """A loss as a sum over pairs, every weight a number or one number a species, shape (S,).

    sum over positives of ``positive`` * pos(x) + sum over unobserved pairs of ``unobserved`` * neg(x)
    + sum over the background pairs that count of ``background`` * neg(x').

    Args:
        penalty: pos and neg of the rows.
        background_penalty: neg of the background sites.
        positive: Weight of observed pairs.
        unobserved: Weight of the other pairs of the rows.
        background: Weight of background pairs.
    """

    penalty: Penalty
    background_penalty: Penalty
    positive: float | Tensor
    unobserved: float | Tensor
    background: float | Tensor = 0.0


@runtime_checkable
class DensePairs(Protocol):
    """A batch loss that may be such a sum."""

    @property
    def needs_background(self) -> bool:
        """Whether there is a background part."""

    @property
    def is_dense(self) -> bool:
        """Whether the loss, with its settings, is a sum over all pairs."""

    def pair_weights(self, n_rows: int, n_species: int, n_sites: int, mask_KS: Tensor | None) -> PairWeights:
        """The sum for a batch of this size; ``n_sites`` is 0 where there is no background."""


def is_dense(loss: object) -> TypeGuard[DensePairs]:
    """Whether :func:`fused_loss` can compute a batch loss."""
    return isinstance(loss, DensePairs) and loss.is_dense


def background_pair_weight(n_sites: int, n_species: int, mask_KS: Tensor | None, factor: float = 1.0) -> float | Tensor:
    """Weight of a background pair in ``factor`` times :func:`~presence_only.losses.negatives.background_mean`."""
    if mask_KS is None:
        return factor / max(n_sites * n_species, 1)
    return factor / (n_species * mask_KS.sum(dim=0).clamp(min=1).double())


def fused_loss(
    loss: DensePairs,
    location_BD: Tensor,
    species_SD: Tensor,
    row_P: Tensor,
    species_P: Tensor,
    *,
    background_KD: Tensor | None = None,
    background_mask_KS: Tensor | None = None,
) -> Tensor:
    """A dense loss of the logits ``location_BD @ species_SD.T``, never held as a whole.

    Args:
        loss: A loss with ``is_dense``.
        location_BD: Embedding of the training rows.
        species_SD: The species head's matrix.
        row_P: Row of every positive; a pair given twice counts once.
        species_P: Species of every positive.
        background_KD: Embedding of background sites; given if and only if ``loss.needs_background``.
        background_mask_KS: Which species a background site counts for; None: every site for all.

    Returns:
        Scalar loss in nats with gradients for the three matrices. Its gradient has no gradient.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes or indices disagree, or the background is missing or not asked for.
    """
    for name, matrix in (("location_BD", location_BD), ("species_SD", species_SD), ("background_KD", background_KD)):
        if matrix is not None:
            check_floating(name, matrix, 2)
            check_shape(name, matrix, (len(matrix), species_SD.shape[1]))
    # The batch as the plain losses see it: logits of the right shape, in no memory.
    nothing = location_BD.new_zeros(())
    far = None if background_KD is None else nothing.expand(len(background_KD), len(species_SD))
    near = nothing.expand(len(location_BD), len(species_SD))
    batch = LossBatch(near, row_P, species_P, torch.default_generator, far, background_mask_KS)
    check_batch(batch, loss.needs_background)
    if near.numel() == 0:
        return zero(*(matrix for matrix in (location_BD, species_SD, background_KD) if matrix is not None))
    n_sites = 0 if background_KD is None else len(background_KD)
    weights = loss.pair_weights(len(location_BD), len(species_SD), n_sites, background_mask_KS)
    return weighted_pairs(weights, location_BD, species_SD, row_P, species_P, background_KD, background_mask_KS)


def weighted_pairs(
    weights: PairWeights,
    location_BD: Tensor,
    species_SD: Tensor,
    row_P: Tensor,
    species_P: Tensor,
    background_KD: Tensor | None = None,
    background_mask_KS: Tensor | None = None,
) -> Tensor:
    """:func:`fused_loss` from the weights themselves, unchecked."""
    observed = _Observed.sort(row_P, species_P, len(location_BD), weights.positive)
    value: Tensor = _WeightedPairs.apply(  # type: ignore[no-untyped-call, unused-ignore]
        location_BD, species_SD, background_KD, weights, observed, background_mask_KS
    )
    return value


@dataclass(frozen=True)
class _Observed:
    """Observed pairs, each once, sorted by species and then by row."""

    row_P: Tensor
    species_P: Tensor
    weight: float | Tensor

    @classmethod
    def sort(cls, row_P: Tensor, species_P: Tensor, n_rows: int, weight: float | Tensor) -> Self:
        key_P = torch.unique(species_P.long() * n_rows + row_P.long())
        return cls(key_P % n_rows, key_P // n_rows, weight)

    def within(self, start: int, n_chunk: int, like: Tensor) -> tuple[Tensor, float | Tensor]:
        """Indices into the flat tile of the species from ``start`` on, and the weights there."""
        ends = torch.tensor([start, start + n_chunk], device=self.species_P.device)
        low, high = torch.searchsorted(self.species_P, ends).tolist()
        species_P = self.species_P[low:high]
        weight = self.weight.to(like)[species_P] if isinstance(self.weight, Tensor) else self.weight
        return self.row_P[low:high] * n_chunk + (species_P - start), weight


class _WeightedPairs(torch.autograd.Function):
    """The walk. Forward keeps the gradients: while a tile is at hand they cost little more than the value."""

    @staticmethod
    def forward(
        ctx: Any,
        location_BD: Tensor,
        species_SD: Tensor,
        background_KD: Tensor | None,
        weights: PairWeights,
        observed: _Observed,
        mask_KS: Tensor | None,
    ) -> Tensor:
        wide_SD = widen(species_SD)
        gradient_SD = torch.zeros_like(wide_SD) if any(ctx.needs_input_grad) else None
        near = _Block(weights.penalty, weights.unobserved, widen(location_BD), wide_SD, gradient_SD)
        total, gradients = near.walk(observed=observed), [near.gradient_RD, gradient_SD, None]
        if background_KD is not None:
            far = _Block(weights.background_penalty, weights.background, widen(background_KD), wide_SD, gradient_SD)
            total += far.walk(mask_KS=mask_KS)
            gradients[2] = far.gradient_RD
        ctx.dtypes = [None if x is None else x.dtype for x in (location_BD, species_SD, background_KD)]
        ctx.save_for_backward(*gradients)
        return total.to(wide_SD.dtype)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        kept = zip(ctx.saved_tensors, ctx.dtypes, ctx.needs_input_grad, strict=False)
        scaled = [(gradient * saved).to(dtype) if wanted else None for saved, dtype, wanted in kept]
        return (*scaled, None, None, None)


class _Block:
    """The rows or the background sites, and their share of the gradients.

    A weight that is one number is left to the matrix products, which scale for free.
    """

    def __init__(
        self,
        penalty: Penalty,
        weight: float | Tensor,
        input_RD: Tensor,
        species_SD: Tensor,
        gradient_SD: Tensor | None,
    ) -> None:
        self.penalty = penalty
        self.curve = tile_curve(penalty)
        self.weight_S = weight.to(input_RD) if isinstance(weight, Tensor) else None
        self.scale = 1.0 if isinstance(weight, Tensor) else weight
        self.input_RD = input_RD
        self.species_SD = species_SD
        self.gradient_SD = gradient_SD
        self.gradient_RD = None if gradient_SD is None else torch.zeros_like(input_RD)

    def walk(self, *, observed: _Observed | None = None, mask_KS: Tensor | None = None) -> Tensor:
        """The block's share of the loss, float64; its gradients are added up on the way."""
        n_rows, n_species = len(self.input_RD), len(self.species_SD)
        width = min(max(NARROWEST, TILE // max(n_rows, 1)), n_species)
        buffers = self.input_RD.new_empty(3, n_rows * width)
        total = self.input_RD.new_zeros((), dtype=torch.float64)
        for start in range(0, n_species if n_rows else 0, width):
            n_chunk = min(width, n_species - start)
            views = [buffer[: n_rows * n_chunk].view(n_rows, n_chunk) for buffer in buffers]
            mask_RC = None if mask_KS is None else mask_KS[:, start : start + n_chunk]
            total += self._chunk(start, views, observed, mask_RC)
        return total

    def _chunk(self, start: int, views: list[Tensor], observed: _Observed | None, mask_RC: Tensor | None) -> Tensor:
        """The share of the species from ``start`` on, as many as the tile holds."""
        logits_RC, spare_RC, other_RC = views
        n_chunk = logits_RC.shape[1]
        species_CD = self.species_SD[start : start + n_chunk]
        torch.mm(self.input_RD, species_CD.t(), out=logits_RC)
        total, taken_P = logits_RC.new_zeros((), dtype=torch.float64), None
        if observed is not None:
            taken_P, weight_P = observed.within(start, n_chunk, logits_RC)
            value_P, slope_P = _positive(self.penalty, logits_RC.view(-1)[taken_P])
            total += (weight_P * value_P).sum(dtype=torch.float64)
            logits_RC.view(-1)[taken_P] = ABSENT  # an observed pair is no negative
        tile = Tile(logits_RC, mask_RC, taken_P, spare_RC, other_RC, self.gradient_SD is not None)
        value_C, slope_RC = self.curve(tile)
        weight_C = None if self.weight_S is None else self.weight_S[start : start + n_chunk]
        total += self.scale * (value_C if weight_C is None else weight_C * value_C).sum(dtype=torch.float64)
        if slope_RC is None or self.gradient_SD is None or self.gradient_RD is None:
            return total
        if weight_C is not None:
            slope_RC.mul_(weight_C)
        if taken_P is not None:
            slope_RC.view(-1)[taken_P] = weight_P * slope_P / self.scale
        self.gradient_SD[start : start + n_chunk].addmm_(slope_RC.t(), self.input_RD, alpha=self.scale)
        self.gradient_RD.addmm_(slope_RC, species_CD, alpha=self.scale)
        return total


def _positive(penalty: Penalty, x_P: Tensor) -> tuple[Tensor, Tensor]:
    """Value and slope of the positive curve; positives are so few that the penalty's own will do."""
    with torch.enable_grad():
        leaf_P = x_P.requires_grad_()
        value_P = penalty.positive(leaf_P)
        (slope_P,) = torch.autograd.grad(value_P.sum(), leaf_P)
    return value_P.detach(), slope_P
