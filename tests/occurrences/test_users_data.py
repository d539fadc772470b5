"""From a user's file to a score, as the stages go: read, assemble, save, train, evaluate; and the page about it."""

import re
import runpy
from io import StringIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from rich.console import Console
from ruamel.yaml import YAML

from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.evaluation.metrics import evaluate
from presence_only.losses.base import parse_variant
from presence_only.model.files import load_model, save_model
from presence_only.model.settings import EncoderSettings
from presence_only.occurrences.label_propagation import PropagationSettings
from presence_only.reporting.console import funnel
from presence_only.study.params import Params
from presence_only.study.paths import CellFiles, DatasetFiles
from presence_only.training.fit import fit
from presence_only.training.settings import TrainingSettings

PAGE = Path(__file__).parents[2] / "docs" / "bring_your_own_records.md"
BLOCKS = {"kind": "blocks", "degrees": 5.0, "folds": 3, "fold": 1}
EVALUATIONS = {
    "blocks": BLOCKS,
    "h3": {"kind": "h3", "resolution": 1, "folds": 3},
    "box": {"kind": "region", "box": [8.0, 42.0, 16.0, 50.0]},
    "polygon": {"kind": "region", "polygon": "area.geojson"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simple CSV of GBIF with six species in bands of latitude, a polygon, a table of sites and layers."""
    folder = tmp_path_factory.mktemp("users_data")
    rng = np.random.default_rng(0)
    n = 900
    longitude, latitude = rng.uniform(0, 25, n), rng.uniform(40, 60, n)
    band = np.clip((latitude - 40) / 20 * 6 + rng.normal(0, 0.7, n), 0, 5.99).astype(int)
    names = np.array(
        ["Parus major", "Turdus merula", "Fringilla coelebs", "Quercus robur", "Fagus sylvatica", "Abies alba"]
    )
    classes = np.array(["Aves", "Aves", "Aves", "Magnoliopsida", "Magnoliopsida", "Magnoliopsida"])
    pl.DataFrame(
        {
            "gbifID": np.arange(n),
            "species": names[band],
            "class": classes[band],
            "occurrenceStatus": "PRESENT",
            "decimalLatitude": latitude.round(5),
            "decimalLongitude": longitude.round(5),
            "basisOfRecord": "HUMAN_OBSERVATION",
            "eventDate": [f"2020-{month:02}-{day:02}" for month, day in rng.integers(1, 13, (n, 1)) * [1, 2]],
        }
    ).write_csv(folder / "occurrence.csv", separator="\t", quote_style="never")
    (folder / "area.geojson").write_text(
        '{"type": "Polygon", "coordinates": [[[8, 42], [16, 42], [16, 50], [8, 50], [8, 42]]]}'
    )
    pl.DataFrame({"longitude": rng.uniform(0, 25, 200), "latitude": rng.uniform(40, 60, 200)}).write_csv(
        folder / "sites.csv"
    )
    ramp = np.tile(np.linspace(60, 40, 20)[:, None], (1, 25)).astype(np.float32)
    np.savez(folder / "layers.npz", names=["mildness (degrees)"], layers=[ramp], bounds=[0, 40, 25, 60])
    return folder


def built(folder, **changes):
    """The data set of the file."""
    raw = {
        "kind": "gbif",
        "path": str(folder / "occurrence.csv"),
        "background_sites": 200,
        "evaluation": BLOCKS,
    } | changes
    # A table gives all of its sites, and records have no cells: there these settings are refused.
    if str(raw.get("background")).endswith(".csv"):
        del raw["background_sites"]
    if raw.get("rows", "records") == "records":
        raw.pop("checklist_resolution", None)
    return build_dataset(parse_dataset(raw, "datasets.mine"))


def score(folder, tmp_path, *, epochs=1, **changes):
    """The whole way; returns the data set and the scores."""
    dataset = built(folder, **changes)
    dataset.training.save(tmp_path / "training")
    dataset.save_survey(tmp_path / "survey")
    data, survey = TrainingData.load(tmp_path / "training"), Survey.load(tmp_path / "survey")
    training = TrainingSettings(
        epochs=epochs, batch_size=64, background_batch_size=64, beta2=0.999, schedule="constant"
    )
    loss = parse_variant({"loss": "an_full", "pos_lambda": 4.0}, "variants.an_full")
    encoder = EncoderSettings(coordinates="local", width=16, depth=1, dropout=0.0, start="zero")
    model, _ = fit(data, loss, encoder, training, 0)
    save_model(model, tmp_path / "encoder.pt")
    model = load_model(tmp_path / "encoder.pt")
    result = evaluate(model.scores(survey.sites_M2, survey.covariates_MC, survey.week_M), survey.truth)
    return dataset, result.summary


@pytest.mark.parametrize("weeks", [False, True])
@pytest.mark.parametrize("rows", ["records", "checklists"])
def test_records_and_checklists_with_and_without_weeks(folder, tmp_path, rows, weeks):
    dataset, summary = score(folder, tmp_path, rows=rows, weeks=weeks, checklist_resolution=3)
    records = dataset.training.records
    assert (len(records.row_P) > records.n_rows) == (rows == "checklists")
    assert (records.week_N is not None) == weeks
    assert 0 < summary["species_map"] <= 1
    assert summary["n_sites"] == len(dataset.survey.sites_M2)
    assert dataset.filters[0] == ("read", 900)
    assert dataset.filters[-1][1] == len(records.row_P)


@pytest.mark.parametrize("background", ["uniform", "land", "range", "target_group", "table"])
def test_every_background(folder, background):
    kind = str(folder / "sites.csv") if background == "table" else background
    training = built(folder, background=kind, weeks=True).training
    records, sites = training.records, training.background
    assert sites.kind == ("given" if background == "table" else background)
    assert set(sites.week_K) <= set(records.week_N)
    if background == "table":
        given = pl.read_csv(folder / "sites.csv").rows()
        assert {tuple(site) for site in sites.sites_K2} < set(given)
    else:
        assert len(sites.sites_K2) == 200
    near = (np.abs(sites.sites_K2 - [12.5, 50.0]) <= [12.5, 10.5]).all(axis=1)
    assert near.all() == (background in ("range", "target_group", "table"))


@pytest.mark.parametrize("name", EVALUATIONS)
def test_every_evaluation(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    dataset = built(folder, evaluation=EVALUATIONS[name])
    trained, surveyed = dataset.training.records.sites_N2, dataset.survey.sites_M2
    assert not {tuple(site) for site in trained} & {tuple(site) for site in surveyed}
    assert dataset.facts["held_out_records"] + len(trained) == 900
    if name in ("box", "polygon"):
        inside = [(np.abs(sites - [12.0, 46.0]) <= 4.0).all(axis=1) for sites in (trained, surveyed)]
        assert not inside[0].any()
        assert inside[1].all()
    else:
        assert 250 < dataset.facts["held_out_records"] < 350


@pytest.mark.parametrize("sea", ["keep", "drop", "nearest"])
def test_layers_of_ones_own(folder, sea):
    layers = {"environment": str(folder / "layers.npz"), "sea": sea}
    dataset = built(folder, background="uniform", background_sites=2000, **layers)
    assert dataset.training.records.covariate_names == ("mildness (degrees)",)
    # The layer is the latitude, on the records' part of the Earth.
    for sites, covariates in (
        (dataset.training.records.sites_N2, dataset.training.records.covariates_NC),
        (dataset.survey.sites_M2, dataset.survey.covariates_MC),
    ):
        np.testing.assert_allclose(covariates[:, 0], sites[:, 1], atol=0.6)
    unknown = np.isnan(dataset.training.background.covariates_KC)
    assert unknown.any() == (sea != "drop")
    assert len(unknown) + dataset.facts.get("background_sites_undefined", 0) == 2000


def test_what_is_learned_holds_in_blocks_that_training_never_saw(folder, tmp_path):
    _, summary = score(folder, tmp_path, epochs=25, background="target_group")
    # Bands of latitude go on through held-out blocks; chance is about 1/2 within a class.
    assert summary["auc_roc"] > 0.8


def test_the_same_settings_give_the_same_bytes(folder, tmp_path):
    for name in ("one", "other"):
        score(folder, tmp_path / name, rows="checklists", weeks=True, background="range")
    for file in (tmp_path / "one").rglob("*"):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "other" / file.relative_to(tmp_path / "one")).read_bytes(), (
                file.name
            )


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.S)


def test_the_settings_of_the_page_are_right():
    study, everything, propagation, layers = code_blocks("yaml")
    tree = YAML(typ="safe").load(study.replace("\ntraining:", everything + "\ntraining:", 1))
    params = Params.parse(tree)
    assert [params.dataset(f"fold_{i}").evaluation.fold for i in range(3)] == [0, 1, 2]
    assert {params.datasets[name].path for name in tree["datasets"]} == {tree["datasets"]["fold_0"]["path"]}
    assert {params.datasets[f"fold_{i}"].evaluation.degrees for i in range(3)} == {5.0}
    assert params.datasets["everything"].evaluation.folds == 100
    parse_dataset(tree["datasets"]["fold_0"] | YAML(typ="safe").load(layers), "datasets.mine")
    # What stands behind a # are the defaults.
    asked = parse_dataset(tree["datasets"]["fold_0"] | YAML(typ="safe").load(propagation), "datasets.mine")
    shown = re.sub(r"^    # ", "    ", re.sub(r"^    propagation: .*$", "", propagation, flags=re.M), flags=re.M)
    assert asked.propagation == PropagationSettings()
    assert YAML(typ="safe").load(shown)["propagation"] == PropagationSettings().model_dump()


def test_the_funnel_of_the_page_is_what_its_settings_print(tmp_path, monkeypatch):
    """Its file is the benchmark's."""
    benchmarks = PAGE.parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(benchmarks)
    table = runpy.run_path(str(benchmarks / "reading.py"))["records"](np.random.default_rng([0, 0]), 0, 30_000)
    table.write_csv(tmp_path / "occurrence.csv", separator="\t", quote_style="never")
    settings = YAML(typ="safe").load(code_blocks("yaml")[0])["datasets"]["fold_0"]
    dataset = build_dataset(parse_dataset(settings | {"path": str(tmp_path / "occurrence.csv")}, "datasets.fold_0"))
    out = StringIO()
    Console(file=out, width=100, force_terminal=False).print(funnel(dataset.filters, "fold_0"))
    printed = [line.strip() for line in out.getvalue().splitlines()]
    shown = re.search(r"```\n(fold_0: .*?)```", PAGE.read_text(), flags=re.S).group(1)
    assert printed == shown.splitlines()


def test_the_settings_of_inaturalist_are_those_the_page_names():
    text = PAGE.read_text()
    gbif, inaturalist = (
        set(type(parse_dataset({"kind": kind, key: "x"}, "datasets.mine")).model_fields)
        for kind, key in (("gbif", "path"), ("inaturalist", "root"))
    )
    assert "root" in inaturalist - gbif
    for name in inaturalist - gbif:
        assert f"`{name}`" in text, name
    settings = parse_dataset({"kind": "inaturalist", "root": "x"}, "datasets.mine")
    assert (settings.quality_grades, settings.inactive_taxa) == (("research",), "drop")


def test_every_setting_is_on_the_page(folder):
    settings = parse_dataset({"kind": "gbif", "path": "x"}, "datasets.mine")
    assembly = type(settings).__mro__[1]
    assert assembly.__name__ == "RecordsSettings"
    text = PAGE.read_text()
    assert [name for name in assembly.model_fields if f"`{name}`" not in text] == []
    assert [name for name in type(settings.evaluation).model_fields if f"{name}:" not in text] == []


def test_the_map_of_the_page_is_drawn(folder, tmp_path, monkeypatch):
    (snippet,) = code_blocks("python")
    dataset, _ = score(folder, tmp_path)
    monkeypatch.chdir(tmp_path)
    dataset.training.save(DatasetFiles("everything").training)
    save_model(load_model(tmp_path / "encoder.pt"), CellFiles("everything", "bce_background").encoder(0))
    plt.switch_backend("Agg")
    drawn = {}
    exec(snippet, drawn)
    plt.close("all")
    assert (tmp_path / "map.png").stat().st_size > 10_000
    suitability = drawn["suitability"].reshape(360, 720)
    assert np.isnan(suitability[180, 360])
    assert 0 < suitability[85, 380] < 1
