"""The figures of the notebooks: what they draw, in which units, and that they can be drawn at all."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
import torch

from presence_only.losses.expected_scores import expected_score
from presence_only.losses.penalties import Asymmetric, CrossEntropy, Focal
from presence_only.losses.penalty_curves import absence_slopes, penalty_curves, value_and_slope
from presence_only.reporting.figures import learning as learning_figures
from presence_only.reporting.figures import losses as loss_figures
from presence_only.reporting.figures import surfaces as surface_figures
from presence_only.reporting.notebook.display import picture, score, section, table
from presence_only.study.results import MissingResultsError

NAMES = [f"variant_{i}" for i in range(9)]


def rows(names, dataset="virtual"):
    mean = np.linspace(0.3, 0.6, len(names))
    return pl.DataFrame({"dataset": dataset, "variant": names, "mean": mean, "low": mean - 0.02, "high": mean + 0.05})


def draw(figure):
    """Lay it out and turn it into pixels; a warning would be an error."""
    figure.savefig(io.BytesIO(), dpi=30)
    return figure


def probe(epochs=3):
    share = np.linspace(0.1, 0.9, epochs)
    return {
        "observed_score": share,
        "unobserved_score": np.full(epochs, 0.05),
        "unobserved_below_0.05": share,
        "unobserved_below_0.2": share**2,
    }


def penalties(named):
    return loss_figures.penalty_figure(pl.DataFrame(penalty_curves(named)))


CURVE = pl.DataFrame({"x": [0.001, 0.1, 0.5], "y": [0.0, 0.2, 0.4], "n": [5, 5, 5]})
FIGURES = {
    "penalty": lambda: penalties({"bce": CrossEntropy(), "asl": Asymmetric(), "focal": Focal()}),
    "prevalence": lambda: loss_figures.prevalence_figure(
        {name: (np.array([1e-4, 0.1]), np.array([0.01, 0.5]), 16.0, 0.0) for name in NAMES[:2]}
    ),
    "surface": lambda: surface_figures.surface_figure(
        {(2.0, 0.0): "variant_0", (4.0, 0.2): "variant_1"},
        rows(NAMES),
        ("gamma (no unit)", "clip (score)"),
        {"bce": 0.31},
    ),
    "sweep": lambda: surface_figures.sweep_figure(
        {n: ([1, 4, 16], rows(NAMES[:3])) for n in NAMES}, "lambda", log=True
    ),
    "published": lambda: surface_figures.published_figure(
        pl.concat([rows(NAMES[:2], "awt"), rows(NAMES[:2], "sa")]),
        pl.DataFrame({"dataset": ["awt"], "method": ["Maxent"], "value": [0.7]}),
        "AUC-ROC",
    ),
    "silencing": lambda: learning_figures.silencing_figure({name: probe() for name in NAMES}),
    "precision_recall": lambda: learning_figures.precision_recall_figure(dict.fromkeys(NAMES, CURVE)),
    "calibration": lambda: learning_figures.calibration_figure(dict.fromkeys(NAMES[:2], CURVE)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_be_drawn_and_says_what_its_axes_are(name):
    figure = draw(FIGURES[name]())
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]
    texts = [text.get_text() for text in (figure._supxlabel, figure._supylabel) if text is not None]
    labels = texts + [text for axes in panels for text in (axes.get_xlabel(), axes.get_ylabel()) if text]
    assert labels
    known = ("(", "epoch", "lambda", "share", "log scale")
    assert all(any(word in label for word in known) for label in labels), labels
    assert plt.get_fignums() == []


def test_penalties_are_drawn_as_the_package_computes_them():
    penalty = Asymmetric(0.0, 2.0, 0.05)
    value, slope = penalties({"asl": penalty}).axes[1::2]
    x, y = value.lines[0].get_data()
    assert y == pytest.approx(penalty.negative(torch.from_numpy(np.asarray(x))).numpy())
    steps = np.diff(y) / np.diff(x)
    x, y = slope.lines[0].get_data()
    assert y[:-1] == pytest.approx(steps, abs=0.02)


def test_an_absence_below_the_margin_is_not_pushed():
    bce, asl = (absence_slopes(p, (0.01, 0.05, 0.9)) for p in (CrossEntropy(), Asymmetric(0, 2.0, 0.05)))
    assert bce == pytest.approx([0.01, 0.05, 0.9])
    assert asl[:2] == [0, 0]
    assert asl[2] > 0


def test_logits_come_back_unmodified():
    x = torch.tensor([0.5, 1.0])
    value_and_slope(CrossEntropy(), x, present=True)
    assert not x.requires_grad


def test_a_surface_puts_every_variant_in_its_place():
    members = {(4.0, 0.0): "a", (2.0, 0.2): "b"}
    table = pl.DataFrame({"variant": ["b", "a"], "mean": [0.2, 0.4], "low": [0.1, 0.3], "high": [0.3, 0.5]})
    figure = surface_figures.surface_figure(members, table, ("gamma", "clip"), {"bce": 0.2, "focal": 0.201, "x": 0.6})
    axes, bar = figure.axes
    shown = axes.images[0].get_array()
    assert shown[1, 0] == pytest.approx(0.4)
    assert shown[0, 1] == pytest.approx(0.2)
    assert np.isnan(shown.filled(np.nan)[0, 0])
    assert [text.get_text() for text in axes.texts] == ["0.400\n0.300 to 0.500", "0.200\n0.100 to 0.300"]
    assert [text.get_text() for text in bar.texts] == ["bce,\nfocal", "x"]


def test_a_sweep_draws_means_and_intervals_at_their_values():
    table = pl.DataFrame({"mean": [0.2, 0.4], "low": [0.1, 0.3], "high": [0.35, 0.5]})
    axes = surface_figures.sweep_figure({"a": ([16, 4], table)}, "lambda").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4", "16"]
    x, y = axes.lines[0].get_data()
    assert list(zip(x, y, strict=True)) == [(1, 0.2), (0, 0.4)]
    ends = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]
    assert np.allclose(ends, [[0.1, 0.35], [0.3, 0.5]])


def test_theory_is_the_expected_score():
    axes = loss_figures.prevalence_figure({"a": (np.array([0.1]), np.array([0.5]), 16.0, 1.0)}).axes[0]
    x, y = axes.lines[1].get_data()
    assert y == pytest.approx(expected_score(np.asarray(x), 16.0, 1.0))


def test_calibration_leaves_out_what_a_logarithm_cannot_show():
    axes = learning_figures.calibration_figure({"a": CURVE}).axes[0]
    assert axes.lines[1].get_xdata().tolist() == [0.1, 0.5]


def test_margins_are_those_that_all_were_probed_at():
    other = {name: value for name, value in probe().items() if name != "unobserved_below_0.2"}
    assert learning_figures.margins_of({"a": probe(), "b": other}) == [0.05]
    assert learning_figures.margins_of({}) == []


def test_lines_differ_in_more_than_colour():
    looks = [loss_figures.look(i) for i in range(49)]
    assert len({str(look) for look in looks}) == 49
    for a, b in zip(looks[:7], looks[7:14], strict=True):
        assert a["color"] == b["color"]
        assert a["marker"] != b["marker"]


def test_a_picture_has_its_words_and_the_same_bytes_twice():
    pictures = [picture(FIGURES["sweep"](), alt="Quality against lambda.") for _ in range(2)]
    (first, metadata), (second, _) = (image._repr_png_() for image in pictures)
    assert first == second
    assert metadata["alt"] == "Quality against lambda."
    assert b"Software" not in base64.b64decode(first)


def test_a_table_has_its_columns_and_a_pipe_is_no_border():
    assert table({"x": ["a|b"], "y": [1]}).data == "| x | y |\n| --- | ---: |\n| a\\|b | 1 |"
    with pytest.raises(ValueError, match="shorter"):
        table({"x": ["a", "b"], "y": [1]})


def test_a_score_is_written_with_its_interval_where_it_has_one():
    assert score({"mean": 0.5, "low": 0.45, "high": 0.554}) == "0.500 (0.450 to 0.554)"
    assert score({"mean": 0.5, "low": float("nan"), "high": float("nan")}) == "0.500"
    assert score({"mean": 0.5, "low": None, "high": None}) == "0.500"


def test_a_section_says_in_one_line_what_is_missing_and_hides_no_other_error():
    @section
    def asked(error):
        raise error

    assert asked(MissingResultsError("`a.csv` is not there")).data == "> **Not shown:** `a.csv` is not there."
    with pytest.raises(ValueError, match="a mistake"):
        asked(ValueError("a mistake"))
