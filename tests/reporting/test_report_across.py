"""What the report shows over all data sets of a study."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from support.report_study import HOSTILE, VARIANTS, dataset, draw_nothing, study

from presence_only.reporting.console import leaderboard_across
from presence_only.reporting.figures.metrics import across_figure
from presence_only.reporting.report.content import AcrossContent
from presence_only.reporting.report.page import render_page
from presence_only.statistics.across_datasets import means_across, means_table, pairs_across, verdict_across

NAMES = ("one", "two", "three")


def content(variants=("a", "b", "c")):
    """A page of three data sets, and what it says over all of them."""
    datasets = [dataset(name, variants, seeds=2, full=False, seed=i) for i, name in enumerate(NAMES)]
    values = {own.name: own.ap for own in datasets}
    across = AcrossContent(means_table({"species_map": means_across(values)}), pairs_across(values))
    return replace(study(*datasets), across=across)


def test_the_section_stands_first_and_says_what_the_tables_say(monkeypatch):
    draw_nothing(monkeypatch)
    page = content()
    html = render_page(page)
    assert html.index("<h2>Over all data sets</h2>") < html.index("<h2>one</h2>")
    assert html.index(verdict_across(page.across.pairs)) < html.index("<nav")
    assert '<a href="#across">' in html
    table = html.split('aria-label="ranking over all data sets"')[1].split("</table>")[0]
    assert re.findall(r"<tr><td>(\w)</td>", table) == ["c", "b", "a"]
    assert table.count("3 of 3") == 2
    assert table.count('<span class="significant">significant</span>') == 2
    for pair in page.across.pairs[:2]:
        assert pair.verdict in html
    assert "small dots are data sets" in html
    assert "equal for practical purposes when" in html


def test_fewer_data_sets_have_no_such_section(monkeypatch):
    draw_nothing(monkeypatch)
    html = render_page(study(dataset("one", full=False)))
    assert "ver all data sets" not in html


def test_hostile_names_are_escaped_and_drawn():
    html = render_page(content(VARIANTS))
    assert "<script>" not in html
    assert HOSTILE.split("$")[0] not in html


def test_one_variant_has_means_and_no_comparison(monkeypatch):
    draw_nothing(monkeypatch)
    assert "There is nothing to compare over all data sets." in render_page(content(("a",)))


def test_equal_variants_are_told_to_be_so(monkeypatch):
    draw_nothing(monkeypatch)
    page = content(("a", "b"))
    same = {name: {"a": np.full((2, 9), 0.5), "b": np.full((2, 9), 0.5)} for name in NAMES}
    across = AcrossContent(means_table({"species_map": means_across(same)}), pairs_across(same))
    html = render_page(replace(page, across=across))
    assert '<span class="not-significant">not significant</span>, <span class="equal-for-practical-purposes">' in html
    table = leaderboard_across(across.table, across.pairs)
    assert list(table.columns[-1].cells) == ["", "not significant, practically equal"]


def test_the_figure_has_a_dot_per_data_set_and_a_mean_with_its_interval():
    page = content()
    axes = across_figure(page.across.table, page.table, "species_map", "mean AP").axes[0]
    single, means = axes.get_lines()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]
    table = page.table.filter(metric="species_map")
    assert sorted(single.get_xdata()) == pytest.approx(sorted(table["mean"]))
    assert set(np.round(single.get_ydata() + 0.22)) == {0, 1, 2}
    rows = page.across.table.sort("variant")
    assert means.get_xdata() == pytest.approx(rows["mean"].to_numpy())
    (intervals,) = axes.collections
    ends = np.array([segment[:, 0] for segment in intervals.get_segments()])
    np.testing.assert_allclose(ends, rows.select(pl.col("low"), pl.col("high")).to_numpy())
