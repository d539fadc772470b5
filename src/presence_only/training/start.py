"""The start of training: the logit of every species, the same at all sites, before anything is learned.

Logits of 0 score every species with one half. The gradients that correct this are hundreds of times as large as those
that tell sites apart, and Adam's running mean of squared gradients remembers them: with beta2 = 0.999 its steps stay
small for a thousand steps. How much a loss suffers depends on how far its own balance lies from one half, so that a
comparison of losses that all start there compares their starts. A head that starts at the balance has
nothing to correct.

Source: Lin et al. (2017), section 4.1, https://arxiv.org/abs/1708.02002, who start all classes at one prevalence.

Shape legend: K background sites, S species.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from presence_only.data.training import TrainingData
from presence_only.losses.balance import balanced_logits
from presence_only.losses.base import LossSettings, TrainingCounts
from presence_only.training.settings import TrainingSettings


def start_logits(
    start: str, data: TrainingData, loss_settings: LossSettings, counts: TrainingCounts, settings: TrainingSettings
) -> Tensor | None:
    """What the setting ``encoder.start`` asks for: logits (S,), float64, or None for ``zero``.

    Args:
        start: ``zero``; ``prevalence``, the log odds that a training row holds the species; or ``balance``, the logits
            at which the loss is least among those that are the same at all sites. For plain cross-entropy the two are
            the same. A loss that looks at differences between sites alone, as ``maxent`` does, has its
            balance anywhere, and starts at 0.
        data: Training rows and background sites.
        loss_settings: The loss.
        counts: Of the training rows.
        settings: Of training, for the sizes of batches.
    """
    if start == "zero":
        return None
    share_S = counts.prevalence()
    if start == "prevalence":
        return torch.logit(share_S)
    balance_S = loss_settings.balance(counts)
    if balance_S is not None:
        return balance_S
    weights = loss_settings.expected_weights(counts)
    if weights is None:
        return torch.zeros_like(share_S)
    rows = min(settings.batch_size, counts.n_rows)
    return balanced_logits(weights, share_S, sites_per_species(data) * settings.background_batch_size / rows)


def sites_per_species(data: TrainingData) -> Tensor:
    """The share of background sites that count for a species, float64 (S,): those of its taxon group, and of any."""
    groups_K, groups_S = data.background.groups_K, data.records.groups
    if groups_K is None or len({*groups_K, *groups_S}) == 1:
        return torch.ones(len(groups_S), dtype=torch.float64)
    names, count = np.unique(np.array(groups_K), return_counts=True)
    share = dict(zip(names.tolist(), (count / len(groups_K)).tolist(), strict=True))
    return torch.tensor(
        [share.get(group, 0.0) + (share.get("", 0.0) if group else 0.0) for group in groups_S], dtype=torch.float64
    )
