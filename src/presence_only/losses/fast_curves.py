"""Fast in-place loss and gradient of assumed absences on a block of logits.

The formulas are those that ``penalties.py`` calls ``negative``, written for speed: one exponential a logit, whole
powers by products, and for cross-entropy one logarithm for up to 64 logits. :func:`absence_curve` uses one only while
it agrees with the penalty's ``negative``; else it differentiates that formula itself, so that an edit of the readable
formula is never without effect.

Shape legend: R rows of a tile, C species of a chunk, P observed pairs in it.

Notation: e = exp(x), p = e / (1 + e), q = 1 / (1 + e), l = log(1 + e) = -log q.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import torch
from torch import Tensor

from presence_only.losses.host_reads import on_host
from presence_only.losses.numerics import power_of, softplus

# What observed pairs are overwritten with: a logit at which the curves below are 0, and their slopes too.
ABSENT = -1e4
# Above this l is x and p is 1, to the last digit.
_FLAT = {torch.float32: 20.0, torch.float64: 40.0}
# Above this exp(x) would overflow.
_HIGHEST = {torch.float32: 80.0, torch.float64: 700.0}
# Powers of 2 that a product of (1 + e) may reach.
_ROOM = {torch.float32: 120.0, torch.float64: 1000.0}
# Logits at which a fast curve is compared with the penalty's own formula: tails, middle, and all margins between.
_COMPARED = (-200.0, -60.0, *(x / 4 for x in range(-120, 121)), 60.0, 200.0)


@dataclass(frozen=True)
class Taken:
    """Observed pairs of a tile.

    Args:
        index_P: Indices into the flat tile, each once among those inside.
        inside_P: Which of them lie in this tile; None: all. On a GPU, where their number would be waited for, the
            pairs of all tiles are given, and those outside have some index within the tile.
    """

    index_P: Tensor
    inside_P: Tensor | None = None

    def read(self, tile_RC: Tensor) -> Tensor:
        """What a tile holds at the pairs, shape (P,)."""
        return tile_RC.view(-1)[self.index_P]

    def write(self, tile_RC: Tensor, value: Tensor | float) -> None:
        """Put a number, or one per pair, in place of what a tile holds there."""
        flat = tile_RC.view(-1)
        if self.inside_P is None:
            flat[self.index_P] = value
            return
        # Pairs outside add 0, which changes nothing in whatever order it happens. x - x is exactly 0.
        for change_P in (-self.read(tile_RC), value):
            flat.index_add_(0, self.index_P, torch.where(self.inside_P, change_P, 0.0).to(flat.dtype))


@dataclass(frozen=True)
class Tile:
    """Logits of a chunk of species, and room to work in. All of it is overwritten.

    Args:
        logits_RC: Logits, float32 or float64, contiguous.
        mask_RC: Which pairs count; None: all.
        taken: Observed pairs; they hold ``ABSENT`` and cost nothing. None: there are none.
        spare_RC: A buffer of the tile's shape.
        other_RC: Another.
        wants_slope: Whether slopes are asked for.
    """

    logits_RC: Tensor
    mask_RC: Tensor | None
    taken: Taken | None
    spare_RC: Tensor
    other_RC: Tensor
    wants_slope: bool


Curve = Callable[[Tile], tuple[Tensor, Tensor | None]]


class HasNegative(Hashable, Protocol):
    """A penalty, as far as its negative curve goes."""

    def negative(self, logits: Tensor) -> Tensor:
        """The penalty of each logit if the species is absent, same shape, in nats."""

    def fast_negative(self) -> Curve | None:
        """A faster way to it, or None."""


def absence_curve(penalty: HasNegative) -> Curve:
    """A penalty's negative curve on a tile: sums per species (C,), and slopes (R, C) if wanted."""
    fast = penalty.fast_negative()
    if fast is not None and _agrees(penalty, type(penalty).negative, type(penalty).fast_negative):
        return fast
    return partial(_differentiated, penalty=penalty)


@lru_cache(maxsize=256)
def _agrees(penalty: HasNegative, formula: object, shortcut: object) -> bool:
    """Whether the fast curve is the readable one; asked once for a penalty and its two methods."""
    fast = penalty.fast_negative()
    assert fast is not None
    fast_N, own_N = _values_and_slopes(fast), _values_and_slopes(partial(_differentiated, penalty=penalty))
    # Just above a margin a few digits are lost in the fast one's p - m.
    return bool(torch.isclose(fast_N, own_N, rtol=1e-6, atol=1e-12).all())


def _values_and_slopes(curve: Curve) -> Tensor:
    """A curve at the logits of the comparison, each in a column of its own, so that sums are single terms."""
    x_RC = torch.tensor([_COMPARED], dtype=torch.float64)
    value_C, slope_RC = curve(Tile(x_RC, None, None, torch.empty_like(x_RC), torch.empty_like(x_RC), True))
    assert slope_RC is not None
    return torch.cat([value_C, slope_RC[0]])


def focused_curve(gamma: float) -> Curve:
    """The curve of cross-entropy times p^gamma, for a whole gamma >= 0."""
    return cross_entropy_curve if gamma == 0 else partial(_focused, gamma=gamma)


