"""The folder of the map page: codes, cells, packs and points, read back as the page reads them."""

import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from support import tiny

from presence_only.data.survey import Survey
from presence_only.data.truth import SurveyTruth
from presence_only.geography.earth import Earth
from presence_only.model.interface import WEEKS_OF_A_YEAR
from presence_only.model.range_map import Grid, MapError, suitability
from presence_only.reporting.map_page import page as page_module
from presence_only.reporting.map_page import points as points_module
from presence_only.reporting.map_page.cells import MapCells, box_around, choose_cells
from presence_only.reporting.map_page.packs import read_description, read_pack, write_description, write_pack
from presence_only.reporting.map_page.page import (
    MapContent,
    MapPageError,
    MapRun,
    check_folder,
    times_of_year,
    write_map_page,
)
from presence_only.reporting.map_page.score_codes import STEP, decode, encode

# Names that would break out of a script, of an attribute or of a line.
NAMES = (
    "<img src=x onerror=alert(1)>",
    "quote \" and ' and \\",
    "</script><script>alert(2)</script>",
    "line\u2028separator\u2029and\nbreak",
    "Ärmelkanal <!-- ü é 鳥 -->",
)


def silent(*_):
    """No display of progress."""


def everywhere(grid):
    return MapCells(grid, np.ones(grid.shape[0] * grid.shape[1], dtype=bool), land=False)


def marked(data):
    """The data set with names full of markup."""
    records = replace(data.training.records, species=NAMES)
    return records, replace(data.survey, species=NAMES)


def test_a_code_is_as_near_to_its_score_as_it_says():
    scores = np.linspace(0, 1, 10_001)
    codes = encode(scores)
    assert (codes >= 1).all()
    assert (np.diff(codes.astype(int)) >= 0).all()
    assert np.abs(decode(codes) - scores).max() <= 0.01
    inside = (scores > 5e-5) & (scores < 1 - 5e-5)
    logits = np.log(scores[inside] / (1 - scores[inside]))
    again = np.log(decode(codes[inside]) / (1 - decode(codes[inside])))
    assert np.abs(again - logits).max() <= STEP / 2 + 1e-9
    assert encode(np.array([np.nan, 0.0, 1.0])).tolist() == [0, 1, 255]
    assert np.isnan(decode(np.array([0], dtype=np.uint8))[0])


def test_a_pack_is_a_script_of_one_call(tmp_path):
    content = bytes(range(256)) * 3
    write_pack(tmp_path, "run_0/species_3", content)
    text = (tmp_path / "run_0/species_3.js").read_text()
    assert re.fullmatch(r'presenceOnlyPack\("run_0/species_3","[A-Za-z0-9+/=]+"\);\n', text)
    assert read_pack(tmp_path / "run_0/species_3.js") == content


def test_no_name_can_end_the_script_or_its_line(tmp_path):
    write_description(tmp_path / "d.js", {"species": NAMES})
    raw = (tmp_path / "d.js").read_bytes()
    assert max(raw) < 128
    assert b"<" not in raw
    assert raw.count(b"\n") == 1
    assert read_description(tmp_path / "d.js")["species"] == list(NAMES)


