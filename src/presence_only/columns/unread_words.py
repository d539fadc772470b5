"""Words of cells that were not understood, as the funnel and messages list them."""

from __future__ import annotations

from collections import Counter

# So many words are listed by themselves.
LISTED_WORDS = 5


def listed(counts: Counter[str]) -> str:
    """The most frequent words with their numbers of rows, and how many more there are."""
    order = sorted((word for word in counts if word), key=lambda word: (-counts[word], word))
    shown = ", ".join(f"{word[:60]!r} ({counts[word]:,})" for word in order[:LISTED_WORDS])
    more = sum(counts.values()) - sum(counts[word] for word in order[:LISTED_WORDS])
    return f"{shown} and others ({more:,})" if more else shown
