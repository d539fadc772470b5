"""What the write-ups of experiments/ say must be what their committed tables say."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
RUN = [table.parents[1] for table in sorted(ROOT.glob("experiments/*/results/comparison.csv"))]
NUMBER = r"([+-]?\d?\.\d+)"
INTERVAL = re.compile(rf"{NUMBER} \({NUMBER} to {NUMBER}\)")
every_run = pytest.mark.parametrize("folder", RUN, ids=lambda folder: folder.name)


def rounds_to(rows, texts):
    """Whether one of the rows is these numbers, to their last digit."""
    digits = len(texts[0].split(".")[1])
    return bool((np.abs(rows - [float(text) for text in texts]) <= 0.501 * 10.0**-digits).all(axis=1).any())


@every_run
def test_every_number_with_an_interval_is_in_the_tables(folder):
    means = pl.read_csv(folder / "results/comparison.csv").select("mean", "low", "high").to_numpy()
    pairs = pl.read_csv(folder / "results/pairs.csv").select("difference", "low", "high").to_numpy()
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
    rows = re.findall(r"\]\((\w+)/README\.md\) \|.*\| (\w+)", (ROOT / "experiments/README.md").read_text())
    assert {name for name, state in rows if state == "run"} == {folder.name for folder in RUN}
    assert {name for name, _ in rows} == {path.parent.name for path in ROOT.glob("experiments/*/params.yaml")}
