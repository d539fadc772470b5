"""Full weighted loss: presences, absences at recorded sites and background absences, each balanced by species.

Shape legend: B rows of a batch, S species, K background sites, P positives.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.argument_checks import check_background, check_count, check_number, check_numbers
from presence_only.losses.base import PenaltySettings, TrainingCounts
from presence_only.losses.host_reads import is_mapped
from presence_only.losses.negatives import open_targets, zero
from presence_only.losses.numerics import widen
from presence_only.losses.pair_weights import LabelledSettings, PairWeights, loss_from_all_logits
from presence_only.losses.penalties import CrossEntropy, Penalty


def full_weighted(
    logits_BS: Tensor,
    targets_BS: Tensor,
    background_KS: Tensor | None = None,
    *,
    lambda1: float = 1.0,
    lambda2: float = 0.5,
    records_S: Tensor | None = None,
    n_sites: int | None = None,
    background_mask_KS: Tensor | None = None,
) -> Tensor:
    """Balance presences, target-group absences and background absences within every species.

    Mean over rows of (1/S) sum_s [lambda1 y w_s softplus(-x) + lambda2 (1 - y) v_s softplus(x)], plus
    (1 - lambda2) times the background mean of (1/S) sum_s softplus(x'). w_s = n / n_s and
    v_s = n / (n - n_s) make the presences of a species weigh as much as its absences, however few.

    Source: Zbinden et al. (2024), https://arxiv.org/abs/2401.02989

    Args:
        logits_BS: Logits at the recorded sites.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        background_KS: Logits at background sites; None only if ``lambda2`` is 1.
        lambda1: Weight of presences, finite and > 0.
        lambda2: Share of absences at recorded sites against background ones, in [0, 1]. The authors
            choose it by spatial-block cross-validation; 0.5 treats both alike.
        records_S: n_s, the number of sites where each species was recorded, in the training set that
            the batch comes from; None: counted in ``targets_BS``.
        n_sites: n, the number of sites of that training set; given if and only if ``records_S`` is.
        background_mask_KS: Which species a background site counts for; None: all.

    Returns:
        Scalar loss in nats. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, a weight is out of range, the
            background is missing, or a species present in the batch has no record.
    """
    positives = open_targets(logits_BS, targets_BS)
    lambda1 = check_number("lambda1", lambda1, 0.0, open_ends="low")
    lambda2 = check_number("lambda2", lambda2, 0.0, 1.0)
    if (records_S is None) != (n_sites is None):
        missing = "records_S" if records_S is None else "n_sites"
        raise ValueError(f"{missing} = None: records_S and n_sites must be given together")
    check_background(background_KS, background_mask_KS, logits_BS)
    if lambda2 < 1 and (background_KS is None or len(background_KS) == 0):
        raise ValueError(f"background_KS has no rows: lambda2 = {lambda2!r} < 1 needs at least one")
    if logits_BS.numel() == 0:
        return zero(*(logits for logits in (logits_BS, background_KS) if logits is not None))
    if records_S is None or n_sites is None:
        records_S = positives.records_per_species_S()
        n_sites = len(logits_BS)
    else:
        n_sites = check_count("n_sites", n_sites)
        check_numbers("records_S", records_S, (logits_BS.shape[1],), logits_BS)
        if not is_mapped(records_S) and bool((records_S[positives.species_P.to(records_S.device)] <= 0).any()):
            raise ValueError("records_S is 0 for a species present in targets_BS: must count all of its sites")
        if not is_mapped(records_S) and bool((records_S > n_sites).any()):
            raise ValueError(f"records_S reach {records_S.max().item():g}: must not exceed n_sites = {n_sites}")
    counts = TrainingCounts(n_sites, records_S.to(logits_BS.device, widen(logits_BS[:0]).dtype))
    weights = balanced(CrossEntropy(), counts, lambda1, lambda2)
    if not weights.needs_background:
        return loss_from_all_logits(weights, logits_BS, positives)
    return loss_from_all_logits(weights, logits_BS, positives, background_KS, background_mask_KS)


def balanced(penalty: Penalty, counts: TrainingCounts, lambda1: float, lambda2: float) -> PairWeights:
    """Presences weigh n / n_s, absences at recorded sites n / (n - n_s); 0 where there is nothing to weigh.

    With n and n_s of the training set the mean over equal batches is the loss of the whole set; weights counted in a
    batch would depend on which rows met in it.
    """
    records_S, n_sites = counts.records_per_species_S, counts.n_rows
    absent_S = n_sites - records_S
    presence_S = torch.where(records_S > 0, n_sites / records_S.clamp(min=1), 0.0)
    absence_S = torch.where(absent_S > 0, n_sites / absent_S.clamp(min=1), 0.0)
    return PairWeights(penalty, positive=lambda1 * presence_S, unobserved=lambda2 * absence_S, background=1 - lambda2)


class FullWeightedSettings(PenaltySettings, LabelledSettings):
    """Full weighted loss: presences, absences at recorded sites and at background sites, balanced per species.

    Args:
        lambda1: Weight of presences, > 0.
        lambda2: Share of absences at recorded sites against background ones, in [0, 1].
    """

    loss: Literal["full_weighted"]
    lambda1: float = Field(default=1.0, gt=0)
    lambda2: float = Field(default=0.5, ge=0, le=1)

    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """The weights of the training set."""
        return balanced(self.build_penalty(), counts, self.lambda1, self.lambda2)
