"""Entropy maximisation: unrecorded pairs are unknown, and the surest of them become soft absences during training.

Shape legend: B rows of a batch, S species, N rows of the training set, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.common.settings import SettingsError
from presence_only.losses.argument_checks import check_floating, check_number, check_same_shape
from presence_only.losses.base import BatchLoss, LossBatch, TrainingCounts, empty_loss, open_batch
from presence_only.losses.host_reads import count_each, is_mapped
from presence_only.losses.negatives import Positives, open_targets, zero, zero_at
from presence_only.losses.numerics import finite_logits, sigmoid, softplus, widen
from presence_only.losses.pair_weights import (
    LabelledSettings,
    PairWeights,
    loss_from_all_logits,
    observed_sum,
    with_background,
)
from presence_only.losses.parameters import ParametersOfChoice
from presence_only.losses.penalties import MaximumEntropy, Penalty

# Pairs of training row and species whose pseudo-labels are kept: 1 GiB.
MOST_PAIRS = 2**28


def em(
    logits_BS: Tensor,
    targets_BS: Tensor,
    *,
    alpha: float = 0.1,
    pseudo_labels_BS: Tensor | None = None,
    beta: float = 0.2,
) -> Tensor:
    """Raise what was recorded, and be unsure of all else, except where there is a pseudo-label.

    Mean over pairs of softplus(-x) where y = 1; elsewhere of -alpha H(p) with the entropy H(p) = -p log p - q log q,
    or, where there is a pseudo-label f, of beta (-f log p - (1 - f) log q).

    Source: Zhou et al. (2022), https://arxiv.org/abs/2203.16219

    Args:
        logits_BS: Logits at the recorded sites.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        alpha: Weight of the entropy, finite and > 0.
        pseudo_labels_BS: Probabilities in [0, 1], the same shape, and NaN where there is none; at recorded pairs they
            are ignored. None: there is none at all. No gradient flows into them.
        beta: Weight of pairs with a pseudo-label, finite and >= 0.

    Returns:
        Scalar loss in nats. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, a pseudo-label lies outside [0, 1], or a weight
            is out of range.
    """
    positives = open_targets(logits_BS, targets_BS)
    alpha = check_number("alpha", alpha, 0.0, open_ends="low")
    beta = check_number("beta", beta, 0.0)
    weights = PairWeights(MaximumEntropy(), unobserved=alpha)
    if pseudo_labels_BS is None:
        return zero(logits_BS) if logits_BS.numel() == 0 else loss_from_all_logits(weights, logits_BS, positives)
    check_floating("pseudo_labels_BS", pseudo_labels_BS)
    check_same_shape("pseudo_labels_BS", pseudo_labels_BS, "logits_BS", logits_BS)
    if not is_mapped(pseudo_labels_BS) and bool(((pseudo_labels_BS < 0) | (pseudo_labels_BS > 1)).any()):
        raise ValueError("pseudo_labels_BS hold a value outside [0, 1]: must be probabilities, or NaN where none is")
    if logits_BS.numel() == 0:
        return zero(logits_BS)
    x_BS = finite_logits(logits_BS)  # with a label of 0 or 1, an infinite cost would be multiplied by 0
    return _with_pseudo_labels(weights, x_BS, positives, pseudo_labels_BS.detach(), beta) / logits_BS.numel()


def _with_pseudo_labels(
    weights: PairWeights, x_BS: Tensor, positives: Positives, label_BS: Tensor, beta: float
) -> Tensor:
    """Sum over the pairs of the rows; NaN is no pseudo-label."""
    labelled_BS = ~label_BS.isnan()
    f_BS = torch.where(labelled_BS, label_BS, 0.5).to(x_BS)
    soft_BS = f_BS * softplus(-x_BS) + (1 - f_BS) * softplus(x_BS)
    terms_BS = torch.where(labelled_BS, beta * soft_BS, weights.unobserved * weights.penalty.negative(x_BS))
    # Overwritten, not subtracted: a large logit would take the digits of all others with it.
    return observed_sum(weights, x_BS, positives) + zero_at(positives, terms_BS).sum()


def label_lowest(x_BS: Tensor, positives: Positives, label_BS: Tensor, share: float) -> Tensor:
    """Give the lowest-scored unlabelled rows of every species a pseudo-label, until a share of its rows has one.

    Of a species' n unobserved rows of the batch, l of which are labelled, the floor(share n) - l with the lowest
    logits among the others are labelled by their p. Of equal logits the earlier row comes first. NaN, which comes
    last, is not labelled.

    Args:
        x_BS: Logits, without a gradient.
        positives: The observed pairs, which get no pseudo-label.
        label_BS: The pseudo-labels so far, float32; NaN: none.
        share: In [0, 1].

    Returns:
        The pseudo-labels afterwards: those that were there unchanged.
    """
    n_rows, n_species = x_BS.shape
    observed_BS = torch.zeros_like(x_BS, dtype=torch.bool)
    present = torch.ones((), dtype=torch.bool, device=x_BS.device)
    observed_BS.index_put_((positives.row_P, positives.species_P), present)
    free_BS = label_BS.isnan() & ~observed_BS
    unobserved_S = n_rows - count_each(positives.species_P, n_species)
    wanted_S = (share * unobserved_S.double()).floor() - (unobserved_S - free_BS.sum(dim=0))
    # A mask of ranks in place of the first k rows: k differs between species, and is a value on the device.
    order_BS = torch.where(free_BS, x_BS, torch.inf).argsort(dim=0, stable=True)
    row_B = torch.arange(n_rows, device=x_BS.device)
    rank_BS = torch.empty_like(order_BS).scatter_(0, order_BS, row_B[:, None].expand_as(order_BS))
    return torch.where(free_BS & (rank_BS < wanted_S), sigmoid(x_BS).to(label_BS.dtype), label_BS)


@dataclass
class PseudoLabelling:
    """The loss of :func:`em` that makes its pseudo-labels itself, and remembers them per training row.

    Until a share ``warm_up`` of the training is done there is none. Then every step first labels the lowest-scored
    rows of its batch, until a share theta (t - warm_up) / (1 - warm_up) of each species' unobserved rows there is
    labelled, t being the share of the training that is done; see :func:`label_lowest`. A label stays as it is.

    Args:
        weights: The loss without pseudo-labels.
        theta: Share of unobserved rows that are labelled at the end of training, in (0, 1].
        beta: Weight of pairs with a pseudo-label.
        warm_up: Share of the training without, in [0, 1).
        n_rows: N.
        label_NS: The pseudo-labels, float32, NaN: none; made by the first step that needs them.
    """

    weights: PairWeights
    theta: float
    beta: float
    warm_up: float
    n_rows: int
    label_NS: Tensor | None = field(default=None, repr=False)

    @property
    def needs_background(self) -> bool:
        """Whether background sites are assumed unknown too."""
        return self.weights.needs_background

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats.

        Raises:
            ValueError: If the batch does not say which training rows it holds.
        """
        if batch.index_B is None:
            raise ValueError("index_B is None: must be given, for pseudo-labels are remembered per training row")
        if batch.progress < self.warm_up:
            return self.weights(batch)
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        x_BS = widen(self.weights.shifted(batch.logits_BS))
        label_BS = self.labels_of(x_BS.detach(), positives, batch.index_B, batch.progress)
        near = _with_pseudo_labels(self.weights, x_BS, positives, label_BS, self.beta)
        return with_background(self.weights, near, x_BS, batch.background_KS, batch.background_mask_KS)

    def labels_of(self, x_BS: Tensor, positives: Positives, index_B: Tensor, progress: float) -> Tensor:
        """The pseudo-labels of a batch, new ones among them, which are remembered."""
        if self.label_NS is None:
            shape = (self.n_rows, x_BS.shape[1])
            self.label_NS = torch.full(shape, torch.nan, dtype=torch.float32, device=x_BS.device)
        share = self.theta * (progress - self.warm_up) / (1 - self.warm_up)
        label_BS = label_lowest(x_BS, positives, self.label_NS[index_B], share)
        self.label_NS[index_B] = label_BS
        return label_BS


