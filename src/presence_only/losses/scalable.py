"""What a loss can do that scales to many species: it is computed without the logits of all pairs, and in shares.

Training asks for these methods and names no loss. Whatever has them can be computed in all three ways
(``training.loss_computation``), and by several processes of which each has its own rows.

Shape legend: B rows of a batch, K background sites, S species, D embedding, P positives, J species taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from presence_only.losses.base import BatchLoss, BatchTotals

if TYPE_CHECKING:
    from presence_only.losses.sampled_species import SpeciesSample


@runtime_checkable
class ScalableLoss(BatchLoss, Protocol):
    """A loss that is also computed in chunks and from sampled species, each time for all rows or for a part's share.

    The shares of the parts of a batch, each given the sizes of the whole as ``totals``, add up to the loss of the
    batch; this is true of the loss from all logits too.
    """

    def in_chunks(
        self,
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
        """The loss of the logits ``location_BD @ species_SD.T + start_S``, never held as a whole; backward only scales.

        Args:
            location_BD: Embedding of the training rows.
            species_SD: The species head's matrix.
            row_P: Row of every positive.
            species_P: Species of every positive.
            start_S: Logits added to every site's; None: 0.
            background_KD: Embedding of background sites; given if and only if the loss needs them.
            background_mask_KS: Which species a background site counts for; None: every site for all.
            totals: Sizes of the whole batch, if these rows and sites are a part of it; None: they are all.
            distinct: Whether the positives are known to be in range and each given once.
            products: Dtype that factors of matrix products are rounded to, as autocast does; None: they are not.
        """

    def draw_species(
        self, species_P: Tensor, n_species: int, n_sampled: int, generator: torch.Generator
    ) -> SpeciesSample:
        """The species of one step: all that are observed in the batch, and about ``n_sampled`` of the others."""

    def from_sample(
        self,
        sample: SpeciesSample,
        n_species: int,
        location_BD: Tensor,
        species_JD: Tensor,
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
        """An estimate of :meth:`in_chunks` from some rows of the species matrix; the same where all were taken.

        Args:
            sample: The species taken; all of ``species_P`` are among them.
            n_species: S.
            location_BD: Embedding of the training rows.
            species_JD: Rows of the species matrix, those of ``sample``.
            row_P: Row of every positive.
            species_P: Species of every positive, in 0..S-1.
            start_S: Logits of all species, added to every site's; None: 0.
            background_KD: As in :meth:`in_chunks`.
            background_mask_KS: As in :meth:`in_chunks`, for all species.
            totals: As in :meth:`in_chunks`.
            distinct: As in :meth:`in_chunks`.
            products: As in :meth:`in_chunks`.
        """
