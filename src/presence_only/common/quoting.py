"""Values quoted in sentences of errors: short, on one line, and never an error of their own.

A value of a settings file may be a list within itself, a number of 5,000 digits or a text of a whole page. Its ``repr``
then fails, or drowns the rule that the sentence is about.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

# Characters of a quoted value, and of a whole sentence.
MOST_OF_A_VALUE, MOST_OF_A_SENTENCE = 120, 1_000
# Levels of lists and mappings that are shown, and entries of each.
_LEVELS, _ENTRIES = 4, 12
# Digits of a whole number that are shown: those of every number that a setting may have.
_DIGITS = 40
_CUT = " ... "


def quoted(value: object, most: int = MOST_OF_A_VALUE) -> str:
    """A value as Python writes it, cut in the middle where it is long; a huge number is said by its digits.

    Args:
        value: Anything.
        most: Characters at most.
    """
    return shortened("".join(_parts(value, _LEVELS)), most)


def shortened(text: str, most: int) -> str:
    """A text of at most ``most`` characters: its middle is left out where it is longer."""
    if len(text) <= most:
        return text
    left = most - len(_CUT)
    return text[: left - left // 2] + _CUT + text[len(text) - left // 2 :]


def one_sentence(text: str) -> str:
    """A sentence without line breaks or other control characters, at most ``MOST_OF_A_SENTENCE`` characters long."""
    short = shortened(text, MOST_OF_A_SENTENCE)
    if short.isprintable():
        return short
    return shortened("".join(c if c.isprintable() else ascii(c)[1:-1] for c in short), MOST_OF_A_SENTENCE)


def _parts(value: Any, levels: int) -> Iterator[str]:
    """The pieces of a quoted value."""
    match value:
        case bool():
            yield repr(value)
        case int():
            # 3.33 bits to a digit; Python refuses to write 4,301 digits.
            digits = value.bit_length() * 0.30103
            yield repr(value) if digits < _DIGITS else f"a whole number of about {digits:,.0f} digits"
        case str() | bytes():
            # The whole middle need not be written to be left out.
            long = len(value) > 2 * MOST_OF_A_VALUE
            yield repr(value[:MOST_OF_A_VALUE])[:-1] + repr(value[-MOST_OF_A_VALUE:])[1:] if long else repr(value)
        case dict():
            yield from _listed(("{", "}"), (_entry(*pair, levels) for pair in value.items()), len(value), levels)
        case list():
            yield from _listed(("[", "]"), (_parts(one, levels - 1) for one in value), len(value), levels)
        case tuple():
            end = ",)" if len(value) == 1 else ")"
            yield from _listed(("(", end), (_parts(one, levels - 1) for one in value), len(value), levels)
        case set() | frozenset() if value:
            yield from _listed(("{", "}"), (_parts(one, levels - 1) for one in value), len(value), levels)
        case _:
            try:
                yield repr(value)
            except Exception:  # whatever an object of others raises, the sentence is about something else
                yield f"a {type(value).__name__}"


def _entry(key: Any, value: Any, levels: int) -> Iterator[str]:
    """The pieces of one entry of a mapping."""
    return itertools.chain(_parts(key, levels - 1), [": "], _parts(value, levels - 1))


def _listed(brackets: tuple[str, str], entries: Iterator[Iterator[str]], n: int, levels: int) -> Iterator[str]:
    """The pieces of a list, of which the first entries are shown."""
    first, last = brackets
    yield first
    if levels == 0 and n:
        yield "..."
    else:
        for i, entry in enumerate(itertools.islice(entries, _ENTRIES)):
            yield ", " if i else ""
            yield from entry
        if n > _ENTRIES:
            yield ", ..."
    yield last
