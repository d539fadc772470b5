"""Tables over all data sets of a study: means and paired differences, with their intervals for data sets of the kind.

A data set is a world here, one draw of many that could have been made. Functions take the values of every
world and variant, (V, U) with NaN where undefined, and need no file of a study.

Shape legend: W worlds, K variants, V seeds, U units (the species or the sites that a metric has one value for).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import mean_where_defined
from presence_only.statistics.differences import points
from presence_only.statistics.paired import complete, holm
from presence_only.statistics.significance import LEVEL, is_significant_across
from presence_only.statistics.world_intervals import ALL, WorldMean, mean_over_worlds

# World to variant to values (V, U).
Values = Mapping[str, Mapping[str, NDArray[Any]]]

# Differences within one point do not matter in practice.
MARGIN = 0.01


@dataclass(frozen=True)
class MeanAcross:
    """One variant over all worlds, a row of results/across.csv.

    Args:
        scenario: ``all``, or the scenario whose worlds alone are meant.
        variant: Name of the variant.
        mean: Mean over worlds of the mean over seeds and units; over scenarios first, where there are several.
        sd: Standard deviation of worlds, within scenarios.
        low: Lower end of the interval of the mean over all worlds of the kind, see
            :func:`~presence_only.statistics.world_intervals.mean_over_worlds`; NaN without freedom.
        high: Upper end.
        new_low: Lower end of the interval in which one new world lies; NaN without freedom or over several scenarios.
        new_high: Upper end.
        n_worlds: Number of worlds in which every variant has a value.
        rank: 1 for the highest mean; equal means share the better rank.
    """

    scenario: str
    variant: str
    mean: float
    sd: float
    low: float
    high: float
    new_low: float
    new_high: float
    n_worlds: int
    rank: int


@dataclass(frozen=True)
class PairAcross:
    """One variant against another over all worlds, a row of results/across_pairs.csv; the first has the higher mean.

    Args:
        scenario: ``all``, or the scenario whose worlds alone are meant.
        first: The variant that a positive difference favours.
        second: The other.
        difference: Mean over worlds of each world's mean paired difference first - second, in the metric's unit;
            over scenarios first, where there are several.
        low: Lower end of the interval of the mean difference over all worlds of the kind, their species and their
            seeds; see :func:`~presence_only.statistics.world_intervals.mean_over_worlds`; NaN without freedom.
        high: Upper end.
        new_low: Lower end of the interval in which the difference in one new world lies; NaN without freedom or over
            several scenarios.
        new_high: Upper end.
        p: Two-sided, that the mean difference over all worlds of the kind is 0.
        p_holm: ``p`` corrected by Holm's method for all pairs of the metric and scenario.
        effect_size: ``difference`` over the standard deviation of worlds, Cohen's d_z; infinite where all worlds
            have the same difference.
        share_of_worlds: Share of worlds where ``first`` has the higher mean, equal ones counting one half.
        share_of_species: Mean over worlds of the share of species where ``first`` is higher, equal ones counting
            one half; of sites for a metric of sites.
        n_worlds: Number of worlds.
        significant: See :func:`~presence_only.statistics.significance.is_significant_across`.
        practically_equal: Whether the whole interval lies within the margin about 0. It may at the same time
            exclude 0: a difference can be significant and of no importance.
        verdict: The sentence that says so.
    """

    scenario: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    new_low: float
    new_high: float
    p: float
    p_holm: float
    effect_size: float
    share_of_worlds: float
    share_of_species: float
    n_worlds: int
    significant: bool
    practically_equal: bool
    verdict: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """A row of results/across_pairs.csv as a pair.

        Raises:
            KeyError: If the row lacks a column.
        """
        return cls(**{field.name: row[field.name] for field in fields(cls)})

    def turned(self) -> Self:
        """The same comparison from the other side: second minus first; the sentence stays."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=-self.difference,
            low=-self.high,
            high=-self.low,
            new_low=-self.new_high,
            new_high=-self.new_low,
            effect_size=-self.effect_size,
            share_of_worlds=1 - self.share_of_worlds,
            share_of_species=1 - self.share_of_species,
        )


