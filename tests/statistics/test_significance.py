"""One rule of significance: over every committed table of pairs, and for everybody who says the word."""

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from support.report_study import dataset, draw_nothing, study

from presence_only.reporting.figures.report import differences_figure
from presence_only.reporting.figures.style import ORANGE
from presence_only.reporting.notebook import scores
from presence_only.reporting.report.page import render_page
from presence_only.statistics.differences import compare_pairs, pairs_table
from presence_only.statistics.significance import is_significant, is_significant_across, judged
from presence_only.study.results import StudyResults

ROOT = Path(__file__).parents[2]
STUDIES = [ROOT, *sorted(path.parents[1] for path in ROOT.glob("experiments/*/results/pairs.csv"))]
RULES = {"pairs": is_significant, "across_pairs": is_significant_across}
# They share the runs of the fair comparison, whose tables differ from those of a study.
FAIR = ("fair", "selection", "truths")
every_study = pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)

ROW = {"low": 0.01, "high": 0.03, "p_seeds": 0.01, "holm_units": 0.04, "rank_biserial": 0.2}


@pytest.mark.parametrize(
    ("change", "significant"),
    [
        ({}, True),
        ({"low": 0.0}, False),
        ({"low": -0.01}, False),
        ({"p_seeds": 0.051}, False),
        ({"p_seeds": 0.05}, True),
        ({"p_seeds": float("nan")}, False),
        ({"holm_units": 0.051}, False),
        ({"rank_biserial": 0.0}, False),
        ({"rank_biserial": -0.2}, False),
        # The same from the other side.
        ({"low": -0.03, "high": -0.01, "rank_biserial": -0.2}, True),
        ({"low": -0.03, "high": -0.01}, False),
        ({"low": -0.03, "high": 0.0, "rank_biserial": -0.2}, False),
    ],
)
def test_interval_tests_and_ranks_are_asked_together(change, significant):
    assert is_significant(ROW | change) is significant


def test_the_tests_are_held_against_the_level():
    assert is_significant(ROW | {"holm_units": 0.09}, level=0.9)
    assert not is_significant(ROW, level=0.99)
    with pytest.raises(KeyError):
        is_significant({"low": 0.1, "high": 0.2})
    assert [judged(True), judged(False)] == ["significant", "not significant"]


@every_study
def test_the_rule_is_that_of_every_committed_table(folder):
    table = pl.read_csv(folder / "results/pairs.csv")
    for row in table.iter_rows(named=True):
        assert is_significant(row) is row["significant"], (row["dataset"], row["metric"], row["first"], row["second"])


def told(folder):
    """Of every pair of a study: data set, metric and names to the column of the table."""
    table = pl.read_csv(folder / "results/pairs.csv")
    return {(r["dataset"], r["metric"], r["first"], r["second"]): r["significant"] for r in table.iter_rows(named=True)}


@every_study
def test_everybody_says_the_same_of_every_pair(folder):
    """The reader, the notebooks' tables from either side, and what the report draws and writes."""
    results, expected = StudyResults(folder, committed=True), told(folder)
    for name in results.datasets:
        for metric in ("species_map", "auc_roc"):
            pairs = results.pairs(name, metric)
            assert {(name, metric, p.first, p.second): p.significant for p in pairs} == {
                key: shown for key, shown in expected.items() if key[:2] == (name, metric)
            }
            asked = [(p.first, p.second) for p in pairs]
            for names in (asked, [pair[::-1] for pair in asked]):
                text = scores.pairs(results, *names, dataset=name, metric=metric).data
                words = [line.split(" | ")[-1].removesuffix(" |") for line in text.splitlines()[2:]]
                assert words == [judged(p.significant) for p in pairs]
            best = [pair for pair in pairs if pair.first == pairs[0].first]
            lines = differences_figure(best).axes[0].get_lines()
            drawn = [line.get_color() == ORANGE for line in lines if len(line.get_xdata()) == 1]
            assert drawn[::-1] == [not pair.significant for pair in best]


