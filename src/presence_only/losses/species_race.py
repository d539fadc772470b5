"""Species drawn without replacement from a log-uniform distribution, each with the number of species it stands for.

The commonest species are drawn most often: that of rank r = 0, 1, ... by descending number of records with probability
log((r + 2) / (r + 1)) / log(S + 1).

The draw is a race. Every species arrives after an exponential time whose rate is its probability, and the first M are
taken: this is drawing one by one, and drawing again whenever a species has come before. Let t be the time of the first
that is too late. Given when the others arrive, a species is taken with probability 1 - exp(-rate * t), its expected
count, and then stands for 1 / (1 - exp(-rate * t)) species. So the sum of any numbers of the species taken, each times
its factor, has as expectation the sum over all species.

Source: TensorFlow's ``log_uniform_candidate_sampler`` draws so, and estimates the expected count from the number of
tries, by 1 - (1 - rate)^tries, https://www.tensorflow.org/api_docs/python/tf/random/log_uniform_candidate_sampler. The
count that is exact given t: Duffield, Lund and Thorup (2007), https://doi.org/10.1145/1314690.1314696; for races Kool,
van Hoof and Welling (2020), https://arxiv.org/abs/2002.06043

Shape legend: S species, P positives, J species taken.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from presence_only.losses.host_reads import on_host
from presence_only.losses.negatives import random_integers
from presence_only.losses.sampled_species import SpeciesSample


def log_uniform_rates(records_S: Tensor) -> Tensor:
    """The probability of every species, float64 (S,); of two with equally many records, the first is the commoner."""
    n_species = len(records_S)
    order_S = torch.argsort(records_S, descending=True, stable=True)
    rank_S = torch.arange(n_species, dtype=torch.float64, device=records_S.device)
    falling_S = torch.log1p(1 / (rank_S + 1)) / math.log(max(n_species, 1) + 1)
    return torch.empty_like(falling_S).scatter_(0, order_S, falling_S)


def draw_by_race(rate_S: Tensor, species_P: Tensor, n_sampled: int, generator: torch.Generator) -> SpeciesSample:
    """The observed species, which stand for themselves, and ``n_sampled`` others; all of them if there are no more.

    On a GPU, where the number of observed species would be waited for, the others are more, by as many as ``species_P``
    has repetitions.

    Args:
        rate_S: Probability of every species, > 0, float64.
        species_P: Species of the batch's positives.
        n_sampled: M.
        generator: Source of the draw.
    """
    bits_S = random_integers((len(rate_S),), species_P.device, generator)
    time_S = -torch.log((bits_S.double() + 0.5) / 2.0**63) / rate_S
    n_observed = len(torch.unique(species_P)) if on_host(species_P) else len(species_P)
    return first_to_arrive(time_S, rate_S, species_P, min(n_observed + n_sampled, len(rate_S)))


def first_to_arrive(time_S: Tensor, rate_S: Tensor, species_P: Tensor, n_taken: int) -> SpeciesSample:
    """The observed species and those others that come first, so many together.

    Args:
        time_S: When every species arrives, >= 0.
        rate_S: Its rate.
        species_P: Observed species, which arrive before all others.
        n_taken: How many are taken, at least as many as are observed.
    """
    time_S = time_S.index_fill(0, species_P, -1.0)
    n_ahead = min(n_taken + 1, len(time_S))
    ahead = time_S.topk(n_ahead, largest=False)
    # With all species taken nobody is too late.
    late = ahead.values[n_taken] if n_ahead > n_taken else time_S.new_full((), torch.inf)
    species_J = ahead.indices[:n_taken].sort().values
    factor_J = -1 / torch.expm1(-rate_S[species_J] * late)
    return SpeciesSample(species_J, torch.where(time_S[species_J] < 0, 1.0, factor_J))
