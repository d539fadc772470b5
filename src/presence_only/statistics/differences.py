"""Paired differences between variants: their intervals, their tests, and the sentences that say what follows.

Shape legend: K variants, V seeds, U units (the species or the sites that a metric has one value for), R resamples.

All variants are scored on the same units with the same seeds, so every comparison is paired: what makes
a species hard for all variants, or a seed lucky for all, cancels. Units that are undefined for any run
are left out of all comparisons, so that every pair is judged on the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.statistics.bootstrap import RESAMPLES, bootstrap_means
from presence_only.statistics.paired import complete, holm, paired_tests
from presence_only.statistics.significance import LEVEL, is_significant, unmet_condition

Family = Literal["best", "all"]


@dataclass(frozen=True)
class Pair:
    """One variant against another; in a table of pairs the other has a lower mean, or the same.

    Args:
        first: The variant that a positive difference favours.
        second: The other.
        difference: Mean over seeds and units of first - second, in the metric's unit.
        low: Lower end of the interval of the difference, by
            :func:`~presence_only.statistics.bootstrap.bootstrap_means`.
        high: Upper end.
        p_seeds: That a difference so large comes about by the choice of seeds and units; see
            :func:`~presence_only.statistics.paired.crossed_test`.
        p_units: Wilcoxon's signed-rank test over units, each the mean of its seeds.
        holm_units: ``p_units`` corrected for all pairs of the family.
        rank_biserial: -1..1; the share of the rank sum where ``first`` is higher minus that where it is
            lower: 0 for no tendency, 1 if every unit favours ``first``.
        share_higher: Share of units where ``first`` is higher, equal ones counting one half.
        significant: See :func:`~presence_only.statistics.significance.is_significant`.
        verdict: The sentence of results/pairs.csv.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_seeds: float
    p_units: float
    holm_units: float
    rank_biserial: float
    share_higher: float
    significant: bool
    verdict: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """A row of results/pairs.csv as a pair.

        Raises:
            KeyError: If the row lacks a column.
        """
        names = [field.name for field in fields(cls) if field.name != "significant"]
        return cls(**{name: row[name] for name in names}, significant=is_significant(row))

    def turned(self) -> Self:
        """The same comparison from the other side: second minus first."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=-self.difference,
            low=-self.high,
            high=-self.low,
            rank_biserial=-self.rank_biserial,
            share_higher=1 - self.share_higher,
        )


def compare_pairs(
    values: Mapping[str, NDArray[Any]],
    *,
    family: Family = "best",
    unit: str = "species",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Pair, ...]:
    """Compare variants pair by pair.

    :func:`~presence_only.statistics.significance.is_significant` says when a difference is significant. With
    one seed nothing is known of how much another training would change, and the verdict says so.

    Source: Demsar (2006), https://jmlr.org/papers/v7/demsar06a.html, for Wilcoxon's test over many
    tasks; Holm (1979) for the correction; Kerby (2014), https://doi.org/10.2466/11.IT.3.1, for the
    matched-pairs rank-biserial correlation.

    Args:
        values: Variant to values (V, U), NaN where undefined; higher is better.
        family: ``best``: the variant with the highest mean against every other; ``all``: all pairs. It
            is also the family that p values are corrected for.
        unit: What a unit is, for the verdict.
        level: Level of the intervals, within 0..1.
        resamples: Number of bootstrap resamples, at least 1.
        seed: Seed of the resamples, at least 0.

    Returns:
        Pairs in the order of the means: best against second, best against third, and so on.

    Raises:
        ValueError: If there are fewer than two variants, shapes differ, no unit is defined for all, or an
            argument is out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: must lie within 0..1, both excluded")
    if resamples < 1 or seed < 0:
        raise ValueError(f"resamples = {resamples}, seed = {seed}: must be at least 1 and at least 0")
    names, values_KVU = complete(values)
    mean_K = values_KVU.mean(axis=(1, 2))
    order = sorted(range(len(names)), key=lambda k: (-mean_K[k], names[k]))
    pairs = list(combinations(order, 2))
    if family == "best":
        pairs = pairs[: len(names) - 1]
    mean_RK = bootstrap_means(values_KVU, resamples, np.random.default_rng(seed))
    tail = (1 - level) / 2
    tests = [paired_tests(values_KVU[a] - values_KVU[b]) for a, b in pairs]
    corrected = holm([test["p_units"] for test in tests])
    found = []
    for (a, b), test, holm_units in zip(pairs, tests, corrected, strict=True):
        low, high = np.quantile(mean_RK[:, a] - mean_RK[:, b], [tail, 1 - tail])
        pair = Pair(
            first=names[a],
            second=names[b],
            difference=float((values_KVU[a] - values_KVU[b]).mean(axis=0).mean()),
            low=float(low),
            high=float(high),
            **test,
            holm_units=holm_units,
            significant=False,
            verdict="",
        )
        pair = replace(pair, significant=is_significant(vars(pair), level=level))
        found.append(_judged(pair, unit, level, *values_KVU.shape[1:]))
    return tuple(found)


