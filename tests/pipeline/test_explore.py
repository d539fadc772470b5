"""The command that writes a map page: what it reads of runs and data set, and its answers to wrong input."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.errors import UserError
from presence_only.data.added_presences import AddedPresences
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.model.files import save_model
from presence_only.pipeline import explore
from presence_only.reporting.map_page.packs import read_description
from presence_only.reporting.report.collect import map_page
from presence_only.study.params import Params
from presence_only.study.paths import CellFiles, DatasetFiles
from presence_only.training.fit import fit

SMALL = ["--resolution", 10]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a virtual data set and a cell of two variants, one of which reads the environment."""
    folder = tmp_path_factory.mktemp("study")
    raw = tiny.params(training__epochs=1)
    raw["variants"]["an_full"]["encoder"] = {"input": "both"}
    raw["encoder"]["input"] = "coordinates"
    YAML(typ="safe").dump(raw, folder / "params.yaml")
    params = Params.parse(raw)
    dataset = build_dataset(parse_dataset(raw["datasets"]["virtual"], ""))
    dataset.training.save(folder / DatasetFiles("virtual").training)
    dataset.save_survey(folder / DatasetFiles("virtual").survey)
    for name in ("bce", "an_full"):
        variant = params.variant(name)
        for seed in (0, 1):
            model, _ = fit(dataset.training, variant.loss, variant.encoder, variant.training, seed)
            save_model(model, folder / CellFiles("virtual", name).encoder(seed))
    return folder, dataset


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["explore", *map(str, arguments)])
    explore.main()


def test_a_page_of_two_runs(study, monkeypatch, tmp_path, capsys):
    folder, dataset = study
    cells, out = folder / "runs/virtual", tmp_path / "page"
    run(monkeypatch, "--run", cells / "bce", "--run", cells / "an_full/seed_1", "--out", out, *SMALL)
    about = read_description(out / "data/description.js")
    records = dataset.training.records
    assert about["species"] == list(records.species)
    assert about["records"] == records.records_per_species().tolist()
    assert about["runs"] == [
        {"name": "bce", "seeds": 2, "weeks": False},
        {"name": "an_full / seed 1", "seeds": 1, "weeks": False},
    ]
    assert about["grid"]["land"]
    assert about["truth"]["title"] == "true range"
    assert about["truth"]["everywhere"]
    assert about["truth"]["present"] == dataset.survey.truth.presences_per_species().tolist()
    said = capsys.readouterr().out
    assert f"virtual: 12 species on {about['grid']['kept']} cells of 10 degrees with land" in said
    assert re.search(r"page/index\.html: open it in a browser \(\d+\.\d MB", said)
    # Again, without records and truth, in the place of the first.
    without = ["--without", "records", "--without", "truth"]
    run(monkeypatch, "--run", cells / "bce", "--out", out, *SMALL, *without, "--cells", "all")
    about = read_description(out / "data/description.js")
    assert not {"drawn", "truth"} & set(about)
    assert len(about["runs"]) == 1
    assert about["grid"]["kept"] == about["grid"]["rows"] * about["grid"]["columns"]
    assert not list(out.glob("data/records*")) + list(out.glob("data/truth*"))


def test_a_page_beside_the_report_is_announced_as_its_link(study, monkeypatch, tmp_path, capsys):
    folder = tmp_path / "study"
    shutil.copytree(study[0], folder)
    made = folder / "map_page_virtual"
    run(monkeypatch, "--run", folder / "runs/virtual/bce", "--out", made, *SMALL)
    assert "dvc repro" not in capsys.readouterr().out
    (folder / "results").mkdir()
    (folder / "results/report.html").touch()
    run(monkeypatch, "--run", folder / "runs/virtual/bce", "--out", made, *SMALL)
    assert "has a link to it after `dvc repro -f -s report`" in capsys.readouterr().out
    assert map_page(folder, "virtual") == "../map_page_virtual/index.html"
    run(monkeypatch, "--run", folder / "runs/virtual/bce", "--out", tmp_path / "map_page", *SMALL)
    assert "dvc repro" not in capsys.readouterr().out


def test_a_run_without_its_survey_or_its_line_in_the_settings_has_a_page(study, monkeypatch, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(study[0], folder)
    (folder / "params.yaml").unlink()
    shutil.rmtree(folder / "data/virtual/survey")
    run(monkeypatch, "--run", folder / "runs/virtual/bce", "--out", tmp_path / "page", *SMALL)
    assert "truth" not in read_description(tmp_path / "page/data/description.js")


def test_added_presences_are_no_records(study, monkeypatch, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(study[0], folder)
    records = study[1].training.records
    AddedPresences(np.array([0]), records.species_P[:1]).save(folder / DatasetFiles("virtual").survey)
    run(monkeypatch, "--run", folder / "runs/virtual/bce", "--out", tmp_path / "page", *SMALL)
    about = read_description(tmp_path / "page/data/description.js")
    counts = records.records_per_species()
    counts[records.species_P[0]] -= 1
    assert about["records"] == counts.tolist()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--run", "nowhere", "--out", "OUT"], "holds no encoder; give a folder runs/<dataset>/<variant>"),
        (["--run", "BCE", "--run", "OTHER", "--out", "OUT"], "was trained on other records than --run"),
        (["--run", "BCE", "--out", "FULL"], "is a folder that holds other files than a map page"),
        (["--run", "BCE", "--out", "FILE"], "is a file; name a folder"),
        (["--run", "BCE", "--out", "OUT", "--weeks", 7], "--weeks 7: must divide 48"),
        (["--run", "BCE", "--out", "OUT", "--resolution", 0], "resolution = 0: must be within 0..90"),
        (["--run", "BCE", "--out", "OUT", "--resolution", 0.01], "cells; at most"),
        (["--run", "BCE", "--out", "OUT", "--box", 5, 5, 0, 0], "must be west south east north"),
        (["--run", "BCE", "--out", "OUT", "--box", -40, 30, -30, 35], "no cell"),
        (["--run", "BCE", "--out", "FILE/page"], "cannot be written"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(study, monkeypatch, tmp_path, arguments, sentence):
    folder = study[0]
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    moved = build_dataset(parse_dataset(tiny.PARAMS["datasets"]["virtual"] | {"seed": 5}, ""))
    moved.training.save(other / DatasetFiles("virtual").training)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    named = {
        "BCE": folder / "runs/virtual/bce",
        "OTHER": other / "runs/virtual/bce",
        "OUT": tmp_path / "page",
        "FULL": tmp_path / "full",
        "FILE": tmp_path / "file",
        "FILE/page": tmp_path / "file/page",
    }
    with pytest.raises(UserError) as error:
        run(monkeypatch, *[named.get(argument, argument) for argument in arguments])
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"other", "full", "file"}
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("names", "studies", "expected"),
    [
        (["a / bce", "a / two_way"], ["x", "x"], ["bce", "two_way"]),
        (["a / bce / seed 0", "a / bce"], ["x", "x"], ["bce / seed 0", "bce"]),
        (["a / bce", "a / bce"], ["x", "y"], ["x: bce", "y: bce"]),
        (["a / bce", "a / bce"], ["x", "x"], ["x: bce (1)", "x: bce (2)"]),
    ],
)
def test_runs_are_named_by_what_they_differ_in(names, studies, expected):
    class Named:
        def __init__(self, name, study):
            self.name, self.study = name, Path(study)

    assert explore._names([Named(*both) for both in zip(names, studies, strict=True)]) == expected
