"""Occurrence cubes: what a row becomes, in every grid, and what is counted."""

import csv
import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pyproj
import pytest
from ruamel.yaml import YAML
from support.real_files import real_files
from support.records import vocabulary

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.sites import sites_of
from presence_only.datasets import build_dataset, gbif_cube, parse_dataset
from presence_only.datasets.gbif_cube import DatasetSettings, read_records
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.records import places

REAL, needs_real = real_files("cube")
HEADER = "year\teeacellcode\tclass\tspecieskey\tspecies\toccurrences\tmincoordinateuncertaintyinmeters\n"


def read(path, **settings):
    settings = {"kind": "gbif_cube", "path": str(path), "min_records": 1} | settings
    return read_records(DatasetSettings.parse(settings, "datasets.mine"))


def write(folder, text, name="cube.tsv"):
    (folder / name).write_text(text)
    return folder / name


def seen(records):
    names = vocabulary(records)[0]
    return [
        (names[i], *site) for i, site in zip(places(records.table["species"]), sites_of(records.table), strict=True)
    ]


def centre(east, north):
    """The place of x, y of EPSG:3035."""
    return pyproj.Transformer.from_crs("EPSG:3035", "EPSG:4326", always_xy=True).transform(east, north)


CUBE = HEADER + (
    "2020\t1kmE4283N2672\tAves\t1\tParus major\t3\t50\n"
    "2020\t1kmE4283N2672\tAves\t1\tParus major\t1\t20\n"  # a further dimension, such as the sex
    "2021\t1kmE4283N2672\tAves\t1\tParus major\t5\t5000\n"
    "1850\t1kmE4283N2672\tAves\t1\tParus major\t1\t5\n"
    "2020\t10kmE428N267\tPinopsida\t2.0\tAbies alba\t2\t\n"
    "2020\t1kmE4284N2672\tPinopsida\t2\tAbies alba\t0\t5\n"
    "2020\t1kmE4285N2672\tPinopsida\t2\tAbies alba\t2\t999\n"
    "2020\t\tPinopsida\t2\tAbies alba\t2\t5\n"
    "2020\t32U\tPinopsida\t2\tAbies alba\t2\t5\n"
    "2020\t1kmE4286N2672\tPinopsida\t\t\t2\t5\n"
    "\t1kmE4287N2672\tPinopsida\t2\tAbies alba\tmany\t5\n"
)
FUNNEL = [
    ("read", 11),
    ("coordinates given and possible - no degrees: 'cell 32U' (1)", 9),
    ("coordinates not 0, 0", 9),
    # Two are; the one of 999 m is dropped by the next rule.
    ("minimum coordinate uncertainty not beyond the cell - 1 that are, kept", 9),
    ("coordinate uncertainty not that of a centroid (301, 999, 3036, 9999 m)", 8),
    ("occurrences is not 0 - not understood: 'many' (1)", 7),
    ("year 1900..", 6),
    ("of a species", 5),
    ("duplicates of species, site and date", 4),
]


@pytest.mark.parametrize("form", ["tsv", "csv", "zip", "parquet", "capitals"])
def test_a_row_is_one_record_at_the_centre_of_its_cell(form, tmp_path):
    path = write(tmp_path, CUBE)
    if form == "csv":
        path.write_text(CUBE.replace("\t", ","))
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("0001234-250101000000000.csv", CUBE)
    elif form == "parquet":
        pl.read_csv(CUBE.encode(), separator="\t", schema_overrides={"occurrences": pl.String}).write_parquet(path)
    elif form == "capitals":
        wanted = "year,eeaCellCode,class,speciesKey,species,occurrences,minCoordinateUncertaintyInMeters"
        path.write_text(wanted.replace(",", "\t") + "\n" + CUBE.split("\n", 1)[1])
    records = read(path)
    assert vocabulary(records) == (("Abies alba", "Parus major"), ("Pinopsida", "Aves"))
    expected = [(4283.5, 2672.5), (4283.5, 2672.5), (4285, 2675), (4287.5, 2672.5)]
    found = seen(records)
    assert [row[0] for row in found] == ["Parus major", "Parus major", "Abies alba", "Abies alba"]
    np.testing.assert_allclose([row[1:] for row in found], [centre(1000 * x, 1000 * y) for x, y in expected])
    assert list(records.filters) == FUNNEL


def test_the_cell_is_the_uncertainty_where_it_is_the_larger(tmp_path):
    path = write(tmp_path, CUBE)
    # Nine rows have a place; half diagonals are 707 m, of 10 km 7071 m; two rows say 999 and 5000 m.
    for metres, kept in ((708, 6), (998, 6), (1000, 7), (7070, 8), (7072, 9)):
        filters = dict(read(path, max_uncertainty_m=metres, default_uncertainties_m=[]).filters)
        assert filters[f"coordinate uncertainty at most {metres} m"] == kept
    with pytest.raises(DataError, match="coordinate uncertainty at most 706 m' left 0 rows of 9"):
        read(path, max_uncertainty_m=706)


