import matplotlib.pyplot as plt
import polars as pl

from presence_only.figures import comparison_figure, save_figure, training_figure
from presence_only.report import render_report

TABLE = pl.DataFrame(
    {
        "dataset": ["virtual"] * 2,
        "variant": ["bce", "<script>alert(1)</script>"],
        "metric": ["species_map"] * 2,
        "mean": [0.3, 0.4],
        "sd": [0.01, None],
        "low": [0.28, 0.35],
        "high": [0.32, 0.45],
        "n_seeds": [4, 1],
        "n_species": [500, 500],
        "n_sites": [10, 10],
    }
)


def test_the_report_is_one_file_with_its_figures_and_escaped_names(tmp_path):
    save_figure(comparison_figure(TABLE, "species_map", "mean AP"), tmp_path / "a.png")
    html = render_report(
        "tiny", TABLE, [(tmp_path / "a.png", 'a "quoted" text')], {"virtual": {"rows": 3}}, {"torch": "2"}
    )
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert 'src="data:image/png;base64,' in html
    assert "http" not in html
    assert html.index("0.4000") < html.index("0.3000")
    assert 'alt="a &#34;quoted&#34; text"' in html


def test_figures_are_the_same_bytes_twice_and_leave_nothing_open(tmp_path):
    for name in ("a.png", "b.png"):
        save_figure(training_figure({"bce": [0.7, 0.5], "focal": [0.2, 0.1]}, "virtual"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert plt.get_fignums() == []


def test_figures_name_their_axes():
    axes = comparison_figure(TABLE, "species_map", "mean AP").axes[0]
    assert axes.get_xlabel() == "species_map: mean AP (0 to 1)"
    assert [label.get_text() for label in axes.get_yticklabels()] == TABLE["variant"].to_list()
    curve = training_figure({"bce": [0.7, 0.5]}, "virtual").axes[0]
    assert curve.get_xlabel() == "epoch"
    assert "no unit" in curve.get_ylabel()
