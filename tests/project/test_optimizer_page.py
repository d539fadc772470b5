"""The tables of docs/optimizer.md are those that the benchmark wrote."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows(path):
    """The cells of every row of every table."""
    for line in path.read_text().splitlines():
        if line.startswith("|") and not set(line) <= set("|:- "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_row_has_numbers_that_the_benchmark_wrote_in_that_row():
    written = defaultdict(set)
    for first, *cells in rows(ROOT / "benchmarks/results/adam_memory_model.md"):
        written[first] |= set(cells)
    told = 0
    for first, *cells in rows(ROOT / "docs/optimizer.md"):
        name = re.match(r"`\w+`|[^`]*", first)[0].strip()
        if name in written and name not in ("loss", "optimizer", "prevalence"):
            assert set(cells) <= written[name], (name, set(cells) - written[name])
            told += 1
    assert told == 5 + 5 + 5 + 3 + 6
