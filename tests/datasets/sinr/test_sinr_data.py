"""SINR's files, written here small in every format of theirs, and what is made of them.

The real files are too large for a test; expected values are by hand or by slow loops.
"""

import csv
import json
import re
import shutil
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from sklearn.metrics import average_precision_score

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.datasets.sinr.dataset import DatasetSettings, auxiliary_taxa, build
from presence_only.datasets.sinr.expert_maps import split_sites
from presence_only.datasets.sinr.published_files import (
    RASTERS,
    read_geo_prior,
    read_iucn,
    read_names,
    read_raster,
    read_records,
    read_snt,
)
from presence_only.evaluation.survey import evaluate_survey
from presence_only.evaluation.tasks import load_further
from presence_only.losses.base import parse_variant
from presence_only.model.settings import EncoderSettings
from presence_only.occurrences.assembly_settings import AssemblySettings
from presence_only.occurrences.random_cap import at_most
from presence_only.study.params import Params
from presence_only.training.fit import fit
from presence_only.training.settings import TrainingSettings

HAS_RASTERIO = find_spec("rasterio") is not None
needs_rasterio = pytest.mark.skipif(not HAS_RASTERIO, reason="pip install presence-only[rasters]")

# Taxa 101..112 have records, 120 has none, 130 and 140 share a name.
NAMES = {taxon: f"Genus species{taxon}" for taxon in (*range(101, 113), 120)} | {130: "Twin twin", 140: "Twin twin"}
WITH_RECORDS = (*range(101, 113), 130, 140)
SNT = (105, 101, 120, 130)
IUCN = (103, 101, 140, 120, 999)


def record_rows(rng, per_taxon=12):
    """Rows of the training table, shuffled, the taxa of 30 degrees of longitude each."""
    rows = []
    for place, taxon in enumerate(WITH_RECORDS):
        for _ in range(per_taxon):
            rows.append(
                {
                    "id": len(rows),
                    "latitude": round(rng.uniform(-60, 60), 5),
                    "longitude": round(-180 + 25 * place + rng.uniform(0, 25), 5),
                    "observed_on": f"20{rng.integers(10, 22)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}",
                    "taxon_id": taxon,
                    "positional_accuracy": rng.choice(["", "12.0"]),
                }
            )
    return [rows[i] for i in rng.permutation(len(rows))]


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def snt_dict(rng, n_sites=60):
    """S&T as a dictionary: lists of other lengths for every taxon, labels that are shares."""
    sites = [rng.permutation(n_sites)[: 20 + 5 * i] for i in range(len(SNT))]
    return {
        "taxa": np.array(SNT),
        "obs_locs": np.stack([rng.uniform(-180, 180, n_sites), rng.uniform(-90, 90, n_sites)], axis=1).astype("f4"),
        "obs_locs_idx": np.arange(n_sites),
        "loc_indices_per_species": [index.tolist() for index in sites],
        "labels_per_species": [np.where(rng.random(len(index)) < 0.4, rng.random(len(index)), 0) for index in sites],
    }


def iucn_dict(rng, n_sites=50):
    return {
        "locs": np.stack([rng.uniform(-180, 180, n_sites), rng.uniform(-90, 90, n_sites)], axis=1).tolist(),
        "taxa_presence": {str(t): rng.permutation(n_sites)[: 5 + i].tolist() for i, t in enumerate(IUCN)},
    }


def predictions(rng, n_images=30, n_candidates=3):
    taxa = np.array([105, 999, 101, 140, 120])
    return {
        "probs": np.sort(rng.dirichlet(np.ones(n_candidates), n_images), axis=1).astype("f4"),
        "inds": np.stack([rng.permutation(len(taxa))[:n_candidates] for _ in range(n_images)]),
        "labels": rng.integers(0, len(taxa), n_images),
        "model_to_taxa": taxa,
    }


