"""Display of tables and figures in a notebook, and the note that stands where results are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec

from IPython.display import Image, Markdown
from matplotlib.figure import Figure

from presence_only.common.shown_names import in_a_line
from presence_only.reporting.figures.style import letters_of_any_font
from presence_only.statistics.across_datasets import PairAcross
from presence_only.statistics.differences import Pair
from presence_only.statistics.significance import judged
from presence_only.study.results import MissingResultsError

P = ParamSpec("P")
# What a cell of a notebook returns.
Shown = Image | Markdown


def section(make: Callable[P, Shown]) -> Callable[P, Shown]:
    """Turn missing results into a note of one line, so that the rest of the page is made all the same."""

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Shown:
        try:
            return make(*args, **kwargs)
        except MissingResultsError as gap:
            return Markdown(f"> **Not shown:** {gap}.")  # type: ignore[no-untyped-call, unused-ignore]

    return made


def picture(figure: Figure, alt: str) -> Image:
    """A figure on the page; the same figure gives the same bytes.

    Args:
        figure: What to show.
        alt: What it shows, for those who cannot see it.
    """
    buffer = BytesIO()
    # Without matplotlib's version in the file, an upgrade alone changes nothing in git.
    with letters_of_any_font():
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return Image(data=buffer.getvalue(), format="png", alt=alt)  # type: ignore[no-untyped-call, unused-ignore]


def table(columns: Mapping[str, Sequence[Any]]) -> Markdown:
    """Columns of equal length as a table; the first is text, the others stand to the right.

    Raises:
        ValueError: If columns differ in length.
    """
    names = list(columns)
    lines = ["| " + " | ".join(names) + " |", "|" + "|".join([" --- "] + [" ---: "] * (len(names) - 1)) + "|"]
    for cells in zip(*columns.values(), strict=True):
        lines.append("| " + " | ".join(in_a_line(str(cell)).replace("|", "\\|") for cell in cells) + " |")
    return Markdown("\n".join(lines))  # type: ignore[no-untyped-call, unused-ignore]


def code(name: str) -> str:
    """A name as Markdown code."""
    return f"`{name}`"


def score(row: Mapping[str, Any]) -> str:
    """A mean with its interval, such as ``0.655 (0.635 to 0.673)``; the mean alone where it has none."""
    if row["low"] is None or row["low"] != row["low"]:
        return f"{row['mean']:.3f}"
    return f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def interval(pair: Pair | PairAcross) -> str:
    """A difference with its interval, such as ``+0.105 (+0.089 to +0.121)``."""
    return f"{pair.difference:+.3f} ({pair.low:+.3f} to {pair.high:+.3f})"


def judgement(pair: Pair | PairAcross) -> str:
    """Whether a difference is significant, and over several data sets whether it matters in practice."""
    equal = isinstance(pair, PairAcross) and pair.practically_equal
    return judged(pair.significant) + ", practically equal" * equal
