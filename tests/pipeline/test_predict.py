"""Range maps and lists of species from a trained run: the numbers, the files and the answers to wrong questions."""

import dataclasses
import re
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import polars as pl
import pytest
import torch
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.errors import DataError
from presence_only.common.similar_names import suggestions
from presence_only.data.added_presences import AddedPresences
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.export.trained_run import load_run
from presence_only.geography.earth import Earth
from presence_only.model.blend import Blend
from presence_only.model.files import save_model
from presence_only.model.range_map import Grid, MapError, suitability
from presence_only.model.spread import Reference, parts_of, spread
from presence_only.pipeline import place_lists, predict, predictions
from presence_only.reporting.figures.maps import range_figure
from presence_only.study.params import Params
from presence_only.study.paths import CellFiles, DatasetFiles
from presence_only.training.fit import fit


@pytest.fixture(scope="module", params=["coordinates", "covariates"])
def study(request, tmp_path_factory):
    """A trained cell of two seeds in a folder of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    raw = tiny.params(encoder__input=request.param)
    YAML(typ="safe").dump(raw, folder / "params.yaml")
    params = Params.parse(raw)
    data = build_dataset(parse_dataset(raw["datasets"]["virtual"], "")).training
    data.save(folder / DatasetFiles("virtual").training)
    variant = params.variant("an_full")
    for seed in (0, 1):
        model, _ = fit(data, variant.loss, variant.encoder, variant.training, seed)
        save_model(model, folder / CellFiles("virtual", "an_full").encoder(seed))
    return folder, data


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    predict.main()


def test_the_table_of_a_map_is_the_mean_sigmoid_over_seeds(study, monkeypatch, tmp_path):
    folder, data = study
    cell, out = folder / "runs/virtual/an_full", tmp_path / "map.csv"
    species = data.records.species[3]
    run(
        monkeypatch,
        "--run",
        cell,
        "--species",
        species.upper(),
        "--out",
        out,
        "--box",
        -10,
        40,
        10,
        50,
        "--resolution",
        5,
    )
    table = pl.read_csv(out)
    assert table["longitude"].to_list() == [-7.5, -2.5, 2.5, 7.5] * 2
    assert table["latitude"].to_list() == [47.5] * 4 + [42.5] * 4
    models = load_run(cell).models
    sites = table.select("longitude", "latitude").to_numpy()
    covariates = Earth.load().sample(sites)
    p = np.mean([1 / (1 + np.exp(-m.predict(sites, covariates)[:, 3].astype(float))) for m in models], axis=0)
    if models[0].reads_covariates:
        p[np.isnan(covariates[:, -1])] = np.nan  # at sea
        assert np.isnan(p).sum() == table["suitability"].null_count() > 0
    np.testing.assert_allclose(table["suitability"].cast(float).to_numpy(), p, atol=2e-6)


def test_a_map_as_a_figure_and_as_a_geotiff(study, monkeypatch, tmp_path):
    folder, data = study
    cell, species = folder / "runs/virtual/an_full/seed_1", data.records.species[0]
    run(monkeypatch, "--run", cell, "--species", species, "--out", tmp_path / "map.png")
    assert matplotlib.image.imread(tmp_path / "map.png").std() > 0.01
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    run(monkeypatch, "--run", cell, "--species", species, "--out", tmp_path / "map.tif", "--box", -10, 40, 10, 50)
    run(monkeypatch, "--run", cell, "--species", species, "--out", tmp_path / "map.csv", "--box", -10, 40, 10, 50)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert tuple(file.bounds) == (-10, 40, 10, 50)
        assert file.crs.to_epsg() == 4326
        scores, (longitude, latitude) = file.read(1), file.xy(0, 1)
    table = pl.read_csv(tmp_path / "map.csv")
    assert (table["longitude"][1], table["latitude"][1]) == pytest.approx((longitude, latitude))
    np.testing.assert_allclose(scores.ravel(), table["suitability"].to_numpy(), atol=1e-6)


def test_the_species_of_a_place_are_listed_from_the_likeliest_down(study, monkeypatch, capsys):
    folder, data = study
    cell = folder / "runs/virtual/an_full"
    run(monkeypatch, "--run", cell, "--at", -1.5, 48.5, "--top", 4)
    listed = [line.split("│")[2].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    models, site = load_run(cell).models, np.array([[-1.5, 48.5]])
    score = np.mean([1 / (1 + np.exp(-m.predict(site, Earth.load().sample(site))[0])) for m in models], axis=0)
    assert listed == [data.records.species[i] for i in np.argsort(-score)[:4]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--at", 200, 0], "--at 200 0: must be longitude -180..180"),
        (["--species", "oak", "--out", "map.png"], "the run knows no such species; its names look like 'virtual_0001'"),
        (["--species", "virtual_003", "--out", "map.png"], "knows no such species; did you mean 'virtual_0003'?"),
        (["--species", "virtual_0003", "--out", "map.csv", "--resolution", 0], "resolution = 0: must be within 0..90"),
        (["--species", "SPECIES", "--out", "map.jpg"], "--out map.jpg: must end in one of .png, .tif, .csv"),
        (["--at", 8, 47, "--week", 3], "week = 3: the run was trained without weeks"),
        (["--species", "SPECIES", "--binary", "--out", "map.jpg"], "--out map.jpg: must end in one of"),
    ],
)
def test_a_wrong_question_is_answered_by_one_sentence(study, monkeypatch, arguments, sentence):
    folder, _ = study
    with pytest.raises(MapError) as error:
        run(monkeypatch, "--run", folder / "runs/virtual/an_full", *arguments)
    assert sentence in str(error.value)


VIRTUAL = tuple(f"virtual_{i:04d}" for i in range(1, 61))
BIRDS = ("Turdus merula", "Parus major", "Parus ater", "Turdus-major 12")


@pytest.mark.parametrize(
    ("asked", "species", "names"),
    [
        # Equal as numbers, with or without the word; not those whose digits look alike.
        ("virtual_001", VIRTUAL, ["virtual_0001"]),
        ("Virtual 31", VIRTUAL, ["virtual_0031"]),
        ("virtaul_00007", VIRTUAL, ["virtual_0007"]),
        ("7", VIRTUAL, ["virtual_0007"]),
        ("virtual", VIRTUAL, ["virtual_0001", "virtual_0002", "virtual_0003"]),
        ("virtual_99", VIRTUAL, ["virtual_0009", "virtual_0019", "virtual_0029"]),
        ("parus_major", BIRDS, ["Parus major"]),
        ("PARUS", BIRDS, ["Parus ater", "Parus major"]),
        ("merula", BIRDS, ["Turdus merula"]),
        ("Parus mjaor", BIRDS, ["Parus major", "Parus ater", "Turdus-major 12"]),
        ("0", ("virtual_0000", "virtual_0010"), ["virtual_0000"]),
        ("xyzzy", BIRDS, []),
        ("", BIRDS, []),
    ],
)
def test_names_that_may_be_meant_come_the_likest_first(asked, species, names):
    assert suggestions(asked, species) == names
    with pytest.raises(MapError) as error:
        predictions.find_species(asked, species)
    offered = " or ".join(", ".join(map(repr, names)).rsplit(", ", 1))
    advice = f"did you mean {offered}?" if names else f"its names look like {species[0]!r}"
    assert str(error.value) == f"--species {asked!r}: the run knows no such species; {advice}"


@pytest.mark.parametrize("folders", ["", "made/on the way"])
def test_trying_whether_a_file_may_be_written_leaves_nothing_behind(tmp_path, folders):
    predictions.check_writable(tmp_path / folders / "map.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".png", ".tif", ".csv"])
@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("a folder", "it is a folder"),
        ("a file/map", "Not a directory"),
        ("a file/deeper/map", "Not a directory"),
        ("/proc/map", "No such file or directory"),
    ],
)
def test_a_map_that_cannot_be_written_is_refused_before_it_is_computed(
    study, monkeypatch, tmp_path, ending, folder, reason
):
    (tmp_path / f"a folder{ending}").mkdir()
    (tmp_path / "a file").touch()
    out = tmp_path / f"{folder}{ending}"
    if folder.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("a system without /proc")
    monkeypatch.setattr(predictions, "suitability", lambda *_: pytest.fail("computed in vain"))
    with pytest.raises(MapError) as error:
        run(monkeypatch, "--run", study[0] / "runs/virtual/an_full", "--species", "virtual_0001", "--out", out)
    assert str(error.value) == f"--out {out}: cannot be written: {reason}"


def test_without_rasterio_a_geotiff_is_refused_before_it_is_computed(study, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    monkeypatch.setattr(predictions, "suitability", lambda *_: pytest.fail("computed in vain"))
    arguments = ["--species", "virtual_0001", "--out", tmp_path / "map.tif"]
    with pytest.raises(MapError, match=r"GeoTIFF needs rasterio: pip install 'presence-only\[rasters\]'"):
        run(monkeypatch, "--run", study[0] / "runs/virtual/an_full", *arguments)


@pytest.mark.parametrize("ending", [".png", ".tif", ".csv"])
def test_a_map_that_turns_out_not_to_be_writable_is_one_sentence_too(study, monkeypatch, tmp_path, ending):
    if ending == ".tif":
        pytest.importorskip("rasterio", reason="rasterio is not installed")
    out = tmp_path / f"map{ending}"
    scores = predictions.suitability

    def meanwhile(*arguments):
        out.mkdir()
        return scores(*arguments)

    monkeypatch.setattr(predictions, "suitability", meanwhile)
    arguments = ["--species", "virtual_0001", "--out", out, "--box", 0, 40, 10, 50, "--resolution", 5]
    with pytest.raises(MapError, match=re.escape(f"--out {out}: cannot be written: ") + "Is a directory$"):
        run(monkeypatch, "--run", study[0] / "runs/virtual/an_full", *arguments)
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_library_says_without_a_number_is_one_line(study, monkeypatch, tmp_path):
    def full(*_):
        raise OSError("no space\n  left on device (os error 28)")

    monkeypatch.setattr(predictions, "write_table", full)
    arguments = ["--species", "virtual_0001", "--out", tmp_path / "a.csv", "--box", 0, 40, 10, 50, "--resolution", 5]
    with pytest.raises(MapError, match=r"a\.csv: cannot be written: no space left on device \(os error 28\)$"):
        run(monkeypatch, "--run", study[0] / "runs/virtual/an_full", *arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--at", 8, 47, "--out", "map.png"], "--out goes with --species, not with --at: leave one of them out"),
        (["--at", 8, 47, "--box", 0, 40, 10, 50], "--box goes with --species, not with --at: leave one of them out"),
        (["--at", 8, 47, "--resolution", 0], "--resolution goes with --species, not with --at"),
        (["--species", "a", "--out", "a.png", "--top", 3], "--top goes with --at, not with --species"),
        (["--at", 8, 47, "--top", 0], "--top 0: must be at least 1"),
        (["--at", 8, 47, "--binary"], "--binary goes with --species, not with --at: leave one of them out"),
        (["--species", "a", "--out", "a.png", "--list", "top10"], "--list goes with --at, not with --species"),
        (["--at", 8, 47, "--threshold", "lpt"], "--threshold goes with --binary or --list threshold: give one of"),
        (["--at", 8, 47, "--list", "top10", "--typical", 0.7], "--typical goes with --list expected_f1: give that"),
        (["--at", 8, 47, "--list", "expected_f1", "--typical", 1], "--typical 1: must lie within 0..1, both excluded"),
        (["--at", 8, 47, "--list", "top10", "--top", 3], "--top and --list top10 both say how many species"),
        (["--at", 8, 47, "--species", "a"], "give either --at LON LAT, or --species NAME with --out FILE"),
        (["--species", "a"], "--species needs --out"),
        (["--at", 8, 47, "--spread-of", "rank"], "--spread-of rank: needs --spread"),
        (
            ["--at", 8, 47, "--list", "top10", "--spread"],
            "--spread tells of scores, and --list top10 asks for a choice by a rule: leave one of them out",
        ),
        (
            ["--species", "a", "--out", "a.png", "--binary", "--spread", "members"],
            "--spread tells of scores, and --binary asks for a choice by a rule: leave one of them out",
        ),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(monkeypatch, capsys, arguments, sentence):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "--run", "runs/virtual/an_full", *arguments)
    assert sentence in capsys.readouterr().err


def test_one_seed_is_no_seeds(study, monkeypatch, tmp_path, capsys):
    cell, out = study[0] / "runs/virtual/an_full", tmp_path / "map.csv"
    arguments = ["--species", "virtual_0001", "--out", out, "--box", 0, 40, 10, 50, "--resolution"]
    run(monkeypatch, "--run", cell / "seed_0", *arguments, 10)
    run(monkeypatch, "--run", cell, *arguments, 5)
    said = capsys.readouterr().out
    assert "scoring 1 cell under 1 seed\n" in said
    assert "scoring 4 cells under 2 seeds\n" in said


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(MapError, match="holds no encoder; give a folder runs/<dataset>/<variant>"):
        load_run(tmp_path)


def deviation_of_scores(models, sites, column):
    scores = [1 / (1 + np.exp(-m.predict(sites, Earth.load().sample(sites))[:, column].astype(float))) for m in models]
    return np.sqrt(sum((score - np.mean(scores, axis=0)) ** 2 for score in scores) / (len(scores) - 1))


def test_the_spread_of_a_map_is_the_deviation_over_seeds(study, monkeypatch, tmp_path):
    folder, data = study
    cell, species = folder / "runs/virtual/an_full", data.records.species[3]
    asked = ["--run", cell, "--species", species, "--box", -10, 40, 10, 50, "--resolution", 5, "--spread"]
    run(monkeypatch, *asked, "--out", tmp_path / "map.csv")
    table = pl.read_csv(tmp_path / "map.csv")
    assert table.columns == ["longitude", "latitude", "suitability", "spread"]
    expected = deviation_of_scores(load_run(cell).models, table.select("longitude", "latitude").to_numpy(), 3)
    found = table["spread"].cast(float).to_numpy()
    known = ~np.isnan(found)
    np.testing.assert_allclose(found[known], expected[known], atol=2e-6)
    assert (known == table["suitability"].is_not_null().to_numpy()).all()
    run(monkeypatch, *asked, "--out", tmp_path / "map.png")
    assert matplotlib.image.imread(tmp_path / "map.png").shape[0] > 900  # two maps, one below the other
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    run(monkeypatch, *asked, "--out", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert "standard deviation" in file.descriptions[1]
        np.testing.assert_allclose(file.read(2).ravel(), found, atol=1e-6)
        np.testing.assert_allclose(file.read(1).ravel(), table["suitability"].cast(float).to_numpy(), atol=1e-6)


def test_the_list_of_a_place_has_the_spread_beside_the_score(study, monkeypatch, capsys):
    cell = study[0] / "runs/virtual/an_full"
    run(monkeypatch, "--run", cell, "--at", -1.5, 48.5, "--top", 3, "--spread", "seeds")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Spread is the standard deviation of relative suitability over 2 seeds."
    rows = [[part.strip() for part in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    models, site = load_run(cell).models, np.array([[-1.5, 48.5]])
    for _, name, _, shown, _ in rows:
        expected = deviation_of_scores(models, site, study[1].records.species.index(name))[0]
        assert float(shown) == pytest.approx(expected, abs=6e-5)


def test_one_seed_has_no_spread(study, monkeypatch, tmp_path):
    monkeypatch.setattr(predictions, "suitability", lambda *_: pytest.fail("computed in vain"))
    monkeypatch.setattr(place_lists, "logits_of_suitability", lambda *_: pytest.fail("computed in vain"))
    seed = study[0] / "runs/virtual/an_full/seed_0"
    sentence = "--spread seeds: needs a run of two seeds or more; it has 1 model and is no blend: train more seeds"
    for asked in (["--at", 8, 47], ["--species", "virtual_0001", "--out", tmp_path / "map.csv"]):
        with pytest.raises(MapError, match=sentence):
            run(monkeypatch, "--run", seed, *asked, "--spread")
    assert list(tmp_path.iterdir()) == []


def test_members_of_blends_have_a_spread_of_their_own():
    data = tiny.dataset()
    members = [tiny.model(data, seed=seed, input=kind) for seed, kind in ((0, "both"), (1, "coordinates"))]
    alone = tiny.model(data, seed=2)
    assert parts_of([Blend(members), alone], "members") == (*members, alone)
    with pytest.raises(MapError, match="--spread seeds: needs a run of two seeds or more; take --spread members"):
        parts_of([Blend(members)], "seeds")
    with pytest.raises(MapError, match="--spread members: the run is no blend, and has no members; take --spread for"):
        parts_of([alone, members[0]], "members")
    sites, covariates = data.survey.sites_M2, data.survey.covariates_MC.copy()
    covariates[0] = np.nan
    found = spread(parts_of([Blend(members)], "members"), sites, lambda _: covariates, slice(None), None)
    scores = [1 / (1 + np.exp(-m.predict(sites, covariates).astype(float))) for m in members]
    # Of two numbers the deviation is their distance over the root of 2.
    np.testing.assert_allclose(found[1:], np.abs(scores[0] - scores[1])[1:] / np.sqrt(2), atol=1e-6)
    assert np.isnan(found[0]).all()  # unknown to the blend, though one member does not read it


def test_the_spread_of_ranks_knows_no_level_of_scores():
    """Two models that order places alike have no spread of ranks, whatever their scores."""
    data = tiny.dataset()
    one, other = tiny.model(data, start_S=torch.zeros(5)), tiny.model(data, start_S=torch.full((5,), 3.0))
    with torch.no_grad():
        other.species_head.weight.mul_(0.5)
    different = tiny.model(data, seed=1)
    sites, covariates = data.survey.sites_M2, data.survey.covariates_MC
    background = data.training.background
    among = Reference(background.sites_K2, background.covariates_KC)

    def sample(_):
        return covariates

    assert spread([one, other], sites, sample, slice(None), None).min() > 0.05
    assert spread([one, other], sites, sample, slice(None), None, among).max() == 0.0
    found = spread([one, different], sites, sample, slice(1, 3), None, among)
    ranks = []
    for model in (one, different):
        here = model.predict(sites, covariates)[:, 1:3]
        there = model.predict(background.sites_K2, background.covariates_KC)[:, 1:3]
        lower, equal = (here[:, None] > there).mean(axis=1), (here[:, None] == there).mean(axis=1)
        ranks.append(lower + equal / 2)
    np.testing.assert_allclose(found, np.abs(ranks[0] - ranks[1]) / np.sqrt(2), atol=1e-6)


def test_ranks_are_asked_for_by_the_command(study, monkeypatch, tmp_path, capsys):
    cell, asked = study[0] / "runs/virtual/an_full", ["--species", "virtual_0001", "--box", -10, 40, 10, 50]
    asked += ["--resolution", 5, "--out", tmp_path / "map.csv", "--spread", "--spread-of"]
    run(monkeypatch, "--run", cell, *asked, "rank")
    assert "standard deviation of the rank among background sites (0 to 1) over 2 seeds" in capsys.readouterr().out
    rank = pl.read_csv(tmp_path / "map.csv")["spread"]
    run(monkeypatch, "--run", cell, *asked, "score")
    assert rank.to_list() != pl.read_csv(tmp_path / "map.csv")["spread"].to_list()
    run(monkeypatch, "--run", cell, "--at", -1.5, 48.5, "--spread", "--spread-of", "rank")
    assert "of the rank among background sites (0 to 1) over 2 seeds." in capsys.readouterr().out


def test_a_name_is_no_markup_of_the_terminal(study, monkeypatch, capsys):
    trained = load_run(study[0] / "runs/virtual/an_full")
    names = tuple(f"[red]{i}[/red]" for i in range(trained.records.n_species))
    training = dataclasses.replace(trained.training, records=dataclasses.replace(trained.records, species=names))
    place_lists.list_species(dataclasses.replace(trained, training=training), (-1.5, 48.5), 20, None)
    said = capsys.readouterr().out
    assert all(name in said for name in names)


def test_the_sea_is_unknown_to_a_run_that_reads_the_environment(study):
    folder, _ = study
    trained = load_run(folder / "runs/virtual/an_full")
    scores = suitability(trained.models, np.array([[-30.0, 30.0], [2.0, 47.0]]), trained.sample, slice(None), None)
    assert np.isnan(scores[0]).all() == trained.models[0].reads_covariates
    assert np.isfinite(scores[1]).all()


@pytest.mark.parametrize(
    ("edges", "sentence"),
    [
        ((10, 0, -10, 5, 1), "must be west south east north"),
        ((0, 0, 10, 95, 1), "must be west south east north"),
        ((0, 0, 10, 10, 0), "resolution = 0: must be within 0..90"),
        ((-180, -90, 180, 90, 0.01), "makes 648,000,000 cells"),
    ],
)
def test_an_impossible_grid_is_refused(edges, sentence):
    with pytest.raises(MapError, match=sentence):
        Grid(*edges)


def test_a_wrong_box_is_told_as_it_was_written(study, monkeypatch, tmp_path):
    cell, box = study[0] / "runs/virtual/an_full", ["--box", 10, 10, 5, 5]
    with pytest.raises(MapError, match="box 10 10 5 5: must be west south east north"):
        run(monkeypatch, "--run", cell, "--species", "virtual_0001", *box, "--out", tmp_path / "map.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("box", [(170, -20, -170, -10), (170, -20, 190, -10), (-190, -20, -170, -10)])
def test_a_map_may_cross_180_degrees(study, monkeypatch, tmp_path, box):
    cell, arguments = study[0] / "runs/virtual/an_full", ["--species", "virtual_0001", "--resolution", 5, "--box", *box]
    run(monkeypatch, "--run", cell, *arguments, "--out", tmp_path / "map.csv")
    table = pl.read_csv(tmp_path / "map.csv")
    assert table["longitude"].to_list() == [172.5, 177.5, -177.5, -172.5] * 2
    # Each half is the half of a map that does not cross.
    run(monkeypatch, "--run", cell, *arguments[:4], "--box", -180, -20, -170, -10, "--out", tmp_path / "east.csv")
    east = pl.read_csv(tmp_path / "east.csv")
    assert table.filter(pl.col("longitude") < 0).rows() == east.rows()
    run(monkeypatch, "--run", cell, *arguments, "--out", tmp_path / "map.png")
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    run(monkeypatch, "--run", cell, *arguments, "--out", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert tuple(file.bounds) == (170, -20, 190, -10)
        np.testing.assert_allclose(file.read(1).ravel(), table["suitability"].cast(float).to_numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("longitudes", "expected"),
    [
        ([-5.0, 15.0], (-15.0, 25.0)),
        ([170.0, -170.0, -175.0], (160.0, 200.0)),
        ([150.0, -150.0], (120.0, 240.0)),
        ([178.0], (168.0, 188.0)),
        ([-175.0], (175.0, 195.0)),
        ([-120.0, 0.0, 120.0], (-180.0, 180.0)),
        ([100.0, -80.0, 0.0], (-180.0, 180.0)),
    ],
)
def test_the_default_map_is_the_narrowest_with_a_margin(longitudes, expected):
    sites = np.column_stack([longitudes, np.zeros(len(longitudes))])
    west, south, east, north = predictions._around(sites)
    assert (west, east) == expected
    assert (south, north) == (-10.0, 10.0)
    Grid(west, south, east, north, 1.0)


def test_the_picture_of_a_map_across_180_degrees_is_one_piece():
    sites = np.array([[175.0, -15.0], [-175.0, -15.0]])
    figure = range_figure(np.zeros((4, 4)), (170, 190, -20, -10), sites, Earth.load().land_share_grid, "species 1")
    axes = figure.axes[0]
    assert axes.get_xlim() == (170, 190)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [175.0, 185.0])
    assert axes.xaxis.get_major_formatter()(185.0, 0) == "-175"


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "virtual"},
        {"kind": "gbif", "path": "x", "environment": "earth"},
        {"kind": "inaturalist", "root": "x", "environment": "earth"},
        {"kind": "sinr", "root": "x", "environment": "earth"},
    ],
    ids=lambda raw: raw["kind"],
)
def test_every_kind_whose_environment_is_known_everywhere_can_be_mapped(raw):
    sites = np.array([[8.0, 47.0], [-60.0, -10.0]])
    np.testing.assert_array_equal(parse_dataset(raw, "").covariate_source()(sites), Earth.load().sample(sites))


def test_a_kind_with_covariates_at_its_own_sites_says_so():
    settings = parse_dataset({"kind": "nceas", "root": "x", "region": "SA"}, "")
    with pytest.raises(DataError, match="a data set of kind 'nceas' has covariates at its own sites only"):
        settings.covariate_source()


@pytest.mark.parametrize("content", [b"", b"junk\n", "cut off"])
def test_a_broken_encoder_is_one_sentence(study, tmp_path, content):
    folder, _ = study
    if content == "cut off":
        content = (folder / "runs/virtual/an_full/seed_0/encoder.pt").read_bytes()[:1000]
    cell = tmp_path / "runs/virtual/an_full"
    (cell / "seed_0").mkdir(parents=True)
    (cell / "seed_0/encoder.pt").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an encoder of this version; `dvc repro` makes it anew"):
        load_run(cell)


@pytest.mark.parametrize(("n", "said"), [(1, "1 training record"), (2, "2 training records")])
def test_a_range_map_counts_its_records(n, said):
    sites = np.zeros((n, 2))
    figure = range_figure(np.zeros((4, 4)), (-10, 10, -10, 10), sites, Earth.load().land_share_grid, "species 1")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [said]


def test_the_colours_of_a_range_map_end_at_its_highest_score():
    score = np.array([[0.02, 0.05], [0.0, np.nan]])
    box, sites, land = (-10, 10, -10, 10), np.zeros((1, 2)), Earth.load().land_share_grid
    figure = range_figure(score, box, sites, land, "species 1", score / 10)
    maps = [axes for axes in figure.axes if axes.images]
    assert [axes.images[0].get_clim() for axes in maps] == [(0.0, 0.05), (0.0, pytest.approx(0.005))]
    # Cells without a score are no low ones.
    assert maps[0].get_legend().get_texts()[1].get_text() == "environment unknown"
    nothing = range_figure(np.full((2, 2), np.nan), box, sites, land, "species 1")
    assert nothing.axes[0].images[0].get_clim() == (0.0, 0.001)


def test_added_presences_are_no_training_records(study, monkeypatch, capsys):
    """Label propagation keeps what it added beside the survey."""
    folder, data = study
    records = data.records
    added = AddedPresences(records.row_P[:4], records.species_P[:4])
    place = folder / DatasetFiles("virtual").survey
    place.mkdir(parents=True, exist_ok=True)
    cell = folder / "runs/virtual/an_full"
    before_S = load_run(cell).recorded_S
    added.save(place)
    try:
        after_S = load_run(cell).recorded_S
        run(monkeypatch, "--run", cell, "--at", 8.5, 47.4, "--top", records.n_species)
    finally:
        (place / "added_presences.parquet").unlink()
    np.testing.assert_array_equal(before_S, records.records_per_species())
    np.testing.assert_array_equal(before_S - after_S, np.bincount(records.species_P[:4], minlength=records.n_species))
    printed = capsys.readouterr().out
    for name, count in zip(records.species, after_S, strict=True):
        assert re.search(rf"{name} .* {count:,} ", printed), name
