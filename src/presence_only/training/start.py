"""The start of training: how likely a species is at every site before anything is learned.

Logits of 0 score every species with one half. The gradients that correct this are hundreds of times as large as those
that tell sites apart, and Adam's running mean of squared gradients remembers them: with beta2 = 0.999 it takes small
steps for a thousand steps. A head that starts at the prevalence, as Lin et al. do with one number for all
classes, has nothing to correct.

Source: Lin et al. (2017), section 4.1, https://arxiv.org/abs/1708.02002

Shape legend: S species.
"""

from __future__ import annotations

import torch
from torch import Tensor

from presence_only.data.records import PresenceRecords
from presence_only.model.encoder import RangeModel

# Records that a species without any is given, and that one recorded in every row lacks: its log odds stay finite.
LEAST = 0.5


def begin(model: RangeModel, records: PresenceRecords) -> RangeModel:
    """The model, with the start that its settings ask for."""
    if model.settings.start == "prevalence":
        model.start_at(prevalence_logits(torch.from_numpy(records.records_per_species()), records.n_rows))
    return model


def prevalence_logits(records_S: Tensor, n_rows: int) -> Tensor:
    """Log odds log(n_s / (n - n_s)) that a training row holds a species, float64 (S,).

    Args:
        records_S: n_s, the number of training rows in which each species was recorded.
        n_rows: n, at least 1.
    """
    held_S = records_S.double().clamp(LEAST, n_rows - LEAST)
    return held_S.log() - (n_rows - held_S).log()
