"""The page docs/robustness.md, from what the robustness trials have counted.

    python tools/torture_table.py [FOLDER]

The tests of tests/robustness write a file per kind of trial into FOLDER (`make torture`). They are gathered in
benchmarks/results/robustness.csv, which is in git, and the page is made of it. Without FOLDER the page is made anew
from that table, for example after an edit of a test's docstring.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks/results/robustness.csv"
PAGE = ROOT / "docs/robustness.md"
COLUMNS = ("test", "what", "tried", "fell", "example")
# An example of what fell is cut here, in characters.
LONGEST_EXAMPLE = 300

INTRODUCTION = """# Robustness

What happens to a study that is killed, finds a full disk, or reads a damaged file or a wrong setting? Four rules must
hold. A file is written whole or not at all. What was done before is not lost, and not done twice. A run after a
disturbance gives the same bytes as one that nothing disturbed. A mistake is told in one sentence.

The tests in `tests/robustness/` try to break these rules by accidents that they draw at random, each from a named
seed, so that a number finds the same accident again. `make test` makes few of these trials. `make torture` makes all of
them, which takes hours, and writes this page: {tried} trials, of which {fell} did not hold.
"""


@dataclass(frozen=True)
class Row:
    """A kind of trial.

    Args:
        test: Path of the test that makes it, from the root.
        what: What is tried.
        tried: How often.
        fell: How often a rule did not hold.
        example: One of those cases, in words; empty if there is none.
    """

    test: str
    what: str
    tried: int
    fell: int
    example: str = ""


def gather(folder: Path) -> list[Row]:
    """Read what the tests have written.

    Raises:
        SystemExit: If there is nothing.
    """
    rows = []
    for path in sorted(folder.glob("*.json")):
        found = json.loads(path.read_text())
        fell = [" ".join(sentence.split()) for sentence in found["fell"]]
        example = fell[0][:LONGEST_EXAMPLE] if fell else ""
        rows.append(Row(found["test"], found["what"], found["tried"], len(fell), example))
    if not rows:
        raise SystemExit(f"error: {folder} has no counts; `make torture` writes them")
    return sorted(rows, key=lambda row: (row.test, row.what))


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write the table of all kinds."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([row.test, row.what, row.tried, row.fell, row.example] for row in rows)


def read_table(path: Path) -> list[Row]:
    """Read what :func:`write_table` wrote."""
    with path.open(newline="") as file:
        return [
            Row(row["test"], row["what"], int(row["tried"]), int(row["fell"]), row["example"])
            for row in csv.DictReader(file)
        ]


def page(rows: Sequence[Row], root: Path) -> str:
    """The page: a section per test, which says by the test's docstring what is tried and how.

    Args:
        rows: All kinds of trials, those of a test beside each other.
        root: Where the tests are.
    """
    parts = [INTRODUCTION.format(tried=sum(row.tried for row in rows), fell=sum(row.fell for row in rows))]
    for test in dict.fromkeys(row.test for row in rows):
        summary, _, further = (ast.get_docstring(ast.parse((root / test).read_text())) or test).partition("\n\n")
        title = Path(test).stem.removeprefix("test_").replace("_", " ").capitalize()
        parts.append(f"## {title}\n\n{' '.join(summary.split())}\n")
        parts += [further.strip() + "\n"] if further else []
        of_test = [row for row in rows if row.test == test]
        table = [f"| {row.what} | {row.tried} | {row.tried - row.fell} | {row.fell} |" for row in of_test]
        parts.append("\n".join(["| tried | times | held | fell |", "|---|---|---|---|", *table]) + "\n")
        fell = [f"* {row.what}: `{row.example.replace('`', chr(39))}`" for row in of_test if row.fell]
        parts += ["What fell, one example each:\n\n" + "\n".join(fell) + "\n"] if fell else []
    return "\n".join(parts)


def main() -> None:
    """Gather the counts if there are new ones, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="what the tests have written")
    folder = parser.parse_args().folder
    if folder is not None:
        write_table(TABLE, gather(folder))
    PAGE.write_text(page(read_table(TABLE), ROOT))
    print(f"{PAGE.relative_to(ROOT)} has the table")


if __name__ == "__main__":
    main()
