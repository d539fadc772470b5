"""Binary maps and species lists of a run: the files, the numbers in them, and what they are fitted to."""

import re
import sys
from dataclasses import replace

import matplotlib.image
import numpy as np
import polars as pl
import pytest
from support import tiny

from presence_only.common.atomic_files import read_json, write_json
from presence_only.data.training import TrainingData
from presence_only.evaluation.expected_f1 import best_lengths
from presence_only.evaluation.presence_thresholds import ThresholdError
from presence_only.evaluation.training_scores import TrainingSites, training_scores
from presence_only.export.trained_run import load_run
from presence_only.geography.earth import Earth
from presence_only.model.files import save_model
from presence_only.model.range_map import BinaryRange, suitability
from presence_only.pipeline import predict, predictions
from presence_only.pipeline.thresholded_predictions import MeanOfModels
from presence_only.reporting.figures.maps import binary_figure
from presence_only.study.paths import CellFiles, DatasetFiles

# A species' name that is markup to a terminal, to HTML and to matplotlib.
MARKUP = "a $x$ [red]<b> & co"


@pytest.fixture
def cell(tmp_path):
    """A run of two seeds that reads coordinates alone, with records of five species."""
    dataset = tiny.dataset(rows=400)
    records = dataset.training.records
    data = TrainingData(replace(records, species=(MARKUP, *records.species[1:])), dataset.training.background)
    data.save(tmp_path / DatasetFiles("virtual").training)
    for seed in (0, 1):
        model = tiny.model(dataset, seed=seed, input="coordinates")
        save_model(model, tmp_path / CellFiles("virtual", "an_full").encoder(seed))
    return tmp_path / CellFiles("virtual", "an_full").runs


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    predict.main()


def lowest_presence(trained, species):
    """Lowest mean suitability over the seeds at the species' training records."""
    records = trained.recorded
    sites = records.sites_N2[records.row_P[records.species_P == species]]
    return suitability(trained.models, sites, None, slice(species, species + 1), None).min()


def stated(text):
    """The threshold that a sentence names."""
    return float(re.search(r"suitability is at least (\S+),", text)[1])


BOX = ("--box", -40, -20, 40, 20, "--resolution", 4)


@pytest.mark.parametrize("threshold", ["lpt", "lpt5", "max_tss", "0.5"])
def test_a_binary_map_in_all_formats(cell, monkeypatch, tmp_path, threshold, capsys):
    arguments = ["--run", cell, "--species", "species_2", "--binary", "--threshold", threshold, *BOX, "--out"]
    for ending in (".csv", ".png"):
        run(monkeypatch, *arguments, tmp_path / f"map{ending}")
    table = pl.read_csv(tmp_path / "map.csv", schema_overrides={"rule": pl.String})
    assert table.columns == ["longitude", "latitude", "suitability", "in_range", "threshold", "rule"]
    assert table["rule"].unique().to_list() == [threshold]
    (at,) = table["threshold"].unique()
    expected = {"lpt": lowest_presence(load_run(cell), 2), "0.5": 0.5}
    if threshold in expected:
        assert at == pytest.approx(expected[threshold], abs=2e-6)
    sure = (table["suitability"] - at).abs() > 1e-5
    assert table.filter(sure)["in_range"].to_list() == (table.filter(sure)["suitability"] > at).cast(int).to_list()
    assert stated(capsys.readouterr().out) == pytest.approx(at, rel=1e-3)
    assert matplotlib.image.imread(tmp_path / "map.png").std() > 0.01
    # Without the flag the same suitability.
    run(monkeypatch, "--run", cell, "--species", "species_2", *BOX, "--out", tmp_path / "plain.csv")
    plain = pl.read_csv(tmp_path / "plain.csv")
    np.testing.assert_allclose(plain["suitability"], table["suitability"], atol=2e-6)
    assert plain.columns == ["longitude", "latitude", "suitability"]

    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    run(monkeypatch, *arguments, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.dtypes, file.nodata, file.crs.to_epsg()) == (("uint8",), 255, 4326)
        np.testing.assert_array_equal(file.read(1).ravel(), table["in_range"].to_numpy())
        tags = file.tags()
        assert (tags["RULE"], tags["SPECIES"], tags["RUN"]) == (threshold, "species_2", "virtual / an_full")
        assert float(tags["THRESHOLD"]) == pytest.approx(at, abs=1e-6)
        assert stated(file.descriptions[0]) == pytest.approx(at, rel=1e-3)


def test_every_training_place_lies_in_the_range_of_the_lowest_presence(cell):
    trained = load_run(cell)
    model = MeanOfModels(trained.models)
    sites = TrainingSites.of(trained.recorded, trained.background, weeks=False)
    for s, scores in enumerate(training_scores(model, sites)):
        lowest = 1 / (1 + np.exp(-scores.places_P[0]))
        assert lowest == pytest.approx(lowest_presence(trained, s), abs=1e-6)