def means_across(
    values: Values, *, scenarios: Mapping[str, str] | None = None, level: float = LEVEL
) -> tuple[MeanAcross, ...]:
    """The mean of every variant over worlds, with the interval of the mean over all worlds of the kind.

    The interval of a mean is wide where worlds differ in how hard they are; whether one variant is above
    another is told by :func:`pairs_across`, in which that cancels. It is not held within the range of the metric.

    Args:
        values: World to variant to values; every world has the same variants. Worlds in which a variant has no
            value are left out, so that all variants are judged on the same ones.
        scenarios: World to its scenario; see :func:`~presence_only.statistics.world_intervals.mean_over_worlds`.
        level: Level of the intervals, within 0..1.

    Returns:
        Of all worlds, and with several scenarios of each, variants by descending mean; none if no world is left.

    Raises:
        ValueError: If worlds differ in their variants, a world has no scenario, or ``level`` is out of range.
    """
    variants = _variants(values)
    table_WK = {
        world: np.array([_mean_of_seeds(own[variant]) for variant in variants]) for world, own in values.items()
    }
    table_WK = {world: mean_K for world, mean_K in table_WK.items() if not np.isnan(mean_K).any()}
    found = []
    for scenario, worlds, labels in _blocks(tuple(table_WK), scenarios):
        means_WK = np.stack([table_WK[world] for world in worlds])
        own = [mean_over_worlds(mean_W, labels, level=level) for mean_W in means_WK.T]
        above = [sum(other.mean > mean.mean for other in own) for mean in own]
        for k in sorted(range(len(variants)), key=lambda k: (-own[k].mean, variants[k])):
            mean = own[k]
            found.append(MeanAcross(scenario=scenario, variant=variants[k], **_shared(mean), rank=1 + above[k]))
    return tuple(found)


def pairs_across(
    values: Values,
    *,
    scenarios: Mapping[str, str] | None = None,
    unit: str = "species",
    level: float = LEVEL,
    margin: float = MARGIN,
) -> tuple[PairAcross, ...]:
    """Compare all variants pair by pair over worlds.

    In each world, a difference is taken at the units that every run has a value for, as in results/pairs.csv.

    Source: Holm (1979) for the correction; Lakens (2013), https://doi.org/10.3389/fpsyg.2013.00863, for d_z;
    Schuirmann (1987), https://doi.org/10.1007/BF01068419, for the equivalence of what lies within a margin, here by
    the whole interval, which is stricter than his two tests at the same level.

    Args:
        values: World to variant to values; every world has the same variants. Worlds without a unit that
            every run has a value for are left out.
        scenarios: World to its scenario; see :func:`~presence_only.statistics.world_intervals.mean_over_worlds`.
        unit: What a unit is, for the verdict.
        level: Level of the intervals, within 0..1.
        margin: Difference that does not matter in practice, in the metric's unit, above 0.

    Returns:
        Of all worlds, and with several scenarios of each, in the order of the means: best against second, best
        against third, and so on; none if no world is left, or there is one variant.

    Raises:
        ValueError: If worlds differ in their variants, a world has no scenario, or an argument is out of range.
    """
    if not margin > 0:
        raise ValueError(f"margin = {margin}: must be above 0")
    variants = _variants(values)
    if len(variants) < 2:
        return ()
    of_world = {world: mean_KU for world, own in values.items() if (mean_KU := _complete(own, variants)) is not None}
    found = []
    for scenario, worlds, labels in _blocks(tuple(of_world), scenarios):
        mean_WK = np.stack([of_world[world].mean(axis=1) for world in worlds])
        mean_K = np.array([mean_over_worlds(mean_W, labels, level=level).mean for mean_W in mean_WK.T])
        order = sorted(range(len(variants)), key=lambda k: (-mean_K[k], variants[k]))
        pairs = []
        for a, b in combinations(order, 2):
            differences = [of_world[world][a] - of_world[world][b] for world in worlds]
            pairs.append(_pair(scenario, variants[a], variants[b], differences, labels, level, margin))
        for pair, p_holm in zip(pairs, holm([pair.p for pair in pairs]), strict=True):
            pair = replace(pair, p_holm=p_holm)
            pair = replace(pair, significant=is_significant_across(vars(pair), level=level))
            found.append(replace(pair, verdict=_verdict(pair, unit, level, margin)))
    return tuple(found)


