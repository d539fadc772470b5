"""Colours and line styles of all figures, and how a figure is saved."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from presence_only.common.atomic_files import write_stream

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"


LINE_STYLES = ("-", "--", ":", "-.")


@contextmanager
def letters_of_any_font() -> Iterator[None]:
    """Draw, within the block, a box for a letter that the font lacks, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from", category=UserWarning)
        yield


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all; the same figure gives the same bytes."""
    with write_stream(path) as stream, mpl.rc_context({"svg.hashsalt": "presence_only"}), letters_of_any_font():
        # Without matplotlib's version in the file, an upgrade alone changes nothing in git.
        figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
