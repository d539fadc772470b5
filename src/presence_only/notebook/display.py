"""How the notebooks put words, tables and figures on the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

from presence_only.notebook.evidence import MissingError


@contextmanager
def section() -> Iterator[None]:
    """What the block needs may be missing: then the page says so in one line, and goes on."""
    try:
        yield
    except MissingError as gap:
        say(f"> **Not shown:** {gap}.")


def say(text: str) -> None:
    """Put Markdown on the page."""
    display(Markdown(text))  # type: ignore[no-untyped-call, unused-ignore]


def picture(figure: Figure, alt: str) -> None:
    """Put a figure on the page; the same figure gives the same bytes.

    Args:
        figure: What to show.
        alt: What it shows, for those who cannot see it; marks of code are left out.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    display(Image(data=buffer.getvalue(), format="png", alt=alt.replace("`", "")))  # type: ignore[no-untyped-call, unused-ignore]