def means_table(means: Mapping[str, Sequence[MeanAcross]]) -> pl.DataFrame:
    """Metric to :func:`means_across` as results/across.csv; there may be no rows."""
    return _table(means, MeanAcross)


def across_pairs_table(pairs: Mapping[str, Sequence[PairAcross]]) -> pl.DataFrame:
    """Metric to :func:`pairs_across` as results/across_pairs.csv; there may be no rows."""
    return _table(pairs, PairAcross)


def verdict_across(pairs: Sequence[PairAcross]) -> str:
    """What a study says of its best variant over all worlds, in one to three sentences.

    Args:
        pairs: Of one metric; those with the best over all worlds are looked at.

    Raises:
        ValueError: If there are no pairs.
    """
    own = [pair for pair in pairs if pair.scenario == ALL and pair.first == pairs[0].first]
    if not own:
        raise ValueError("there are no pairs over all worlds to judge; at least one is needed")
    best, n_worlds = own[0].first, own[0].n_worlds
    beaten = [pair for pair in own if pair.significant]
    alike = [pair.second for pair in own if pair.practically_equal]
    open_ones = [pair.second for pair in own if not pair.significant and not pair.practically_equal]
    text = f"Over {n_worlds} data sets, {best} has the highest mean"
    if beaten:
        nearest = min(beaten, key=lambda pair: pair.difference)
        count = "every other variant" if len(beaten) == len(own) else f"{len(beaten)} of {len(own)} others"
        text += (
            f" and is significantly above {count}; the smallest of these differences is {points(nearest.difference)} "
            f"points ({nearest.second}, interval {points(nearest.low)} to {points(nearest.high)}, above in "
            f"{nearest.share_of_worlds * n_worlds:g} of {n_worlds} data sets)"
        )
    text += "."
    if alike:
        text += f" For practical purposes it is equal to {', '.join(alike)}."
    if open_ones:
        text += f" These data sets do not tell whether it is above {', '.join(open_ones)}."
    return text


def _pair(
    scenario: str,
    first: str,
    second: str,
    differences: Sequence[NDArray[np.float64]],
    labels: Sequence[str],
    level: float,
    margin: float,
) -> PairAcross:
    """One comparison without what its family decides; ``differences`` are (U,) of every world."""
    difference_W = np.array([difference_U.mean() for difference_U in differences])
    over = mean_over_worlds(difference_W, labels, level=level)
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = 0.0 if over.mean == 0 and over.sd == 0 else float(np.divide(over.mean, over.sd))
    return PairAcross(
        scenario=scenario,
        first=first,
        second=second,
        difference=over.mean,
        low=over.low,
        high=over.high,
        new_low=over.new_low,
        new_high=over.new_high,
        p=over.p,
        p_holm=float("nan"),
        effect_size=effect,
        share_of_worlds=_share_higher(difference_W),
        share_of_species=float(np.mean([_share_higher(difference_U) for difference_U in differences])),
        n_worlds=over.n_worlds,
        significant=False,
        practically_equal=bool(-margin <= over.low and over.high <= margin),
        verdict="",
    )