@pytest.mark.parametrize("weeks", [False, True])
def test_the_page_holds_what_the_model_says(tmp_path, weeks):
    data = tiny.dataset(covariates=0)
    if weeks:
        records = replace(data.training.records, week_N=np.arange(60) % 48 + 1)
        background = replace(data.training.background, week_K=np.arange(40) % 48 + 1)
        data = replace(data, training=replace(data.training, records=records, background=background))
    models = tuple(tiny.model(data, seed=seed, weeks=weeks, input="coordinates") for seed in (1, 2))
    cells = choose_cells(data.training.records.sites_N2, (-20, 30, 40, 60), 2, "land")
    assert 0 < cells.n_kept < 30 * 15
    content = MapContent("a <title>", data.training.records, data.survey)
    # A second run without weeks beside one with them is the same at every time.
    runs = [
        MapRun("with", models, None),
        MapRun("other", (tiny.model(tiny.dataset(covariates=0), seed=3, input="coordinates"),), None),
    ]
    write_map_page(tmp_path / "page", runs, content, cells, weeks=4, progress=silent)
    folder = tmp_path / "page/data"
    about = read_description(folder / "description.js")
    assert about["title"] == "a <title>"
    records = data.training.records
    longitude, latitude = records.sites_N2[records.row_P].T
    inside = (longitude >= -20) & (longitude <= 40) & (latitude >= 30) & (latitude <= 60)
    assert about["first"] == np.bincount(records.species_P[inside], minlength=5).argmax()
    assert about["times"] == ([0, 6, 18, 30, 42] if weeks else [0])
    kept = np.unpackbits(np.frombuffer(read_pack(folder / "cells.js"), np.uint8))[: len(cells.kept_M)]
    np.testing.assert_array_equal(kept, cells.kept_M)
    n_times, n_species = len(about["times"]), len(about["species"])
    for index, run in enumerate(runs):
        by_species, by_place = [], []
        for part in range(-(-n_species // about["speciesPerPack"])):
            steps = np.frombuffer(read_pack(folder / f"run_{index}/species_{part}.js"), np.uint8)
            by_species.append(steps.reshape(-1, n_times, cells.n_kept).cumsum(axis=2, dtype=np.uint8))
        for part in range(-(-cells.n_kept // about["cellsPerPack"])):
            steps = np.frombuffer(read_pack(folder / f"run_{index}/places_{part}.js"), np.uint8)
            by_place.append(steps.reshape(n_times, n_species, -1).cumsum(axis=2, dtype=np.uint8))
        codes_STK = np.concatenate(by_species)
        np.testing.assert_array_equal(codes_STK.transpose(1, 0, 2), np.concatenate(by_place, axis=2))
        for time, week in enumerate(about["times"]):
            asked = week if week and run.models[0].weeks else None
            expected_KS = suitability(run.models, cells.sites_K2, None, slice(None), asked)
            np.testing.assert_allclose(decode(codes_STK[:, time]).T, expected_KS, atol=0.0101)


def test_packs_are_cut_where_they_grow_too_large(tmp_path, monkeypatch):
    data = tiny.dataset(covariates=0)
    model = tiny.model(data, input="coordinates")
    monkeypatch.setattr(page_module, "PACK_BYTES", 100)
    grid = Grid(0, 0, 12, 6, 1)
    content = MapContent("t", data.training.records, None)
    write_map_page(
        tmp_path / "page", [MapRun("r", (model,), None)], content, everywhere(grid), weeks=12, progress=silent
    )
    names = {path.stem for path in (tmp_path / "page/data/run_0").iterdir()}
    assert names == {f"species_{i}" for i in range(5)} | {f"places_{i}" for i in range(4)}


def test_records_and_truth_come_back(tmp_path, monkeypatch):
    data = tiny.dataset()
    monkeypatch.setattr(points_module, "SPECIES_PER_PACK", 2)
    monkeypatch.setattr(points_module, "MOST_RECORDS", 12)
    records = data.training.records
    drawn_S = points_module.write_records(tmp_path, records)
    for species in range(records.n_species):
        numbers = np.frombuffer(read_pack(tmp_path / f"records_{species // 2}.js"), "<i4")
        first, n = species // 2 * 2, min(2, records.n_species - species // 2 * 2)
        start = n + 2 * numbers[: species - first].sum()
        points = numbers[start : start + 2 * drawn_S[species]].reshape(-1, 2) / 10_000
        sites = records.sites_N2[records.row_P[records.species_P == species]]
        assert drawn_S[species] == min(len(sites), 12)
        distances = np.abs(points[:, None] - sites[None]).max(axis=2)
        assert (distances.min(axis=1) < 1e-4).all()
        assert len(np.unique(distances.argmin(axis=1))) == len(points)
    truth = SurveyTruth.of_matrix(np.random.default_rng(0).integers(-1, 2, (50, 5)))
    survey = Survey(data.survey.sites_M2, data.survey.covariates_MC, truth, records.species, records.covariate_names)
    for most, n_drawn in ((50, 50), (20, 20)):
        monkeypatch.setattr(points_module, "MOST_SITES", most)
        site_m = points_module.write_truth(tmp_path, survey)
        assert len(site_m) == n_drawn == len(set(site_m))
        sites = np.frombuffer(read_pack(tmp_path / "truth_sites.js"), "<i4").reshape(-1, 2) / 10_000
        np.testing.assert_allclose(sites, survey.sites_M2[site_m], atol=1e-4)
        for species in range(5):
            bits = np.unpackbits(np.frombuffer(read_pack(tmp_path / f"truth_{species // 2}.js"), np.uint8))
            present, absent = bits.reshape(-1, 2, 8 * -(-n_drawn // 8))[species % 2, :, :n_drawn]
            np.testing.assert_array_equal(present, truth.matrix()[site_m, species] == 1)
            np.testing.assert_array_equal(absent, truth.matrix()[site_m, species] == 0)


def test_what_is_left_out_is_nowhere_in_the_folder(tmp_path):
    data = tiny.dataset(covariates=0)
    content = MapContent("t", data.training.records, None, show_records=False)
    run = MapRun("r", (tiny.model(data, input="coordinates"),), None)
    write_map_page(tmp_path / "page", [run], content, everywhere(Grid(0, 0, 4, 4, 1)), weeks=12, progress=silent)
    assert {path.name for path in (tmp_path / "page/data").iterdir()} == {"cells.js", "description.js", "run_0"}
    about = read_description(tmp_path / "page/data/description.js")
    assert "drawn" not in about
    assert "truth" not in about


@pytest.mark.parametrize(
    ("sites", "box"),
    [
        ([[0, 40], [20, 60]], (-2, 38, 22, 62)),
        ([[-170, 0], [170, 10]], (168, -1, 192, 11)),
        ([[-120, -50], [120, 70], [0, 0]], (-180, -62, 180, 82)),
        ([[5, 89.9]], (4.5, 89.4, 5.5, 90)),
    ],
)
def test_the_box_holds_all_records(sites, box):
    np.testing.assert_allclose(box_around(np.array(sites, dtype=float)), box)


@pytest.mark.parametrize(
    ("sites", "side", "land"),
    [
        ([[-120.0, -50.0], [-60, -10], [120, 60], [0, 48]], 1.0, False),
        ([[-60.0, -10.0], [100, 60], [-100, 40], [20, 48], [130, -25]], 1.0, True),
        ([[8.0, 47.0], [9, 46]], 0.01, True),
        ([[6.0, 50.0], [14.0, 46.0]], 0.05, True),
    ],
)
def test_the_default_cells_are_the_finest_that_are_not_too_many(sites, side, land):
    cells = choose_cells(np.array(sites), None, None, "auto")
    grid = cells.grid
    assert grid.resolution == side
    assert grid.shape[0] * grid.shape[1] <= 65_000
    assert cells.land == land
    edges = np.array([grid.west, grid.south, grid.east, grid.north]) / side
    np.testing.assert_allclose(edges, np.rint(edges), atol=1e-6)
    if not land:
        assert cells.kept_M.all()


def test_cells_with_land_are_those_of_the_shipped_grid():
    cells = choose_cells(np.array([[0.0, 0.0]]), (-180, -90, 180, 90), 1, "land")
    np.testing.assert_array_equal(cells.kept_M.reshape(180, 360)[::-1], Earth.load().land_share_grid > 0)
    across = choose_cells(np.array([[0.0, 0.0]]), (170, -50, 190, -30), 1, "land")
    turned = cells.kept_M.reshape(180, 360)[120:140]
    np.testing.assert_array_equal(across.kept_M.reshape(20, 20), np.hstack([turned[:, 350:], turned[:, :10]]))


def test_the_shipped_page_is_small_and_asks_no_host():
    static = {
        file.name: file.read_text() for file in files("presence_only.reporting.map_page").joinpath("static").iterdir()
    }
    assert set(static) == set(page_module.PAGE_FILES)
    assert sum(len(text.encode()) for text in static.values()) < 1_500_000
    assert "Natural Earth" in static["CREDITS.txt"]
    for name in ("index.html", "page.css"):
        assert not re.search(r"(https?:)?//[a-z]|@import", static[name])
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|importScripts)\b\(", static["page.js"])


def test_the_weeks_of_a_year():
    assert times_of_year(12) == WEEKS_OF_A_YEAR
    assert times_of_year(48) == tuple(range(1, 49))
    assert times_of_year(1) == (24,)
    for n in (0, 5, 49):
        with pytest.raises(MapPageError, match=rf"--weeks {n}: must divide 48"):
            times_of_year(n)


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    data = tiny.dataset(covariates=0)
    out = tmp_path / "page"
    check_folder(out)
    run = MapRun("r", (tiny.model(data, input="coordinates"),), None)
    content = MapContent("t", data.training.records, None)
    for _ in range(2):
        write_map_page(out, [run], content, everywhere(Grid(0, 0, 4, 4, 1)), weeks=12, progress=silent)
        check_folder(out)
    # A page that its author put under git.
    (out / ".git").mkdir()
    with pytest.raises(MapPageError, match=r"other files than a map page, such as '\.git'; name a new folder"):
        check_folder(out)
    (tmp_path / "other").mkdir()
    check_folder(tmp_path / "other")
    (tmp_path / "other/thesis.txt").write_text("x")
    with pytest.raises(MapPageError, match="holds other files than a map page"):
        check_folder(tmp_path / "other")
    with pytest.raises(MapPageError, match="is a file; name a folder"):
        check_folder(tmp_path / "other/thesis.txt")


def test_the_folder_is_whole_or_absent(tmp_path):
    data = tiny.dataset(covariates=0)
    run = MapRun("r", (tiny.model(data, input="coordinates"),), None)
    content = MapContent("t", data.training.records, data.survey)

    def breaks(what, *_):
        if "lists" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_map_page(tmp_path / "page", [run], content, everywhere(Grid(0, 0, 4, 4, 1)), weeks=12, progress=breaks)
    assert list(tmp_path.iterdir()) == []


def test_too_many_scores_are_refused_before_any_is_computed(tmp_path, monkeypatch):
    data = tiny.dataset(covariates=0)
    monkeypatch.setattr(page_module, "MOST_BYTES", 79)
    run = MapRun("r", (tiny.model(data, input="coordinates"),), None)
    content = MapContent("t", data.training.records, None)
    with pytest.raises(MapPageError, match="16 cells of 1 degrees, 5 species and 1 times make"):
        write_map_page(tmp_path / "page", [run], content, everywhere(Grid(0, 0, 4, 4, 1)), weeks=12, progress=silent)
    with pytest.raises(MapError, match="must be west south east north"):
        choose_cells(np.zeros((1, 2)), (10, 0, -10, 5), 1, "all")


def test_equal_runs_make_equal_bytes(tmp_path):
    data = tiny.dataset(covariates=0)
    records, survey = marked(data)
    run = MapRun("r", (tiny.model(data, input="coordinates"),), None)
    for name in ("a", "b"):
        content = MapContent("t", records, survey)
        write_map_page(tmp_path / name, [run], content, everywhere(Grid(0, 0, 4, 4, 1)), weeks=12, progress=silent)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 10
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
