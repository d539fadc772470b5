"""Batches: every row once an epoch with its own positives, sites and masks, whole or shared by several processes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import tiny

from presence_only.training.batches import GroupMask, RowBatches, distinct_pairs
from presence_only.training.data_parallel import World


def row_batches(records, batch_size=16, **own):
    generator = torch.Generator().manual_seed(0)
    return RowBatches(records.n_rows, *distinct_pairs(records), batch_size, generator, **own)


@pytest.mark.parametrize("per_row", [1, 3])
def test_batches_hold_every_row_once_with_its_own_positives(per_row):
    records = tiny.dataset(rows=50, per_row=per_row).training.records
    batches = row_batches(records)
    seen, pairs = [], set()
    for drawn in batches:
        assert (drawn.row_P.diff() >= 0).all()
        seen += drawn.index_B.tolist()
        pairs |= set(zip(drawn.index_B[drawn.row_P].tolist(), drawn.species_P.tolist(), strict=True))
    assert sorted(seen) == list(range(50))
    assert pairs == set(zip(records.row_P.tolist(), records.species_P.tolist(), strict=True))
    assert batches.per_epoch == 4


def test_rows_are_shuffled_anew_every_epoch():
    batches = row_batches(tiny.dataset(rows=50).training.records, 50)
    orders = [next(iter(batches)).index_B.tolist() for _ in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert list(range(50)) not in orders


def test_a_pair_that_is_given_twice_is_drawn_once_and_pairs_are_sorted():
    records = tiny.dataset(rows=6, species=5).training.records
    row_P, species_P = np.array([0, 0, 0, 1, 2, 3, 4, 5]), np.array([3, 1, 3, 0, 2, 4, 0, 1])
    records = replace(records, row_P=row_P, species_P=species_P)
    row_Q, species_Q = distinct_pairs(records)
    assert list(zip(row_Q.tolist(), species_Q.tolist(), strict=True))[:3] == [(0, 1), (0, 3), (1, 0)]
    assert len(row_Q) == 7


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_processes_share_the_rows_and_positives_of_the_same_batches(size):
    """21 rows in batches of 4: the last one is of 1 row, so that most processes have none."""
    records = tiny.dataset(rows=21, per_row=2).training.records
    whole = list(row_batches(records, 4))
    shared = [list(row_batches(records, 4, world=World(rank, size))) for rank in range(size)]
    for step, drawn in enumerate(whole):
        parts = [batches[step] for batches in shared]
        for part in parts:
            assert torch.equal(part.index_B, drawn.index_B)
            assert torch.equal(part.species_P, drawn.species_P)
            own_P = drawn.row_P[part.pairs]
            assert set(own_P.tolist()) == set(range(part.rows.start, part.rows.stop))
        for name, n in (("rows", len(drawn.index_B)), ("pairs", len(drawn.row_P))):
            slices = [getattr(part, name) for part in parts]
            assert [i for own in slices for i in range(own.start, own.stop)] == list(range(n))


GROUPS = (("bird", "plant", "", "fungus"), ("plant", "bird"))


def test_group_mask_keeps_a_site_to_its_observers():
    mask = GroupMask.of(*GROUPS)
    expected = [[False, True], [True, False], [True, True], [False, False]]
    assert mask.rows(torch.arange(4)).tolist() == expected
    assert mask.rows(torch.tensor([2, 0])).tolist() == [expected[2], expected[0]]
    assert GroupMask.of(None, ("plant",)) is None
    assert GroupMask.of(("plant", "plant"), ("plant",)) is None


@pytest.mark.parametrize("groups", [GROUPS, (("bird", "plant"), ("plant", "bird", "bird")), (("", "a"), ("", "a"))])
def test_sites_per_species_are_those_of_the_mask(groups):
    mask = GroupMask.of(*groups)
    drawn_K = torch.randint(len(groups[0]), (20,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(mask.sites_per_species(drawn_K), mask.rows(drawn_K).sum(dim=0))