@pytest.mark.parametrize("folder", [ROOT, ROOT / "experiments/nceas"], ids=["default", "nceas"])
def test_the_page_says_the_same_of_every_pair_with_the_best(folder, monkeypatch):
    """The committed pairs within a page whose other numbers are made up."""
    draw_nothing(monkeypatch)
    results = StudyResults(folder, committed=True)
    for name in results.datasets:
        pairs = results.pairs(name)
        order = [pairs[0].first, *(p.second for p in pairs if p.first == pairs[0].first)]
        # As many points as they stand in the order: so the page ranks them as the table does.
        own = dataset(name, variants=tuple(reversed(order)), seeds=2, full=False)
        html = render_page(study(replace(own, pairs=pairs)))
        table = html.split("ranking table")[1].split("</table>")[0]
        rows = re.findall(r"<tr><td>(\w+)</td>.*?</tr>", table, flags=re.DOTALL)
        assert rows == order
        words = re.findall(r">(significant|not significant)</span>", table)
        assert words == [judged(p.significant) for p in pairs if p.first == order[0]]


@pytest.mark.parametrize(
    ("folder", "page"),
    [
        *((folder, "README.md") for folder in STUDIES),
        *((ROOT, page) for page in ("docs/answer.md", *(f"experiments/{name}/README.md" for name in FAIR))),
    ],
    ids=[*(folder.name for folder in STUDIES), "answer", *FAIR],
)
def test_a_write_up_marks_the_differences_that_are_not_significant(folder, page):
    """A signed number with its interval is significant, unless the words after it say that it is not."""
    number, text = r"([+-]\d?\.\d+)", " ".join((folder / page).read_text().split())
    # The README of the project quotes other studies too.
    studies = [folder, *(path.parent for path in folder.glob("experiments/*/results"))]
    tables = [judged_table(study / f"results/{name}.csv", rule) for study in studies for name, rule in RULES.items()]
    # Those of the fair comparison say themselves what is significant.
    tables += [judged_table(path, None) for path in folder.glob("experiments/*/results/answers/*.csv")]
    known = pl.concat(tables)
    for match in re.finditer(rf"{number} \({number} to {number}\)(, not significant)?", text):
        (value, low, high), near = map(float, match.groups()[:3]), 0.501 * 10.0 ** -len(match[1].split(".")[1])
        fits = known.filter(
            ((pl.col("difference") - value).abs() <= near)
            & ((pl.col("low") - low).abs() <= near)
            & ((pl.col("high") - high).abs() <= near)
        )["significant"].to_list()
        assert fits, match[0]
        assert (match[4] is None) in fits, match[0]


def judged_table(path, rule):
    """Differences of a table and from either side, and whether they are significant; no rows if there are none."""
    columns = {"difference": pl.Float64, "low": pl.Float64, "high": pl.Float64, "significant": pl.Boolean}
    table = pl.read_csv(path, infer_schema_length=None) if path.exists() else pl.DataFrame(schema=columns)
    if not {"difference", "low", "high"} <= set(table.columns) or (rule is None and "significant" not in table.columns):
        return pl.DataFrame(schema=columns)
    if rule is not None:
        judged_rows = [rule(row) for row in table.iter_rows(named=True)]
        table = table.with_columns(pl.Series("significant", judged_rows, dtype=pl.Boolean))
    table = table.select(pl.col(name).cast(kind) for name, kind in columns.items())
    turned = table.select(-pl.col("difference"), low=-pl.col("high"), high=-pl.col("low"), significant="significant")
    return pl.concat([table, turned])


def test_the_column_of_the_table_is_the_rule():
    pairs = compare_pairs(dataset(full=False).ap, family="all")
    assert pairs_table(pairs)["significant"].to_list() == [is_significant(vars(pair)) for pair in pairs]