class EmSettings(ParametersOfChoice, LabelledSettings):
    """Entropy maximisation: unobserved pairs are unknown, not absent; the surest may become soft absences.

    Args:
        alpha: Weight of the entropy of unobserved pairs, > 0.
        background_weight: Weight of the background: ``alpha`` times it times the mean of -H(p) is added, >= 0.
        pseudo_labels: ``asymmetric`` turns the lowest-scored unobserved pairs of every species into soft absences as
            training goes on; ``none`` does not, and the loss is dense.
        theta: Share of a species' unobserved rows that are soft absences at the end of training, in (0, 1].
        beta: Weight of soft absences, >= 0.
        warm_up: Share of the training before the first soft absence, in [0, 1).
    """

    choice, owner_of = "pseudo_labels", dict.fromkeys(("theta", "beta", "warm_up"), "asymmetric")

    loss: Literal["em"]
    alpha: float = Field(default=0.1, gt=0)
    background_weight: float = Field(default=0.0, ge=0)
    pseudo_labels: Literal["none", "asymmetric"] = "none"
    theta: float = Field(default=0.9, gt=0, le=1)
    beta: float = Field(default=0.2, ge=0)
    warm_up: float = Field(default=0.5, ge=0, lt=1)

    def build_penalty(self) -> Penalty:
        """Cross-entropy for presences, minus the entropy elsewhere."""
        return MaximumEntropy()

    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """Unobserved and background pairs weigh ``alpha``, the latter times their own weight."""
        far = self.alpha * self.background_weight
        return PairWeights(self.build_penalty(), unobserved=self.alpha, background=far)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """A dense loss without pseudo-labels.

        Raises:
            SettingsError: If there are too many pairs of row and species to remember.
        """
        weights = self.pair_weights(counts)
        if self.pseudo_labels == "none":
            return weights
        n_species = len(counts.records_per_species_S)
        if counts.n_rows * n_species > MOST_PAIRS:
            raise SettingsError(
                f"pseudo_labels = 'asymmetric' with {counts.n_rows} training rows and {n_species} species: "
                f"must have at most {MOST_PAIRS} pairs to remember"
            )
        return PseudoLabelling(weights, self.theta, self.beta, self.warm_up, counts.n_rows)
