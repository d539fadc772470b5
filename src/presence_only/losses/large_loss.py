"""Large losses of unobserved pairs rejected or corrected: the largest are likely records that nobody made.

Shape legend: B rows of a batch, S species, P positives, H pairs chosen in a batch, M pairs remembered.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.argument_checks import check_choice, check_number, check_shape
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, TrainingCounts, empty_loss, open_batch
from presence_only.losses.negatives import LARGEST, open_targets, zero
from presence_only.losses.numerics import softplus, widen
from presence_only.losses.pair_weights import PairWeights
from presence_only.losses.penalties import CrossEntropy

SCHEMES = ("reject", "temporary", "permanent")


def large_loss(logits_BS: Tensor, targets_BS: Tensor, *, share: float, scheme: str = "reject") -> Tensor:
    """Cross-entropy in which the unobserved pairs of largest loss are left out, or taken as recorded.

    Networks learn clean labels before wrong ones, so that after some epochs a species that was overlooked has a large
    loss as an absence. Of a batch, the k = ceil(B S share) unobserved pairs of largest -log q are chosen, or all of
    them if there are fewer. That is the order of logits, which also tells pairs apart whose losses round to the same
    number. Of equal logits at the edge any may be chosen: the value does not depend on which. A logit that is NaN is
    never chosen.

    Source: Kim et al. (2022), https://arxiv.org/abs/2206.03740

    Args:
        logits_BS: Logits.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        share: Pairs that are chosen, as a share of all B S pairs, in [0, 1].
        scheme: ``reject``: chosen pairs cost nothing (LL-R). ``temporary``: they cost -log p, as if recorded (LL-Ct).
            ``permanent``: the same; whoever calls sets their targets to 1 from the next epoch on (LL-Cp).

    Returns:
        Scalar loss in nats, the mean over all B S pairs, rejected ones included.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, ``share`` is out of range or ``scheme`` unknown.
    """
    open_targets(logits_BS, targets_BS)
    share = check_number("share", share, 0.0, 1.0)
    check_choice("scheme", scheme, SCHEMES)
    if logits_BS.numel() == 0:
        return zero(logits_BS)
    present_BS = targets_BS != 0
    largest_H, counted_H = largest_unobserved(logits_BS, present_BS, n_chosen(logits_BS.numel(), share))
    return corrected(logits_BS, present_BS, largest_H, counted_H, reject=scheme == "reject")


def n_chosen(n_pairs: int, share: float) -> int:
    """ceil(``n_pairs`` * ``share``), where a product that is whole but for rounding counts as whole."""
    return min(n_pairs, math.ceil(n_pairs * share * (1 - 1e-12)))


def largest_unobserved(logits_BS: Tensor, present_BS: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The pairs of largest loss among those that are not present.

    Returns:
        Their places in the flattened batch (H,), int64, with H = ``n`` whatever the logits are; and whether a place
        counts, which those do not that are present or NaN because there are too few others.
    """
    x_BS = widen(logits_BS.detach()).masked_fill(present_BS, -torch.inf)
    top_H, place_H = x_BS.flatten().topk(n, sorted=False)
    return place_H, top_H > -torch.inf


def corrected(logits_BS: Tensor, present_BS: Tensor, place_H: Tensor, counted_H: Tensor, *, reject: bool) -> Tensor:
    """Mean cross-entropy over all pairs, of which some are left out or taken as present."""
    chosen_BS = torch.zeros_like(present_BS.flatten()).index_put((place_H,), counted_H).view_as(present_BS)
    x_BS = widen(logits_BS)
    # One curve for both labels: -log q of x is -log p of -x.
    if reject:
        terms_BS = softplus(torch.where(present_BS, -x_BS, x_BS)).masked_fill(chosen_BS, 0.0)
    else:
        terms_BS = softplus(torch.where(present_BS | chosen_BS, -x_BS, x_BS))
    return terms_BS.mean()


