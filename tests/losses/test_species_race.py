"""Species drawn by a race: which ones, for how many each stands, and the estimate of softmax that they give."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.losses.sampled_species import SpeciesSample
from presence_only.losses.species_race import draw_by_race, first_to_arrive, log_uniform_rates

pytestmark = pytest.mark.usefixtures("way")


def test_the_rates_are_log_uniform_in_the_order_of_records():
    records_S = torch.tensor([3.0, 50.0, 3.0, 0.0, 7.0], dtype=torch.float64)
    rank_S = [2, 0, 3, 4, 1]  # the first of two equals is the commoner
    expected = [math.log((rank + 2) / (rank + 1)) / math.log(6) for rank in rank_S]
    rates_S = log_uniform_rates(records_S)
    assert rates_S.tolist() == pytest.approx(expected, rel=1e-14)
    assert rates_S.sum().item() == pytest.approx(1, rel=1e-14)
    assert log_uniform_rates(records_S[:1]).tolist() == [1.0]
    assert log_uniform_rates(records_S[:0]).tolist() == []


RATES = torch.tensor([0.4, 0.05, 0.25, 0.1, 0.2], dtype=torch.float64)


def race(first, late, time):
    """The sample where these species come first, and this one is the first that is too late, at some time."""
    time_S = torch.full((5,), 2 * time, dtype=torch.float64)
    time_S[list(first)], time_S[late] = 0.5 * time, time
    return first_to_arrive(time_S, RATES, torch.tensor([1]), len(first) + 1)


def density(first, late, time):
    """Of that event: exponential times with the given rates, apart from the observed species 1."""
    others = [s for s in range(5) if s not in (*first, late, 1)]
    rate = {s: float(RATES[s]) for s in range(5)}
    taken = math.prod(-math.expm1(-rate[s] * time) for s in first)
    return taken * rate[late] * math.exp(-rate[late] * time) * math.prod(math.exp(-rate[s] * time) for s in others)


@pytest.mark.parametrize("n_drawn", [1, 2, 3])
def test_the_sum_over_species_is_unbiased(n_drawn):
    """Over all that can be drawn: which come first, which is the first one too late, and when."""
    power_S = torch.tensor([3.0, 0.7, 20.0, 0.01, 1.5], dtype=torch.float64)

    def expectation(of):
        return sum(
            quad(lambda t, a=first, b=late: of(a, b, t) * density(a, b, t), 0, np.inf, limit=200)[0]
            for first in combinations((0, 2, 3, 4), n_drawn)
            for late in {0, 2, 3, 4} - set(first)
        )

    def estimate(first, late, time):
        sample = race(first, late, time)
        return float((sample.factor_J * power_S[sample.species_J]).sum())

    assert expectation(lambda *_: 1.0) == pytest.approx(1, rel=1e-9)
    assert expectation(estimate) == pytest.approx(float(power_S.sum()), rel=1e-7)
    # Its logarithm is low.
    assert expectation(lambda *event: math.log(estimate(*event))) < math.log(float(power_S.sum())) - 0.01


def test_a_sample_holds_the_observed_species_and_says_for_how_many_each_stands(way):
    """Against Monte Carlo: the share of draws that take a species, times its mean factor, is 1."""
    rate_S = log_uniform_rates(torch.arange(20.0, 0, -1))
    observed = torch.tensor([7, 2, 7])
    source = torch.Generator().manual_seed(0)
    # On a GPU the species that is observed twice makes room for one more.
    n_taken = 7
    stands_S = torch.zeros(1500, 20, dtype=torch.float64)
    for i in range(1500):
        sample = draw_by_race(rate_S, observed, n_taken - 2 - (way == "gpu"), source)
        assert len(sample.species_J) == n_taken
        assert (sample.species_J.diff() > 0).all()
        stands_S[i, sample.species_J] = sample.factor_J
    assert stands_S[:, [2, 7]].eq(1).all()
    error_S = stands_S.std(dim=0) / 1500**0.5
    assert ((stands_S.mean(dim=0) - 1).abs() <= 5 * error_S).all()
    taken_S = (stands_S > 0).double().mean(dim=0)
    assert taken_S[0] > taken_S[5] > taken_S[19] > 0


def test_drawing_is_drawing_one_by_one_and_again_if_it_came_before():
    """The pairs of a species drawn first and another second, by their chance, against the sets that come out."""
    source, counts = torch.Generator().manual_seed(1), {}
    for _ in range(2000):
        taken = tuple(draw_by_race(RATES, torch.zeros(0, dtype=torch.long), 2, source).species_J.tolist())
        counts[taken] = counts.get(taken, 0) + 1
    rate = RATES.tolist()
    for one, two in combinations(range(5), 2):
        chance = rate[one] * rate[two] * (1 / (1 - rate[one]) + 1 / (1 - rate[two]))
        error = (chance * (1 - chance) / 2000) ** 0.5
        assert abs(counts.get((one, two), 0) / 2000 - chance) < 5 * error


@pytest.mark.parametrize("n_sampled", [3, 4, 1000])
def test_with_all_species_taken_each_stands_for_itself(n_sampled):
    sample = draw_by_race(RATES, torch.tensor([1, 0]), n_sampled, torch.Generator())
    assert sample.species_J.tolist() == [0, 1, 2, 3, 4]
    assert sample.factor_J.eq(1).all()


def test_a_sample_follows_its_generator():
    rate_S = log_uniform_rates(torch.arange(1000.0))
    one, two, other = (
        draw_by_race(rate_S, torch.tensor([1]), 50, torch.Generator().manual_seed(seed)).species_J for seed in (0, 0, 1)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


B, S, D = 5, 30, 3


class Case:
    def __init__(self):
        source = torch.Generator().manual_seed(0)
        counts = TrainingCounts(50, torch.arange(S, dtype=torch.float64) + 1)
        self.loss = parse_variant({"loss": "softmax"}, "v").build(counts)
        self.location_BD, self.species_SD = (
            torch.randn(n, D, generator=source, dtype=torch.float64).requires_grad_() for n in (B, S)
        )
        self.pairs = torch.tensor([0, 1, 1, 2, 4]), torch.tensor([29, 3, 4, 0, 3])
        self.start_S = torch.linspace(-3, 1, S, dtype=torch.float64)

    def exact(self):
        value = self.loss.in_chunks(self.location_BD, self.species_SD, *self.pairs, start_S=self.start_S)
        return self.flat(value)

    def estimate(self, sample):
        rows_JD = self.species_SD[sample.species_J]
        return self.flat(self.loss.from_sample(sample, S, self.location_BD, rows_JD, *self.pairs, start_S=self.start_S))

    def flat(self, value):
        """Value and all gradients as one vector."""
        gradients = torch.autograd.grad(value, [self.location_BD, self.species_SD])
        return torch.cat([value.detach().view(1), *(gradient.reshape(-1) for gradient in gradients)])


def test_the_estimate_is_the_loss_with_the_estimated_sum():
    """By a double loop over the species taken."""
    case = Case()
    sample = case.loss.draw_species(case.pairs[1], S, 6, torch.Generator().manual_seed(2))
    assert sample.factor_J.max() > 1
    logits_BS = (case.location_BD @ case.species_SD.T + case.start_S).tolist()
    species_of = {0: [29], 1: [3, 4], 2: [0], 4: [3]}
    total = 0.0
    for row, species in species_of.items():
        whole = sum(
            factor * math.exp(logits_BS[row][s])
            for s, factor in zip(sample.species_J.tolist(), sample.factor_J.tolist(), strict=True)
        )
        total += math.log(whole) - sum(logits_BS[row][s] for s in species) / len(species)
    assert case.estimate(sample)[0].item() == pytest.approx(total / 4, rel=1e-12)


def test_with_all_species_taken_it_is_the_exact_loss():
    case = Case()
    sample = case.loss.draw_species(case.pairs[1], S, S, torch.Generator())
    torch.testing.assert_close(case.estimate(sample), case.exact(), rtol=1e-12, atol=1e-14)


def test_more_species_bring_it_closer_to_the_exact_loss():
    """The bias falls with the variance of the sum: it is consistent."""
    case, source = Case(), torch.Generator().manual_seed(3)
    exact = case.exact()
    away = []
    for n_sampled in (2, 8, 22):
        draws = [case.estimate(case.loss.draw_species(case.pairs[1], S, n_sampled, source)) for _ in range(100)]
        mean = torch.stack(draws).mean(dim=0) - exact
        assert mean[0] < 0.01
        away.append((mean[0].abs().item(), mean[1:].norm().item()))
    assert away[0][0] > 2 * away[1][0] > 4 * away[2][0]
    assert away[0][1] > away[2][1]


def test_factors_of_uniform_draws_are_another_sample():
    """Any sample with its factors will do: what is estimated is the sum, not the way to draw."""
    case = Case()
    sample = SpeciesSample.draw(case.pairs[1], S, S, torch.Generator())
    torch.testing.assert_close(case.estimate(sample), case.exact(), rtol=1e-12, atol=1e-14)
