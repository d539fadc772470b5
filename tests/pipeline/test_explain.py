"""The command that explains a run: its files, names from data in them, and what is refused."""

import dataclasses
import sys

import matplotlib.image
import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.errors import DataError
from presence_only.common.output_folder import OutputError
from presence_only.data.training import TrainingData
from presence_only.evaluation.permutation_importance import MEAN, PLACE
from presence_only.model.files import save_model
from presence_only.model.range_map import MapError
from presence_only.pipeline import explain
from presence_only.reporting.figures.explanation import importance_figure, response_figure
from presence_only.study.paths import CellFiles, DatasetFiles

SPECIES = ("Parus major", "<b>$x_1$</b>", "[red]", "d", "e")
COVARIATES = ("rain (mm)", "$\\frac$ (m)")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two variants of a study, one of which reads coordinates alone; each of two untrained seeds."""
    folder = tmp_path_factory.mktemp("explained")
    YAML(typ="safe").dump(tiny.params(), folder / "params.yaml")
    data = tiny.dataset()
    records = dataclasses.replace(data.training.records, species=SPECIES, covariate_names=COVARIATES)
    TrainingData(records, data.training.background).save(folder / DatasetFiles("virtual").training)
    survey = dataclasses.replace(data.survey, species=SPECIES, covariate_names=COVARIATES)
    survey.save(folder / DatasetFiles("virtual").survey)
    for variant, kind in (("an_full", "both"), ("bce", "coordinates")):
        for seed in (0, 1):
            save_model(tiny.model(data, seed=seed, input=kind), folder / CellFiles("virtual", variant).encoder(seed))
    return folder


def run(monkeypatch, study, out, *arguments, variant="an_full"):
    cell = study / "runs/virtual" / variant
    monkeypatch.setattr(sys, "argv", ["explain", "--run", str(cell), "--out", str(out), *map(str, arguments)])
    explain.main()


def test_tables_and_figures_of_two_species(study, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    run(monkeypatch, study, out, "--species", SPECIES[1], "parus MAJOR", "--repeats", 2)
    assert sorted(path.name for path in out.iterdir()) == [
        "importance.csv",
        "importance.png",
        "response_curves.csv",
        "response_curves.png",
    ]
    importance, curves = pl.read_csv(out / "importance.csv"), pl.read_csv(out / "response_curves.csv")
    assert importance.columns == ["species", "input", "ap", "drop", "drop_sd", "repeats", "sites", "presences"]
    assert importance["species"].unique(maintain_order=True).to_list() == [MEAN, SPECIES[1], SPECIES[0]]
    assert set(importance["input"]) == {PLACE, *COVARIATES}
    assert curves.columns == ["species", "covariate", "value", "suitability", "spread"]
    assert set(curves["species"]) == set(SPECIES[:2])
    assert curves["suitability"].is_between(0, 1).all()
    assert all(matplotlib.image.imread(out / name).std() > 0.01 for name in ("importance.png", "response_curves.png"))
    assert f"matters most (average precision {importance['ap'][0]:.3f}" in capsys.readouterr().out
    before = (out / "importance.csv").read_bytes()
    run(monkeypatch, study, out, "--species", SPECIES[1], "parus MAJOR", "--repeats", 2)
    assert (out / "importance.csv").read_bytes() == before
    run(monkeypatch, study, out, "--species", SPECIES[1], "parus MAJOR", "--repeats", 2, "--seed", 1)
    assert (out / "importance.csv").read_bytes() != before


def test_without_species_the_mean_over_all_on_the_survey(study, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(monkeypatch, study, out, "--on", "survey", "--repeats", 1)
    assert sorted(path.name for path in out.iterdir()) == ["importance.csv", "importance.png"]
    table = pl.read_csv(out / "importance.csv")
    assert table["species"].to_list() == [MEAN] * 3
    assert table["sites"].to_list() == [50] * 3


def test_what_cannot_be_explained_is_one_sentence(study, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="reads coordinates alone, and covariates are what is explained"):
        run(monkeypatch, study, tmp_path / "out", variant="bce")
    with pytest.raises(MapError, match="--species 'oak': the run knows no such species"):
        run(monkeypatch, study, tmp_path / "out", "--species", "oak")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/photo.jpg").touch()
    with pytest.raises(OutputError, match=r"holds 'photo\.jpg', which this command did not write"):
        run(monkeypatch, study, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--species", *"abcdefghi"], "--species: 9 names; at most 8 are drawn together"),
        (["--repeats", "0"], "--repeats 0: must be within 1..1,000"),
        (["--seed", "-1"], "--seed -1: must lie within 0..4294967295"),
    ],
)
def test_arguments_out_of_range_are_refused(study, tmp_path, monkeypatch, capsys, arguments, sentence):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, study, tmp_path / "out", *arguments)
    assert sentence in capsys.readouterr().err


def test_figures_have_units_and_show_names_as_they_are():
    importance = pl.DataFrame(
        {"species": ["$a$"] * 2, "input": COVARIATES, "ap": 0.5, "drop": [0.2, 0.1], "drop_sd": 0.01}
    )
    figure = importance_figure(importance, "run")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["rain (mm)", "\\$\\frac\\$ (m)"]
    assert axes.get_title(loc="left") == "\\$a\\$ (average precision 0.500)"
    assert [bar.get_width() for bar in axes.patches] == [0.2, 0.1]
    curves = pl.DataFrame(
        {
            "species": ["$a$"] * 4,
            "covariate": [name for name in COVARIATES for _ in range(2)],
            "value": [0.0, 1.0] * 2,
            "suitability": 0.5,
            "spread": 0.1,
        }
    )
    panels = response_figure(curves, dict.fromkeys(COVARIATES, np.arange(11.0)), "run").axes
    assert [axes.get_xlabel() for axes in panels[:2]] == ["rain (mm)", "\\$\\frac\\$ (m)"]
    assert "0 to 1" in panels[0].get_ylabel()
    np.testing.assert_allclose(panels[0].get_lines()[1].get_xdata(), np.arange(1, 10))
    response_figure(curves, dict.fromkeys(COVARIATES, np.arange(11.0)), "run").canvas.draw()
