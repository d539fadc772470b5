"""Regret of choosing settings by held-out records: what the chosen trial loses against the best one, by the truth.

The truth is the mean average precision over the true ranges of virtual species; only this table opens it. A trial's
model never saw the held-out fold, so that criterion and truth judge the same model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from presence_only.search.criteria import CRITERIA
from presence_only.search.objective import FINISHED
from presence_only.statistics.bootstrap import times_drawn

Floats = NDArray[np.float64]

TRUTH = "truth_species_map"
# Ways to choose that look at no criterion: a trial at random, and the first trial, which has the variant's own
# settings where they lie in the space.
AT_RANDOM, FIRST = "at_random", "first_trial"
WITHIN, OVER = "within a loss", "over all losses"
_RESAMPLES = 2000


def regrets(trials: pl.DataFrame) -> pl.DataFrame:
    """Regret of every way to choose, per scenario and set of trials that is chosen from.

    Args:
        trials: The table of trials, see :func:`~presence_only.fair_comparison.tables.trials_table`.

    Returns:
        A row per scenario, set and way to choose: scenario, chosen_from (``within a loss`` or ``over all losses``),
        variant (of the first kind), criterion, best and chosen (mAP of the best and of the chosen trial), regret (the
        difference), correlation (Spearman's, over trials, between criterion and mAP; null for ways that look at none).
    """
    rows = []
    finished = trials.filter(pl.col("state") == FINISHED)
    for (scenario,), own in finished.group_by("scenario", maintain_order=True):
        sets = [(WITHIN, variant, part) for (variant,), part in own.group_by("variant", maintain_order=True)]
        for chosen_from, variant, part in [*sets, (OVER, None, own)]:
            truth_T = part[TRUTH].to_numpy()
            for criterion, chosen, correlation in _choices(part, truth_T):
                best = float(truth_T.max())
                rows.append(
                    {
                        "scenario": scenario,
                        "chosen_from": chosen_from,
                        "variant": variant,
                        "criterion": criterion,
                        "best": best,
                        "chosen": chosen,
                        "regret": best - chosen,
                        "correlation": correlation,
                    }
                )
    return pl.DataFrame(rows, infer_schema_length=None)


def _choices(trials: pl.DataFrame, truth_T: Floats) -> Iterator[tuple[str, float, float | None]]:
    """Every way to choose, the mAP of what it chooses, and its correlation with the mAP."""
    for name in CRITERIA:
        values_T = trials[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        known_T = np.isfinite(values_T)
        if known_T.any():
            chosen = int(np.nanargmax(np.where(known_T, values_T, np.nan)))
            several = known_T.sum() > 2 and np.ptp(values_T[known_T]) > 0 and np.ptp(truth_T[known_T]) > 0
            correlation = float(stats.spearmanr(values_T[known_T], truth_T[known_T]).statistic) if several else None
            yield name, float(truth_T[chosen]), correlation
    yield AT_RANDOM, float(truth_T.mean()), None
    first = trials["trial"] == 0
    if first.any():
        yield FIRST, float(truth_T[first.to_numpy()].mean()), None


def summary(table: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """Mean regret per way to choose, over scenarios and losses, with an interval over losses.

    The interval resamples losses with replacement (percentiles of 2,000 resamples), each with all of its scenarios: it
    is about another loss in these worlds.

    Args:
        table: What :func:`regrets` returns.
        seed: Of the resamples.

    Returns:
        A row per chosen_from, scenario (``all`` for the mean over scenarios) and criterion, by ascending mean: mean,
        low, high (null over all losses, which are one set), largest, correlation (mean), n.
    """
    rows = []
    scenarios = table["scenario"].unique(maintain_order=True).to_list()
    for chosen_from in (WITHIN, OVER):
        part = table.filter(pl.col("chosen_from") == chosen_from)
        for scenario in ("all", *scenarios):
            own = part if scenario == "all" else part.filter(pl.col("scenario") == scenario)
            for (criterion,), group in own.group_by("criterion", maintain_order=True):
                by_loss_L = group.group_by("variant", maintain_order=True).agg(pl.col("regret").mean())["regret"]
                low, high = _interval(by_loss_L.to_numpy(), seed) if chosen_from == WITHIN else (None, None)
                rows.append(
                    {
                        "chosen_from": chosen_from,
                        "scenario": scenario,
                        "criterion": criterion,
                        "mean": float(by_loss_L.to_numpy().mean()),
                        "low": low,
                        "high": high,
                        "largest": float(group["regret"].to_numpy().max()),
                        "correlation": group["correlation"].mean(),
                        "n": len(group),
                    }
                )
    return pl.DataFrame(rows, infer_schema_length=None).sort(
        "chosen_from", "scenario", "mean", maintain_order=True, descending=False
    )


def _interval(values_L: Sequence[float] | Floats, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean over resampled values."""
    values = np.asarray(values_L, dtype=np.float64)
    drawn_RL = times_drawn(np.random.default_rng(seed), _RESAMPLES, len(values))
    low, high = np.quantile(drawn_RL @ values / len(values), (0.025, 0.975))
    return float(low), float(high)
