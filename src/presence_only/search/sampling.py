"""Which settings are tried next, by Optuna's tree-structured Parzen estimator.

The trials of a search come in batches of a fixed size. What trial n tries depends on the seed, on n, and on the trials
of all batches before its own, and on nothing else: neither on the number of workers, nor on which trial of a batch
ended first, nor on whether the search was interrupted in between.

Source: Bergstra et al. (2011), https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization; Optuna,
Akiba et al. (2019), https://doi.org/10.1145/3292500.3330701
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from presence_only.common.random_streams import stream_seed
from presence_only.search.objective import FINISHED
from presence_only.search.space import Dimension, Dimensions, Range
from presence_only.search.trials import Trial

# Optuna tells of every trial on its own.
optuna.logging.set_verbosity(optuna.logging.WARNING)
# As many random trials come first, as is Optuna's default.
RANDOM_TRIALS = 10
# NumPy's generator, which Optuna uses, takes seeds below this.
_SEEDS = 2**32


def draw_batch(
    dimensions: Dimensions, first: Mapping[str, Any] | None, earlier: Sequence[Trial], size: int, seed: int
) -> list[dict[str, Any]]:
    """The settings of the next trials.

    Args:
        dimensions: What is tried.
        first: What trial 0 tries; None: what is drawn.
        earlier: All trials before, in the order of their numbers.
        size: How many trials to draw.
        seed: Of the search.

    Returns:
        The settings of trials ``len(earlier)``, ``len(earlier) + 1``, ..., in the order of the space.
    """
    study = optuna.create_study(direction="maximize")
    distributions = distributions_of(dimensions)
    for trial in earlier:
        study.add_trial(frozen(trial, distributions, {}))
    drawn = []
    for number in range(len(earlier), len(earlier) + size):
        # A generator of its own for every trial: the numbers that one uses up change no other.
        number_seed = stream_seed(seed, f"trial {number}") % _SEEDS
        study.sampler = TPESampler(seed=number_seed, n_startup_trials=RANDOM_TRIALS)
        if number == 0 and first is not None:
            study.enqueue_trial(dict(first))
        # Trials of the batch that are asked for already count as bad to the sampler, which so spreads the batch.
        asked = study.ask(distributions)
        drawn.append({name: dimension.rounded(asked.params[name]) for name, dimension in dimensions.items()})
    return drawn


def distributions_of(dimensions: Dimensions) -> dict[str, BaseDistribution]:
    """The space as Optuna knows it."""
    return {name: _distribution(dimension) for name, dimension in dimensions.items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if not isinstance(dimension, Range):
        return CategoricalDistribution(dimension.values)
    kind: type[IntDistribution] | type[FloatDistribution] = IntDistribution if dimension.whole else FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)  # type: ignore[arg-type]


def frozen(trial: Trial, distributions: dict[str, BaseDistribution], notes: Mapping[str, Any]) -> FrozenTrial:
    """A trial as Optuna keeps it; ``notes`` are kept beside.

    One that diverged counts as pruned before its first look, which is the worst that can be told to the sampler.
    """
    finished = trial.outcome.state == FINISHED
    return create_trial(
        state=TrialState.COMPLETE if finished else TrialState.PRUNED,
        value=trial.value if finished else None,
        params=dict(trial.settings),
        distributions=distributions,
        user_attrs=dict(notes),
        intermediate_values=dict(trial.outcome.looks) if trial.value is not None else {},
    )
