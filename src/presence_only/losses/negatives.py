"""Which (site, species) pairs count as negative, and with what weight.

Shape legend: B rows of a batch, S species, P positives, M sampled negatives a row, K background sites,
Q queries. A pair is *unobserved* if its species was not recorded at its row: presence-only data
never say that it is absent, the choices below only assume it.

* all: every unobserved pair (``unobserved_terms``);
* M sampled: some unobserved species of every row, unbiased (``sampled_sum``);
* SLDS: same location, different species (``draw_other_species``);
* SSDL: same species, different location, from the batch (``draw_other_rows``) or from the
  background (``draw_background_sites``);
* background: all species at background sites, uniform or target-group (``pair_weights.py``).

Source: the names are those of Cole et al. (2023), https://arxiv.org/abs/2306.02564
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from presence_only.losses.argument_checks import (
    check_floating,
    check_has_values,
    check_presences,
    check_same_shape,
    with_order,
)
from presence_only.losses.host_reads import count_each, is_mapped, keep, on_host
from presence_only.losses.numerics import widen
from presence_only.losses.penalties import Penalty

_KEYS_AT_ONCE = 2**22  # random keys held at a time: 32 MiB
LARGEST = 2**63 - 1  # above every random key


@dataclass(frozen=True)
class Positives:
    """The observed pairs of a batch, each once, sorted by row and then by species.

    Args:
        row_P: Row of every pair, int64.
        species_P: Species of every pair, int64.
        n_rows: B.
        n_species: S.
        present_BS: The pairs as a mask, bool, in place of the other two, which are then empty: under
            ``torch.func.vmap`` nobody knows how many there are. None: they are listed.
    """

    row_P: Tensor
    species_P: Tensor
    n_rows: int
    n_species: int
    present_BS: Tensor | None = None

    @classmethod
    def from_pairs(cls, row_P: Tensor, species_P: Tensor, logits_BS: Tensor) -> Self:
        """The pairs of a batch; a pair given twice counts once."""
        n_rows, n_species = logits_BS.shape
        key_P = torch.unique(row_P.long() * n_species + species_P.long())
        if n_species == 0:
            return cls(key_P, key_P, n_rows, n_species)
        return cls(key_P // n_species, key_P % n_species, n_rows, n_species)

    @classmethod
    def from_targets(cls, targets_BS: Tensor) -> Self:
        """The pairs whose target is not 0."""
        if is_mapped(targets_BS):
            none = torch.zeros(0, dtype=torch.int64, device=targets_BS.device)
            n_rows, n_species = targets_BS.shape
            return cls(none, none, n_rows, n_species, targets_BS != 0)
        row_P, species_P = targets_BS.nonzero(as_tuple=True)
        return cls(row_P, species_P, *targets_BS.shape)

    @classmethod
    def from_species(cls, species_B: Tensor, n_species: int) -> Self:
        """One species per row."""
        row_B = torch.arange(len(species_B), device=species_B.device)
        return cls(row_B, species_B.long(), len(species_B), n_species)

    def records_per_species_S(self) -> Tensor:
        """Number of rows that hold each species, int64."""
        if self.present_BS is not None:
            return self.present_BS.sum(dim=0)
        return torch.bincount(self.species_P, minlength=self.n_species)

    def unobserved_per_row_B(self) -> Tensor:
        """Number of unobserved species n of every row, int64."""
        if self.present_BS is not None:
            return self.n_species - self.present_BS.sum(dim=1)
        return self.n_species - count_each(self.row_P, self.n_rows)


def open_targets(logits_BS: Tensor, targets_BS: Tensor, *, as_pairs: bool = False, of: str = "_BS") -> Positives:
    """Check the arguments that all losses of logits and targets share, and return the observed pairs.

    Args:
        logits_BS: Logits.
        targets_BS: Exactly 0 or 1.
        as_pairs: Whether the loss needs the pairs as a list.
        of: How the names of the arguments end.

    Raises:
        TypeError: If one is no tensor, or the logits are no floating-point one.
        ValueError: If the shapes differ, a target is neither 0 nor 1, or the pairs are needed as a list and cannot be
            listed, for ``torch.func.vmap`` maps over the targets.
    """
    logits, targets = f"logits{of}", f"targets{of}"
    check_floating(logits, logits_BS, 2)
    check_has_values(logits, logits_BS)
    check_same_shape(targets, targets_BS, logits, logits_BS)
    targets_BS = with_order(targets_BS)
    positives = Positives.from_targets(targets_BS)
    if positives.present_BS is None:
        check_presences(targets, targets_BS[positives.row_P, positives.species_P])
    elif as_pairs:
        raise ValueError(f"{targets} are mapped over by torch.func.vmap: must be the same for all in this loss")
    return positives


def zero(*logits: Tensor) -> Tensor:
    """A 0 that back-propagates a gradient of 0, whatever the logits hold."""
    nothing = [widen(tensor.reshape(-1)[:0]).sum() for tensor in logits]
    return sum(nothing[1:], nothing[0])


def at_pairs(logits_BS: Tensor, row_P: Tensor, species_P: Tensor) -> Tensor:
    """The logits of some pairs, in the precision losses are computed in, shape (P,)."""
    return widen(logits_BS[row_P, species_P])


def unobserved_terms(penalty: Penalty, logits_BS: Tensor, positives: Positives) -> Tensor:
    """The negative penalty of every unobserved pair and 0 at the observed ones, shape (B, S).

    Observed pairs are overwritten, not subtracted from the sum: a large logit would take the digits
    of all others with it.
    """
    return zero_at(positives, penalty.negative(logits_BS))


def zero_at(positives: Positives, terms_BS: Tensor) -> Tensor:
    """Terms of all pairs, with 0 at the observed ones; not in place, as a penalty may have kept them for its slope."""
    pairs, present_BS = (positives.row_P, positives.species_P), positives.present_BS
    if present_BS is None and torch.compiler.is_compiling():
        # The default backend of torch 2.13 loses the slope of index_put where a sum over rows follows.
        present_BS = torch.zeros_like(terms_BS, dtype=torch.bool)
        present_BS = present_BS.index_put(pairs, present_BS.new_ones(()))
    if present_BS is not None:
        return torch.where(present_BS, 0.0, terms_BS)
    return terms_BS.index_put(pairs, terms_BS.new_zeros(()))


def sampled_sum(
    penalty: Penalty,
    logits_BS: Tensor,
    positives: Positives,
    neg_samples: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Unbiased estimate of the sum of the negative penalty over all unobserved pairs.

    Every row draws m = min(neg_samples, n) of its n unobserved species without replacement,
    independently of the other rows, and its sum is scaled by n / m. With population variance s^2 of
    a row's terms the estimate has variance n^2 s^2 / m * (n - m) / (n - 1).

    Args:
        penalty: How a negative is penalised.
        logits_BS: Logits at the rows.
        positives: The observed pairs.
        neg_samples: M; 0 or at least the largest n: the exact sum.
        generator: Source of the draws; None: the default one.

    Returns:
        A scalar in nats.
    """
    n_B = positives.unobserved_per_row_B()
    most = int(n_B.max()) if on_host(n_B) and n_B.numel() else positives.n_species
    if neg_samples == 0 or n_B.numel() == 0 or neg_samples >= most:
        return unobserved_terms(penalty, logits_BS, positives).sum()
    if on_host(n_B):
        rank_BM = draw_distinct(n_B, neg_samples, generator)
        drawn_BM = torch.arange(neg_samples, device=n_B.device) < n_B[:, None]
        row_BM = torch.arange(positives.n_rows, device=n_B.device)[:, None].expand_as(rank_BM)
        species_BM = _around(rank_BM, row_BM, positives.row_P, positives.species_P, positives.n_species)
    else:
        species_BM, drawn_BM = _draw_unobserved(positives, neg_samples, generator)
    terms_BM = penalty.negative(logits_BS.gather(1, torch.where(drawn_BM, species_BM, 0)))
    scale_B = n_B.to(terms_BM.dtype) / n_B.clamp(1, neg_samples)
    return torch.where(drawn_BM, terms_BM * scale_B[:, None], 0.0).sum()


