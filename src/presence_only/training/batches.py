"""Batches of a run, drawn and put together on the device that trains: rows with their positives, background sites.

Several processes may share a batch (``data_parallel.py``): all draw the whole of it, and each takes the features of its
own rows and sites.

Shape legend: N training rows, B rows of a batch, P positives, K background sites, S species, F features, C covariates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from torch import Tensor

from presence_only.common.arrays import Ints
from presence_only.common.random_streams import stream
from presence_only.data.records import PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.losses.base import BatchTotals
from presence_only.model.encoder import PartOfBatch, RangeModel
from presence_only.training.data_parallel import ALONE, World
from presence_only.training.settings import TrainingSettings


@dataclass(frozen=True)
class RowBatch:
    """Some training rows and their positives.

    Args:
        index_B: The training rows.
        row_P: Row within the batch of every positive.
        species_P: Its species.
        rows: Which of the rows are this process's.
        pairs: Which of the positives are theirs.
    """

    index_B: Tensor
    row_P: Tensor
    species_P: Tensor
    rows: slice
    pairs: slice


class RowBatches:
    """Shuffled batches of training rows by index, with their positives as (row, species) pairs.

    Indexing arrays that are in memory beats a loader with worker processes. All lies on the device of the generator,
    and values are read off it once an epoch: the number of positives of every batch.

    Args:
        n_rows: N.
        row_P: Row of every positive, ascending.
        species_P: Its species.
        batch_size: Rows of a batch; the last one of an epoch may be smaller.
        generator: Shuffles the rows.
        world: The processes that share every batch.
    """

    def __init__(
        self,
        n_rows: int,
        row_P: Ints,
        species_P: Ints,
        batch_size: int,
        generator: torch.Generator,
        world: World = ALONE,
    ) -> None:
        self.n_rows = n_rows
        self.batch_size = min(batch_size, n_rows)
        self.generator, self.device = generator, generator.device
        self.world = world
        self.species_P = torch.tensor(species_P, dtype=torch.int64, device=self.device)
        positives_N = np.bincount(row_P, minlength=n_rows)
        self.count_N = torch.from_numpy(positives_N).to(self.device)
        self.first_N = torch.from_numpy(np.cumsum(positives_N) - positives_N).to(self.device)

    @property
    def per_epoch(self) -> int:
        """Batches an epoch; the last one may be smaller."""
        return math.ceil(self.n_rows / self.batch_size)

    def __iter__(self) -> Iterator[RowBatch]:
        """The batches of one epoch."""
        order_N = torch.randperm(self.n_rows, generator=self.generator, device=self.device)
        starts = range(0, self.n_rows, self.batch_size)
        sizes = [min(self.batch_size, self.n_rows - start) for start in starts]
        own = [self.world.own(size) for size in sizes]
        ends = [
            (start, start + rows.start, start + rows.stop, start + size)
            for start, rows, size in zip(starts, own, sizes, strict=True)
        ]
        for start, size, rows, pairs in zip(starts, sizes, own, self._pairs_before(order_N, ends), strict=True):
            first, own_first, own_end, end = pairs
            index_B = order_N[start : start + size]
            count_B = self.count_N[index_B]
            row_B = torch.arange(len(index_B), device=self.device)
            row_P = torch.repeat_interleave(row_B, count_B, output_size=end - first)
            within_P = torch.arange(len(row_P), device=self.device) - (count_B.cumsum(0) - count_B)[row_P]
            species_P = self.species_P[self.first_N[index_B][row_P] + within_P]
            yield RowBatch(index_B, row_P, species_P, rows, slice(own_first - first, own_end - first))

    def _pairs_before(self, order_N: Tensor, ends: list[tuple[int, int, int, int]]) -> list[list[int]]:
        """How many positives the rows before some places of the order have, read in one go."""
        until_N = torch.cat([order_N.new_zeros(1), self.count_N[order_N].cumsum(0)])
        before: list[list[int]] = until_N[torch.tensor(ends, device=self.device)].tolist()
        return before


class GroupMask:
    """Which species a background site counts for: those of the taxon group that was looked for there.

    Kept as one number a site and a species; all sites x all species would not fit at 50,000 species.

    Args:
        groups_K: Group of every background site; the empty string counts for every group.
        groups_S: Group of every species.
        device: Where masks are made.
    """

    def __init__(
        self, groups_K: tuple[str, ...], groups_S: tuple[str, ...], device: torch.device | None = None
    ) -> None:
        names, code_X = np.unique(np.array([*groups_K, *groups_S]), return_inverse=True)
        codes_X = torch.from_numpy(code_X).to(device or "cpu")
        self.code_K, self.code_S = codes_X[: len(groups_K)], codes_X[len(groups_K) :]
        self.n_groups = len(names)
        self.every = int(np.flatnonzero(names == "")[0]) if "" in names else -1

    @classmethod
    def of(
        cls, groups_K: tuple[str, ...] | None, groups_S: tuple[str, ...], device: torch.device | None = None
    ) -> Self | None:
        """The mask, or None where every site counts for every species."""
        if groups_K is None or len({*groups_K, *groups_S}) == 1:
            return None
        return cls(groups_K, groups_S, device)

    def rows(self, drawn_B: Tensor) -> Tensor:
        """Bool (B, S) of some background sites."""
        code_B = self.code_K[drawn_B]
        return (code_B[:, None] == self.code_S[None, :]) | (code_B == self.every)[:, None]

    def sites_per_species(self, drawn_B: Tensor) -> Tensor:
        """How many of some background sites count for each species, int64 (S,): the sum of :meth:`rows`."""
        code_B = self.code_K[drawn_B]
        ones_B = torch.ones_like(code_B)
        count_G = code_B.new_zeros(self.n_groups).index_add_(0, code_B, ones_B)
        count_S = count_G[self.code_S]
        if self.every < 0:
            return count_S
        return count_S + torch.where(self.code_S == self.every, 0, count_G[self.every])


@dataclass(frozen=True)
class Batch:
    """One step's rows and background sites, before the model.

    Args:
        drawn: The rows, and their positives.
        x_BF: Features of this process's rows.
        covariates_BC: Standardised covariates of all rows, where the model predicts them.
        drawn_K: The background sites of the whole batch; None: the loss uses none.
        sites: Which of them are this process's.
        background_KF: Features of these.
        mask: Which species a site counts for; None: every one.
        progress: Share of the training's steps that were taken before this one, in [0, 1).
        epoch: Epochs that were finished before this step.
    """

    drawn: RowBatch
    x_BF: Tensor
    covariates_BC: Tensor | None = None
    drawn_K: Tensor | None = None
    sites: slice = field(default_factory=lambda: slice(0, 0))
    background_KF: Tensor | None = None
    mask: GroupMask | None = None
    progress: float = 0.0
    epoch: int = 0

    @property
    def n_rows(self) -> int:
        """Rows of the whole batch."""
        return len(self.drawn.index_B)

    @property
    def n_sites(self) -> int:
        """Background sites of the whole batch."""
        return 0 if self.drawn_K is None else len(self.drawn_K)

    def inputs(self) -> Tensor:
        """This process's rows and sites in one pass: the same layers, half the calls."""
        return self.x_BF if self.background_KF is None else torch.cat([self.x_BF, self.background_KF])

    def split(self, values_AX: Tensor, n_rows: int) -> tuple[Tensor, Tensor | None]:
        """What the model made of so many rows, and of the background sites behind them."""
        if self.drawn_K is None:
            return values_AX, None
        return values_AX[:n_rows], values_AX[n_rows:]

    def own_positives(self) -> tuple[Tensor, Tensor]:
        """Row, counted from this process's first one, and species of the positives of its rows."""
        pairs = self.drawn.pairs
        return self.drawn.row_P[pairs] - self.drawn.rows.start, self.drawn.species_P[pairs]

    def part(self) -> PartOfBatch:
        """Where :meth:`inputs` stand in the whole batch."""
        rows, sites = self.drawn.rows, self.sites
        far = () if self.drawn_K is None else (slice(self.n_rows + sites.start, self.n_rows + sites.stop),)
        return PartOfBatch(self.n_rows + self.n_sites, (rows, *far))

    def mask_KS(self, sites: slice = slice(None)) -> Tensor | None:
        """Which species background sites count for; None: every one."""
        return None if self.mask is None or self.drawn_K is None else self.mask.rows(self.drawn_K[sites])

    def totals(self) -> BatchTotals:
        """Sizes of the whole batch."""
        sites_S = None
        if self.mask is not None and self.drawn_K is not None:
            sites_S = self.mask.sites_per_species(self.drawn_K)
        return BatchTotals(self.n_rows, self.n_sites, sites_S)


