"""Names from data in Markdown: whatever they hold, a renderer shows their characters and nothing else."""

import html
import re

import pytest

from presence_only.export.markdown import table, text

NAMES = [
    "Parus major",
    "<script>alert(1)</script>",
    "a | b",
    "[x](javascript:alert(1))",
    "![x](y)",
    "*a* _b_ `c` ~~d~~ $e$ ^f^",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "12) item",
    "http://evil.example www.evil.example me@evil.example",
    "a\\b",
    "&lt;b&gt;",
    "=====",
]


def rendered(name):
    """What a renderer of Markdown shows: escapes and entities resolved."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text(name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is(name):
    assert rendered(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_no_character_of_a_name_does_anything(name):
    rest = re.sub(r"\\[!-/:-@\[-`{-~]", "x", text(name))
    assert not re.search(r"[<>`*_|~$^\[\]@]|://|www\.|^([#+=-]|\d+[.)]\s)", rest)


def test_a_name_stays_in_its_line_and_in_its_direction():
    assert text("a\n\n| b |\r\tc") == "a \\| b \\| c"
    assert text("a\u202eb\x00") == "a\ufffdb\ufffd"


def test_a_table_has_a_line_per_row():
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
