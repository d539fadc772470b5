"""Dense losses in chunks of species: value and gradients in one walk, without logits of all pairs.

The loss is computed from the two embedding matrices and equals that from all logits within rounding, at any logit.

What saves time: a chunk's logits stay in the cache while they become slopes, nothing of the size
B x S is written or read, and a logit costs one exponential (``fast_curves.py``). Backward has nothing left
to do but to scale the gradients that forward kept. On a GPU, chunks are larger, so that starting the few dozen
kernels of one takes less time than they do, and what is saved is traffic to its memory.

Shape legend: B rows of a batch, K background sites, S species, D embedding, P positives, R rows of a
tile (B or K), C species of a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from presence_only.losses.argument_checks import check_floating, check_shape
from presence_only.losses.base import BatchTotals, LossBatch, check_batch
from presence_only.losses.fast_curves import ABSENT, Taken, Tile, absence_curve
from presence_only.losses.host_reads import on_host
from presence_only.losses.negatives import zero
from presence_only.losses.numerics import widen
from presence_only.losses.penalties import Penalty

if TYPE_CHECKING:
    from presence_only.losses.pair_weights import PairWeights, Weight

# Logits at a time, 2.5 MiB in float32: three such tiles fit into a core's share of the last-level cache.
TILE = 5 * 2**17
# On a GPU, 64 MiB: by its data sheet, an H100 needs 0.4 ms for the products of such a tile at width 256, and about
# 0.1 ms to start the kernels of a chunk. Not measured.
GPU_TILE = 2**24
# Fewer columns make matrix products slow.
NARROWEST = 64


def loss_in_chunks(
    loss: PairWeights,
    location_BD: Tensor,
    species_SD: Tensor,
    row_P: Tensor,
    species_P: Tensor,
    *,
    start_S: Tensor | None = None,
    background_KD: Tensor | None = None,
    background_mask_KS: Tensor | None = None,
    totals: BatchTotals | None = None,
    distinct: bool = False,
    products: torch.dtype | None = None,
) -> Tensor:
    """A dense loss of the logits ``location_BD @ species_SD.T + start_S``, never held as a whole.

    Args:
        loss: The weights of its pairs.
        location_BD: Embedding of the training rows.
        species_SD: The species head's matrix.
        row_P: Row of every positive; a pair given twice counts once.
        species_P: Species of every positive.
        start_S: Logits added to every site's; None: 0.
        background_KD: Embedding of background sites; given if and only if ``loss.needs_background``.
        background_mask_KS: Which species a background site counts for; None: every site for all.
        totals: Sizes of the whole batch, if these rows and sites are a part of it; None: they are all.
        distinct: Whether the positives are known to be in range and each given once, so that nobody has to look.
        products: Dtype that factors of matrix products are rounded to, as autocast does; None: they are not.

    Returns:
        Scalar loss in nats with gradients for the three matrices and the start, or a part's share of it. Its gradient
        has no gradient.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes or indices disagree, or the background is missing or not asked for.
    """
    batch = batch_without_logits(
        location_BD, species_SD, row_P, species_P, start_S, background_KD, background_mask_KS, distinct=distinct
    )
    check_batch(batch, loss.needs_background)
    if totals is None:
        n_sites = 0 if background_KD is None else len(background_KD)
        totals = BatchTotals.of(len(location_BD), n_sites, background_mask_KS)
    if totals.n_rows == 0 or len(species_SD) == 0:
        return zero(*(x for x in (location_BD, species_SD, background_KD, start_S) if x is not None))
    return walk_chunks(
        loss,
        loss.per_pair(totals, len(species_SD)),
        location_BD,
        species_SD,
        row_P,
        species_P,
        loss.start(start_S),
        background_KD,
        background_mask_KS,
        distinct=distinct,
        products=products,
    )


def batch_without_logits(
    location_BD: Tensor,
    species_SD: Tensor,
    row_P: Tensor,
    species_P: Tensor,
    start_S: Tensor | None = None,
    background_KD: Tensor | None = None,
    background_mask_KS: Tensor | None = None,
    *,
    distinct: bool = False,
) -> LossBatch:
    """The batch of such matrices as a loss from all logits sees it: logits of the right shape, in no memory.

    Raises:
        TypeError: If a matrix has the wrong type.
        ValueError: If their shapes disagree.
    """
    for name, matrix in (("location_BD", location_BD), ("species_SD", species_SD), ("background_KD", background_KD)):
        if matrix is not None:
            check_floating(name, matrix, 2)
            check_shape(name, matrix, (len(matrix), species_SD.shape[1]))
    if start_S is not None:
        check_floating("start_S", start_S, 1)
        check_shape("start_S", start_S, (len(species_SD),))
    nothing = location_BD.new_zeros(())
    far = None if background_KD is None else nothing.expand(len(background_KD), len(species_SD))
    near = nothing.expand(len(location_BD), len(species_SD))
    return LossBatch(near, row_P, species_P, torch.default_generator, far, background_mask_KS, distinct=distinct)


def walk_chunks(
    loss: PairWeights,
    per_pair: tuple[Weight, Weight, Weight],
    location_BD: Tensor,
    species_SD: Tensor,
    row_P: Tensor,
    species_P: Tensor,
    start_S: Tensor | None = None,
    background_KD: Tensor | None = None,
    background_mask_KS: Tensor | None = None,
    *,
    distinct: bool = False,
    products: torch.dtype | None = None,
) -> Tensor:
    """The loss from its penalties and the weights of recorded, unobserved and background pairs, on checked inputs."""
    positive, unobserved, background = per_pair
    observed = _Observed.sort(row_P, species_P, len(location_BD), positive, distinct=distinct)
    near, far = (loss.penalty, unobserved), (loss.far_penalty, background)
    value: Tensor = _Walk.apply(  # type: ignore[no-untyped-call, unused-ignore]
        location_BD, species_SD, background_KD, near, far, observed, start_S, background_mask_KS, products
    )
    return value


@dataclass(frozen=True)
class _Observed:
    """Observed pairs, each once, sorted by species and then by row."""

    row_P: Tensor
    species_P: Tensor
    weight: Weight

    @classmethod
    def sort(cls, row_P: Tensor, species_P: Tensor, n_rows: int, weight: Weight, *, distinct: bool) -> Self:
        """The pairs in order; only where they may not be distinct is one sought that is given twice."""
        n_rows = max(n_rows, 1)  # of a part of a batch without rows
        key_P = species_P.long() * n_rows + row_P.long()
        key_P = key_P.sort().values if distinct else torch.unique(key_P)
        return cls(key_P % n_rows, key_P // n_rows, weight)

    def within(self, start: int, n_chunk: int, like: Tensor) -> tuple[Taken, Weight]:
        """The pairs in the tile of the species from ``start`` on, and the weights there."""
        if not on_host(self.species_P):
            return self._among_all(start, n_chunk, like)
        ends = torch.tensor([start, start + n_chunk], device=self.species_P.device)
        low, high = torch.searchsorted(self.species_P, ends).tolist()
        species_P = self.species_P[low:high]
        weight = self.weight.to(like)[species_P] if isinstance(self.weight, Tensor) else self.weight
        return Taken(self.row_P[low:high] * n_chunk + (species_P - start)), weight

    def _among_all(self, start: int, n_chunk: int, like: Tensor) -> tuple[Taken, Weight]:
        """All pairs, of which those outside of the tile weigh 0."""
        inside_P = (self.species_P >= start) & (self.species_P < start + n_chunk)
        index_P = torch.where(inside_P, self.row_P * n_chunk + (self.species_P - start), 0)
        weight_P = inside_P.to(like.dtype)
        weight_P = weight_P * (self.weight.to(like)[self.species_P] if isinstance(self.weight, Tensor) else self.weight)
        return Taken(index_P, inside_P), weight_P


# Which argument of a walk is the start.
START = 6


class _Walk(torch.autograd.Function):
    """The walk. Forward keeps the gradients: while a tile is at hand they cost little more than the value."""

    @staticmethod
    def forward(
        ctx: Any,
        location_BD: Tensor,
        species_SD: Tensor,
        background_KD: Tensor | None,
        near_absent: tuple[Penalty, Weight],
        far_absent: tuple[Penalty, Weight],
        observed: _Observed,
        given_S: Tensor | None,
        mask_KS: Tensor | None,
        products: torch.dtype | None,
    ) -> Tensor:
        wide_SD = widen(species_SD)
        start_S = None if given_S is None else given_S.to(wide_SD)
        gradient_SD = torch.zeros_like(wide_SD) if any(ctx.needs_input_grad) else None
        # Species that are added up once more a tile take time: only for a start that is learned.
        gradient_S = torch.zeros_like(start_S) if start_S is not None and ctx.needs_input_grad[START] else None
        near = _Block(*near_absent, widen(location_BD), wide_SD, start_S, gradient_SD, gradient_S, products)
        nothing_unobserved = not isinstance(near_absent[1], Tensor) and near_absent[1] == 0
        total = near.observed_alone(observed) if nothing_unobserved else near.walk(observed=observed)
        gradients = [near.gradient_RD, gradient_SD, None, gradient_S]
        if background_KD is not None:
            far = _Block(*far_absent, widen(background_KD), wide_SD, start_S, gradient_SD, gradient_S, products)
            total += far.walk(mask_KS=mask_KS)
            gradients[2] = far.gradient_RD
        ctx.dtypes = [None if x is None else x.dtype for x in (location_BD, species_SD, background_KD, given_S)]
        ctx.save_for_backward(*gradients)
        return total.to(wide_SD.dtype)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wanted = (*ctx.needs_input_grad[:3], ctx.needs_input_grad[START])
        kept = zip(ctx.saved_tensors, ctx.dtypes, wanted, strict=True)
        *scaled, start_S = [(gradient * saved).to(dtype) if asked else None for saved, dtype, asked in kept]
        return (*scaled, None, None, None, start_S, None, None)


class _Block:
    """The rows or the background sites, and their share of the gradients.

    A weight that is one number is left to the matrix products, which scale for free.
    """

    def __init__(
        self,
        penalty: Penalty,
        weight: Weight,
        input_RD: Tensor,
        species_SD: Tensor,
        start_S: Tensor | None,
        gradient_SD: Tensor | None,
        gradient_S: Tensor | None,
        products: torch.dtype | None,
    ) -> None:
        self.penalty = penalty
        self.curve = absence_curve(penalty)
        if (
            not isinstance(weight, Tensor) and weight == 0
        ):  # no factor that slopes of observed pairs could be divided by
            weight = input_RD.new_zeros(len(species_SD))
        self.weight_S = weight.to(input_RD) if isinstance(weight, Tensor) else None
        self.scale = 1.0 if isinstance(weight, Tensor) else weight
        self.input_RD = input_RD
        self.species_SD = species_SD
        self.start_S = start_S
        self.gradient_SD = gradient_SD
        self.gradient_S = gradient_S
        self.gradient_RD = None if gradient_SD is None else torch.zeros_like(input_RD)
        self.products = products
        self.factor_RD = input_RD if products is None else input_RD.to(products)
        self.factor_SD = species_SD if products is None else species_SD.to(products)

    def walk(self, *, observed: _Observed | None = None, mask_KS: Tensor | None = None) -> Tensor:
        """The block's share of the loss, float64; its gradients are added up on the way."""
        n_rows, n_species = len(self.input_RD), len(self.species_SD)
        tile = TILE if on_host(self.input_RD) else GPU_TILE
        width = min(max(NARROWEST, tile // max(n_rows, 1)), n_species)
        buffers = self.input_RD.new_empty(3, n_rows * width)
        total = self.input_RD.new_zeros((), dtype=torch.float64)
        for start in range(0, n_species if n_rows else 0, width):
            n_chunk = min(width, n_species - start)
            views = [buffer[: n_rows * n_chunk].view(n_rows, n_chunk) for buffer in buffers]
            mask_RC = None if mask_KS is None else mask_KS[:, start : start + n_chunk]
            total += self._chunk(start, views, observed, mask_RC)
        return total

    def observed_alone(self, observed: _Observed) -> Tensor:
        """The share of the observed pairs of a loss in which the others weigh nothing: no other logit is computed."""
        row_P, species_P = observed.row_P, observed.species_P
        near_PD, species_PD = (
            x[at].to(self.input_RD) for x, at in ((self.factor_RD, row_P), (self.factor_SD, species_P))
        )
        x_P = (near_PD * species_PD).sum(dim=1)
        if self.products is not None:
            x_P = x_P.to(self.products).to(x_P)  # as the product of matrices gives it
        if self.start_S is not None:
            x_P = x_P + self.start_S[species_P]
        value_P, slope_P = _positive(self.penalty, x_P)
        weight = observed.weight
        weight_P = weight.to(x_P)[species_P] if isinstance(weight, Tensor) else weight
        if self.gradient_SD is not None and self.gradient_RD is not None:
            slope_P1 = (weight_P * slope_P)[:, None]
            self.gradient_SD.index_add_(0, species_P, slope_P1 * near_PD)
            self.gradient_RD.index_add_(0, row_P, slope_P1 * species_PD)
            if self.gradient_S is not None:
                self.gradient_S.index_add_(0, species_P, slope_P1[:, 0])
        return (weight_P * value_P).sum(dtype=torch.float64)

    def _chunk(self, start: int, views: list[Tensor], observed: _Observed | None, mask_RC: Tensor | None) -> Tensor:
        """The share of the species from ``start`` on, as many as the tile holds."""
        logits_RC, spare_RC, other_RC = views
        n_chunk = logits_RC.shape[1]
        species_CD = self.factor_SD[start : start + n_chunk]
        start_C = None if self.start_S is None else self.start_S[start : start + n_chunk]
        write_logits(logits_RC, self.factor_RD, species_CD, start_C)
        total, taken = logits_RC.new_zeros((), dtype=torch.float64), None
        if observed is not None:
            taken, weight_P = observed.within(start, n_chunk, logits_RC)
            value_P, slope_P = _positive(self.penalty, taken.read(logits_RC))
            total += (weight_P * value_P).sum(dtype=torch.float64)
            taken.write(logits_RC, ABSENT)  # an observed pair is no negative
        tile = Tile(logits_RC, mask_RC, taken, spare_RC, other_RC, self.gradient_SD is not None)
        value_C, slope_RC = self.curve(tile)
        weight_C = None if self.weight_S is None else self.weight_S[start : start + n_chunk]
        total += self.scale * (value_C if weight_C is None else weight_C * value_C).sum(dtype=torch.float64)
        if slope_RC is None or self.gradient_SD is None or self.gradient_RD is None:
            return total
        if weight_C is not None:
            slope_RC.mul_(weight_C)
        if taken is not None:
            taken.write(slope_RC, weight_P * slope_P / self.scale)
        if self.gradient_S is not None:
            self.gradient_S[start : start + n_chunk].add_(slope_RC.sum(dim=0), alpha=self.scale)
        gradient_CD = self.gradient_SD[start : start + n_chunk]
        add_products(gradient_CD, self.gradient_RD, slope_RC, self.factor_RD, species_CD, self.scale)
        return total


def write_logits(logits_RC: Tensor, factor_RD: Tensor, factor_CD: Tensor, start_C: Tensor | None) -> None:
    """Fill a tile with the logits of some rows and species.

    Args:
        logits_RC: The tile, float32 or float64.
        factor_RD: Embeddings of the rows; of another dtype where factors of products are rounded, as autocast does.
        factor_CD: The species' rows of their matrix, of the same dtype.
        start_C: Logits to be added; None: 0.
    """
    if factor_RD.dtype != logits_RC.dtype:
        logits_RC.copy_(linear(factor_RD, factor_CD))
        if start_C is not None:
            logits_RC.add_(start_C)
    elif start_C is not None:
        torch.addmm(start_C, factor_RD, factor_CD.t(), out=logits_RC)
    else:
        torch.mm(factor_RD, factor_CD.t(), out=logits_RC)


def add_products(
    gradient_CD: Tensor,
    gradient_RD: Tensor,
    slope_RC: Tensor,
    factor_RD: Tensor,
    factor_CD: Tensor,
    scale: float = 1.0,
) -> None:
    """Add the gradients of :func:`write_logits` for both factors, times a number, given the slope of every logit."""
    if factor_RD.dtype == slope_RC.dtype:
        gradient_CD.addmm_(slope_RC.t(), factor_RD, alpha=scale)
        gradient_RD.addmm_(slope_RC, factor_CD, alpha=scale)
        return
    slope_RC = slope_RC.to(factor_RD.dtype)
    gradient_CD.add_(slope_RC.t() @ factor_RD, alpha=scale)
    gradient_RD.add_(slope_RC @ factor_CD, alpha=scale)


def _positive(penalty: Penalty, x_P: Tensor) -> tuple[Tensor, Tensor]:
    """Value and slope of the positive curve; positives are so few that the penalty's own will do."""
    with torch.enable_grad():
        leaf_P = x_P.requires_grad_()
        value_P = penalty.positive(leaf_P)
        (slope_P,) = torch.autograd.grad(value_P.sum(), leaf_P)
    return value_P.detach(), slope_P
