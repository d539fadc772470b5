"""Numbers to sentences: what a notebook says follows from its tables, whatever the settings were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Any

import polars as pl

from presence_only.comparison import Difference


def versus(a: str, b: str, difference: Difference, metric: str = "mAP") -> str:
    """Whether ``a`` and ``b`` differ, with the difference and its interval; no full stop.

    Args:
        a: The variant that a positive difference favours.
        b: The variant it is compared with.
        difference: Of ``a`` minus ``b``.
        metric: What was measured.
    """
    d = difference
    if isnan(d.mean):
        return f"{metric} of {code(a)} and {code(b)} cannot be compared, as no species has both"
    interval = "no interval" if isnan(d.low) else f"95 % interval {d.low:+.3f} to {d.high:+.3f}"
    if shown(d):
        side = "above" if d.mean > 0 else "below"
        return f"{code(a)} is {abs(d.mean):.3f} {side} {code(b)} in {metric} ({interval})"
    return f"no difference in {metric} is shown between {code(a)} and {code(b)} ({d.mean:+.3f}, {interval})"


def shown(difference: Difference) -> bool:
    """Whether the interval excludes 0."""
    return difference.low > 0 or difference.high < 0


def best(rows: pl.DataFrame) -> dict[str, Any]:
    """The row with the highest mean; of equal ones the first."""
    return _ordered(rows)[0]


def score(row: dict[str, Any]) -> str:
    """A mean with its interval, such as ``0.655 (0.635 to 0.673)``."""
    if row["low"] is None or not isfinite(row["low"]):
        return f"{row['mean']:.3f}"
    return f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def leader(rows: pl.DataFrame, metric: str = "mAP") -> str:
    """Which variant has the highest mean and which the lowest; no full stop."""
    ordered = _ordered(rows)
    top, bottom = ordered[0], ordered[-1]
    if len(rows) == 1:
        return f"{code(top['variant'])} alone has results: {metric} {score(top)}"
    return (
        f"{code(top['variant'])} has the highest {metric}, {score(top)}, "
        f"and {code(bottom['variant'])} the lowest, {score(bottom)}"
    )


def standing(top: str, others: Mapping[str, Difference]) -> str:
    """To how many others the best differs, and to which none is shown; no full stop.

    Args:
        top: The best variant.
        others: Every other one to ``top`` minus it.
    """
    level = [code(name) for name, difference in others.items() if not shown(difference)]
    apart = len(others) - len(level)
    if not level:
        return f"{code(top)} differs from each of the other {len(others)}"
    return f"{code(top)} differs from {apart} of the other {len(others)}; no difference is shown from {listed(level)}"


def sweep(setting: str, values: Sequence[Any], rows: pl.DataFrame, to_ends: Sequence[Difference]) -> str:
    """Where along a sweep the mean is highest, and whether that differs from both ends; no full stop.

    Args:
        setting: Name of the swept setting.
        values: Its values, ascending.
        rows: Row of the comparison table for each.
        to_ends: The best one minus the lowest value's, and minus the highest value's.
    """
    row = best(rows)
    place = rows["variant"].to_list().index(row["variant"])
    text = f"mAP is highest at {setting} = {values[place]}, {score(row)}"
    for end, difference in ((0, to_ends[0]), (len(values) - 1, to_ends[1])):
        if end != place:
            text += f"; {versus(row['variant'], rows['variant'][end], difference)}"
    return text


def _ordered(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows by descending mean, without those that have none, unless that is all of them."""
    defined = rows.filter(pl.col("mean").is_not_null() & pl.col("mean").is_not_nan())
    return (defined if len(defined) else rows).sort("mean", descending=True, maintain_order=True).to_dicts()


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def signed(difference: Difference) -> str:
    """A difference with its interval, such as ``+0.105 (+0.089 to +0.121)``."""
    if isnan(difference.low):
        return f"{difference.mean:+.3f}"
    return f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def extremes(values: Mapping[str, float], most: str, least: str, form: str = ".3f") -> str:
    """Which variant has most of something and which least, such as ``highest under `a` (0.5) and lowest ...``.

    Args:
        values: Variant to its value.
        most: Word for the largest value.
        least: Word for the smallest.
        form: How a value is written.
    """
    high, low = max(values, key=lambda name: values[name]), min(values, key=lambda name: values[name])
    if values[high] == values[low]:
        return f"the same under {listed([code(name) for name in values])} ({values[high]:{form}})"
    return f"{most} under {code(high)} ({values[high]:{form}}) and {least} under {code(low)} ({values[low]:{form}})"


def code(name: str) -> str:
    """A name as Markdown code."""
    return f"`{name}`"


def markdown_table(columns: dict[str, Sequence[Any]]) -> str:
    """Columns of equal length as a Markdown table; the first is text, the others stand to the right."""
    names = list(columns)
    lines = ["| " + " | ".join(names) + " |", "|" + "|".join([" --- "] + [" ---: "] * (len(names) - 1)) + "|"]
    for cells in zip(*columns.values(), strict=True):
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def score_table(rows: pl.DataFrame, **more: Sequence[Any]) -> str:
    """Variants with mean and interval, in the order of ``rows``, and further columns."""
    columns: dict[str, Sequence[Any]] = {
        "variant": [code(name) for name in rows["variant"]],
        "mAP (95 % interval)": [score(row) for row in rows.iter_rows(named=True)],
    }
    return markdown_table(columns | {name.replace("_", " "): values for name, values in more.items()})


def interaction(
    names: tuple[str, str],
    block: tuple[tuple[Any, Any], tuple[Any, Any]],
    steps: tuple[Difference, Difference],
    excess: Difference,
) -> str:
    """Whether one setting changes what the other brings; no full stop.

    Args:
        names: Of the first and the second setting.
        block: Lower and upper value of the first, and of the second.
        steps: What the step of the second setting brings at the first one's lower and upper value.
        excess: The second of these minus the first.
    """
    (x0, x1), (y0, y1) = block
    text = (
        f"going from {names[1]} = {y0} to {y1} changes mAP by {steps[0].mean:+.3f} at {names[0]} = {x0} "
        f"and by {steps[1].mean:+.3f} at {names[0]} = {x1}"
    )
    interval = f"{excess.mean:+.3f}, 95 % interval {excess.low:+.3f} to {excess.high:+.3f}"
    if shown(excess):
        return f"{text}: {names[0]} changes what {names[1]} brings (difference {interval})"
    return f"{text}; no interaction of the two is shown (difference {interval})"


def bullets(sentences: Sequence[str]) -> str:
    """A Markdown list, each sentence with a capital and a full stop; a name in code keeps its letters."""
    return "\n".join(f"* {sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def penalty_name(settings: dict[str, Any]) -> str:
    """How a loss that takes any penalty penalises one element, such as ``asl, gamma_neg 2, clip 0.05``."""
    match settings["penalty"]:
        case "focal":
            alpha = "" if settings["alpha"] is None else f", alpha {settings['alpha']:g}"
            return f"focal{alpha}, gamma {settings['gamma']:g}"
        case "asl":
            positive = f", gamma_pos {settings['gamma_pos']:g}" if settings["gamma_pos"] else ""
            return f"asl{positive}, gamma_neg {settings['gamma_neg']:g}, clip {settings['clip']:g}"
    return str(settings["penalty"])