def test_unknown_cells_are_neither_in_nor_out(tmp_path):
    values = np.array([[1, 0], [-1, 1]], dtype=np.int8)
    binary = BinaryRange(values, 0.25, "lpt5", "the 5th percentile")
    figure = binary_figure(binary, (0, 2, 0, 2), np.zeros((1, 2)), Earth.load().land_share_grid, MARKUP)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    in_range = "in range: suitability of 0.25 or more, the 5th percentile"
    assert words == ["1 training record", in_range, "not in range", "unknown"]
    figure.canvas.draw()
    assert figure.axes[0].get_title() == MARKUP.replace("$", r"\$")
    known = replace(binary, in_range_HW=np.abs(values))
    figure = binary_figure(known, (0, 2, 0, 2), np.zeros((1, 2)), Earth.load().land_share_grid, "b")
    assert "unknown" not in [text.get_text() for text in figure.legends[0].get_texts()]


def rows(text, column):
    """Names in a printed table, and numbers in one of its columns, counted from 0."""
    cells = [[part.strip() for part in line.split("│")[1:]] for line in text.splitlines() if line.startswith("│")]
    return [row[1] for row in cells], [float(row[column]) for row in cells]


def listed(capsys):
    """Names and numbers of the printed table, and the sentence below it."""
    text = capsys.readouterr().out
    return *rows(text, 2), " ".join(text.splitlines()[-2:])


SITE = (10.0, 70.0)


@pytest.mark.parametrize("threshold", ["lpt", "0.3"])
def test_a_list_has_the_species_that_reach_their_thresholds(cell, monkeypatch, capsys, threshold):
    monkeypatch.setenv("COLUMNS", "120")
    run(monkeypatch, "--run", cell, "--at", *SITE, "--list", "threshold", "--threshold", threshold)
    text = capsys.readouterr().out
    names, numbers, thresholds, sentence = *rows(text, 2), rows(text, 3)[1], text.splitlines()[-1]
    trained = load_run(cell)
    score_S = suitability(trained.models, np.array([SITE]), None, slice(None), None)[0]
    at = [lowest_presence(trained, s) if threshold == "lpt" else 0.3 for s in range(5)]
    expected = [s for s in np.argsort(-score_S) if score_S[s] >= at[s]]
    assert names == [trained.records.species[s] for s in expected]
    np.testing.assert_allclose(numbers, score_S[expected], atol=6e-5)
    # Every score stands beside the threshold that it reaches.
    np.testing.assert_allclose(thresholds, [at[s] for s in expected], atol=6e-5)
    assert f"{len(expected)} species, whose suitability is at least" in sentence


def test_the_list_of_the_highest_expected_f1_is_that_of_its_probabilities(cell, monkeypatch, capsys):
    for typical, least in ((0.5, 1), (0.95, 2)):
        run(monkeypatch, "--run", cell, "--at", *SITE, "--list", "expected_f1", "--typical", typical)
        names, numbers, sentence = listed(capsys)
        assert len(names) >= least
        assert numbers == sorted(numbers, reverse=True)
        assert f"with {typical:g} where it is typically recorded" in sentence
    # The untrained models have scores about alike: all species are probable, and are listed.
    assert best_lengths(np.array([numbers]))[0] == len(numbers)


def test_a_list_of_ten_has_all_of_five_species_and_names_are_no_markup(cell, monkeypatch, capsys):
    run(monkeypatch, "--run", cell, "--at", *SITE, "--list", "top10")
    names, numbers, _ = listed(capsys)
    assert numbers == sorted(numbers, reverse=True)
    assert sorted(names) == sorted([MARKUP, *(f"species_{s}" for s in range(1, 5))])
    run(monkeypatch, "--run", cell, "--at", *SITE)
    assert MARKUP in listed(capsys)[0]


def test_a_species_whose_name_is_markup_can_be_mapped(cell, monkeypatch, tmp_path):
    for flags in ([], ["--binary"]):
        run(monkeypatch, "--run", cell, "--species", MARKUP, *BOX, *flags, "--out", tmp_path / "map.png")
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    run(monkeypatch, "--run", cell, "--species", MARKUP, *BOX, "--binary", "--out", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags()["SPECIES"] == MARKUP


def test_a_rule_that_is_none_is_told_before_anything_is_computed(cell, monkeypatch, tmp_path):
    monkeypatch.setattr(predictions, "logits_of_suitability", lambda *_: pytest.fail("computed in vain"))
    arguments = ["--species", "species_2", "--binary", "--threshold", "1.5", "--out", tmp_path / "a.csv"]
    with pytest.raises(ThresholdError, match=re.escape("threshold = 1.5: a fixed score must lie within 0..1")):
        run(monkeypatch, "--run", cell, *arguments)


def test_without_background_of_its_group_max_tss_is_refused(cell, monkeypatch, tmp_path):
    folder = cell.parents[2] / DatasetFiles("virtual").training
    table = pl.read_parquet(folder / "background.parquet")
    table.with_columns(pl.lit("others").alias("group")).write_parquet(folder / "background.parquet")
    write_json(folder / "meta.json", read_json(folder / "meta.json") | {"background": "target_group"})
    arguments = ["--species", "species_2", "--binary", "--threshold", "max_tss", *BOX, "--out", tmp_path / "a.csv"]
    sentence = "--threshold max_tss: the run has no background sites of the species' group to choose by"
    with pytest.raises(predictions.MapError, match=re.escape(sentence)):
        run(monkeypatch, "--run", cell, *arguments)
