import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from support.report_study import HOSTILE, PIXEL, VARIANTS, dataset, draw_nothing, full_page, study

from presence_only.evaluation.meanings import MEANINGS
from presence_only.evaluation.metrics import METRICS, in_tables
from presence_only.reporting.report.page import render_page
from presence_only.statistics.differences import compare_pairs


class Reader(HTMLParser):
    """Tags with their attributes, and the text outside of figures."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def page():
    return full_page()


def test_it_is_self_contained_and_has_no_script(page):
    reader = Reader(page)
    assert not reader.all("script")
    for attributes in (a for _, a in reader.tags):
        for key in ("src", "href"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
        assert not [key for key in attributes if key.startswith("on")]
    assert "http" not in page
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_links_and_ids_agree(page):
    reader = Reader(page)
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for _, a in reader.tags if a.get("href", "").startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= set(ids)


def test_every_figure_has_a_text(page):
    reader = Reader(page)
    svgs, images = reader.all("svg"), reader.all("img")
    # Ranking 4, maps, classes 4, curves 2, power, learning 2; losses.
    assert len(svgs) == 14 + 1
    assert all(len(a["aria-label"]) > 20 and a["role"] == "img" for a in svgs)
    (image,) = images
    assert image["alt"].startswith("Map of the training records")
    assert base64.b64decode(image["src"].split(",")[1]) == PIXEL


def test_names_from_data_are_text(page):
    assert "<script" not in page.lower()
    assert "&lt;script&gt;" in page
    text = "".join(Reader(page).text)
    # What a reader cannot see stands as a sign of its own.
    shown = HOSTILE.replace("\x07", "\N{REPLACEMENT CHARACTER}")
    assert HOSTILE not in text
    assert shown in text
    assert f"species {shown} 0" in text


def test_numbers_are_those_of_the_table(page):
    given = study(dataset("virtual", VARIANTS))
    best = given.table.filter(pl.col("metric") == "species_map").sort("mean", descending=True)
    assert f"<td>{best['mean'][0]:.4f}</td>" in page
    assert f"{VARIANTS[-1]} is significantly above every other variant over these species and seeds" in page
    text = " ".join("".join(Reader(page).text).split())
    assert "3 seeds, 40 species, 50 survey sites" in text
    assert "Every comparison with the best" in text


def test_what_was_not_measured_is_left_out(monkeypatch):
    draw_nothing(monkeypatch)
    reader = Reader(render_page(study(dataset(full=False))))
    text = "".join(reader.text)
    # Ranking 4, classes 3, power; losses.
    assert len(reader.all("svg")) == 8 + 1
    for heading in ("Range maps", "Precision, recall", "Cost", "By observer effort"):
        assert heading not in text
    assert "By prevalence" in text


def test_range_maps_name_the_command_for_all_of_them(monkeypatch):
    draw_nothing(monkeypatch)
    runs = " ".join(f"--run runs/here/{variant}" for variant in (VARIANTS[-1], VARIANTS[-2]))
    text = " ".join("".join(Reader(render_page(study(dataset("here", VARIANTS)))).text).split())
    runs = runs.replace("\x07", "\N{REPLACEMENT CHARACTER}")
    assert f"python -m presence_only.pipeline.explore {runs} --out map_page_here" in text
    assert "pipeline.explore" not in render_page(study(dataset("here", VARIANTS, full=False)))


def test_a_map_page_that_is_there_has_a_link(monkeypatch):
    draw_nothing(monkeypatch)
    made = replace(dataset("here", VARIANTS), map_page="../map_page_here/index.html")
    assert '<a href="../map_page_here/index.html">' in render_page(study(made))
    assert "map_page_here/index.html" not in render_page(study(dataset("here", VARIANTS)))


def test_one_variant_and_one_seed(monkeypatch):
    draw_nothing(monkeypatch)
    one = " ".join("".join(Reader(render_page(study(dataset(variants=("a",), seeds=1, full=False)))).text).split())
    assert "A single variant: there is nothing to compare." in one
    assert "What this study can tell apart" not in one
    assert "1 seed, 40 species" in one
    two = "".join(Reader(render_page(study(dataset(variants=("a", "b"), seeds=1, full=False)))).text)
    assert "nothing is known of how much another seed would change" in two
    assert "What this study can tell apart" not in two


def test_two_data_sets_have_a_section_and_a_verdict_each(monkeypatch):
    draw_nothing(monkeypatch)
    reader = Reader(render_page(study(dataset("here", VARIANTS), dataset("there", VARIANTS, full=False))))
    text = " ".join("".join(reader.text).split())
    for name in ("here", "there"):
        assert f"{name}. {VARIANTS[-1]} is significantly above every other variant" in text
    assert {a["id"] for a in reader.all("section")} >= {"s1", "s2"}


def test_every_metric_has_a_column_and_its_meaning(monkeypatch):
    draw_nothing(monkeypatch)
    given = study(dataset())
    html = render_page(given)
    head = re.findall(r"<th>(.*?)</th>", html.split("ranking table")[1].split("</thead>")[0])
    others = [name for name in in_tables() if name != "species_map"]
    assert head == [
        *("variant", "mAP", "95 % interval", "minus the best<br>(points, 95 % interval)", "difference", "sd of seeds"),
        *(METRICS[name].title for name in others),
    ]
    rows = {(r["variant"], r["metric"]): f"{r['mean']:.4f}" for r in given.table.iter_rows(named=True)}
    first = html.split("<tbody>")[1].split("</tr>")[0]
    assert re.findall(r"<td>([\d.]+)</td>", first)[-len(others) :] == [rows["c", name] for name in others]
    for metric in METRICS.values():
        assert f"<dt>{metric.title}</dt><dd>{metric.meaning}</dd>" in html


def test_undefined_metrics_are_dashes_and_equal_variants_are_no_error(monkeypatch):
    draw_nothing(monkeypatch)
    own = dataset(variants=("a", "b"), full=False)
    nothing = replace(own, ap={v: np.full_like(ap, np.nan) for v, ap in own.ap.items()}, pairs=())
    text = "".join(Reader(render_page(study(nothing))).text)
    assert "nan" not in text.lower()
    assert "No species has a value under every variant: there is nothing to compare." in text
    ap = dict.fromkeys(own.ap, own.ap["a"])
    same = replace(own, ap=ap, pairs=compare_pairs(ap, family="all"))
    assert "its difference from b is not significant" in render_page(study(same))


def test_a_pair_is_significant_where_the_table_of_pairs_says_so(monkeypatch):
    """The page has no test of its own: it says of a pair what the row says."""
    draw_nothing(monkeypatch)
    own = dataset(variants=("a", "b", "c"), full=False)
    for significant in (True, False):
        pairs = [replace(pair, significant=significant) for pair in own.pairs]
        text = "".join(Reader(render_page(study(replace(own, pairs=pairs)))).text)
        # In the ranking and in the table of tests, for each of the two others.
        assert text.count("not significant") >= 4 * (not significant)
        assert ("c is significantly above every other variant" in text) is significant


def test_the_same_twice(monkeypatch):
    draw_nothing(monkeypatch)
    first, second = (render_page(study(dataset(variants=("a",), full=False))) for _ in range(2))
    assert first == second


def test_a_data_set_without_variants_is_refused():
    given = study(dataset())
    with pytest.raises(ValueError, match="data set 'virtual' has no variant"):
        render_page(replace(given, datasets=[replace(given.datasets[0], ap={})]))


def test_a_further_number_has_a_column_and_its_meaning(monkeypatch):
    draw_nothing(monkeypatch)
    given = study(dataset())
    further = given.table.filter(pl.col("metric") == "species_map").with_columns(pl.lit("f1_best").alias("metric"))
    html = render_page(replace(given, table=pl.concat([given.table, further])))
    assert "<th>f1_best</th>" in html
    assert f"<dt>f1_best</dt><dd>{MEANINGS['f1_best']}</dd>" in html
