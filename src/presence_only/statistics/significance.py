"""Statistical significance of a paired difference: the one rule that every table, figure and text follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

LEVEL = 0.95
Condition = Literal["interval", "seeds", "units", "ranks"]


def is_significant(row: Mapping[str, Any], *, level: float = LEVEL) -> bool:
    """Whether a paired difference is significant: by its interval, by both tests and by its ranks together.

    The interval excludes 0; the test over seeds and units and the corrected Wilcoxon test both have p at most
    1 - ``level``; mean and ranks point the same way. All are asked for, as each is blind to something: the
    interval is a little narrow with few seeds; the test over seeds trusts the mean, which a few species can
    rule, and is for this one pair; Wilcoxon's is corrected for the number of pairs, but takes the seeds that
    happened to be run for granted.

    Args:
        row: A row of results/pairs.csv, or the fields of a :class:`~presence_only.statistics.differences.Pair`: low
            and high (the interval), p_seeds, holm_units (Wilcoxon's p, corrected) and rank_biserial. Others are not
            read.
        level: Level of the interval, within 0..1; the tests are held against 1 - ``level``.

    Returns:
        True or False; a p value of NaN is that of a test that could not be made, and is not significant.

    Raises:
        KeyError: If ``row`` lacks one of these columns.
    """
    return unmet_condition(row, level=level) is None


def unmet_condition(row: Mapping[str, Any], *, level: float = LEVEL) -> Condition | None:
    """The first condition of :func:`is_significant` that a difference does not meet, with the same arguments.

    Returns:
        ``interval`` (it holds 0), ``seeds`` (the test over seeds), ``units`` (Wilcoxon's test), ``ranks`` (they point
        the other way) or None, if all are met.
    """
    if row["low"] <= 0 <= row["high"] or not (row["low"] > 0 or row["high"] < 0):
        return "interval"
    if not row["p_seeds"] <= 1 - level:
        return "seeds"
    if not row["holm_units"] <= 1 - level:
        return "units"
    agrees = row["rank_biserial"] > 0 if row["low"] > 0 else row["rank_biserial"] < 0
    return None if agrees else "ranks"


def is_significant_across(row: Mapping[str, Any], *, level: float = LEVEL) -> bool:
    """Whether a paired difference over several data sets is significant: by its interval and its corrected test.

    Both come from one Student's distribution over data sets, so that the corrected test decides; there is no
    second test to ask, as seeds and species are within the spread of the data sets.

    Args:
        row: A row of results/across_pairs.csv, or the fields of a
            :class:`~presence_only.statistics.across_datasets.PairAcross`: low and high (the interval) and p_holm
            (the corrected test). Others are not read.
        level: Level of the interval, within 0..1; the test is held against 1 - ``level``.

    Returns:
        True or False; NaN, of data sets that leave no freedom, is not significant.

    Raises:
        KeyError: If ``row`` lacks one of these columns.
    """
    return bool((row["low"] > 0 or row["high"] < 0) and row["p_holm"] <= 1 - level)


def judged(significant: bool) -> str:
    """The words for it: ``significant`` or ``not significant``."""
    return "significant" if significant else "not significant"
