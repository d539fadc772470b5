"""The geomodel's combined parquet, written here cell by cell, against double loops over its lists."""

import h3
import numpy as np
import polars as pl
import pytest

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.datasets.geomodel.dataset import DatasetSettings, read_records

RESOLUTION = 3
TAXONOMY = """species_code,scientificName,commonName
grtit1,Parus major,Great Tit
blutit,Cyanistes caeruleus,Eurasian Blue Tit
41776,"Vulpes vulpes",Red Fox
y00478,Accipiter sp.,Accipiter sp.
"""
CODES = ("grtit1", "blutit", "41776")


def cells():
    """Cells around the Earth, ten degrees apart."""
    found = [
        h3.latlng_to_cell(latitude, longitude, RESOLUTION)
        for latitude in (-30, 10, 50)
        for longitude in range(-170, 180, 10)
    ]
    return sorted(set(found))


def lists(rng, names):
    """For every week the species of every cell."""
    return {
        f"week_{week}": [[code for code in CODES if rng.random() < 0.1] if rng.random() < 0.3 else [] for _ in names]
        for week in range(1, 49)
    }


def table(rng=None, **columns):
    rng = rng or np.random.default_rng(0)
    names = cells()
    environment = {
        "elevation_m": rng.normal(500, 100, len(names)),
        "landcover_class": [float(i % 3) if i % 7 else None for i in range(len(names))],
        "target_km": [100.0] * len(names),
        "same": [1.0] * len(names),
    }
    schema = {f"week_{week}": pl.List(pl.String) for week in range(1, 49)}
    return pl.DataFrame({"h3_index": names, **environment, **lists(rng, names), **columns}, schema_overrides=schema)


def write(folder, made=None, taxonomy=TAXONOMY):
    path = folder / "combined.parquet"
    (table() if made is None else made).write_parquet(path)
    (folder / "combined_taxonomy.csv").write_text(taxonomy)
    return path


def settings(path, **given):
    raw = {"kind": "geomodel", "path": str(path), "min_records": 1, "background_sites": 50, **given}
    return parse_dataset(raw, "datasets.x")


def build(path, **given):
    return build_dataset(settings(path, **given))


def test_rows_are_cells_in_weeks_with_their_species(tmp_path):
    made = table()
    dataset = build(write(tmp_path, made), evaluation={"kind": "region", "box": [-60, -60, 60, 60]})
    records, names = (
        dataset.training.records,
        dict(zip(CODES, ("Parus major", "Cyanistes caeruleus", "Vulpes vulpes"), strict=True)),
    )
    expected = {}
    for row in made.iter_rows(named=True):
        latitude, longitude = h3.cell_to_latlng(row["h3_index"])
        if -60 <= longitude <= 60:
            continue
        for week in range(1, 49):
            if row[f"week_{week}"]:
                expected[(round(longitude, 9), round(latitude, 9), week)] = (
                    {names[code] for code in row[f"week_{week}"]},
                    row["elevation_m"],
                    row["landcover_class"],
                )
    assert records.covariate_names == (
        "elevation_m",
        "landcover_class = 0",
        "landcover_class = 1",
        "landcover_class = 2",
    )
    found = {}
    for n in range(records.n_rows):
        place = (*records.sites_N2[n].round(9).tolist(), int(records.week_N[n]))
        found[place] = {records.species[s] for s in records.species_P[records.row_P == n]}
        _, elevation, cover = expected[place]
        assert records.covariates_NC[n, 0] == np.float32(elevation)
        levels = records.covariates_NC[n, 1:]
        assert (
            np.isnan(levels).all()
            if cover is None
            else levels.tolist() == [float(cover == level) for level in range(3)]
        )
    assert found == {place: species for place, (species, *_) in expected.items()}
    assert dict(zip(records.species, records.groups, strict=True)) == {
        "Cyanistes caeruleus": "Aves",
        "Parus major": "Aves",
        "Vulpes vulpes": "unknown",
    }
    assert any("left out: same" in note for note in dataset.notes)
    assert dataset.survey.covariate_names == records.covariate_names
    # Absent where another bird was recorded in that week; the fox is alone in its group.
    truth = dataset.survey.truth.matrix()
    inside = made.filter(pl.Series([abs(h3.cell_to_latlng(cell)[1]) <= 60 for cell in made["h3_index"]]))
    birds = [
        {code for code in row[f"week_{week}"] if code != "41776"}
        for row in inside.iter_rows(named=True)
        for week in range(1, 49)
    ]
    for column, code in ((0, "blutit"), (1, "grtit1")):
        assert (truth[:, column] == 1).sum() == sum(code in one for one in birds)
        assert (truth[:, column] == 0).sum() == sum(bool(one) and code not in one for one in birds)
    assert (truth[:, 2] == -1).all()


def test_without_weeks_a_cell_has_the_species_of_the_year(tmp_path):
    made = table()
    dataset = build(write(tmp_path, made), weeks=False, evaluation={"kind": "region", "box": [-60, -60, 60, 60]})
    records = dataset.training.records
    assert records.week_N is None
    years = [
        {code for week in range(1, 49) for code in row[f"week_{week}"]}
        for row in made.iter_rows(named=True)
        if not -60 <= h3.cell_to_latlng(row["h3_index"])[1] <= 60
    ]
    assert records.n_rows == sum(map(bool, years))
    assert len(records.species_P) == sum(map(len, years))