def _verdict(pair: PairAcross, unit: str, level: float, margin: float) -> str:
    """The sentence of one comparison."""
    where = "" if pair.scenario == ALL else f" in {pair.scenario}"
    known = not np.isnan(pair.new_low)
    new = f", of one new data set {points(pair.new_low)} to {points(pair.new_high)}" if known else ""
    size = (
        f"{points(pair.difference)} points ({100 * level:g} % interval {points(pair.low)} to {points(pair.high)}{new}; "
        f"above in {pair.share_of_worlds * pair.n_worlds:g} of {pair.n_worlds} data sets and for "
        f"{100 * pair.share_of_species:.0f} % of {unit})"
    )
    if np.isnan(pair.low):
        return (
            f"No interval over data sets for {pair.first} and {pair.second}{where}: "
            f"{points(pair.difference)} points in {pair.n_worlds}, which is too few."
        )
    within = f"the whole interval lies within {100 * margin:g} point{'s' * (margin != 0.01)} of 0"
    if pair.practically_equal and pair.significant:
        return f"{pair.first} is above {pair.second}{where}, but equal for practical purposes: {size}; {within}."
    if pair.practically_equal:
        return f"{pair.first} and {pair.second} are equal for practical purposes{where}: {size}; {within}."
    if pair.significant:
        return f"{pair.first} is above {pair.second}{where}: {size}."
    doubt = ""
    if pair.low > 0 or pair.high < 0:
        doubt = f"; the interval leaves out 0, but p is {pair.p_holm:.3f} after Holm's correction"
    return f"No significant difference between {pair.first} and {pair.second}{where}: {size}{doubt}."


def _variants(values: Values) -> tuple[str, ...]:
    """Names of the variants, which all worlds share.

    Raises:
        ValueError: If there is no world, or they differ.
    """
    if not values:
        raise ValueError("there are no data sets; at least one is needed")
    names = {world: tuple(sorted(own)) for world, own in values.items()}
    first = next(iter(names.values()))
    for world, own in names.items():
        if own != first or not own:
            raise ValueError(f"{world} has the variants {list(own)}: every data set needs {list(first)}, at least one")
    return first


def _blocks(
    worlds: tuple[str, ...], scenarios: Mapping[str, str] | None
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """All worlds, and with several scenarios those of each: its name, its worlds and their scenarios.

    Raises:
        ValueError: If a world has no scenario, or one is called as the rows over all worlds are.
    """
    if not worlds:
        return
    missing = [world for world in worlds if scenarios is not None and world not in scenarios]
    if missing:
        raise ValueError(f"scenarios name none for {', '.join(missing)}: every data set needs one")
    label = {world: ALL if scenarios is None else scenarios[world] for world in worlds}
    if scenarios is not None and ALL in label.values():
        raise ValueError(f"a scenario is called {ALL!r}, as the rows over all data sets are: it needs another name")
    yield ALL, worlds, tuple(label.values())
    names = dict.fromkeys(label.values())
    if len(names) > 1:
        for name in names:
            own = tuple(world for world in worlds if label[world] == name)
            yield name, own, (name,) * len(own)


def _complete(own: Mapping[str, NDArray[Any]], variants: Sequence[str]) -> NDArray[np.float64] | None:
    """Means over seeds (K, U) at the units that every run has a value for; None without such units."""
    try:
        _, values_KVU = complete({variant: own[variant] for variant in variants})
    except ValueError:
        shapes = {own[variant].shape for variant in variants}
        if len(shapes) != 1:
            raise
        return None
    mean_KU: NDArray[np.float64] = values_KVU.mean(axis=1)
    return mean_KU


def _mean_of_seeds(values_VU: NDArray[Any]) -> float:
    """Mean over seeds of the mean over units, each where defined, as in results/comparison.csv."""
    return mean_where_defined(np.array([mean_where_defined(values_U) for values_U in values_VU]))


def _shared(mean: WorldMean) -> dict[str, Any]:
    """What a row of means takes over as it is."""
    return {name: value for name, value in vars(mean).items() if name != "p"}


def _share_higher(difference: NDArray[np.float64]) -> float:
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def _table(rows: Mapping[str, Sequence[Any]], kind: type[Any]) -> pl.DataFrame:
    """A row per metric and entry, with the fields of ``kind`` as columns."""
    kinds = {"str": pl.String, "float": pl.Float64, "int": pl.Int64, "bool": pl.Boolean}
    schema = {"metric": pl.String} | {field.name: kinds[str(field.type)] for field in fields(kind)}
    return pl.DataFrame([{"metric": metric} | vars(row) for metric, own in rows.items() for row in own], schema=schema)
