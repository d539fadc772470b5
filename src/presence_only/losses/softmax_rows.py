"""Softmax over species, row by row: the loss of a row, and value and gradients of many rows without all their logits.

Embeddings are taken in blocks of rows, each with the logits of all species. A block is chosen small: its logits
become slopes while they are in the cache, and are then overwritten by those of the next. A row's sum over species is
complete within its block, so every logit is computed once and costs one exponential; blocks of species would need two
walks, the first for the sums.

Shape legend: B rows of a batch, R rows of a block, S species, D embedding, P positives (row, species).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from presence_only.losses.chunks import GPU_TILE, TILE, add_products, write_logits
from presence_only.losses.fast_curves import Taken
from presence_only.losses.host_reads import count_each, on_host
from presence_only.losses.negatives import Positives
from presence_only.losses.numerics import widen

# Fewer rows make matrix products slow: with 128, the loss at 10,000 species takes 9 % longer. Where this many rows have
# more logits than a tile, their memory is that of the gradient of a species matrix of this width.
FEWEST_ROWS = 256


def row_losses(top_B: Tensor, others_B: Tensor, x_P: Tensor, row_P: Tensor, normalisation: float) -> Tensor:
    """The loss of every row in nats (B,), 0 for a row without positives.

    It is z - mean of x over the row's positives + normalisation * z^2, with z = log(sum over species of exp(x)). With c
    the largest logit of the row, the first two terms are log(1 + sum over the other species of exp(x - c)) + mean of
    (c - x) over the positives: a sum of terms that are >= 0, exact at any logit, also where one positive outweighs all
    else.

    Args:
        top_B: Largest logit among a row's unobserved species, without a gradient; a very low number if there are none.
        others_B: Sum over these species of exp(x - top), 0 or >= 1.
        x_P: Logits of the positives.
        row_P: Their rows.
        normalisation: Weight of z^2, >= 0.
    """
    n_rows = len(top_B)
    count_B = count_each(row_P, n_rows)
    # One positive a row may hold the largest logit of them; it must not be compared with itself.
    index_P = torch.arange(len(x_P), device=x_P.device)
    lead_B = top_B.new_full((n_rows,), -torch.inf).scatter_reduce(0, row_P, x_P.detach(), "amax")
    at_lead_P = torch.where(x_P.detach() == lead_B[row_P], index_P, len(x_P))
    leader_B = index_P.new_full((n_rows,), len(x_P)).scatter_reduce(0, row_P, at_lead_P, "amin")
    above_B = lead_B >= top_B
    leads_P = (leader_B[row_P] == index_P) & above_B[row_P]
    own_top_B = torch.zeros_like(top_B).index_add(0, row_P, torch.where(leads_P, x_P, 0.0))
    largest_B = torch.where(above_B, own_top_B, top_B)
    d_P = torch.where(leads_P, 0.0, x_P - largest_B[row_P])
    rest_B = (others_B * torch.exp(top_B - largest_B)).index_add(0, row_P, torch.where(leads_P, 0.0, torch.exp(d_P)))
    # Where the largest logit is no positive's, its own 1 is in the sum.
    surprise_B = torch.log1p(rest_B - (~above_B).to(rest_B.dtype))
    mean_B = torch.zeros_like(top_B).index_add(0, row_P, d_P / count_B[row_P].to(d_P.dtype))
    loss_B = surprise_B - mean_B
    if normalisation:
        loss_B = loss_B + normalisation * (largest_B + surprise_B).square()
    return loss_B * (count_B > 0)  # a product: NaN has to reach the result


def lowest(dtype: torch.dtype) -> float:
    """What stands for the largest logit of no species: below any that a model gives, and finite."""
    return torch.finfo(dtype).min / 2


def rows_from_logits(logits_BS: Tensor, positives: Positives, normalisation: float) -> Tensor:
    """:func:`row_losses` from the logits of all pairs, with any number of derivatives."""
    x_BS = widen(logits_BS)
    x_P = x_BS[positives.row_P, positives.species_P]
    others_BS = x_BS.index_put((positives.row_P, positives.species_P), x_BS.new_full((), -torch.inf))
    top_B = others_BS.detach().amax(dim=1).clamp(min=lowest(x_BS.dtype))
    others_B = torch.exp(others_BS - top_B[:, None]).sum(dim=1)
    return row_losses(top_B, others_B, x_P, positives.row_P, normalisation)


def walk_rows(
    location_BD: Tensor,
    species_SD: Tensor,
    positives: Positives,
    weight_B: Tensor,
    normalisation: float,
    start_S: Tensor | None = None,
    products: torch.dtype | None = None,
) -> Tensor:
    """Sum over rows of weight * :func:`row_losses`, from embeddings, on checked inputs.

    Args:
        location_BD: Embedding of the rows.
        species_SD: The species head's matrix.
        positives: The observed pairs.
        weight_B: What each row weighs.
        normalisation: Of :func:`row_losses`.
        start_S: Logits added to every site's; None: 0.
        products: Dtype that factors of matrix products are rounded to; None: they are not.

    Returns:
        Scalar in nats with gradients for both matrices and the start, which have no gradients themselves.
    """
    value: Tensor = _Walk.apply(  # type: ignore[no-untyped-call, unused-ignore]
        location_BD, species_SD, positives, weight_B, normalisation, start_S, products
    )
    return value


# Which argument of a walk is the start.
START = 5


class _Walk(torch.autograd.Function):
    """The walk. Forward keeps the gradients: while a block is at hand they cost little more than the value."""

    @staticmethod
    def forward(
        ctx: Any,
        location_BD: Tensor,
        species_SD: Tensor,
        positives: Positives,
        weight_B: Tensor,
        normalisation: float,
        given_S: Tensor | None,
        products: torch.dtype | None,
    ) -> Tensor:
        near_BD, wide_SD = widen(location_BD), widen(species_SD)
        start_S = None if given_S is None else given_S.to(wide_SD)
        wanted = any(ctx.needs_input_grad)
        gradient_BD, gradient_SD = (torch.zeros_like(x) if wanted else None for x in (near_BD, wide_SD))
        gradient_S = torch.zeros_like(start_S) if start_S is not None and ctx.needs_input_grad[START] else None
        factor_BD, factor_SD = (x if products is None else x.to(products) for x in (near_BD, wide_SD))
        n_rows, n_species = len(near_BD), len(wide_SD)
        tile = TILE if on_host(near_BD) else GPU_TILE
        height = min(max(FEWEST_ROWS, tile // n_species), max(n_rows, 1))
        buffer = near_BD.new_empty(height * n_species)
        total = near_BD.new_zeros((), dtype=torch.float64)
        for start in range(0, n_rows, height):
            rows = slice(start, min(start + height, n_rows))
            logits_RS = buffer[: (rows.stop - start) * n_species].view(-1, n_species)
            write_logits(logits_RS, factor_BD[rows], factor_SD, start_S)
            total += _to_slopes(logits_RS, *_within(positives, rows), weight_B[rows], normalisation, wanted)
            if gradient_BD is not None and gradient_SD is not None:
                add_products(gradient_SD, gradient_BD[rows], logits_RS, factor_BD[rows], factor_SD)
            if gradient_S is not None:
                gradient_S += logits_RS.sum(dim=0)
        ctx.dtypes = [None if x is None else x.dtype for x in (location_BD, species_SD, given_S)]
        ctx.save_for_backward(gradient_BD, gradient_SD, gradient_S)
        return total.to(wide_SD.dtype)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wanted = (*ctx.needs_input_grad[:2], ctx.needs_input_grad[START])
        kept = zip(ctx.saved_tensors, ctx.dtypes, wanted, strict=True)
        *scaled, start_S = [(gradient * saved).to(dtype) if asked else None for saved, dtype, asked in kept]
        return (*scaled, None, None, None, start_S, None)


def _within(positives: Positives, rows: slice) -> tuple[Taken, Tensor]:
    """The positives of a block of rows, and the row within the block of each.

    On a GPU, where their number would be waited for, they are all positives of the batch, and those of other rows are
    given the row behind the last.
    """
    row_P, species_P, n_species = positives.row_P, positives.species_P, positives.n_species
    if on_host(row_P):
        low, high = torch.searchsorted(row_P, torch.tensor([rows.start, rows.stop])).tolist()
        row_P = row_P[low:high] - rows.start
        return Taken(row_P * n_species + species_P[low:high]), row_P
    inside_P = (row_P >= rows.start) & (row_P < rows.stop)
    index_P = torch.where(inside_P, (row_P - rows.start) * n_species + species_P, 0)
    return Taken(index_P, inside_P), torch.where(inside_P, row_P - rows.start, rows.stop - rows.start)


def _to_slopes(
    logits_RS: Tensor, taken: Taken, row_P: Tensor, weight_R: Tensor, normalisation: float, wanted: bool
) -> Tensor:
    """The weighted sum of the losses of a block of rows, float64; slopes take the place of its logits, if wanted."""
    n_rows = len(logits_RS)
    x_P = taken.read(logits_RS)
    taken.write(logits_RS, -torch.inf)
    top_R = logits_RS.amax(dim=1).clamp_(min=lowest(logits_RS.dtype))
    others_R = logits_RS.sub_(top_R[:, None]).exp_().sum(dim=1)
    with torch.enable_grad():
        # Rows and positives are few: what they cost beside the logits is left to automatic differentiation.
        leaves = (others_R.requires_grad_(), x_P.requires_grad_())
        # The row behind the last is that of positives which lie elsewhere.
        more = 0 if taken.inside_P is None else 1
        top_Q, others_Q = (pad(x, (0, more), value=1.0) for x in (top_R, others_R))
        losses_R = row_losses(top_Q, others_Q, x_P, row_P, normalisation)[:n_rows]
        value = (weight_R * losses_R).sum(dtype=torch.float64)
        if not wanted:
            return value.detach()
        slope_R, slope_P = torch.autograd.grad(value, leaves)
    logits_RS.mul_(slope_R[:, None])
    taken.write(logits_RS, slope_P)
    return value.detach()