@dataclass(frozen=True)
class Absences:
    """One assumed absence per positive.

    Args:
        row_P: Row, or background site.
        species_P: Species.
        counted_P: Whether there is one at all. On the CPU, positives without any are left out.
        record_P: Which of the positives each one belongs to.
    """

    row_P: Tensor
    species_P: Tensor
    counted_P: Tensor
    record_P: Tensor

    def penalty_of(self, penalty: Penalty, logits_BS: Tensor) -> Tensor:
        """Sum of the negative penalty over those that count."""
        terms_P = penalty.negative(at_pairs(logits_BS, self.row_P, self.species_P))
        return torch.where(self.counted_P, terms_P, 0.0).sum()


def draw_other_species(positives: Positives, generator: torch.Generator | None) -> Absences:
    """For every positive a species that was not recorded at its row, uniform (SLDS), unless all were."""
    n_P = positives.unobserved_per_row_B()[positives.row_P]
    counted_P, row_P, n_P, record_P = keep(n_P > 0, positives.row_P, n_P, _each(positives.row_P))
    rank_P = _uniform(n_P, generator)
    species_P = _around(rank_P, row_P, positives.row_P, positives.species_P, positives.n_species)
    return Absences(row_P, species_P, counted_P, record_P)


def draw_other_rows(positives: Positives, generator: torch.Generator | None) -> Absences:
    """For every positive a row of the batch without its species, uniform (SSDL in the batch), unless all have it."""
    order_P = torch.argsort(positives.species_P, stable=True)  # by species, then by row
    species_P, row_P = positives.species_P[order_P], positives.row_P[order_P]
    n_S = positives.n_rows - count_each(species_P, positives.n_species)
    counted_P, asked_P, n_P, record_P = keep(n_S[species_P] > 0, species_P, n_S[species_P], order_P)
    rank_P = _uniform(n_P, generator)
    return Absences(_around(rank_P, asked_P, species_P, row_P, positives.n_rows), asked_P, counted_P, record_P)