class PairMemory:
    """Pairs of a training row and a species that were chosen in earlier epochs, as sorted keys row * S + species.

    It takes 8 bytes per pair. What is chosen in an epoch is kept apart until the next one begins. The number of keys
    depends on sizes alone, never on values, so that a GPU is not waited for: a place that counts for nothing has a key
    above all others, and a pair that is chosen twice is there twice.

    Args:
        n_species: S.
    """

    def __init__(self, n_species: int) -> None:
        self.n_species = n_species
        self.epoch = 0
        self.key_M: Tensor | None = None
        self.chosen: list[Tensor] = []

    def begin(self, epoch: int) -> None:
        """Take over what was chosen in the epochs before this one.

        Raises:
            ValueError: If the epoch was over already.
        """
        if epoch < self.epoch:
            raise ValueError(
                f"epoch = {epoch}: must not be below {self.epoch}, for this loss remembers what it chose until then"
            )
        if epoch > self.epoch and self.chosen:
            known = [] if self.key_M is None else [self.key_M]
            self.key_M = torch.cat([*known, *self.chosen]).sort().values
            self.chosen = []
        self.epoch = epoch

    def holds(self, index_B: Tensor) -> Tensor:
        """Which species of these training rows are remembered, bool (B, S)."""
        key_BS = self._keys(index_B)
        if self.key_M is None or len(self.key_M) == 0:
            return torch.zeros_like(key_BS, dtype=torch.bool)
        at_BS = torch.searchsorted(self.key_M, key_BS).clamp(max=len(self.key_M) - 1)
        return self.key_M[at_BS] == key_BS

    def choose(self, index_B: Tensor, place_H: Tensor, counted_H: Tensor) -> None:
        """Remember places of a flattened batch from the next epoch on."""
        key_H = self._keys(index_B).flatten()[place_H]
        self.chosen.append(torch.where(counted_H, key_H, LARGEST))

    def _keys(self, index_B: Tensor) -> Tensor:
        species_S = torch.arange(self.n_species, device=index_B.device)
        return index_B.long()[:, None] * self.n_species + species_S


class LargeLoss:
    """:func:`large_loss` on the pairs of a batch, with a share that the epoch fixes; a new one is built for every fit.

    Args:
        scheme: ``reject``, ``temporary`` or ``permanent``.
        delta_rel: What an epoch adds to the share, in [0, 1].
        n_species: S.
    """

    needs_background = False

    def __init__(self, scheme: str, delta_rel: float, n_species: int) -> None:
        self.scheme, self.delta_rel = scheme, delta_rel
        self.memory = PairMemory(n_species) if scheme == "permanent" else None

    def share(self, epoch: int) -> float:
        """Share of pairs that are chosen in a step of an epoch, which is counted from 0."""
        if self.scheme == "permanent":
            return self.delta_rel if epoch > 0 else 0.0
        return min(epoch * self.delta_rel, 1.0)

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats.

        Raises:
            TypeError: If a part of the batch has the wrong type.
            ValueError: If parts disagree, or pairs are to be remembered and nobody knows which rows these are, or the
                epoch was over already.
        """
        positives = open_batch(batch, self.needs_background)
        if self.memory is not None:
            if batch.index_B is None:
                raise ValueError("index_B = None: must say which training rows these are, for scheme = 'permanent'")
            check_shape("index_B", batch.index_B, (len(batch.logits_BS),))
            self.memory.begin(batch.epoch)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        present_BS = torch.zeros_like(batch.logits_BS, dtype=torch.bool)
        present_BS = present_BS.index_put((positives.row_P, positives.species_P), present_BS.new_ones(()))
        if self.memory is not None and batch.index_B is not None:
            present_BS = present_BS | self.memory.holds(batch.index_B)
        n = n_chosen(batch.logits_BS.numel(), self.share(batch.epoch))
        place_H, counted_H = largest_unobserved(batch.logits_BS, present_BS, n)
        if self.memory is not None and batch.index_B is not None:
            self.memory.choose(batch.index_B, place_H, counted_H)
        return corrected(batch.logits_BS, present_BS, place_H, counted_H, reject=self.scheme == "reject")


class LargeLossSettings(LossSettings):
    """Cross-entropy that rejects the largest losses of unobserved pairs, or takes them as recorded.

    Args:
        scheme: ``reject`` (LL-R), ``temporary`` (LL-Ct) or ``permanent`` (LL-Cp): what happens to the chosen pairs.
        delta_rel: Share of a batch's pairs by which the chosen ones grow per epoch, in [0, 1]; the authors' 0.2 is
            in percent, 0.002 here. Of ``permanent``, the share that is chosen in every epoch but the first, and stays.
    """

    loss: Literal["large_loss"]
    scheme: Literal["reject", "temporary", "permanent"] = "reject"
    delta_rel: float = Field(default=0.002, ge=0, le=1)

    def expected_weights(self, counts: TrainingCounts) -> PairWeights | None:
        """Cross-entropy over all pairs, as which it begins."""
        return PairWeights(CrossEntropy())

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss, which remembers nothing yet."""
        return LargeLoss(self.scheme, self.delta_rel, len(counts.records_per_species_S))
