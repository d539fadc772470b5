"""What a loss is given for one training step, and what it may know of the training set.

Shape legend: B rows of a batch, S species, K background sites, P positives (row, species),
C covariates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossBatch:
    """What a loss is given for one step. B rows, S species, K background sites, P positives.

    Args:
        logits_BS: Logits at the training rows.
        row_P: Row of every positive, int64, ascending. One record a row: ``arange(B)``.
        species_P: Species of every positive, int64.
        generator: Source of every random draw, on the CPU or on the logits' device.
        background_KS: Logits at background sites; given if and only if ``loss.needs_background``.
        background_mask_KS: Which species a background site counts for (target groups by taxon);
            None: every site for all.
        environment_BC: Predicted standardised covariates, where the encoder has an environment head.
        habitat_BS: Logits of the habitat head, where it has one.
        covariates_BC: The standardised covariates themselves, NaN where unknown.
    """

    logits_BS: Tensor
    row_P: Tensor
    species_P: Tensor
    generator: torch.Generator
    background_KS: Tensor | None = None
    background_mask_KS: Tensor | None = None
    environment_BC: Tensor | None = None
    habitat_BS: Tensor | None = None
    covariates_BC: Tensor | None = None


@dataclass(frozen=True)
class TrainingCounts:
    """What a loss may know of the training set.

    Args:
        n_rows: Number of training rows N.
        records_per_species_S: Number of rows in which each species was recorded, float64.
    """

    n_rows: int
    records_per_species_S: Tensor
