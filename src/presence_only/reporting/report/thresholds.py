"""Section of a study's report on binary ranges and species lists: which threshold, and how long a list.

Everything is descriptive: means by variant and rule, and which rule is best under how many variants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from presence_only.evaluation.binary_ranges import RANGE_MEASURES
from presence_only.evaluation.presence_thresholds import THRESHOLD_RULES
from presence_only.evaluation.threshold_numbers import (
    LIST_MEASURES,
    LIST_NUMBERS,
    LIST_RULES,
    THRESHOLD_NUMBERS,
    list_number,
    threshold_number,
)

# Numbers that have tables of their own, and stand in no other.
OWN_TABLES = frozenset((*THRESHOLD_NUMBERS, *LIST_NUMBERS))
# Measure to what it is at best: higher, lower, or close to 1.
_BEST: Mapping[str, Callable[[float], float]] = {
    "f1": lambda mean: mean,
    "tss": lambda mean: mean,
    "omission": lambda mean: -mean,
    "area_ratio": lambda mean: -abs(mean - 1),
    "ratio": lambda mean: -abs(mean - 1),
}
# Upper bounds of a measure over all thresholds, which see the truth.
_BOUNDS = {"f1": "species_f1_best", "tss": "tss_best"}


def threshold_section(rows: pl.DataFrame, order: Sequence[str]) -> dict[str, Any] | None:
    """Everything the template shows of ranges and lists; None where there are no such numbers.

    Args:
        rows: Rows with variant, metric and mean, of one data set or over all.
        order: Variants, in the order in which they are shown.
    """
    means = {(row["variant"], row["metric"]): row["mean"] for row in rows.iter_rows(named=True)}
    known = [name for name in order if (name, threshold_number("lpt5", "f1")) in means]
    if not known:
        return None
    titles = {name: rule.title for name, rule in THRESHOLD_RULES.items()}
    ranges = [
        _table(means, known, titles, measure, meaning, threshold_number, _BOUNDS.get(measure))
        for measure, meaning in RANGE_MEASURES.items()
    ]
    lists = [
        _table(means, known, dict(LIST_RULES), measure, meaning, list_number, None)
        for measure, meaning in LIST_MEASURES.items()
    ]
    rules = [(rule.title, rule.meaning) for rule in THRESHOLD_RULES.values()]
    return {"ranges": ranges, "lists": lists, "rules": rules}


def _table(
    means: Mapping[tuple[str, str], float],
    variants: Sequence[str],
    rules: Mapping[str, str],
    measure: str,
    meaning: str,
    number: Callable[[str, str], str],
    bound: str | None,
) -> dict[str, Any]:
    """A measure of all variants by all rules, and by which rule it is best under most of them."""
    body, winners = [], Counter[str]()
    for variant in variants:
        found = {rule: means.get((variant, number(rule, measure)), float("nan")) for rule in rules}
        defined = {rule: _BEST[measure](mean) for rule, mean in found.items() if mean is not None and mean == mean}
        best = max(defined, key=lambda rule: defined[rule]) if defined else ""
        winners[best] += bool(best)
        limit = None if bound is None else means.get((variant, bound))
        body.append((variant, [(found[rule], rule == best) for rule in rules], limit))
    winner, n_best = winners.most_common(1)[0]
    return {
        "measure": measure,
        "meaning": meaning,
        "rules": list(rules.values()),
        "rows": body,
        "bound": bound is not None,
        "verdict": f"Best under {n_best} of {len(variants)} variants: {rules[winner]}." if n_best else "",
    }
