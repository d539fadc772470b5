"""Which pairs are drawn as negative: never an observed one, each other one equally often."""

import itertools
import math
from collections import Counter

import pytest
import torch
from scipy.stats import chi2

from presence_only.losses import negatives
from presence_only.losses.negatives import (
    Positives,
    draw_background_sites,
    draw_distinct,
    draw_other_rows,
    draw_other_species,
    sampled_sum,
    unobserved_terms,
)
from presence_only.losses.penalties import CrossEntropy

both_ways = pytest.mark.usefixtures("way")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def positives_of(targets):
    return Positives.from_targets(torch.tensor(targets))


@pytest.mark.parametrize(("n", "m"), [(4, 2), (40, 3)])  # keys; rejection
def test_every_subset_is_equally_likely(n, m):
    draws = 20_000
    rank_BM = draw_distinct(torch.full((draws,), n), m, generator())
    assert rank_BM.min() >= 0
    assert rank_BM.max() < n
    subsets = Counter(tuple(sorted(row)) for row in rank_BM.tolist())
    assert set(subsets) <= set(itertools.combinations(range(n), m))  # so no number twice
    if math.comb(n, m) < 100:
        expected = draws / math.comb(n, m)
        counts = [subsets[subset] for subset in itertools.combinations(range(n), m)]
    else:
        inclusion = Counter(rank_BM.flatten().tolist())
        expected, counts = draws * m / n, [inclusion[i] for i in range(n)]
    statistic = sum((count - expected) ** 2 / expected for count in counts)
    assert statistic < chi2.ppf(0.9999, len(counts) - 1)


def test_rows_with_too_few_repeats_are_redrawn_and_ragged_rows_left_alone():
    n_B = torch.tensor([1000, 3, 0, 5000, 200])
    rank_BM = draw_distinct(n_B, 50, generator())
    for row in (0, 3, 4):
        assert len(set(rank_BM[row].tolist())) == 50
        assert rank_BM[row].max() < n_B[row]
    assert rank_BM[1].tolist() == list(range(50))


def test_keys_are_held_in_blocks_of_rows(monkeypatch):
    monkeypatch.setattr(negatives, "_KEYS_AT_ONCE", 250)
    rank_BM = draw_distinct(torch.full((7,), 100), 60, generator())
    assert all(len(row.unique()) == 60 and row.max() < 100 for row in rank_BM)


def counted(absences):
    """Rows, or sites, and species of those absences that count."""
    return absences.row_P[absences.counted_P], absences.species_P[absences.counted_P]


@both_ways
@pytest.mark.parametrize("n_species", [6, 300])
def test_no_observed_pair_is_ever_drawn(n_species):
    targets = torch.zeros(50, n_species)
    targets[torch.rand(50, n_species, generator=generator()) < 0.4] = 1
    positives = Positives.from_targets(targets)
    row_P, species_P = counted(draw_other_species(positives, generator(1)))
    assert targets[row_P, species_P].eq(0).all()
    row_P, species_P = counted(draw_other_rows(positives, generator(1)))
    assert targets[row_P, species_P].eq(0).all()
    # the observed logits are so large that touching one would be seen
    logits = torch.where(targets == 1, 1e6, 0.0).double()
    for m in (1, 2, 50):
        exact = int((targets == 0).sum()) * math.log(2)
        drawn = sampled_sum(CrossEntropy(), logits, positives, m, generator(2))
        assert float(drawn) == pytest.approx(exact, rel=1e-12)


@both_ways
def test_other_species_are_uniform_over_the_unobserved_ones_of_the_row():
    targets = torch.tensor([[0, 1, 0, 1, 0]]).repeat(6000, 1)
    _, species_P = counted(draw_other_species(Positives.from_targets(targets), generator()))
    counts = torch.bincount(species_P, minlength=5)
    assert counts[[1, 3]].sum() == 0
    assert ((counts[[0, 2, 4]] - 4000).abs() < 5 * math.sqrt(12000 * 2 / 9)).all()


@both_ways
def test_other_rows_are_uniform_over_the_rows_without_the_species():
    targets = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]])
    counts = Counter()
    source = generator()
    for _ in range(3000):
        drawn = counted(draw_other_rows(Positives.from_targets(targets), source))
        counts.update(zip(*(part.tolist() for part in drawn), strict=True))
    assert set(counts) == {(1, 0), (3, 0), (0, 1), (3, 1)}
    assert all(abs(count - 3000) < 5 * math.sqrt(6000 / 4) for count in counts.values())


