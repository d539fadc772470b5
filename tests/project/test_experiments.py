"""What the write-ups of experiments/ say must be what their committed tables say."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
RUN = [table.parents[1] for table in sorted(ROOT.glob("experiments/*/results/comparison.csv"))]
INDEX = (ROOT / "experiments/README.md").read_text()
NUMBER = r"([+-]?\d?\.\d+)"
INTERVAL = re.compile(rf"{NUMBER} \({NUMBER} to {NUMBER}\)")
every_run = pytest.mark.parametrize("folder", RUN, ids=lambda folder: folder.name)


def rounds_to(rows, texts):
    """Whether one of the rows is these numbers, to their last digit."""
    digits = len(texts[0].split(".")[1])
    return bool((np.abs(rows - [float(text) for text in texts]) <= 0.501 * 10.0**-digits).all(axis=1).any())


def numbers(folder, *tables, columns):
    """Rows of three numbers of those of a study's tables that are there."""
    paths = [folder / "results" / f"{table}.csv" for table in tables]
    return np.concatenate([pl.read_csv(path).select(columns).to_numpy() for path in paths if path.exists()])


@every_run
def test_every_number_with_an_interval_is_in_the_tables(folder):
    """Of one data set, or of all data sets together."""
    means = numbers(folder, "comparison", "across", columns=["mean", "low", "high"])
    pairs = numbers(folder, "pairs", "across_pairs", columns=["difference", "low", "high"])
    # A difference has its sign written, and may be told from either side.
    differences = np.concatenate([pairs, -pairs[:, [0, 2, 1]]])
    for texts in INTERVAL.findall((folder / "README.md").read_text()):
        assert rounds_to(differences if texts[0][0] in "+-" else means, texts), texts


@every_run
def test_a_write_up_has_question_hypothesis_command_and_verdict(folder):
    text = (folder / "README.md").read_text()
    for part in ("Question", "Hypothesis, fixed before", "Verdict"):
        assert re.search(rf"^\*\*{part}", text, flags=re.MULTILINE), part
    assert f"make experiment NAME={folder.name}" in text


def heading_anchors(path):
    """The anchors that the web gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("experiments/**/*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_lead_to_files_and_headings(page):
    for path, anchor in re.findall(r"\]\((?!http)([^)#\s]*)(?:#([^)]+))?\)", page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in heading_anchors(target), f"{path}#{anchor}"


def test_the_index_knows_which_studies_were_run():
    rows = re.findall(r"^\| \[(\w+)\]\(\w+/README\.md\) \|.*\| (\w+)", INDEX, flags=re.MULTILINE)
    assert {name for name, state in rows if state == "run"} == {
        path.relative_to(ROOT / "experiments").parts[0] for path in ROOT.glob("experiments/*/results/**/*.csv")
    }
    assert {name for name, _ in rows} == {path.parent.name for path in ROOT.glob("experiments/*/README.md")}


def test_of_an_earlier_study_no_result_is_left():
    """Their claims are listed with what became of each."""
    table = INDEX[INDEX.index("## Earlier studies") :]
    rows = re.findall(r"^\| `(\w+)` \| .* \| \*\*(withdrawn|holds|tested again)\*\*.+ \|$", table, flags=re.MULTILINE)
    assert len(rows) == table.count("\n| `") > 8
    for name, _ in rows:
        assert not (ROOT / "experiments" / name).exists()