def write_raster(path, array):
    rasterio, errors = import_module("rasterio"), import_module("rasterio.errors")
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "height": array.shape[0], "width": array.shape[1], "count": 1, "dtype": array.dtype}
    with warnings.catch_warnings():
        # As SINR's: values alone, no word on where they lie.
        warnings.simplefilter("ignore", errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as file:
            file.write(array, 1)
    return path


def rasters(rng, height=100, width=120):
    """The country's mask and the nine layers; one column of the first layer is unknown."""
    mask = np.zeros((height, width), dtype="u1")
    mask[35:65, 40:70] = 1
    latitude, longitude = np.mgrid[90 : -90 : height * 1j, -180 : 180 : width * 1j]
    layers = {
        name: (np.sin(latitude / 20 + i) + np.cos(longitude / 30) + 0.1 * rng.normal(size=mask.shape)).astype("f4")
        for i, name in enumerate(RASTERS)
    }
    layers[RASTERS[0]][:, 40] = np.nan
    return mask, layers


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A whole folder in SINR's layout, with what was written into it."""
    rng = np.random.default_rng(7)
    root = tmp_path_factory.mktemp("sinr")
    train, evaluation = root / "data/train", root / "data/eval"
    written = {"rows": record_rows(rng), "snt": snt_dict(rng), "iucn": iucn_dict(rng), "prior": predictions(rng)}
    write_table(train / "geo_prior_train.csv", written["rows"])
    meta = [{"taxon_id": taxon, "latin_name": name, "count": 12} for taxon, name in NAMES.items()]
    (train / "geo_prior_train_meta.json").write_text(json.dumps(meta))
    (evaluation / "snt").mkdir(parents=True)
    np.save(evaluation / "snt/snt_res_5.npy", written["snt"])
    (evaluation / "iucn").mkdir()
    (evaluation / "iucn/iucn_res_5.json").write_text(json.dumps(written["iucn"]))
    (evaluation / "geo_prior").mkdir()
    np.savez(evaluation / "geo_prior/geo_prior_model_preds.npz", **written["prior"])
    (evaluation / "geo_prior/taxa_subsets.json").write_text(json.dumps({"snt_birds": list(SNT)}))
    written["images"] = [
        {"id": i, "latitude": round(rng.uniform(-60, 60), 4), "longitude": round(rng.uniform(-180, 180), 4)}
        for i in range(30)
    ]
    write_table(evaluation / "geo_prior/geo_prior_model_meta.csv", written["images"])
    written["mask"], written["layers"] = rasters(rng)
    if HAS_RASTERIO:
        write_raster(root / "data/masks/USA_MASK.tif", written["mask"])
        for name, layer in written["layers"].items():
            write_raster(evaluation / f"geo_feature/{name}.tif", layer)
    return root, written


@pytest.fixture
def folder(original, tmp_path):
    """A copy of the folder that a test may spoil."""
    return Path(shutil.copytree(original[0] / "data", tmp_path / "data"))


def settings(root, **changes):
    raw = {"kind": "sinr", "root": str(root), "background_sites": 50, **changes}
    return DatasetSettings.parse(raw, "datasets.sinr")


def made(root, **changes):
    return build(settings(root, **changes))


class TestRecords:
    def test_rows_are_dropped_by_sinrs_rules_and_counted(self, tmp_path):
        rows = record_rows(np.random.default_rng(0), per_taxon=2)
        rows[0]["latitude"], rows[1]["longitude"], rows[2]["latitude"] = 90.1, -180.5, ""
        rows[3]["id"], rows[4]["observed_on"], rows[5]["taxon_id"] = "", "NaN", "n/a"
        rows[6]["positional_accuracy"], rows[7]["latitude"], rows[8]["longitude"] = "", -90, 180
        table, filters = read_records(write_table(tmp_path / "t.csv", rows), dates=False)
        n = len(rows)
        assert filters == (("read", n), ("on the globe", n - 3), ("no empty field", n - 6))
        assert table.columns == ["longitude", "latitude", "taxon"]
        assert table.rows() == [(row["longitude"], row["latitude"], row["taxon_id"]) for row in rows[6:]]

    def test_dates_are_read_only_when_they_are_wanted(self, tmp_path):
        rows = record_rows(np.random.default_rng(0), per_taxon=2)
        rows[0]["observed_on"], rows[1]["observed_on"] = "2019-02-29", "last week"
        rows[2]["observed_on"] = "2019-03-05T12:30:00Z"
        path = write_table(tmp_path / "t.csv", rows)
        assert len(read_records(path, dates=False)[0]) == len(rows)
        table, filters = read_records(path, dates=True)
        assert filters[-1] == ("dated", len(rows) - 2)
        expected = [tuple(map(int, row["observed_on"][5:10].split("-"))) for row in rows[2:]]
        assert table.select("month", "day").rows() == expected
        assert expected[0] == (3, 5)

    def test_the_column_may_be_called_date_and_the_row_have_a_byte_order_mark(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_bytes(b"\xef\xbb\xbftaxon_id,longitude,latitude,date\r\n5,1.5,2.5,2020-07-31\r\n")
        table, _ = read_records(path, dates=True)
        assert table.rows() == [(1.5, 2.5, 5, 7, 31)]

    @pytest.mark.parametrize(
        ("text", "dates", "message"),
        [
            ("latitude,taxon_id\n1,2\n", False, "column 'longitude' is missing; the columns are latitude, taxon_id"),
            ("longitude,latitude,taxon_id\n1,2,3\n", True, "weeks: true needs a column 'date' or 'observed_on'"),
            ("longitude,latitude,taxon_id\n1,north,3\n", False, "cannot be read as a table: could not parse `north`"),
            ("longitude,latitude,taxon_id\n1,2,3.5\n", False, "cannot be read as a table: could not parse `3.5`"),
            ("", False, "cannot be read as a table: empty CSV"),
        ],
    )
    def test_a_wrong_table_is_one_sentence(self, tmp_path, text, dates, message):
        path = tmp_path / "t.csv"
        path.write_text(text)
        with pytest.raises(DataError, match=message) as raised:
            read_records(path, dates=dates)
        assert "\n" not in str(raised.value)

    def test_auxiliary_species_are_the_head_of_one_random_order_of_the_others(self):
        candidates, chosen = np.array([9, 4, 7, 2, 5, 1]), np.array([5, 2])
        others = [1, 4, 7, 9]
        order = np.random.default_rng(8099).permutation(4)
        expected = [others[order[0]], others[order[1]]]
        assert auxiliary_taxa(candidates, chosen, 2, np.random.default_rng(8099)).tolist() == expected
        with pytest.raises(DataError, match="auxiliary_species = 5: only 4 species"):
            auxiliary_taxa(candidates, chosen, 5, np.random.default_rng(0))

    def test_two_taxa_of_one_name_are_told_apart(self, original):
        names = read_names(original[0] / "data/train/geo_prior_train_meta.json")
        assert (names[101], names[130], names[140]) == (
            "Genus species101",
            "Twin twin (taxon 130)",
            "Twin twin (taxon 140)",
        )


class TestExpertMaps:
    @pytest.mark.parametrize("split", ["test", "val"])
    def test_the_split_is_sinrs(self, original, split):
        root, written = original
        stored = written["snt"]
        experts = split_sites(read_snt(root / "data/eval/snt/snt_res_5.npy"), split, 7499)
        generator = np.random.default_rng(7499)
        for i in range(len(SNT)):
            labels = stored["labels_per_species"][i]
            order = list(generator.permutation(len(labels)))
            half = len(labels) // 2
            part = order[half:] if split == "test" else order[:half]
            assert experts.sites_of_T[i].tolist() == [stored["loc_indices_per_species"][i][k] for k in part]
            assert experts.labels_of_T[i].tolist() == [int(labels[k] > 0) for k in part]

    def test_halves_make_up_the_whole(self, original):
        experts = read_snt(original[0] / "data/eval/snt/snt_res_5.npy")
        halves = [split_sites(experts, split, 5) for split in ("val", "test")]
        for i, sites in enumerate(experts.sites_of_T):
            assert sorted(np.concatenate([half.sites_of_T[i] for half in halves])) == sorted(sites)
        assert split_sites(experts, "all", 5) is experts

    def test_range_maps_have_no_sites_to_split(self, original):
        with pytest.raises(ValueError, match="no list of surveyed sites"):
            split_sites(read_iucn(original[0] / "data/eval/iucn/iucn_res_5.json"), "test", 0)

    def test_range_maps_come_back_as_written(self, original):
        root, written = original
        experts = read_iucn(root / "data/eval/iucn/iucn_res_5.json")
        np.testing.assert_array_equal(experts.sites_M2, written["iucn"]["locs"])
        assert experts.taxon_T.tolist() == list(IUCN)
        for taxon, sites in zip(IUCN, experts.sites_of_T, strict=True):
            assert sites.tolist() == written["iucn"]["taxa_presence"][str(taxon)]

    def test_json_may_be_spaced_ordered_and_extended_at_will(self, tmp_path):
        path = tmp_path / "iucn.json"
        path.write_text(
            ' {\n "version" : {"a": [1, {"b": 2}]} ,\n "taxa_presence": { "5" : [ 1 , 0 ], "6":[]}'
            ',"locs":[[1,2],[3,4]]}\n'
        )
        experts = read_iucn(path)
        assert experts.taxon_T.tolist() == [5, 6]
        assert [sites.tolist() for sites in experts.sites_of_T] == [[1, 0], []]
        assert experts.sites_M2.tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"locs": [[1, 2]], "taxa_presence": {"5": [0', "is not valid JSON of its form: "),
            ('{"locs": [[1, 2]], "taxa_presence": {"5": [0]', "is not valid JSON of its form: , or } expected"),
            ("[1, 2]", "is not valid JSON of its form: { expected"),
            ('{"locs": [[1, 2]], "taxa_presence": {}}', "must have 'locs' and 'taxa_presence'"),
            ('{"taxa_presence": {"5": [0]}}', "must have 'locs' and 'taxa_presence'"),
            ('{"locs": [[1, 2]], "taxa_presence": {"wren": [0]}}', "is not valid JSON of its form: invalid literal"),
            ('{"locs": [[1, 2]], "taxa_presence": {"5": [1]}}', r"taxon 5 lie within 1\.\.1; there are 1 sites"),
            ('{"locs": [[1, 2]], "taxa_presence": {"5": [0, 0]}}', "taxon 5 has a site twice"),
            ('{"locs": [[1, 2]], "taxa_presence": {"5": [0.5]}}', "taxa_presence of 5 must be whole numbers"),
            ('{"locs": [[1, 2]], "taxa_presence": {"5": [[0], [1, 2]]}}', "taxa_presence of 5 must be whole"),
            ('{"locs": [[1, 2, 3]], "taxa_presence": {"5": [0]}}', r"locs has shape \(1, 3\)"),
            ('{"locs": [[91, 92]], "taxa_presence": {"5": [0]}}', "row 0 of locs is longitude 91, latitude 92"),
            ('{"locs": [["a", "b"]], "taxa_presence": {"5": [0]}}', "locs must be pairs of longitude, latitude"),
        ],
    )
    def test_wrong_range_maps_are_one_sentence(self, tmp_path, text, message):
        path = tmp_path / "iucn.json"
        path.write_text(text)
        with pytest.raises(DataError, match=message) as raised:
            read_iucn(path)
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labels_per_species": None}, "entry 'labels_per_species' is missing; it has taxa, obs_locs"),
            ({"taxa": np.array([1])}, "1 taxa, 4 lists of sites, 4 of labels: must agree"),
            ({"taxa": np.array([1, 1, 2, 3])}, "a taxon comes twice"),
            ({"taxa": np.array(["a", "b", "c", "d"])}, "taxa must be whole numbers"),
            ({"loc_indices_per_species": [[60], [1], [2], [3]]}, r"taxon 105 lie within 60\.\.60; there are 60 sites"),
            ({"loc_indices_per_species": [[0], [1], [2], [3]]}, r"taxon 105 has 1 sites and 20 labels"),
            ({"labels_per_species": [["yes"], [], [], []]}, "labels of taxon 105 are not numbers"),
            ({"obs_locs": np.zeros((0, 2))}, r"obs_locs has shape \(0, 2\)"),
        ],
    )
    def test_wrong_maps_of_snt_are_one_sentence(self, tmp_path, changes, message):
        stored = snt_dict(np.random.default_rng(0)) | changes
        np.save(tmp_path / "snt.npy", {key: value for key, value in stored.items() if value is not None})
        with pytest.raises(DataError, match=message):
            read_snt(tmp_path / "snt.npy")