@both_ways
def test_a_species_seen_in_every_row_and_a_full_row_draw_nothing():
    positives = positives_of([[1, 1], [1, 0]])
    row_P, species_P = counted(draw_other_rows(positives, generator()))
    assert (row_P.tolist(), species_P.tolist()) == ([1], [1])
    row_P, species_P = counted(draw_other_species(positives, generator()))
    assert (row_P.tolist(), species_P.tolist()) == ([1], [1])


@both_ways
def test_background_sites_are_uniform_over_those_that_count():
    mask_KS = torch.tensor([[True, False, False], [True, True, False], [True, True, False]])
    species_P = torch.tensor([0, 1, 2]).repeat(3000)
    site_P, kept_P = counted(draw_background_sites(species_P, torch.zeros(3, 3), mask_KS, generator()))
    assert mask_KS[site_P, kept_P].all()
    assert 2 not in kept_P
    for species, sites in ((0, [0, 1, 2]), (1, [1, 2])):
        counts = torch.bincount(site_P[kept_P == species], minlength=3)[sites]
        expected = 3000 / len(sites)
        assert ((counts - expected).abs() < 5 * math.sqrt(expected)).all()


@both_ways
def test_every_absence_knows_its_record():
    """The last row has every species, species 0 is in every row, and no site counts for species 3."""
    targets = torch.tensor([[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    mask_KS = torch.tensor([[True, True, True, False]]).repeat(5, 1)
    positives = Positives.from_targets(targets)
    by_species = draw_other_species(positives, generator())
    by_row = draw_other_rows(positives, generator())
    by_site = draw_background_sites(positives.species_P, torch.zeros(5, 4), mask_KS, generator())
    plain = draw_background_sites(positives.species_P, torch.zeros(5, 4), None, generator())
    assert torch.equal(positives.row_P[by_species.record_P], by_species.row_P)
    for absences in (by_row, by_site, plain):
        assert torch.equal(positives.species_P[absences.record_P], absences.species_P)
    numbers = [sorted(a.record_P[a.counted_P].tolist()) for a in (by_species, by_row, by_site, plain)]
    assert numbers == [[0, 1, 2, 3], [1, 3, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6], list(range(8))]


@both_ways
def test_species_drawn_per_row_are_uniform_over_its_unobserved_ones():
    """The mean estimate of a sum whose terms are told apart, and its variance without replacement."""
    targets = torch.tensor([[0, 1, 0, 0, 0]]).repeat(4000, 1)
    logits = torch.tensor([[-2.0, 50.0, -1.0, 0.0, 1.0]], dtype=torch.float64).repeat(4000, 1)
    terms = torch.nn.functional.softplus(logits[0, [0, 2, 3, 4]])
    drawn = sampled_sum(CrossEntropy(), logits, Positives.from_targets(targets), 3, generator()) / 4000
    variance = 4**2 * terms.var(correction=0) / 3 * (4 - 3) / (4 - 1)
    assert abs(drawn - terms.sum()) < 5 * (variance / 4000) ** 0.5
    one, other = (
        sampled_sum(CrossEntropy(), logits[:1], Positives.from_targets(targets[:1]), 3, generator(seed))
        for seed in (0, 1)
    )
    assert one != other


def test_observed_terms_are_overwritten_not_subtracted():
    logits = torch.tensor([[1e4, -30.0]], dtype=torch.float32)
    terms = unobserved_terms(CrossEntropy(), logits, positives_of([[1, 0]]))
    assert terms.tolist() == [[0.0, pytest.approx(math.exp(-30.0), rel=1e-6)]]


def test_pairs_are_sorted_and_counted_once():
    logits = torch.zeros(3, 4)
    positives = Positives.from_pairs(torch.tensor([0, 0, 0, 2]), torch.tensor([3, 1, 3, 0]), logits)
    assert list(zip(positives.row_P.tolist(), positives.species_P.tolist(), strict=True)) == [(0, 1), (0, 3), (2, 0)]
    assert positives.unobserved_per_row_B().tolist() == [2, 4, 3]


def test_draws_on_the_cpu_follow_the_generator():
    n_B = torch.full((8,), 100)
    assert torch.equal(draw_distinct(n_B, 7, generator(3)), draw_distinct(n_B, 7, generator(3)))
    assert not torch.equal(draw_distinct(n_B, 7, generator(3)), draw_distinct(n_B, 7, generator(4)))