def draw_background_sites(
    species_P: Tensor, background_KS: Tensor, mask_KS: Tensor | None, generator: torch.Generator | None
) -> Absences:
    """For every positive a background site that counts for its species, uniform (SSDL), unless none does."""
    n_sites = len(background_KS)
    if n_sites == 0:
        species_P = species_P[:0]
    if mask_KS is None or n_sites == 0:
        site_P = _uniform(torch.full_like(species_P, n_sites), generator)
        return Absences(site_P, species_P, torch.ones_like(species_P, dtype=torch.bool), _each(species_P))
    if not on_host(species_P):
        return _draw_sites(species_P, mask_KS, generator)
    _, species_P, record_P = keep(mask_KS.any(dim=0)[species_P], species_P, _each(species_P))
    site_P = torch.zeros_like(species_P)
    todo = torch.arange(len(species_P), device=species_P.device)
    while len(todo):
        site_P[todo] = _uniform(torch.full_like(todo, n_sites), generator)
        todo = todo[~mask_KS[site_P[todo], species_P[todo]]]  # redrawn until its site counts
    return Absences(site_P, species_P, torch.ones_like(site_P, dtype=torch.bool), record_P)


def _draw_sites(species_P: Tensor, mask_KS: Tensor, generator: torch.Generator | None) -> Absences:
    """A site per positive by its rank among those that count for its species: memory of order K P."""
    until_KP = mask_KS[:, species_P].cumsum(dim=0)
    rank_P = _uniform(until_KP[-1], generator)
    site_P = (until_KP <= rank_P).sum(dim=0).clamp(max=len(mask_KS) - 1)
    return Absences(site_P, species_P, until_KP[-1] > 0, _each(species_P))


def _each(index_P: Tensor) -> Tensor:
    """The number of every element, from 0."""
    return torch.arange(len(index_P), device=index_P.device)


