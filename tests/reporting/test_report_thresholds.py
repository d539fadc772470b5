"""What the report shows of binary ranges, species lists and taxon groups."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from support.report_study import HOSTILE, VARIANTS, dataset, draw_nothing, study

from presence_only.evaluation.binary_ranges import RANGE_MEASURES
from presence_only.evaluation.presence_thresholds import THRESHOLD_RULES
from presence_only.evaluation.threshold_numbers import LIST_MEASURES, LIST_RULES, list_number, threshold_number
from presence_only.reporting.report.page import render_page
from presence_only.reporting.report.thresholds import OWN_TABLES, threshold_section


def rows(variants, seed=0):
    """A row of every number of ranges and lists, and of their upper bounds."""
    rng = np.random.default_rng(seed)
    names = [*OWN_TABLES, "species_f1_best", "tss_best"]
    found = [{"variant": v, "metric": name, "mean": rng.uniform(0, 2)} for v in variants for name in sorted(names)]
    return pl.DataFrame(found)


def test_the_best_rule_of_a_variant_is_found_by_a_loop():
    table = rows("abc")
    means = {(v, name): mean for v, name, mean in table.iter_rows()}
    section = threshold_section(table, ["c", "a", "b"])
    assert [part["measure"] for part in section["ranges"]] == list(RANGE_MEASURES)
    assert [part["measure"] for part in section["lists"]] == list(LIST_MEASURES)
    good = {"f1": np.argmax, "tss": np.argmax, "omission": np.argmin}
    for parts, rules, number in (
        (section["ranges"], THRESHOLD_RULES, threshold_number),
        (section["lists"], LIST_RULES, list_number),
    ):
        for part in parts:
            winners = []
            for (name, cells, limit), variant in zip(part["rows"], "cab", strict=True):
                own = [means[variant, number(rule, part["measure"])] for rule in rules]
                best = good.get(part["measure"], lambda values: np.argmin(np.abs(np.array(values) - 1)))(own)
                winners.append(part["rules"][best])
                assert name == variant
                assert cells == [(mean, i == best) for i, mean in enumerate(own)]
                bound = {"f1": "species_f1_best", "tss": "tss_best"}.get(part["measure"])
                wanted = means[variant, bound] if part in section["ranges"] and bound else None
                assert limit == wanted
            n_best = max(map(winners.count, winners))
            n, rule = re.fullmatch(r"Best under (\d) of 3 variants: (.*)\.", part["verdict"]).groups()
            assert (int(n), winners.count(rule)) == (n_best, n_best)


def test_numbers_that_are_undefined_win_nothing_and_missing_ones_leave_the_section_out():
    table = rows("a").with_columns(
        pl.when(pl.col("metric") == "threshold_lpt_f1").then(float("nan")).otherwise(pl.col("mean")).alias("mean")
    )
    (name, cells, _), *_ = threshold_section(table, ["a"])["ranges"][0]["rows"]
    assert name == "a"
    assert np.isnan(cells[0][0])
    assert [best for _, best in cells].count(True) == 1
    assert not cells[0][1]
    nothing = table.with_columns(mean=pl.lit(float("nan")))
    assert {part["verdict"] for part in threshold_section(nothing, ["a"])["ranges"]} == {""}
    assert threshold_section(table.filter(pl.col("metric") == "tss_best"), ["a"]) is None


@pytest.fixture
def page(monkeypatch):
    """A page with ranges, lists and two taxon groups, whose names and variants are markup."""
    draw_nothing(monkeypatch)
    own = dataset("virtual", VARIANTS, full=False)
    groups = tuple((HOSTILE, "birds")[s % 2] for s in range(40))
    own = replace(own, groups_S=groups, by_group={"mAP": own.ap, "auc_prg": own.ap})
    content = study(own)
    first = content.table.head(1)
    extra = rows(VARIANTS).with_columns(pl.lit("virtual").alias("dataset"))
    joined = pl.concat([content.table, extra], how="diagonal").select(first.columns)
    return own, render_page(replace(content, table=joined))


def test_the_page_shows_every_number_once_and_escapes_names(page):
    _, html = page
    assert "<script" not in html.lower()
    assert html.count("Which threshold, and how long a list") == 1
    for mean in rows(VARIANTS).filter(pl.col("metric") == "threshold_max_tss_f1")["mean"]:
        assert f"{mean:.3f}" in html
    # Not among the further metrics, whose table would be 30 columns wider.
    assert "threshold_lpt5_f1" not in html
    assert "tss_best" in html
    for rule in THRESHOLD_RULES.values():
        assert f"<dt>{rule.title}</dt><dd>{rule.meaning}</dd>".replace("'", "&#39;") in html


def test_means_by_taxon_group_are_those_of_a_loop(page):
    own, html = page
    table = html.split('aria-label="mAP by taxon group"')[1].split("</table>")[0]
    assert "birds (n = 20)" in table
    for variant in VARIANTS:
        for group in set(own.groups_S):
            index = [s for s, name in enumerate(own.groups_S) if name == group]
            assert f">{own.ap[variant][:, index].mean():.3f}<" in table
    assert 'aria-label="auc_prg by taxon group"' in html


def test_one_group_has_no_section(monkeypatch):
    draw_nothing(monkeypatch)
    own = replace(dataset(full=False), groups_S=("all",) * 40)
    assert "By taxon group" not in render_page(study(own))