class TestImagesAndRasters:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"inds": None}, "array 'inds' is missing; it has probs, labels, model_to_taxa"),
            ({"labels": np.zeros(4, dtype=int)}, "has 30 rows for 4 images"),
            ({"labels": np.zeros(30)}, "labels must be whole numbers"),
            (
                {"model_to_taxa": np.array([{"a": 1}], dtype=object)},
                "object arrays cannot be read",
            ),
        ],
    )
    def test_wrong_predictions_are_one_sentence(self, original, folder, changes, message):
        path = folder / "eval/geo_prior/geo_prior_model_preds.npz"
        stored = original[1]["prior"] | changes
        np.savez(path, **{key: value for key, value in stored.items() if value is not None})
        with pytest.raises(DataError, match=message):
            read_geo_prior(path, path.with_name("geo_prior_model_meta.csv"))

    def test_a_truncated_file_of_predictions_is_one_sentence(self, folder):
        path = folder / "eval/geo_prior/geo_prior_model_preds.npz"
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(DataError, match="File is not a zip file"):
            made(folder)

    @needs_rasterio
    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda data: (data / "masks/USA_MASK.tif").unlink(), "USA_MASK.tif: there is no such file"),
            (lambda data: (data / "eval/geo_feature/ELEVATION.tif").unlink(), "ELEVATION.tif: there is no such file"),
            (lambda data: (data / "eval/geo_feature/ELEVATION.tif").write_text("no"), "cannot be read as a GeoTIFF"),
            (
                lambda data: write_raster(data / "eval/geo_feature/ELEVATION.tif", np.ones((9, 9), "f4")),
                r"has shape \(9, 9\) and USA_MASK.tif \(100, 120\): must agree",
            ),
            (
                lambda data: write_raster(data / "eval/geo_feature/ELEVATION.tif", np.ones((100, 120), "f4")),
                "ELEVATION.tif: the layer has no two different finite values",
            ),
            (
                lambda data: write_raster(data / "masks/USA_MASK.tif", np.zeros((100, 120), "u1")),
                "USA_MASK.tif: no pixel is 1",
            ),
            (
                lambda data: (data / "eval/geo_prior/geo_prior_model_meta.csv").write_text("latitude\n1\n"),
                "geo_prior_model_meta.csv: cannot be read as a table with longitude, latitude",
            ),
            (
                lambda data: (data / "eval/geo_prior/geo_prior_model_meta.csv").write_text("latitude,longitude\nx,1\n"),
                "geo_prior_model_meta.csv: cannot be read as a table with longitude, latitude",
            ),
            (
                lambda data: (data / "train/geo_prior_train_meta.json").write_text('[{"taxon_id": 1}]'),
                "must be a list of taxa, each with taxon_id and latin_name",
            ),
            (
                lambda data: (data / "train/geo_prior_train_meta.json").write_text('[{"taxon_id": 1, "latin'),
                "geo_prior_train_meta.json: is not valid JSON: Unterminated string",
            ),
            (lambda data: (data / "eval/snt/snt_res_5.npy").unlink(), "snt_res_5.npy: cannot be read"),
            (lambda data: (data / "train/geo_prior_train.csv").unlink(), "geo_prior_train.csv: there is no such file"),
        ],
    )
    def test_a_missing_or_wrong_file_is_one_sentence(self, folder, spoil, message):
        spoil(folder)
        with pytest.raises(DataError, match=message) as raised:
            made(folder)
        assert "\n" not in str(raised.value)

    def test_without_rasterio_it_says_what_to_install(self, tmp_path, monkeypatch):
        (tmp_path / "a.tif").touch()
        monkeypatch.setitem(sys.modules, "rasterio", None)
        monkeypatch.setitem(sys.modules, "rasterio.errors", None)
        with pytest.raises(DataError, match=r"a\.tif: GeoTIFFs need rasterio; pip install presence-only\[rasters\]"):
            read_raster(tmp_path / "a.tif")

    @needs_rasterio
    @pytest.mark.parametrize("fill", [-3.4e38, -9999.0])
    def test_a_number_that_stands_for_no_value_is_unknown(self, folder, fill):
        place = folder / "eval/geo_feature/ELEVATION.tif"
        plain_P = made(folder).further["geo_feature"].values_RP[RASTERS.index("ELEVATION")]
        layer = read_raster(place)
        layer[35:40, 40:70] = fill
        write_raster(place, layer)
        values_P = made(folder).further["geo_feature"].values_RP[RASTERS.index("ELEVATION")]
        assert np.isnan(values_P[: 5 * 30]).all()
        assert np.corrcoef(values_P[5 * 30 :], plain_P[5 * 30 :])[0, 1] > 0.9999

    @needs_rasterio
    def test_the_layers_are_the_countrys_pixels_with_the_checkerboard_of_the_world(self, original):
        root, written = original
        task = made(root).further["geo_feature"]
        pixels = [(i, j) for i in range(100) for j in range(120) if written["mask"][i, j] == 1]
        np.testing.assert_allclose(task.sites_P2, [(-180 + 360 * j / 119, 90 - 180 * i / 99) for i, j in pixels])
        assert task.test_P.tolist() == [(i // 25 + j // 25) % 2 == 0 for i, j in pixels]
        assert task.names == tuple(name.lower() for name in RASTERS)
        for name, values in zip(RASTERS, task.values_RP, strict=True):
            raw = np.array([written["layers"][name][pixel] for pixel in pixels])
            if name == "POPULATION_DENSITY":
                raw = np.log1p(raw - np.nanmin(raw))
            expected = (raw - np.nanmin(raw)) / (np.nanmax(raw) - np.nanmin(raw))
            np.testing.assert_allclose(values, expected, atol=1e-6)
        assert np.isnan(task.values_RP[0]).sum() == 30


class TestBuild:
    def test_records_are_the_tables_with_species_in_the_order_of_their_numbers(self, original):
        root, written = original
        dataset = made(root, cap=0)
        records = dataset.training.records
        assert records.species[:2] == ("Genus species101", "Genus species102")
        assert records.species[-2:] == ("Twin twin (taxon 130)", "Twin twin (taxon 140)")
        assert [WITH_RECORDS[i] for i in records.species_P] == [row["taxon_id"] for row in written["rows"]]
        np.testing.assert_array_equal(
            records.sites_N2, [(row["longitude"], row["latitude"]) for row in written["rows"]]
        )
        assert (records.week_N, records.covariate_names) == (None, ())
        assert dataset.filters[:3] == (("read", 168), ("on the globe", 168), ("no empty field", 168))

    def test_the_cap_draws_what_sinr_draws(self, original):
        root, written = original
        taxa = np.array([row["taxon_id"] for row in written["rows"]])
        dataset = made(root, cap=5)
        kept = np.flatnonzero(at_most(taxa, 5, np.random.default_rng(9472)))
        np.testing.assert_array_equal(
            dataset.training.records.sites_N2,
            [(written["rows"][i]["longitude"], written["rows"][i]["latitude"]) for i in kept],
        )
        assert set(dataset.training.records.records_per_species()) == {5}
        assert ("at most 5 a species", 70) in dataset.filters
        other = made(root, cap=5, cap_seed=1).training.records
        assert not np.array_equal(other.sites_N2, dataset.training.records.sites_N2)

    def test_the_survey_is_the_test_half_of_snt(self, original):
        root, written = original
        survey = made(root).survey
        np.testing.assert_array_equal(survey.sites_M2, written["snt"]["obs_locs"].astype(float))
        expected = np.full((60, len(WITH_RECORDS)), -1)
        generator = np.random.default_rng(7499)
        for i, taxon in enumerate(SNT):
            labels = written["snt"]["labels_per_species"][i]
            order = generator.permutation(len(labels))
            for k in order[len(labels) // 2 :]:
                if taxon in WITH_RECORDS:
                    site = written["snt"]["loc_indices_per_species"][i][k]
                    expected[site, WITH_RECORDS.index(taxon)] = labels[k] > 0
        np.testing.assert_array_equal(survey.truth.matrix(), expected)

    def test_iucn_is_absent_wherever_it_is_not_present(self, original):
        root, written = original
        covered = [taxon for taxon in sorted(IUCN) if taxon in WITH_RECORDS]
        expected = np.zeros((50, 3))
        for column, taxon in enumerate(covered):
            for site in written["iucn"]["taxa_presence"][str(taxon)]:
                expected[site, column] = 1
        further = made(root).further["iucn"]
        assert further.species == ("Genus species101", "Genus species103", "Twin twin (taxon 140)")
        np.testing.assert_array_equal(further.truth.matrix(), expected)
        survey = made(root, survey="iucn").survey
        columns = [survey.species.index(name) for name in further.species]
        np.testing.assert_array_equal(survey.truth.matrix()[:, columns], expected)
        assert survey.truth.surveyed_per_species().sum() == 3 * 50

    def test_species_without_records_are_counted_and_told(self, original):
        dataset = made(original[0])
        assert {key: dataset.facts[key] for key in ("snt_species", "snt_species_covered")} == {
            "snt_species": 4,
            "snt_species_covered": 3,
        }
        assert (dataset.facts["iucn_species"], dataset.facts["iucn_species_covered"]) == (5, 3)
        assert (dataset.facts["geo_prior_classes"], dataset.facts["geo_prior_classes_covered"]) == (5, 3)
        assert dataset.notes == (
            "S&T: 3 of 4 species have training records, and means are over these alone, as SINR's; "
            "to count the others as 0, multiply by 0.7500",
            "IUCN: 3 of 5 species have training records, and means are over these alone, as SINR's; "
            "to count the others as 0, multiply by 0.6000",
        )

    def test_species_without_presences_in_the_half_are_counted_and_told(self, original, folder):
        stored = original[1]["snt"]
        labels = [np.zeros_like(stored["labels_per_species"][0]), *stored["labels_per_species"][1:]]
        np.save(folder / "eval/snt/snt_res_5.npy", stored | {"labels_per_species": labels})
        dataset = made(folder, further=[])
        assert dataset.facts["snt_species_without_presences"] == 1
        assert "S&T: 1 of 3 scored species have no presence" in dataset.notes[1]
        assert "multiply by 0.6667" in dataset.notes[1]

    def test_a_species_that_the_cap_or_the_globe_leaves_without_records_is_not_in_the_vocabulary(self, folder):
        path = folder / "train/geo_prior_train.csv"
        with path.open() as file:
            rows = list(csv.DictReader(file))
        write_table(path, [row | {"latitude": "91"} if row["taxon_id"] == "105" else row for row in rows])
        dataset = made(folder)
        assert "Genus species105" not in dataset.training.records.species
        assert dataset.facts["snt_species_covered"] == 2

    def test_the_rest_of_the_file_makes_no_difference_to_who_is_covered_by_which_half(self, original, folder):
        """A taxon without records draws from the generator too, so the halves of the others stay."""
        path = folder / "train/geo_prior_train.csv"
        with path.open() as file:
            rows = list(csv.DictReader(file))
        write_table(path, [row for row in rows if row["taxon_id"] != "105"])
        before, after = made(original[0]).survey, made(folder).survey
        column = before.species.index("Genus species101"), after.species.index("Genus species101")
        np.testing.assert_array_equal(before.truth.matrix()[:, column[0]], after.truth.matrix()[:, column[1]])

    def test_a_subset_trains_on_evaluated_species_and_auxiliary_ones(self, original):
        root, _ = original

        def taxa(**changes):
            names = {name: taxon for taxon, name in read_names(root / "data/train/geo_prior_train_meta.json").items()}
            return {names[name] for name in made(root, **changes).training.records.species}

        assert taxa(subset="evaluated") == {101, 103, 105, 130, 140}
        assert taxa(subset="evaluated", further=["geo_prior"]) == {101, 105, 130}
        assert taxa(subset="snt_birds") == {101, 105, 130}
        others = sorted(set(NAMES) - set(SNT))
        order = np.random.default_rng(8099).permutation(len(others))
        drawn = {others[order[k]] for k in range(4)}
        assert taxa(subset="snt_birds", auxiliary_species=4) == {101, 105, 130} | drawn
        with pytest.raises(DataError, match="auxiliary_species = 99: only 11 species"):
            made(root, subset="snt_birds", auxiliary_species=99)

    def test_the_lists_may_lie_where_sinrs_code_looks(self, folder):
        shutil.move(folder / "eval/geo_prior/taxa_subsets.json", folder / "train/taxa_subsets.json")
        assert len(made(folder, subset="snt_birds").training.records.species) == 3
        (folder / "train/taxa_subsets.json").write_text('{"birds": [1]}')
        with pytest.raises(DataError, match="has no list 'snt_birds'"):
            made(folder, subset="snt_birds")

    @needs_rasterio
    def test_evaluations_are_those_whose_files_are_there(self, folder):
        assert list(made(folder).further) == ["iucn", "geo_prior", "geo_feature"]
        assert list(made(folder, survey="iucn").further) == ["snt", "geo_prior", "geo_feature"]
        assert list(made(folder, further=["geo_prior"]).further) == ["geo_prior"]
        shutil.rmtree(folder / "eval/geo_feature")
        (folder / "eval/geo_prior/geo_prior_model_preds.npz").unlink()
        assert list(made(folder).further) == ["iucn"]
        with pytest.raises(DataError, match=r"geo_prior_model_preds\.npz: there is no such file"):
            made(folder, further=["geo_prior"])

    def test_a_survey_without_a_known_species_is_refused_and_a_further_one_is_told(self, original, folder):
        path = folder / "eval/iucn/iucn_res_5.json"
        path.write_text(json.dumps(original[1]["iucn"] | {"taxa_presence": {"120": [1]}}))
        dataset = made(folder, further=["iucn"])
        assert dataset.further == {}
        assert dataset.facts["iucn_species_covered"] == 0
        assert any(note.startswith("IUCN: 0 of 1 species have training records") for note in dataset.notes)
        with pytest.raises(DataError, match="none of the 1 species of IUCN has a training record"):
            made(folder, survey="iucn")

    @needs_rasterio
    def test_weeks_and_covariates_come_along(self, original):
        root, written = original
        dataset = made(root, cap=0, weeks=True, environment="earth")
        month, day = map(int, written["rows"][0]["observed_on"][5:].split("-"))
        assert dataset.training.records.week_N[0] == 4 * (month - 1) + min((day - 1) // 7, 3) + 1
        names = dataset.training.records.covariate_names
        assert names == dataset.survey.covariate_names == dataset.further["iucn"].covariate_names
        assert len(names) > 1
        assert dataset.further["geo_prior"].covariates_MC.shape == (30, len(names))
        assert dataset.further["geo_feature"].covariates_PC.shape == (900, len(names))
        assert dataset.survey.week_M is None

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"auxiliary_species": 3}, "as all train already"),
            ({"further": ["snt"]}, "each evaluation once, as survey or in further; found snt, snt"),
            ({"further": ["bioblitz"]}, "one of 'snt', 'iucn', 'geo_prior' or 'geo_feature'"),
            ({"cap": -1}, "cap = -1: must be greater than or equal to 0"),
            ({"survey": "geo_prior"}, "one of 'snt' or 'iucn'"),
            ({"evaluation": {"kind": "blocks"}}, "unknown key 'evaluation'"),
        ],
    )
    def test_wrong_settings_are_one_sentence(self, tmp_path, changes, message):
        with pytest.raises(SettingsError, match=message):
            settings(tmp_path, **changes)

    def test_a_root_that_is_none_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="there is no such folder; it must hold SINR's data"):
            made(tmp_path / "nowhere")

    @needs_rasterio
    @pytest.mark.parametrize("weeks", [False, True])
    def test_from_the_files_to_every_number(self, original, tmp_path, weeks):
        dataset = made(original[0], cap=10, weeks=weeks)
        dataset.training.save(tmp_path / "training")
        dataset.save_survey(tmp_path / "survey")
        model, _ = fit(
            TrainingData.load(tmp_path / "training"),
            parse_variant({"loss": "an_full", "pos_lambda": 2048.0}, "variants.an_full"),
            EncoderSettings(width=8, depth=1),
            TrainingSettings(epochs=1, batch_size=64, background_batch_size=64, device="cpu"),
            seed=0,
        )
        survey = Survey.load(tmp_path / "survey")
        result = evaluate_survey(model, survey, dataset.training.records.species)
        logits = model.predict(survey.sites_M2, survey.covariates_MC)
        truth = survey.truth.matrix()
        expected = [
            average_precision_score(truth[truth[:, i] >= 0, i], logits[truth[:, i] >= 0, i])
            for i in (truth == 1).any(axis=0).nonzero()[0]
        ]
        assert len(expected) == 3
        assert result.summary["species_map"] == pytest.approx(np.mean(expected))

        tasks = load_further(tmp_path / "survey")
        assert sorted(tasks) == ["geo_feature", "geo_prior", "iucn"]
        numbers = {name: task.score(model, survey.species) for name, task in tasks.items()}
        assert (numbers["geo_prior"]["n_classes_covered"], numbers["geo_prior"]["n_classes"]) == (3, 5)
        assert 0 <= numbers["geo_prior"]["accuracy_with"] <= 1
        assert numbers["geo_feature"]["r2"] <= numbers["geo_feature"]["r2_train"] <= 1
        assert set(numbers["geo_feature"]) == {"r2", "r2_train", "n_pixels", *(f"r2_{n.lower()}" for n in RASTERS)}
        iucn = dataset.further["iucn"]
        at_maps = model.predict(iucn.sites_M2, iucn.covariates_MC)
        for column, name in enumerate(iucn.species):
            index = survey.species.index(name)
            expected_ap = average_precision_score(iucn.truth.matrix()[:, column], at_maps[:, index])
            assert numbers["iucn"]["species_map"][index] == pytest.approx(expected_ap)
        assert np.count_nonzero(~np.isnan(numbers["iucn"]["species_map"])) == 3


def test_the_settings_in_the_docs_are_settings():
    text = (Path(__file__).parents[3] / "docs/sinr.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    params = Params.parse(YAML(typ="safe").load(block))
    assert [params.dataset(name).cap for name in params.study.datasets] == [10, 100, 1000]
    # SINR sums over all species; the default would estimate that sum.
    assert params.training.loss_computation == "chunks"
    documented = re.findall(
        r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text.split("## Settings")[1], re.MULTILINE))
    )
    own = set(DatasetSettings.model_fields) - set(AssemblySettings.model_fields) - {"kind"}
    assert set(documented) == own