def scaled(curve: Curve, factor: float) -> Curve:
    """A curve times a number."""

    def times_factor(tile: Tile) -> tuple[Tensor, Tensor | None]:
        value_C, slope_RC = curve(tile)
        return factor * value_C, None if slope_RC is None else slope_RC.mul_(factor)

    return curve if factor == 1 else times_factor


def cross_entropy_curve(tile: Tile) -> tuple[Tensor, Tensor | None]:
    """l, with slope p."""
    if not on_host(tile.logits_RC):
        p_RC, log_RC = _sigmoid_and_log(tile)
        return log_RC.sum(dim=0), p_RC if tile.wants_slope else None
    top, e_RC, beyond_RC = _exponential(tile)
    slope_RC = None
    if tile.wants_slope:
        slope_RC = torch.add(e_RC, 1, out=tile.spare_RC)
        torch.div(e_RC, slope_RC, out=slope_RC)
    value_C = _sum_log1p(e_RC, top)
    return value_C if beyond_RC is None else value_C + beyond_RC.sum(dim=0), slope_RC


def smoothed_cross_entropy_curve(tile: Tile, label_smoothing: float) -> tuple[Tensor, Tensor | None]:
    """(1 - e) log(1 + exp(x)) + e log(1 + exp(-x)) = l - e x, with slope p - e."""
    x_RC, mask_RC, taken = tile.logits_RC, tile.mask_RC, tile.taken
    if taken is not None:
        taken.write(x_RC, 0.0)
    line_C = (x_RC if mask_RC is None else torch.mul(x_RC, mask_RC, out=tile.spare_RC)).sum(dim=0)
    if taken is not None:
        taken.write(x_RC, ABSENT)
    value_C, slope_RC = cross_entropy_curve(tile)
    if slope_RC is not None:
        if mask_RC is None:
            slope_RC.sub_(label_smoothing)
        else:
            slope_RC.sub_(mask_RC.to(slope_RC.dtype), alpha=label_smoothing)
        if taken is not None:
            taken.write(slope_RC, 0.0)
    return value_C - label_smoothing * line_C, slope_RC


def _focused(tile: Tile, gamma: float) -> tuple[Tensor, Tensor | None]:
    """p^gamma l, with slope p^gamma [p + gamma (1 - p) l]."""
    if on_host(tile.logits_RC):
        _, e_RC, beyond_RC = _exponential(tile)
        p_RC = torch.add(e_RC, 1, out=tile.spare_RC)
        torch.div(e_RC, p_RC, out=p_RC)
        log_RC = e_RC.log1p_()
        if beyond_RC is not None:
            log_RC += beyond_RC
    else:
        p_RC, log_RC = _sigmoid_and_log(tile)
    power_RC = power_of(p_RC, gamma)
    value_C = torch.mul(power_RC, log_RC, out=tile.other_RC).sum(dim=0)
    if not tile.wants_slope:
        return value_C, None
    # p + gamma (l - p l): beside p the difference may lose its last digits.
    log_RC.addcmul_(p_RC, log_RC, value=-1)
    slope_RC = p_RC.add(log_RC, alpha=gamma) if power_RC is p_RC else p_RC.add_(log_RC, alpha=gamma)
    return value_C, slope_RC.mul_(power_RC)


def margined_curve(tile: Tile, gamma: float, margin: float) -> tuple[Tensor, Tensor | None]:
    """p_m^gamma log(1 + r) with p_m = max(p - m, 0) and r = p_m / (q + m), by a whole gamma >= 1.

    Its slope is p q p_m^(gamma - 1) [gamma log(1 + r) + r].
    """
    e_RC = tile.logits_RC.clamp_(max=_HIGHEST[tile.logits_RC.dtype]).exp_()
    if tile.mask_RC is not None:
        e_RC *= tile.mask_RC
    q_RC = torch.add(e_RC, 1, out=tile.spare_RC).reciprocal_()
    p_RC = e_RC.mul_(q_RC)
    above_RC = torch.sub(p_RC, margin, out=tile.other_RC).clamp_min_(0)
    product_RC = p_RC.mul_(q_RC)
    odds_RC = torch.div(above_RC, q_RC.add_(margin), out=q_RC)
    log_RC = odds_RC.log1p()
    lower_RC = power_of(above_RC, gamma - 1)
    value_C = (lower_RC * above_RC).mul_(log_RC).sum(dim=0)
    if not tile.wants_slope:
        return value_C, None
    return value_C, odds_RC.add_(log_RC, alpha=gamma).mul_(product_RC).mul_(lower_RC)


def hill_curve(tile: Tile, height: float) -> tuple[Tensor, Tensor | None]:
    """p^2 (height - 1 + q), with slope p^2 q (2 height - 3 + 3 q)."""
    e_RC = tile.logits_RC.clamp_(max=_HIGHEST[tile.logits_RC.dtype]).exp_()
    if tile.mask_RC is not None:
        e_RC *= tile.mask_RC
    q_RC = torch.add(e_RC, 1, out=tile.spare_RC).reciprocal_()
    square_RC = e_RC.mul_(q_RC).square_()
    value_C = torch.add(q_RC, height - 1, out=tile.other_RC).mul_(square_RC).sum(dim=0)
    if not tile.wants_slope:
        return value_C, None
    rest_RC = torch.mul(q_RC, 3, out=tile.other_RC).add_(2 * height - 3)
    return value_C, square_RC.mul_(q_RC).mul_(rest_RC)