class Batches:
    """All batches of a run.

    Args:
        model: Its features are measured; it lies on the device that trains.
        data: All that training may see.
        settings: Sizes of batches.
        seed: Fixes what is drawn.
        needs_background: Whether batches have background sites.
        world: The processes that share every batch.
    """

    def __init__(
        self,
        model: RangeModel,
        data: TrainingData,
        settings: TrainingSettings,
        seed: int,
        *,
        needs_background: bool,
        world: World = ALONE,
    ) -> None:
        device = model.species_head.weight.device
        records, background = data.records, data.background
        self.world = world
        self.n_sites = settings.background_batch_size
        self.features_NF = model.features(records.sites_N2, records.covariates_NC, records.week_N).to(device)
        self.covariates_NC = None
        if model.settings.environment_head:
            self.covariates_NC = model.features.environment(records.covariates_NC).to(device)
        self.rows = RowBatches(
            records.n_rows, *distinct_pairs(records), settings.batch_size, stream(seed, "batches", device), world
        )
        self.features_KF = None
        if needs_background:
            features_KF = model.features(background.sites_K2, background.covariates_KC, background.week_K)
            self.features_KF = features_KF.to(device)
            self.mask = GroupMask.of(background.groups_K, records.groups, device)
            self.generator = stream(seed, "background", device)

    @property
    def per_epoch(self) -> int:
        """Batches an epoch."""
        return self.rows.per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """The batches of one epoch."""
        for drawn in self.rows:
            x_BF = self.features_NF[drawn.index_B[drawn.rows]]
            covariates_BC = None if self.covariates_NC is None else self.covariates_NC[drawn.index_B]
            if self.features_KF is None:
                yield Batch(drawn, x_BF, covariates_BC)
                continue
            sites, n_sites = self.generator, self.n_sites
            drawn_K = torch.randint(len(self.features_KF), (n_sites,), generator=sites, device=sites.device)
            own = self.world.own(n_sites)
            yield Batch(drawn, x_BF, covariates_BC, drawn_K, own, self.features_KF[drawn_K[own]], self.mask)


def distinct_pairs(records: PresenceRecords) -> tuple[Ints, Ints]:
    """Row and species of every positive, each once, sorted by row and then by species."""
    key_P = np.unique(records.row_P.astype(np.int64) * records.n_species + records.species_P)
    return key_P // records.n_species, key_P % records.n_species