def test_as_many_records_as_occurrences(tmp_path, monkeypatch):
    path = write(tmp_path, CUBE)
    settings = {"records_per_row": "occurrences", "drop_duplicates": False}
    expected = Counter(
        {("Parus major", 2020): 4, ("Parus major", 2021): 5, ("Abies alba", 2020): 2, ("Abies alba", 0): 1}
    )
    whole = read(path, **settings)
    assert Counter(row[0] for row in seen(whole)) == Counter({"Parus major": 9, "Abies alba": 3})
    assert sum(expected.values()) == len(whole.table)
    capped = read(path, **settings, most_per_row=2)
    assert Counter(row[0] for row in seen(capped)) == Counter({"Parus major": 5, "Abies alba": 3})
    # Batches of any size give the same records.
    monkeypatch.setattr(gbif_cube, "ROWS_A_BATCH", 4)
    assert read(path, **settings).table.equals(whole.table)
    with pytest.raises(SettingsError, match=r"^datasets\.mine: must be settings with drop_duplicates: false, as"):
        read(path, records_per_row="occurrences")


def test_what_a_data_set_says_of_its_cube(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"2020\t10kmE{rng.integers(400, 480)}N{rng.integers(260, 330)}\tAves\t{key}\t{name}\t{rng.integers(1, 9)}\t5\n"
        for key, name in ((1, "Parus major"), (2, "Pica pica"))
        for _ in range(200)
    ]
    path = write(tmp_path, HEADER + "".join(rows))
    total = sum(int(row.split("\t")[5]) for row in rows)
    settings = {"kind": "gbif_cube", "path": str(path), "evaluation": {"degrees": 1.0}, "background_sites": 50}
    one = build_dataset(parse_dataset(settings, "datasets.mine"))
    assert (one.facts["cube_rows"], one.facts["cube_occurrences"]) == (400, total)
    assert any(f"400 rows stand for {total:,} occurrences" in note for note in one.notes)
    settings |= {"records_per_row": "occurrences", "drop_duplicates": False, "most_per_row": 3}
    many = build_dataset(parse_dataset(settings, "datasets.mine"))
    capped = sum(min(int(row.split("\t")[5]), 3) for row in rows)
    assert many.filters[0] == ("read", capped)
    assert many.facts["cube_occurrences_beyond_most_per_row"] == total - capped
    assert any(f"at most 3 a row; {total - capped:,} occurrences are beyond that" in note for note in many.notes)


@pytest.mark.parametrize(
    ("column", "code", "place"),
    [
        ("eqdcellcode", "E008N54BA", (8.625, 54.875)),
        ("eqdgccellcode", "W010S52", (-10.5, -52.5)),
        ("mgrscellcode", "31NAA6602100000", (0.0, 0.0)),
        ("isea3hcellcode", "345573994011250000", (11.25, 45.573994)),
        ("cellCode", "CRS4326RES0-15-0LON10-45-0LAT52-15-0", (10.875, 52.375)),
        ("eurostatcellcode", "CRS3035RES2000mN3209000E4320000", (10, 52)),
    ],
)
def test_grids(column, code, place, tmp_path):
    path = write(tmp_path, f"{column}\tspecies\toccurrences\n{code}\tParus major\t1\n")
    assert seen(read(path))[0][1:] == pytest.approx(place, abs=1e-4)


@pytest.mark.parametrize(
    ("header", "row", "date"),
    [
        ("yearmonth", "2020-05", 20200500),
        ("yearMonth", "2020-5", 20200500),
        ("yearmonth", "202005", 20200500),
        ("year\tmonth", "2020\t5", 20200500),
        ("year", "2020", 20200000),
        ("eventdate", "2020-05-03", 20200503),
    ],
)
def test_dates(header, row, date, tmp_path):
    path = write(tmp_path, f"{header}\teeacellcode\tspecies\n{row}\t1kmE4283N2672\tParus major\n")
    day = date % 100
    if day:
        assert read(path, weeks=True).table["week"].to_list() == [17]
    else:
        with pytest.raises(DataError, match=r"date known to the day( - not in the file)?. left 0 rows of 1"):
            read(path, weeks=True)
    assert len(read(path, min_year=2020, max_year=2020, unknown_year="drop").table) == 1
    again = f"{row}\t1kmE4283N2672\tParus major\n"
    path.write_text(path.read_text() + again)
    assert len(read(path).table) == 1


