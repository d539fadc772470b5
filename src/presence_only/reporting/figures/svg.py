"""SVG of a figure inside an HTML page: text stays text, lines take the page's colour, no name clashes."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from presence_only.common.shown_names import visible
from presence_only.reporting.figures.style import letters_of_any_font

# What a page's dark and light scheme decide: matplotlib's black, in which it draws text, axes and ticks.
_BLACK = re.compile(r"#000000\b")
_ID = re.compile(r'(\bid="|url\(#|xlink:href="#|\bhref="#)')
_PROLOGUE = re.compile(r"^.*?(?=<svg\b)|<metadata>.*?</metadata>|<!--.*?-->|<\?.*?\?>", re.DOTALL)


def inline_svg(figure: Figure, name: str, alternative: str) -> Markup:
    """The figure as an ``<svg>`` element for an HTML page.

    The same figure, name and text give the same characters. Black becomes the page's text colour, and the
    background is left transparent; white, as behind a legend, becomes the page's ``--back``. So a figure
    follows a dark scheme.

    Args:
        figure: Any figure; colours other than black stay as they are.
        name: Letters, digits and dashes; unique within the page, so that no two figures share an id.
        alternative: What the figure shows, for those who do not see it.

    Raises:
        ValueError: If ``name`` has another character.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError(f"name = {name!r}: must be small letters, digits, dashes and underscores")
    buffer = io.StringIO()
    # Hashed ids make the bytes reproducible.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), letters_of_any_font():
        figure.savefig(buffer, format="svg", transparent=True, dpi=110, metadata={"Date": None})
    text = _PROLOGUE.sub("", buffer.getvalue())
    text = _BLACK.sub("currentColor", text).replace("#ffffff", "var(--back, #ffffff)")
    text = _ID.sub(lambda match: f"{match[1]}{name}-", text)
    # HTML knows the name spaces of SVG; without the addresses nothing in the page looks like a request.
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    width, height = (72 * inches for inches in figure.get_size_inches())
    # A carriage return is no letter of a page, and starts no line.
    label = visible(alternative).replace("\r", " ")
    opening = (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {height:g}" '
        f'style="min-width:{min(width, 700):g}px;max-width:{width * 1.6:g}px">'
    )
    return Markup(re.sub(r"<svg\b[^>]*>", lambda _: opening, text, count=1))