def test_codes_that_no_one_names_and_open_names_are_counted(tmp_path):
    made = table(week_1=[["y00478", "who", "grtit1"], ["12.0", None], *([[]] * (len(cells()) - 2))])
    found = read_records(settings(write(tmp_path, made)))
    steps = dict(found.filters)
    assert "code is in the taxonomy - others: '12' (1), 'who' (1)" in steps
    assert "identified to a species - open names: 'Accipiter sp.' (1)" in steps
    total = sum(len(codes) for week in range(1, 49) for codes in made[f"week_{week}"])
    assert found.filters[0] == ("read", total)
    assert found.filters[-1][1] == total - 4


def test_numbers_as_codes_and_cells(tmp_path):
    made = table().with_columns(
        pl.Series("h3_index", [h3.str_to_int(cell) for cell in cells()], dtype=pl.UInt64),
        *(
            pl.Series(f"week_{week}", [[1, 2]] + [[]] * (len(cells()) - 1), dtype=pl.List(pl.Int64))
            for week in range(1, 49)
        ),
    )
    path = write(tmp_path, made, "taxonKey,scientificName\n1,Parus major\n2,Vulpes vulpes\n")
    assert len(read_records(settings(path)).table) == 96


def test_a_cell_that_is_none(tmp_path):
    names = cells()
    made = table(h3_index=["nowhere", *names[1:]])
    lost = sum(len(codes) for week in range(1, 49) for codes in made[f"week_{week}"][:1])
    found = read_records(settings(write(tmp_path, made)))
    assert lost > 0
    assert found.filters[1] == (
        f"coordinates given and possible - no degrees: 'h3_index nowhere' ({lost})",
        found.filters[0][1] - lost,
    )


def test_the_environment_of_other_sites(tmp_path):
    made = table()
    sample = settings(write(tmp_path, made), layers=["elevation_m"]).covariate_source()
    latitude, longitude = h3.cell_to_latlng(made["h3_index"][5])
    sampled = sample(np.array([[longitude, latitude], [longitude + 5, latitude + 5]]))
    assert sampled[0, 0] == np.float32(made["elevation_m"][5])
    assert np.isnan(sampled[1, 0])


@pytest.mark.parametrize(
    ("change", "given", "sentence"),
    [
        (lambda made: made.drop("week_7"), {}, "no column 'week_7'"),
        (lambda made: made.drop("h3_index"), {}, "no column 'h3_index'"),
        (lambda made: pl.concat([made, made[:1]]), {}, r"the cell \w+ has 2 rows; every cell must have one"),
        (lambda made: made.with_columns(biome=pl.lit("a")), {"layers": ["biome"]}, "'biome' is of String"),
        (lambda made: made, {"layers": ["depth"]}, "no column of environment 'depth'"),
        (lambda made: made, {"checklist_resolution": 5}, "must be at most 3"),
        (lambda made: made.with_columns(week_3=pl.lit("a")), {}, "must hold lists of codes"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, change, given, sentence):
    with pytest.raises(DataError, match=sentence) as error:
        build(write(tmp_path, change(table())), **given)
    assert "\n" not in str(error.value)


def test_cells_of_two_resolutions(tmp_path):
    with pytest.raises(DataError, match=r"resolutions \[2, 3\]"):
        build(write(tmp_path, table(h3_index=[h3.cell_to_parent(cells()[0]), *cells()[1:]])))


def test_taxonomy_is_found_beside_the_file_or_named(tmp_path):
    path = write(tmp_path)
    (tmp_path / "combined_taxonomy.csv").rename(tmp_path / "taxonomy_v2.csv")
    assert len(read_records(settings(path)).table) > 0
    (tmp_path / "taxonomy_v2.csv").rename(tmp_path / "names.csv")
    with pytest.raises(DataError, match=r"there is no combined_taxonomy\.csv beside it"):
        read_records(settings(path))
    assert len(read_records(settings(path, taxonomy=str(tmp_path / "names.csv"))).table) > 0


def test_a_sea_of_cells_has_no_nearest_value():
    with pytest.raises(SettingsError, match="sea 'keep' or 'drop'"):
        DatasetSettings.parse({"kind": "geomodel", "path": "x", "sea": "nearest"}, "d")


def test_columns_of_lists_within_lists_are_refused(tmp_path):
    made = table()
    lists_of_lists = pl.Series([[["grtit1"]]] * len(made))
    with pytest.raises(DataError, match=r"'week_3' is of List\(List\(String\)\); it must hold lists of codes"):
        read_records(settings(write(tmp_path, made.with_columns(week_3=lists_of_lists))))
    path = write(tmp_path, made.with_columns(soil=pl.Series([[1.0, 2.0]] * len(made))))
    for given in ({}, {"layers": ["soil"]}, {"categories": ["soil"]}):
        with pytest.raises(DataError, match=r"the column 'soil' is of List\(Float64\), which is neither a number nor"):
            settings(path, **given).open_layers()
    assert settings(path, layers=["elevation_m"]).open_layers().names == ("elevation_m",)


@pytest.mark.parametrize("setting", ["layers", "categories"])
def test_a_column_twice_is_refused(tmp_path, setting):
    with pytest.raises(SettingsError, match=f"every column of {setting} once"):
        settings(tmp_path / "a.parquet", **{setting: ["elevation_m", "elevation_m"]})
