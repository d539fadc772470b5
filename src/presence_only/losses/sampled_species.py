"""Dense losses from sampled species: a step that knows only some rows of the species matrix, whatever their number.

A step takes the species observed in its batch and M others, drawn uniformly without replacement and
shared by all rows. The negatives of the drawn species stand for those of all others and weigh
accordingly; positives, and the negatives of the observed species, are exact. Given the batch, loss and
gradients are unbiased. Time and traffic per step depend on M and the batch alone: the optimizer, too,
touches only the rows that were taken (``training/row_optimizers.py``).

On a GPU the number of observed species would be waited for. There a step takes as many species as the batch has
positives, and M: all that are observed, and others.

Shape legend: B rows of a batch, K background sites, S species, D embedding, P positives, J species taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from presence_only.losses.base import BatchTotals
from presence_only.losses.chunks import walk_chunks
from presence_only.losses.host_reads import on_host
from presence_only.losses.negatives import LARGEST, draw_distinct, random_integers, zero

if TYPE_CHECKING:
    from presence_only.losses.pair_weights import PairWeights, Weight


@dataclass(frozen=True)
class SpeciesSample:
    """The species of one step.

    Args:
        species_J: Their indices, ascending.
        factor_J: How many species each one's negatives stand for.
    """

    species_J: Tensor
    factor_J: Tensor

    @classmethod
    def draw(cls, species_P: Tensor, n_species: int, n_sampled: int, generator: torch.Generator) -> Self:
        """The observed species and ``n_sampled`` of the others; all of them if there are no more.

        On a GPU the others are more, by as many as ``species_P`` has repetitions.
        """
        if not on_host(species_P):
            return cls._draw_so_many(species_P, n_species, n_sampled, generator)
        observed_U = torch.unique(species_P)
        n_others = n_species - len(observed_U)
        n_drawn = min(n_sampled, n_others)
        rank_M = draw_distinct(torch.tensor([n_others], device=species_P.device), n_drawn, generator)[0]
        # Below the u-th observed species lie (its index - u) others: a rank stands behind all with fewer.
        others_below_U = observed_U - torch.arange(len(observed_U), device=species_P.device)
        drawn_M = rank_M + torch.searchsorted(others_below_U, rank_M, right=True)
        species_J, order_J = torch.cat([observed_U, drawn_M]).sort()
        factor_J = torch.ones(len(species_J), dtype=torch.float64, device=species_P.device)
        factor_J[len(observed_U) :] = n_others / max(n_drawn, 1)
        return cls(species_J, factor_J[order_J])

    @classmethod
    def _draw_so_many(cls, species_P: Tensor, n_species: int, n_sampled: int, generator: torch.Generator) -> Self:
        """The species with the largest of random keys, among which those of observed species come first."""
        n_taken = min(len(species_P) + n_sampled, n_species)
        key_S = random_integers((n_species,), species_P.device, generator).index_fill_(0, species_P, LARGEST)
        species_J = key_S.topk(n_taken, sorted=False).indices.sort().values
        observed_J = key_S[species_J] == LARGEST
        n_observed = observed_J.sum()
        share = (n_species - n_observed).double() / (n_taken - n_observed).clamp(min=1)
        return cls(species_J, torch.where(observed_J, 1.0, share))


def loss_from_sample(
    loss: PairWeights,
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
    """Unbiased estimate of :func:`~presence_only.losses.chunks.loss_in_chunks` from the rows of some species.

    Args:
        loss: The weights of its pairs.
        sample: The species taken; all of ``species_P`` are among them.
        n_species: S.
        location_BD: Embedding of the training rows.
        species_JD: Rows of the species matrix, those of ``sample``.
        row_P: Row of every positive.
        species_P: Species of every positive, in 0..S-1.
        start_S: Logits added to every site's; None: 0.
        background_KD: Embedding of background sites; given if and only if ``loss.needs_background``.
        background_mask_KS: Which species a background site counts for; None: every site for all.
        totals: Sizes of the whole batch, if these rows and sites are a part of it; None: they are all.
        distinct: Whether the positives are known to be given once each.
        products: Dtype that factors of matrix products are rounded to; None: they are not.

    Returns:
        Scalar in nats with gradients for the three matrices and the start, or a part's share of it.
    """
    if totals is None:
        n_sites = 0 if background_KD is None else len(background_KD)
        totals = BatchTotals.of(len(location_BD), n_sites, background_mask_KS)
    if totals.n_rows == 0:
        return zero(*(x for x in (location_BD, species_JD, background_KD, start_S) if x is not None))
    positive, unobserved, background = loss.per_pair(totals, n_species)

    def taken(weight: Weight) -> Weight:
        return weight.to(sample.species_J.device)[sample.species_J] if isinstance(weight, Tensor) else weight

    def scaled(weight: Weight) -> Weight:
        return weight if not isinstance(weight, Tensor) and weight == 0 else sample.factor_J * taken(weight)

    estimate = (taken(positive), scaled(unobserved), scaled(background))
    start_S = loss.start(start_S)
    start_J = None if start_S is None else start_S[sample.species_J]
    mask_KJ = None if background_mask_KS is None else background_mask_KS[:, sample.species_J]
    index_P = torch.searchsorted(sample.species_J, species_P)
    return walk_chunks(
        loss,
        estimate,
        location_BD,
        species_JD,
        row_P,
        index_P,
        start_J,
        background_KD,
        mask_KJ,
        distinct=distinct,
        products=products,
    )