def pairs_table(pairs: Sequence[Pair]) -> pl.DataFrame:
    """One row per pair, as in results/pairs.csv; there may be no rows.

    Returns:
        The fields of :class:`Pair` as columns.
    """
    kinds = {"str": pl.String, "float": pl.Float64, "bool": pl.Boolean}
    return pl.DataFrame([vars(pair) for pair in pairs], schema={f.name: kinds[str(f.type)] for f in fields(Pair)})


def compare_two(
    first: str, first_VU: NDArray[Any], second: str, second_VU: NDArray[Any], *, unit: str = "species"
) -> Pair:
    """One comparison that no table of pairs holds, such as one over some of the species.

    Args:
        first: Name of what a positive difference favours.
        first_VU: Its values, NaN where undefined.
        second: Name of the other.
        second_VU: Its values, the same shape.
        unit: What a unit is, for the verdict.

    Returns:
        ``first`` minus ``second`` by :func:`compare_pairs`, whichever has the higher mean.

    Raises:
        ValueError: If the names are the same, shapes differ, or no unit is defined for both.
    """
    if first == second:
        raise ValueError(f"{first!r} is given twice; a comparison needs two names")
    (pair,) = compare_pairs({first: first_VU, second: second_VU}, unit=unit)
    return pair if pair.first == first else pair.turned()


def study_verdict(pairs: Sequence[Pair], *, unit: str = "species") -> str:
    """What a study says of its best variant, in one or two sentences.

    Args:
        pairs: What :func:`compare_pairs` returned; of all pairs those with the best are looked at.
        unit: What a unit is.

    Raises:
        ValueError: If there are no pairs.
    """
    if not pairs:
        raise ValueError("there are no pairs to judge; at least one is needed")
    best = pairs[0].first
    own = [pair for pair in pairs if pair.first == best]
    beaten = [pair for pair in own if pair.significant]
    open_ones = [pair.second for pair in own if not pair.significant]
    if not beaten:
        others = own[0].second if len(own) == 1 else f"any of the other {len(own)} variants"
        return f"{best} has the highest mean, but its difference from {others} is not significant."
    nearest = min(beaten, key=lambda pair: pair.difference)
    margin = (
        f"the smallest of these differences is {points(nearest.difference)} points ({nearest.second}, "
        f"interval {points(nearest.low)} to {points(nearest.high)})"
    )
    if not open_ones:
        return f"{best} is significantly above every other variant over these {unit} and seeds; {margin}."
    return (
        f"{best} has the highest mean and is significantly above {len(beaten)} of {len(own)} others; {margin}. "
        f"Its differences from {', '.join(open_ones)} are not significant."
    )


def points(value: float) -> str:
    """A difference of a metric of 0..1 in points, hundredths of its range, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _judged(pair: Pair, unit: str, level: float, n_seeds: int, n_units: int) -> Pair:
    """The pair with its sentence."""
    size = (
        f"{points(pair.difference)} points ({100 * level:g} % interval {points(pair.low)} to {points(pair.high)}; "
        f"{n_units:,} {unit}, {n_seeds} {'seed' if n_seeds == 1 else 'seeds'})"
    )
    if not pair.significant:
        verdict = (
            f"No significant difference between {pair.first} and {pair.second}: {size}{_doubt(pair, unit, level)}."
        )
    elif n_seeds == 1:
        verdict = (
            f"{pair.first} is above {pair.second} in this one run each: {size}; "
            "how much another seed would change is not known."
        )
    else:
        verdict = f"{pair.first} is above {pair.second}: {size}."
    return Pair(**{**vars(pair), "verdict": verdict})


def _doubt(pair: Pair, unit: str, level: float) -> str:
    """Why a difference whose interval leaves out 0 is not significant all the same; the end of a sentence."""
    reasons = {
        "seeds": f"by the test over seeds and {unit} it may be chance (p = {pair.p_seeds:.3f}), which more seeds would "
        "tell",
        "units": f"by Wilcoxon's test over {unit} it may be chance (p = {pair.holm_units:.3f} after Holm's correction)",
        "ranks": f"by ranks the {unit} favour {pair.second} (rank-biserial correlation {pair.rank_biserial:.2f})",
    }
    condition = unmet_condition(vars(pair), level=level)
    return f"; the interval leaves out 0, but {reasons[condition]}" if condition in reasons else ""