def capped_exponential_curve(tile: Tile, cap: float) -> tuple[Tensor, Tensor | None]:
    """Exp(x) up to a cap, a straight line beyond it; the slope is exp(min(x, cap))."""
    beyond_RC = torch.sub(tile.logits_RC, cap, out=tile.spare_RC).clamp_min_(0).add_(1)
    slope_RC = tile.logits_RC.clamp_(max=cap).exp_()
    if tile.mask_RC is not None:
        slope_RC *= tile.mask_RC
    value_C = beyond_RC.mul_(slope_RC).sum(dim=0)
    return value_C, slope_RC if tile.wants_slope else None


def entropy_curve(tile: Tile) -> tuple[Tensor, Tensor | None]:
    """-(log(1 + e) + |x| e / (1 + e)) with e = exp(-|x|), and slope x e / (1 + e)^2."""
    x_RC = tile.logits_RC
    size_RC = torch.abs(x_RC, out=tile.spare_RC)
    e_RC = torch.neg(size_RC, out=tile.other_RC).exp_()
    share_RC = e_RC / (1 + e_RC)
    slope_RC = None
    if tile.wants_slope:
        slope_RC = x_RC.mul_(share_RC).div_(1 + e_RC)
    terms_RC = size_RC.mul_(share_RC).add_(e_RC.log1p_()).neg_()
    if tile.mask_RC is not None:
        terms_RC *= tile.mask_RC
        if slope_RC is not None:
            slope_RC *= tile.mask_RC
    return terms_RC.sum(dim=0), slope_RC


def _differentiated(tile: Tile, penalty: HasNegative) -> tuple[Tensor, Tensor | None]:
    """The penalty's own formula and its slope by automatic differentiation."""
    with torch.set_grad_enabled(tile.wants_slope):
        x_RC = tile.logits_RC.detach().requires_grad_(tile.wants_slope)
        terms_RC = penalty.negative(x_RC)
        slope_RC = torch.autograd.grad(terms_RC.sum(), x_RC)[0] if tile.wants_slope else None
    terms_RC = terms_RC.detach()
    for tensor_RC in (terms_RC, slope_RC):
        if tensor_RC is None:
            continue
        if tile.mask_RC is not None:
            tensor_RC.masked_fill_(~tile.mask_RC, 0.0)
        if tile.taken is not None:
            tile.taken.write(tensor_RC, 0.0)
    return terms_RC.sum(dim=0), slope_RC


def _sigmoid_and_log(tile: Tile) -> tuple[Tensor, Tensor]:
    """P and l, 0 at masked pairs, without a look at the largest logit.

    A GPU waits for memory, not for logarithms: fewer passes over the tile count for more than fewer logarithms.
    """
    p_RC = torch.sigmoid(tile.logits_RC, out=tile.spare_RC)
    log_RC = softplus(tile.logits_RC)
    if tile.mask_RC is not None:
        p_RC *= tile.mask_RC
        log_RC *= tile.mask_RC
    return p_RC, log_RC


def _exponential(tile: Tile) -> tuple[float, Tensor, Tensor | None]:
    """The largest logit, e with 0 at masked pairs, and what logits have beyond the point where l is x."""
    x_RC, beyond_RC = tile.logits_RC, None
    flat = _FLAT[x_RC.dtype]
    top = float(x_RC.max())
    if not top <= flat:  # NaN comes here too
        beyond_RC = (x_RC - flat).clamp_min_(0)
        if tile.mask_RC is not None:
            beyond_RC *= tile.mask_RC
        x_RC.clamp_(max=flat)
        top = flat
    e_RC = x_RC.exp_()
    if tile.mask_RC is not None:
        e_RC *= tile.mask_RC
    return top, e_RC, beyond_RC


def _sum_log1p(e_RC: Tensor, top: float) -> Tensor:
    """Sum of log(1 + e) over rows, e being overwritten.

    A logarithm costs as much as ten products: rows are multiplied before it is taken, as many as the
    exponent's range allows. With (1 + a) (1 + b) = 1 + (a + b + a b) the digits of small e stay.
    """
    levels = int(math.log2(_ROOM[e_RC.dtype] / math.log2(1 + math.exp(max(top, 0.0)))))
    value_C = e_RC.new_zeros(e_RC.shape[1])
    for _ in range(min(levels, 6)):
        half, odd = divmod(len(e_RC), 2)
        if half == 0:
            break
        if odd:
            value_C += e_RC[-1].log1p()
        a_RC, b_RC = e_RC[:half], e_RC[half : 2 * half]
        e_RC = a_RC.addcmul_(a_RC, b_RC).add_(b_RC)
    return value_C + e_RC.log1p_().sum(dim=0)