def test_coordinates_in_place_of_cells(tmp_path):
    header = "decimallatitude\tdecimallongitude\tspecies\toccurrences\tmincoordinateuncertaintyinmeters\n"
    text = header + "47.1\t8.5\tParus major\t1\t20000\n"
    assert seen(read(write(tmp_path, text))) == [("Parus major", 8.5, 47.1)]
    with pytest.raises(DataError, match="coordinate uncertainty at most 10000 m' left 0 rows"):
        read(tmp_path / "cube.tsv", max_uncertainty_m=10_000.0)
    # A cell says more of a cube's place than coordinates beside it.
    text = "lat\tlon\tspecies\tcellcode\n1\t2\tParus major\tE008N54BA\n"
    assert seen(read(write(tmp_path, text))) == [("Parus major", 8.625, 54.875)]


def test_cubes_of_keys_alone(tmp_path):
    text = "taxonkey\teeacellcode\tn\n12.0\t1kmE4283N2672\t1\n12\t1kmE4284N2672\t1\n"
    records = read(write(tmp_path, text))
    assert vocabulary(records) == (("12",), ("unknown",))


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        (
            "eeacellcode\tspecies",
            "3.4e17\tParus major",
            "no code of a cell is understood, as in '3.4e17'; known are codes",
        ),
        ("year\tspecies", "2020\tParus major", "no column of cells, such as 'eeacellcode', .*: columns: {cell: NAME}"),
        ("eeacellcode\tyear", "1kmE4283N2672\t2020", "no column 'species' and no 'specieskey'"),
        ("eeacellcode\tmgrscellcode\tspecies", "a\tb\tc", "'eeacellcode' and 'mgrscellcode' may both be the cell"),
    ],
)
def test_what_is_no_cube(header, row, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        read(write(tmp_path, f"{header}\n{row}\n"))


def test_a_column_can_be_named(tmp_path):
    text = "where\teeacellcode\tspecies\nE008N54BA\t1kmE4283N2672\tParus major\n"
    assert seen(read(write(tmp_path, text), columns={"cell": "where"})) == [("Parus major", 8.625, 54.875)]


@needs_real
@pytest.mark.parametrize(
    ("name", "code", "box"),
    [
        # Denmark with its sea, and Montenegro.
        ("denmark_mammals_cube_eqdgc.csv", "eqdgccellcode", (3.0, 54.4, 15.3, 58.2)),
        ("montenegro_bryophytes_cube_eea.csv", "eeacellcode", (18.4, 41.8, 20.4, 43.6)),
    ],
)
def test_real_cubes(name, code, box):
    with (REAL / name).open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    records = read(REAL / name, default_uncertainties_m=[])
    # Every row is one record, for a cube has no duplicates.
    assert [filters[1] for filters in records.filters] == [len(rows)] * len(records.filters)
    assert [row[0] for row in seen(records)] == [row["species"] for row in rows]
    sites = sites_of(records.table)
    assert (sites >= box[:2]).all()
    assert (sites <= box[2:]).all()
    assert len(np.unique(sites.round(6), axis=0)) == len({row[code] for row in rows})
    if code == "eqdgccellcode":
        degrees = np.array([[int(row[code][1:4]), int(row[code][5:7])] for row in rows])
        assert np.array_equal(np.floor(sites), degrees)
    else:
        east_north = np.array([[int(row[code][4:8]), int(row[code][9:])] for row in rows]) * 1000 + 500
        np.testing.assert_allclose(sites, np.stack(centre(*east_north.T), axis=1))
    settings = {"kind": "gbif_cube", "path": str(REAL / name), "min_records": 2, "evaluation": {"degrees": 0.5}}
    dataset = build_dataset(parse_dataset(settings | {"background_sites": 50}, "datasets.mine"))
    assert dataset.facts["cube_occurrences"] == sum(int(row["occurrences"]) for row in rows)


def test_the_page_has_every_setting_and_a_study_that_is_one():
    text = (Path(__file__).parents[2] / "docs" / "records" / "gbif_cube.md").read_text()
    own = set(DatasetSettings.model_fields) - set(RecordsSettings.model_fields) - set(CleaningSettings.model_fields)
    assert [name for name in own - {"kind"} if f"| `{name}`" not in text] == []
    (raw,) = YAML(typ="safe").load(re.findall(r"```yaml\n(datasets:.*?)```", text, flags=re.S)[0])["datasets"].values()
    assert parse_dataset(raw, "datasets.mine").kind == "gbif_cube"


def test_negative_occurrences_are_unknown(tmp_path):
    header = "decimallatitude\tdecimallongitude\tspecies\toccurrences\tmincoordinateuncertaintyinmeters\n"
    rows = "47.1\t8.5\tParus major\t-3\t-9999\n47.1\t9.5\tParus major\t0\t10\n"
    records = read(write(tmp_path, header + rows), max_uncertainty_m=1000.0)
    assert seen(records) == [("Parus major", 8.5, 47.1)]
    assert {
        "occurrences is not 0 - not understood: '-3' (1)",
        "coordinate uncertainty at most 1000 m - not understood: '-9999' (1)",
    } <= set(dict(records.filters))
