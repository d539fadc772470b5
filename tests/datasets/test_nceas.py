"""The regions at hand are read as shipped; the other three are written here in the layout of the real files."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import pyreadr
import pytest

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.records import Background
from presence_only.data.training import TrainingData
from presence_only.datasets.nceas import DatasetSettings, build, mix_backgrounds

REAL = Path(os.environ.get("PRESENCE_ONLY_NCEAS", "")).expanduser()
real = pytest.mark.skipif(
    not os.environ.get("PRESENCE_ONLY_NCEAS") or not REAL.is_dir(),
    reason="PRESENCE_ONLY_NCEAS does not name a folder with the .rds files of the R package disdat",
)

# Where a region lies, in its own coordinates; categorical covariates with levels; test groups; EPSG code.
CAN = {"x": (-90.0, -80.0), "y": (44.0, 50.0), "levels": {"ontveg": 5}, "groups": {"": "bird"}, "crs": 4008}
NSW = {
    "x": (150.0, 153.0),
    "y": (-33.0, -29.0),
    "levels": {"vegsys": 9},
    "groups": {group: group for group in ("ba", "db", "nb", "ot", "ou", "rt", "ru", "sr")},
    "crs": 4326,
}
NZ = {
    "x": (2.3e6, 2.8e6),
    "y": (5.6e6, 6.4e6),
    "levels": {"age": 3, "toxicats": 3},
    "groups": {"": "plant"},
    "crs": 27200,
}
WRITTEN = {"CAN": CAN, "NSW": NSW, "NZ": NZ}


def sites(rng, n, layout):
    return {"x": rng.uniform(*layout["x"], n), "y": rng.uniform(*layout["y"], n)}


def covariates(rng, n, layout):
    levels = {name: rng.integers(1, count + 1, n).astype(float) for name, count in layout["levels"].items()}
    return {"alt": rng.normal(300, 50, n), **levels, "slope": rng.gamma(2.0, 3.0, n)}


def tables(region, seed=0):
    """The tables of a small region by file name: two species a test group, 40 records, 5 sites a survey."""
    layout, rng = WRITTEN[region], np.random.default_rng(seed)
    groups = layout["groups"]
    names = [f"{region.lower()}{i + 1:02d}" for i in range(2 * len(groups))]
    group_of = dict(zip(names, np.repeat(list(groups.values()), 2), strict=True))
    spid = [*names, *rng.choice(names, 40 - len(names))]
    found = {
        f"{region}train_po": pd.DataFrame(
            {
                "siteid": np.arange(40),
                "spid": spid,
                **sites(rng, 40, layout),
                "occ": 1,
                "group": [group_of[name] for name in spid],
                **covariates(rng, 40, layout),
            }
        ),
        f"{region}train_bg": pd.DataFrame(
            {
                "siteid": np.arange(100) + 100001,
                "spid": "pseudo1",
                **sites(rng, 100, layout),
                "occ": 0,
                "group": np.full(100, np.nan),
                **covariates(rng, 100, layout),
            }
        ),
    }
    for i, (suffix, group) in enumerate(groups.items()):
        keys = {"group": group, "siteid": [f"s{group}{k}" for k in range(5)], **sites(rng, 5, layout)}
        truth = {name: rng.integers(0, 2, 5) for name in names[2 * i : 2 * i + 2]}
        end = f"_{suffix}" if suffix else ""
        found[f"{region}test_pa{end}"] = pd.DataFrame(keys | truth)
        found[f"{region}test_env{end}"] = pd.DataFrame(keys | covariates(rng, 5, layout))
    return found


def write(folder, found):
    for name, table in found.items():
        pyreadr.write_rds(str(folder / f"{name}.rds"), table, compress="gzip")
    return folder


def read(root, region, **settings):
    return build(
        DatasetSettings.parse({"kind": "nceas", "root": str(root), "region": region, **settings}, "datasets.x")
    )


@pytest.mark.parametrize("region", WRITTEN)
class TestWrittenRegions:
    def test_records_background_and_survey_hold_what_was_written(self, tmp_path, region):
        found, layout = tables(region), WRITTEN[region]
        dataset = read(write(tmp_path, found), region)
        records, background, survey = dataset.training.records, dataset.training.background, dataset.survey
        po, bg = found[f"{region}train_po"], found[f"{region}train_bg"]
        assert records.species == tuple(sorted(set(po["spid"])))
        assert [records.species[i] for i in records.species_P] == po["spid"].tolist()
        np.testing.assert_array_equal(records.row_P, np.arange(40))
        assert (background.kind, background.groups_K, len(background.sites_K2)) == ("given", None, 100)
        for sites_N2, table in ((records.sites_N2, po), (background.sites_K2, bg)):
            back = pyproj.Transformer.from_crs(4326, layout["crs"], always_xy=True).transform(*sites_N2.T)
            tolerance = 1e-7 if layout["x"][1] < 360 else 0.01
            np.testing.assert_allclose(np.stack(back, axis=1), table[["x", "y"]], rtol=0, atol=tolerance)
        for name in ("alt", "slope"):
            column = [i for i, text in enumerate(records.covariate_names) if text.split(" ")[0] == name]
            assert len(column) == 1
            np.testing.assert_array_equal(records.covariates_NC[:, column[0]], po[name].astype(np.float32))
            np.testing.assert_array_equal(background.covariates_KC[:, column[0]], bg[name].astype(np.float32))
        stacked = pd.concat([table for name, table in found.items() if "test_env" in name])
        assert len(survey.sites_M2) == len(stacked) == 5 * len(layout["groups"])
        np.testing.assert_array_equal(survey.covariates_MC[:, 0], stacked["alt"].astype(np.float32))

    def test_categories_become_one_column_a_level(self, tmp_path, region):
        found = tables(region)
        records = read(write(tmp_path, found), region).training.records
        po = found[f"{region}train_po"]
        for name, count in WRITTEN[region]["levels"].items():
            assert [text for text in records.covariate_names if text.startswith(f"{name} = ")] == [
                f"{name} = {level + 1}" for level in range(count)
            ]
            for level in range(1, count + 1):
                column = records.covariates_NC[:, records.covariate_names.index(f"{name} = {level}")]
                np.testing.assert_array_equal(column, po[name] == level)

    def test_a_species_is_surveyed_only_at_the_sites_of_its_own_group(self, tmp_path, region):
        found = tables(region)
        survey = read(write(tmp_path, found), region).survey
        start = 0
        for name, table in found.items():
            if "test_pa" not in name:
                continue
            for i, species in enumerate(survey.species):
                expected = table.get(species, [-1] * 5)
                np.testing.assert_array_equal(survey.truth.matrix()[start : start + 5, i], expected)
            start += 5
        assert start == len(survey.sites_M2)

    def test_survives_saving(self, tmp_path, region):
        for background in ("given", "target_group"):
            training = read(write(tmp_path, tables(region)), region, background=background).training
            training.save(tmp_path / background)
            loaded = TrainingData.load(tmp_path / background)
            np.testing.assert_array_equal(loaded.records.covariates_NC, training.records.covariates_NC)
            np.testing.assert_array_equal(loaded.records.sites_N2, training.records.sites_N2)
            assert loaded.background.groups_K == training.background.groups_K


class TestGroups:
    def test_nsw_joins_test_groups_to_target_groups(self, tmp_path):
        records = read(write(tmp_path, tables("NSW")), "NSW").training.records
        assert records.groups == ("bat",) * 2 + ("bird",) * 4 + ("plant",) * 8 + ("reptile",) * 2

    def test_target_group_background_is_every_site_once_a_group(self, tmp_path):
        found = tables("NSW")
        po = found["NSWtrain_po"]
        # Rows 0 (ba) and 1 (ba) share a site within a group, rows 0 and 2 (db) across groups.
        keys = ["x", "y", "alt", "vegsys", "slope"]
        po.loc[1, keys] = po.loc[2, keys] = po.loc[0, keys]
        background = read(write(tmp_path, found), "NSW", background="target_group").training.background
        assert background.kind == "target_group"
        assert len(background.sites_K2) == len(background.groups_K) == 39
        assert background.groups_K[:2] == ("bat", "bird")
        np.testing.assert_array_equal(background.sites_K2[0], background.sites_K2[1])
        assert {*background.groups_K} == {"bat", "bird", "plant", "reptile"}

    def test_rows_by_site_join_the_records_of_a_group(self, tmp_path):
        found = tables("NSW")
        po = found["NSWtrain_po"]
        keys = ["x", "y", "alt", "vegsys", "slope"]
        po.loc[1, keys] = po.loc[2, keys] = po.loc[0, keys]
        repeated = po.loc[[1]].copy()
        found["NSWtrain_po"] = pd.concat([po, repeated], ignore_index=True)
        write(tmp_path, found)
        by_record = read(tmp_path, "NSW").training.records
        by_site = read(tmp_path, "NSW", rows="sites").training.records
        assert (by_record.n_rows, len(by_record.row_P)) == (41, 41)
        # Row 0 holds nsw01 and nsw02 (twice recorded, once present); nsw03 is of another group.
        assert (by_site.n_rows, len(by_site.row_P)) == (39, 40)
        assert by_site.species_P[by_site.row_P == 0].tolist() == [0, 1]
        assert by_site.species_P[by_site.row_P == 1].tolist() == [2]
        np.testing.assert_array_equal(by_site.sites_N2[0], by_site.sites_N2[1])

        def sites_of(records):
            sites_P2 = records.sites_N2[records.row_P].tolist()
            return {(*site, species) for site, species in zip(sites_P2, records.species_P.tolist(), strict=True)}

        assert sites_of(by_site) == sites_of(by_record)
        np.testing.assert_array_equal(by_site.covariates_NC[2:], by_record.covariates_NC[3:40])


class TestCategories:
    def test_levels_come_from_records_and_background_alone(self, tmp_path):
        found = tables("CAN")
        found["CANtrain_po"]["ontveg"] = 1
        found["CANtrain_bg"]["ontveg"] = [2] * 99 + [10]
        found["CANtest_env"]["ontveg"] = [1, 7, 10, 2, 1]
        dataset = read(write(tmp_path, found), "CAN")
        names = dataset.training.records.covariate_names
        assert names == ("alt (m)", "ontveg = 1", "ontveg = 2", "ontveg = 10", "slope")
        np.testing.assert_array_equal(
            dataset.survey.covariates_MC[:, 1:4], [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
        )

    def test_an_unknown_level_is_nan_and_names_may_be_text(self, tmp_path):
        found = tables("CAN")
        found["CANtrain_po"]["ontveg"] = "forest"
        found["CANtrain_bg"]["ontveg"] = pd.Categorical(["water"] * 50 + ["forest"] * 50)
        found["CANtest_env"]["ontveg"] = ["water", "forest", None, "water", "forest"]
        survey = read(write(tmp_path, found), "CAN").survey
        assert survey.covariate_names[1:3] == ("ontveg = water", "ontveg = forest")
        nan = np.nan
        np.testing.assert_array_equal(survey.covariates_MC[:, 1:3], [[1, 0], [0, 1], [nan, nan], [1, 0], [0, 1]])

    def test_whole_numbers_stay_the_same_level_beside_a_missing_one(self, tmp_path):
        found = tables("CAN")
        found["CANtrain_po"]["ontveg"] = np.array([3] * 40)
        found["CANtrain_bg"]["ontveg"] = [np.nan] * 50 + [3.0] * 50
        found["CANtest_env"]["ontveg"] = pd.Categorical(["3"] * 5)
        dataset = read(write(tmp_path, found), "CAN")
        assert dataset.survey.covariate_names[1:2] == ("ontveg = 3",)
        assert (dataset.survey.covariates_MC[:, 1] == 1).all()
        assert np.isnan(dataset.training.background.covariates_KC[:50, 1]).all()


def drop(name, column):
    return lambda found: found.update({name: found[name].drop(columns=column)})


def put(name, column, value):
    return lambda found: found[name].__setitem__(column, value)


def cell(name, row, column, value):
    return lambda found: found[name].loc.__setitem__((row, column), value)


def also_a_reptile(found):
    po = found["NSWtrain_po"]
    found["NSWtrain_po"] = pd.concat([po, po.loc[[0]].assign(group="sr")], ignore_index=True)


def of_another_region(found):
    for column in ("x", "y"):
        found["CANtrain_po"][column] = tables("NZ")["NZtrain_po"][column]


# What is done to the tables of a region, and the sentence about it.
WRONG_TABLES = {
    **{
        f"no {column} in {name}": (
            drop(f"CAN{name}", column),
            rf"CAN{name}\.rds: column '{column}' is missing; it must have .*{column}",
        )
        for name, columns in {
            "train_po": ("spid", "x", "y", "occ", "group", "ontveg"),
            "train_bg": ("x", "y", "alt", "ontveg"),
            "test_env": ("siteid", "x", "y", "slope", "ontveg"),
            "test_pa": ("siteid",),
        }.items()
        for column in columns
    },
    **{
        f"no row in {name}": (
            lambda found, name=name: found.update({f"CAN{name}": found[f"CAN{name}"].iloc[:0]}),
            rf"CAN{name}\.rds: the table has no rows; at least one is needed",
        )
        for name in ("train_po", "train_bg", "test_pa", "test_env")
    },
    **{
        f"{column} of {value} in {name}": (
            cell(f"NSW{name}", 3, column, value),
            rf"NSW{name}\.rds: row 3 has x .*EPSG:4326 puts at longitude .*must lie within",
        )
        for name in ("train_po", "train_bg", "test_env_ot")
        for column, value in (("x", 195.0), ("y", -90.5), ("x", np.nan))
    },
    "surveyed species without records": (
        put("CANtest_pa", "can99", 1),
        r"CANtest_pa\.rds: species 'can99' has no training records; every surveyed species needs one",
    ),
    "recorded species without survey": (
        drop("CANtest_pa", "can02"),
        r"species 'can02' has records but is in no CANtest_pa file; it must be in one",
    ),
    "species in two surveys": (
        put("NSWtest_pa_db", "nsw01", 1),
        r"NSWtest_pa_db\.rds: species 'nsw01' is in NSWtest_pa_ba\.rds too; it must be in one file",
    ),
    "species in two groups": (
        also_a_reptile,
        r"NSWtrain_po\.rds: species 'nsw01' is in groups 'bat' and 'reptile'; it must be in one",
    ),
    "coordinates of another region": (
        of_another_region,
        r"CANtrain_po\.rds: row 0 has x 2\.\d+e\+06, .*EPSG:4008 puts at longitude",
    ),
    "text where numbers belong": (
        put("CANtrain_bg", "alt", "high"),
        r"CANtrain_bg\.rds: column 'alt' holds text; it must hold numbers",
    ),
    **{
        f"truth of {value}": (
            put("CANtest_pa", "can02", [0, 1, value, 0, 1]),
            rf"CANtest_pa\.rds: column 'can02' holds {value}; it must hold 1 present and 0 absent",
        )
        for value in (2, np.nan)
    },
    "absence among the records": (
        cell("CANtrain_po", 7, "occ", 0),
        r"CANtrain_po\.rds: column 'occ' holds 0.*; every record must be 1 present",
    ),
    "survey files of other sites": (
        lambda found: found.update(CANtest_env=found["CANtest_env"].iloc[::-1]),
        r"CANtest_env\.rds: its sites are not those of CANtest_pa\.rds; both must list the same in one order",
    ),
}
# What is done to a file of CAN.
WRONG_FILES = {
    **{
        f"no {name}": (name, None, "there is no such file; a region needs all of its files")
        for name in ("train_po", "train_bg", "test_pa", "test_env")
    },
    **{
        f"{keep} bytes": ("train_po", lambda content, keep=keep: content[:keep], "cannot be read as an R data frame")
        for keep in (0, 10, 300)
    },
    "a web page": ("test_pa", lambda _: b"<html>not found</html>", "cannot be read as an R data frame"),
}


class TestWrongInput:
    def refused(self, root, region, message):
        with pytest.raises(DataError, match=message) as caught:
            read(root, region)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(("spoil", "message"), WRONG_TABLES.values(), ids=WRONG_TABLES)
    def test_a_wrong_table_is_one_sentence(self, tmp_path, spoil, message):
        region = "NSW" if "NSW" in message else "CAN"
        found = tables(region)
        spoil(found)
        self.refused(write(tmp_path, found), region, message)

    @pytest.mark.parametrize(("name", "spoil", "message"), WRONG_FILES.values(), ids=WRONG_FILES)
    def test_a_wrong_file_is_one_sentence(self, tmp_path, name, spoil, message):
        path = write(tmp_path, tables("CAN")) / f"CAN{name}.rds"
        if spoil is None:
            path.unlink()
        else:
            path.write_bytes(spoil(path.read_bytes()))
        self.refused(tmp_path, "CAN", rf"CAN{name}\.rds: {message}")

    def test_a_missing_folder_is_one_sentence(self, tmp_path):
        self.refused(tmp_path / "nowhere", "CAN", r"^root = '.*nowhere': there is no such folder; it must hold")

    def test_settings(self):
        with pytest.raises(SettingsError, match=r"datasets\.x\.region = 'USA': must be one of 'AWT', 'CAN'"):
            read("data", "USA")
        with pytest.raises(SettingsError, match=r"datasets\.x\.background = 'random'"):
            read("data", "CAN", background="random")


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    write(tmp_path, tables("CAN"))
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert read(f"~/{tmp_path.name}", "CAN").training.records.n_rows == 40


@real
class TestRealRegions:
    @pytest.mark.parametrize(
        ("region", "n_species", "n_records", "n_sites", "n_covariates"),
        [("AWT", 40, 3806, 340 + 102, 13), ("SA", 30, 2220, 152, 10), ("SWI", 30, 35105, 10013, 13 + 1)],
    )
    def test_counts(self, region, n_species, n_records, n_sites, n_covariates):
        dataset = read(REAL, region)
        records = dataset.training.records
        assert (records.n_species, records.n_rows) == (n_species, n_records)
        assert records.covariates_NC.shape == (n_records, n_covariates)
        assert dataset.survey.truth.shape == (n_sites, n_species)
        assert len(dataset.training.background.sites_K2) == 10_000
        assert np.isfinite(records.covariates_NC).all()
        assert np.isfinite(dataset.survey.covariates_MC).all()
        assert ((dataset.survey.truth.matrix() == 1).sum(axis=0) > 0).all()
        by_site = read(REAL, region, rows="sites").training.records
        pairs = {(*site, i) for site, i in zip(records.sites_N2.tolist(), records.species_P.tolist(), strict=True)}
        assert len(by_site.row_P) == len(pairs)
        assert by_site.n_rows < n_records

    def test_awt_surveys_birds_and_plants_at_their_own_sites(self):
        dataset = read(REAL, "AWT", background="target_group")
        groups, truth_MS = np.array(dataset.training.records.groups), dataset.survey.truth.matrix()
        for group, own in (("bird", slice(0, 340)), ("plant", slice(340, 442))):
            assert (groups == group).sum() == 20
            surveyed_MS = truth_MS[:, groups == group] >= 0
            assert surveyed_MS[own].all()
            assert surveyed_MS.sum() == surveyed_MS[own].sum()
        assert sorted(set(dataset.training.background.groups_K)) == ["bird", "plant"]
        assert len(dataset.training.background.sites_K2) == 1172

    @pytest.mark.parametrize(
        ("region", "west", "south", "east", "north"),
        [("AWT", 144, -20, 148, -15), ("SA", -82, -34, -34, 13), ("SWI", 18, 44, 24, 46.1)],
    )
    def test_where_they_lie(self, region, west, south, east, north):
        dataset = read(REAL, region)
        for sites_N2 in (
            dataset.training.records.sites_N2,
            dataset.training.background.sites_K2,
            dataset.survey.sites_M2,
        ):
            assert ((sites_N2 > (west, south)) & (sites_N2 < (east, north))).all()

    def test_levels_and_drops(self):
        swi, sa = (read(REAL, region).training.records.covariate_names for region in ("SWI", "SA"))
        assert [name for name in swi if "=" in name] == ["calc = 0", "calc = 1"]
        assert not re.search(r"sabio8\b", " ".join(sa))


def test_a_mixed_background_has_its_share_of_random_sites_in_every_group():
    rng = np.random.default_rng(0)

    def sites(n):
        return rng.uniform(0, 10, (n, 2)), rng.normal(size=(n, 3)).astype(np.float32)

    near = Background("target_group", *sites(60), ("bird",) * 50 + ("plant",) * 10)
    far = Background("given", *sites(200))
    mixed = mix_backgrounds(near, far, 0.1)
    group, far_rows = np.array(mixed.groups_K), {tuple(row) for row in far.sites_K2}
    is_far = np.array([tuple(row) in far_rows for row in mixed.sites_K2])
    assert set(mixed.groups_K) == {"bird", "plant"}
    for name in ("bird", "plant"):
        own = group == name
        assert is_far[own].mean() == pytest.approx(0.1, abs=0.005)
        assert is_far[own].sum() == 200
        here = {tuple(row) for row in near.sites_K2[np.array(near.groups_K) == name]}
        assert {tuple(row) for row in mixed.sites_K2[own & ~is_far]} == here
    place = {tuple(s): c for s, c in zip(near.sites_K2, near.covariates_KC, strict=True)}
    place |= {tuple(s): c for s, c in zip(far.sites_K2, far.covariates_KC, strict=True)}
    for site, covariates in zip(mixed.sites_K2, mixed.covariates_KC, strict=True):
        np.testing.assert_array_equal(place[tuple(site)], covariates)
