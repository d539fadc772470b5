import numpy as np
import pytest
from support.report_study import HOSTILE

from presence_only.common.shown_names import in_a_figure
from presence_only.evaluation.breakdown import mean_by_class, quantile_classes
from presence_only.reporting.figures.report import (
    breakdown_figure,
    critical_difference_figure,
    differences_figure,
    distribution_figure,
    power_figure,
    short,
)
from presence_only.reporting.figures.svg import inline_svg
from presence_only.statistics.average_ranks import Ranking
from presence_only.statistics.differences import compare_pairs
from presence_only.statistics.power import plan_study

NAMES = ("_hidden", HOSTILE, "b")


def values():
    rng = np.random.default_rng(0)
    base = rng.random(30)
    return {name: base + gain + rng.normal(0, 0.01, (2, 30)) for name, gain in zip(NAMES, (0.2, 0.1, 0.2), strict=True)}


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_differences_are_drawn_in_points():
    pairs = compare_pairs(values())
    figure = differences_figure(pairs)
    axes = figure.axes[0]
    assert labels(axes) == [in_a_figure(pair.second) for pair in reversed(pairs)]
    drawn = [line.get_xdata()[0] for line in axes.get_lines() if len(line.get_xdata()) == 1]
    assert drawn == pytest.approx([100 * pair.difference for pair in reversed(pairs)])
    assert "points" in axes.get_xlabel()
    inline_svg(figure, "f", "")


def test_critical_difference_names_every_variant_and_bar():
    ranking = Ranking(NAMES, (1.2, 2.1, 2.7), 0.01, 0.5, 30, 0.95)
    figure = critical_difference_figure(ranking, [(HOSTILE, "b")])
    axes = figure.axes[0]
    texts = [text.get_text() for text in axes.texts]
    for name, rank in zip(ranking.variants, ranking.ranks, strict=True):
        assert any(in_a_figure(name) in text and f"{rank:.2f}" in text for text in texts)
    bars = [line for line in axes.get_lines() if line.get_linewidth() == 3]
    assert [tuple(line.get_xdata()) for line in bars] == [pytest.approx((2.07, 2.73))]
    inline_svg(figure, "f", "")


def test_distribution_shows_means_and_leaves_out_what_is_undefined():
    given = values()
    given["b"][:, 0] = np.nan
    figure = distribution_figure(given, "AP (0 to 1)")
    axes = figure.axes[0]
    assert labels(axes) == [in_a_figure(name) for name in given][::-1]
    means = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "o"]
    assert means == pytest.approx([np.nanmean(v) for v in reversed(given.values())])


def test_breakdown_lines_and_classes():
    classes = quantile_classes(np.arange(30) * 1000.0, 3)
    figure = breakdown_figure(mean_by_class(values(), classes), "records", "mAP")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "0 to 9,000",
        "10,000 to 19,000",
        "20,000 to 29,000",
    ]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("records", "mAP (0 to 1)")
    (legend,) = figure.legends
    # A legend that is handed its lines shows names with an underscore too.
    assert [text.get_text() for text in legend.get_texts()] == [in_a_figure(name) for name in NAMES]
    np.testing.assert_allclose(
        axes.get_lines()[2].get_ydata(), [values()["b"][:, 10 * q : 10 * q + 10].mean() for q in range(3)]
    )


def test_power_curves_fall_to_what_is_detectable():
    given = values()
    plan = plan_study(given, "_hidden", "b", 0.005)
    axes = power_figure(plan).axes[0]
    assert [line.get_label() for line in axes.get_lines()][:2] == ["30 species", "120 species"]
    for line, smallest in zip(axes.get_lines(), plan.detectable.values(), strict=False):
        assert line.get_xdata().tolist() == list(plan.seeds)
        assert line.get_ydata() == pytest.approx(100 * np.array(smallest))
    assert axes.get_lines()[-1].get_ydata()[0] == 0.5


@pytest.mark.parametrize(("value", "text"), [(0.0123456, "0.0123"), (12.0, "12"), (1234.5, "1,234")])
def test_short(value, text):
    assert short(value) == text