def _draw_unobserved(positives: Positives, n_drawn: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """For every row the unobserved species with the largest of random keys: memory of order B S.

    Returns:
        Species, shape (B, ``n_drawn``), and whether it is one: a row may have fewer.
    """
    key_BS = random_integers((positives.n_rows, positives.n_species), positives.row_P.device, generator)
    if positives.present_BS is not None:
        key_BS = torch.where(positives.present_BS, -1, key_BS)
    else:
        minus_one = torch.full_like(positives.row_P, -1)
        key_BS.index_put_((positives.row_P, positives.species_P), minus_one)
    key_BM, species_BM = key_BS.topk(n_drawn, dim=1, sorted=False)
    return species_BM, key_BM >= 0


def draw_distinct(n_B: Tensor, m: int, generator: torch.Generator | None) -> Tensor:
    """For every row a uniform random subset of m of the numbers 0..n-1, shape (B, m).

    Rows with n <= m hold 0..m-1 unchanged, of which the first n are meant.

    Where m is small against n, numbers are drawn with replacement and the first m distinct ones
    kept: memory of order B m. A row that got too few draws anew, which favours no number over
    another. Else the m largest of n random keys are taken, in blocks of rows.
    """
    rank_BM = torch.arange(m, device=n_B.device).repeat(len(n_B), 1)
    todo = (n_B > m).nonzero()[:, 0]
    if len(todo) == 0 or m == 0:
        return rank_BM
    if 4 * m > int(n_B[todo].min()):
        widest = int(n_B.max())
        for rows in torch.split(todo, max(1, _KEYS_AT_ONCE // widest)):
            keys = random_integers((len(rows), widest), n_B.device, generator)
            keys = torch.where(torch.arange(widest, device=n_B.device) < n_B[rows, None], keys, -1)
            rank_BM[rows] = keys.topk(m, dim=1, sorted=False).indices
        return rank_BM
    width = m + m // 2 + 16
    while len(todo):
        draws = _uniform(n_B[todo, None].expand(-1, width), generator)
        ascending, order = draws.sort(dim=1, stable=True)
        first = torch.ones_like(draws, dtype=torch.bool)
        first[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
        first = torch.zeros_like(first).scatter(1, order, first)  # back in the order of drawing
        nth = first.cumsum(dim=1)
        enough = nth[:, -1] >= m
        kept = (first & (nth <= m))[enough]
        rank_BM[todo[enough]] = draws[enough][kept].view(-1, m)
        todo = todo[~enough]
    return rank_BM


def _around(rank_Q: Tensor, group_Q: Tensor, group_P: Tensor, member_P: Tensor, n_members: int) -> Tensor:
    """The ``rank``-th member of each group that is not taken.

    With the taken members c_0 < c_1 < ... of a group, c_j - j free ones lie below c_j, so the free
    member of rank r stands behind all c_j with c_j - j <= r. One binary search finds their number.

    Args:
        rank_Q: Rank among the free members of the group, counted from 0.
        group_Q: Group of every query.
        group_P: Group of every taken member, ascending.
        member_P: Taken members, ascending within a group.
        n_members: Members of a group, taken or free.
    """
    if len(group_P) == 0:
        return rank_Q
    start_P = torch.searchsorted(group_P, group_P)
    free_below_P = member_P - (torch.arange(len(group_P), device=group_P.device) - start_P)
    wide = n_members + 1
    behind_Q = torch.searchsorted(group_P * wide + free_below_P, group_Q * wide + rank_Q, right=True)
    member_Q = rank_Q + behind_Q - torch.searchsorted(group_P, group_Q.contiguous())
    # Of a group without a free member, which does not count, there is none.
    return member_Q.clamp(max=n_members - 1)


def _uniform(n_Q: Tensor, generator: torch.Generator | None) -> Tensor:
    """An int64 uniform on 0..n-1 for every n, and 0 for n = 0.

    The remainder of 63 random bits: its departure from uniform, n / 2^63, cannot be observed.
    """
    return random_integers(tuple(n_Q.shape), n_Q.device, generator) % n_Q.clamp(min=1)


def random_integers(shape: tuple[int, ...], device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Uniform random int64 of 63 bits, drawn where the generator lives."""
    where = device if generator is None else generator.device
    return torch.randint(LARGEST, shape, generator=generator, device=where).to(device)
