"""Plain tables: the same records in many forms, and what each form that says something else is told."""

import gzip
import re
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pyproj
import pytest
from ruamel.yaml import YAML
from support.real_files import real_files
from support.records import vocabulary

from presence_only.columns.column_names import TABLE_SPELLINGS, TABLE_WEAK, Columns, plain_name
from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.sites import sites_of
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.datasets.table import ColumnName, DatasetSettings, read_records
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.records import places

REAL, needs_real = real_files("table")
ROWS = [("Parus major", 8.5, 47.1), ("Parus major", -8.25, 47.2), ("Abies alba", 9.5, -46.0)]
SPECIES = ("Abies alba", "Parus major")


def read(path, **settings):
    settings = {"kind": "table", "path": path if isinstance(path, list) else str(path), "min_records": 1} | settings
    return read_records(DatasetSettings.parse(settings, "datasets.mine"))


def write(folder, text, name="t.csv"):
    (folder / name).write_text(text)
    return folder / name


def seen(records):
    """Species and place of every record, in order."""
    names = vocabulary(records)[0]
    return [
        (names[i], *site) for i, site in zip(places(records.table["species"]), sites_of(records.table), strict=True)
    ]


def lines(separator, header="species lon lat", quote=""):
    rows = [header.split(), *([str(cell) for cell in row] for row in ROWS)]
    return "".join(separator.join(f"{quote}{cell}{quote}" for cell in row) + "\n" for row in rows)


def r_table(separator):
    rows = [f'"{i}" "{name}" {x} {y}' for i, (name, x, y) in enumerate(ROWS, 1)]
    text = "\n".join(['"" "species" "x_lon" "y_lat"', *rows]) + "\n"
    return re.sub(r' (?=["\d-])', separator, text)


FORMS = {
    "commas": lines(","),
    "semicolons": lines(";"),
    "tabs": lines("\t", "name x y"),
    "bars": lines("|", "taxon LONG LAT"),
    "quotes": lines(",", "binomial decimalLongitude decimalLatitude", '"'),
    "carriage returns": lines(",", "sp lng Latitude").replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + lines(";", "Species Longitude_WGS84 Latitude_WGS84"),
    "R's write.csv": r_table(","),
    "R's write.csv, read and written": "X" + r_table(",").replace('"', ""),
    "R's write.table": r_table(" ").removeprefix('"" '),
    "R's write.table without quotes": r_table(" ")
    .replace('"', "")
    .replace("s m", "s_m")
    .replace("s a", "s_a")
    .lstrip(),
    "R's make.names": lines(",").replace("Parus major", "Parus.major"),
    "underscores and authors": lines(",")
    .replace("Parus major", "Parus_major")
    .replace("Abies alba", "Abies alba Mill."),
    "two columns of names": lines(",", "genus,specificEpithet lon lat").replace("s m", "s,m").replace("s a", "s,a"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_one_table(form, tmp_path):
    assert seen(read(write(tmp_path, FORMS[form]))) == ROWS


@pytest.mark.parametrize("ending", ["csv.gz", "zip", "parquet", "folder"])
def test_packed_and_binary(ending, tmp_path):
    path = tmp_path / f"t.{ending}"
    if ending == "csv.gz":
        path.write_bytes(gzip.compress(FORMS["commas"].encode()))
    elif ending == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("t.csv", FORMS["commas"])
    else:
        table = pl.DataFrame(ROWS, schema=["Species", "lon", "lat"], orient="row")
        path = path / "part" if ending == "folder" else path
        path.parent.mkdir(exist_ok=True)
        table.write_parquet(path)
        path = path.parent if ending == "folder" else path
    assert seen(read(path)) == ROWS


def test_all_that_a_table_may_say(tmp_path):
    text = (
        "sp;lon;lat;date;coord_uncertainty;group;count;present\n"
        "Parus major;8.5;47.1;2020-05-03;25;birds;2;1\n"
        "Parus major;8.5;47.1;2020-05-03;25;birds;2;1\n"  # the same visit
        "Parus major;8.5;47.1;2020-05-04;25;Birds;;yes\n"
        "Parus major;8.6;47.1;1850-05-04;25;birds;1;1\n"
        "Parus major;8.7;47.1;2020-05-04;25000;birds;1;1\n"
        "Parus major;8.8;47.1;2020-05-04;25;birds;0;1\n"
        "Parus major;8.9;47.1;2020-05-04;25;birds;1;0\n"
        "Parus sp.;9.0;47.1;2020-05-04;25;birds;1;1\n"
        ";9.1;47.1;2020-05-04;25;birds;1;1\n"
        "Abies alba;9.2;;2020-05-04;25;plants;1;1\n"
        "Abies alba;9.3;47,1;2020-05-04;25;plants;1;1\n"
        "Abies alba;9.4;47.1;2020-06-30;x;plants;many;maybe\n"
    )
    records = read(write(tmp_path, text), weeks=True)
    assert vocabulary(records) == (SPECIES, ("Plants", "Birds"))
    assert seen(records) == [("Parus major", 8.5, 47.1), ("Parus major", 8.5, 47.1), ("Abies alba", 9.4, 47.1)]
    assert records.table["week"].to_list() == [17, 17, 24]
    assert records.filters == (
        ("read", 12),
        ("coordinates given and possible - no degrees: 'longitude 9.3, latitude 47,1' (1)", 10),
        ("coordinates not 0, 0", 10),
        ("coordinate uncertainty at most 10000 m - not understood: 'x' (1)", 9),
        ("coordinate uncertainty not that of a centroid (301, 999, 3036, 9999 m)", 9),
        ("status is a presence - not understood: 'maybe' (1)", 8),
        ("count is not 0 - not understood: 'many' (1)", 7),
        ("year 1900..", 6),
        ("date known to the day", 6),
        ("identified to a species - open names: 'Parus sp.' (1)", 5),
        ("of a species", 4),
        ("duplicates of species, site and date", 3),
    )


@pytest.mark.parametrize(
    ("header", "groups"),
    [
        ("class", ("Insecta", "Aves")),
        ("family", ("Insecta", "Aves")),
        ("taxonGroup", ("Insecta", "Aves")),
        ("plot", ("unknown", "unknown")),
    ],
)
def test_taxon_groups(header, groups, tmp_path):
    text = f"species,{header},lon,lat\nParus major,AVES,1,2\nApis mellifera,insecta,1,2\n"
    assert vocabulary(read(write(tmp_path, text)))[1] == groups


def test_numbers_of_rows_are_no_taxon_groups(tmp_path):
    text = "species,order,lon,lat\nParus major,1,1,2\nApis mellifera,2,1,2\n"
    assert vocabulary(read(write(tmp_path, text)))[1] == ("unknown", "unknown")
    assert vocabulary(read(tmp_path / "t.csv", columns={"group": "order"}))[1] == ("2", "1")


def test_one_file_a_species(tmp_path):
    write(tmp_path, "lon,lat\n8.5,47.1\n-8.25,47.2\n", "Parus_major.csv")
    write(tmp_path, "y;x\n-46;9.5\n", "Parus.csv")
    write(tmp_path, "species;y;x\nAbies alba;-46;9.5\n", "Zea_mays.csv")
    paths = [str(tmp_path / "P*_*.csv"), str(tmp_path / "Z*.csv")]
    # A column of species says more than the name of a file.
    assert seen(read(paths, species_from="file_name")) == ROWS
    with pytest.raises(
        DataError, match=r"no column 'species'; .*, or set species_from: file_name if each file is of one$"
    ):
        read(paths)
    with pytest.raises(DataError, match="no name identifies a species, as in 'Parus'; set names: as_given if"):
        read(tmp_path / "Parus.csv", species_from="file_name")


NAMES = [
    " Great  Tit ",
    "Great\u00a0Tit",
    "PAMA1",
    "12",
    "Parus major minor",
    "Parus major",
    "Abies sp.",
    "parus major",
]


def test_names_as_they_are_given(tmp_path):
    text = "name,lon,lat\n" + "".join(f"{name},{i},1\n" for i, name in enumerate(NAMES, 2))
    records = read(write(tmp_path, text), names="as_given")
    tidy = ["Great Tit", "Great Tit", "PAMA1", "12", "Parus major minor", "Parus major", "Abies sp.", "parus major"]
    assert [row[0] for row in seen(records)] == tidy
    assert vocabulary(records)[0] == tuple(sorted(set(tidy)))
    assert [row[0] for row in seen(read(tmp_path / "t.csv"))].count("Parus major") == 3


def test_names_as_they_are_given_in_two_columns(tmp_path):
    text = "genus,species,lon,lat\nParus,major,3,1\nAbies,major,4,1\nAbies,Abies alba,5,1\nTurdus,Song thrush,6,1\n"
    found = [row[0] for row in seen(read(write(tmp_path, text), names="as_given"))]
    assert found == ["Parus major", "Abies major", "Abies alba", "Song thrush"]
    text = "genus,specificEpithet,lon,lat\nParus,major,3,1\nAbies,,4,1\n"
    assert [row[0] for row in seen(read(write(tmp_path, text), names="as_given"))] == ["Parus major"]


def test_numbers_of_species_are_one_with_decimals_and_without(tmp_path):
    text = "species_code,lon,lat\n12,3,1\n12.0,4,1\n012,5,1\n"
    assert [row[0] for row in seen(read(write(tmp_path, text), names="as_given"))] == ["12", "12", "012"]
    with pytest.raises(DataError, match="no name identifies a species, as in '12'; set names: as_given if"):
        read(tmp_path / "t.csv")


def test_names_below_the_species_can_be_dropped(tmp_path):
    text = "name,lon,lat\nParus major minor,3,1\nParus major,4,1\nAbies alba Mill.,5,1\n"
    records = read(write(tmp_path, text), infraspecific="drop")
    assert seen(records) == [("Parus major", 4, 1), ("Abies alba", 5, 1)]
    assert ("name is of a species", 2) in records.filters


@pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:32632", "EPSG:2193", "EPSG:4258"])
def test_projected_coordinates(crs, tmp_path):
    area = pyproj.CRS(crs).area_of_use
    west, east = area.west, area.east if area.east > area.west else 180
    rng = np.random.default_rng(0)
    degrees = rng.uniform((max(west, -170), max(area.south, -80)), (min(east, 170), min(area.north, 80)), (50, 2))
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(*degrees.T)
    pl.DataFrame({"species": "Parus major", "Northing": y, "Easting": x}).write_csv(tmp_path / "t.csv")
    found = sites_of(read(tmp_path / "t.csv", crs=crs).table)
    np.testing.assert_allclose(found, degrees, atol=1e-7)


def test_single_places_that_a_system_does_not_have_are_named(tmp_path):
    text = "species,x,y\nParus major,4321000,3210000\nParus major,4321000,3220000\nParus major,1e10,5\n"
    records = read(write(tmp_path, text), crs="EPSG:3035")
    assert records.filters[1][1] == 2
    assert "no degrees: 'longitude 10000000000.0, latitude 5.0' (1)" in records.filters[1][0]


@pytest.mark.parametrize(
    ("rows", "settings", "sentence"),
    [
        (
            ["4321000,3210000"],
            {},
            r"longitude 4.321e\+06, latitude 3.21e\+06 and most .* no degrees; say what they are",
        ),
        (["47.1,108.5"], {}, "have longitude and latitude changed places\\?$"),
        (["5500000,500000"], {"crs": "EPSG:32632"}, r"lie far outside of the area of EPSG:32632 \(west 6, south 0, "),
        (["8.5,47.1"], {"crs": "EPSG:32632"}, "look like degrees, which are no units of EPSG:32632; leave crs out$"),
        (['"8,5","47,1"'], {}, "longitude = '8,5' has a decimal comma; set decimal: comma$"),
        (["8.5,47.1"], {"columns": {"longitude": "lon"}}, r"columns\.longitude = 'lon': no columns have this name"),
        (["8.5,47.1"], {"columns": {"species": "x"}}, "no column 'longitude'"),
        (["8.5,47.1,3"], {"weeks": True}, "say what the weeks' numbers are: week_numbers: four_a_month"),
    ],
)
def test_what_a_table_cannot_mean(rows, settings, sentence, tmp_path):
    header = "species,x,y" + (",week" if rows[0].count(",") == 2 and '"' not in rows[0] else "")
    path = write(tmp_path, header + "\n" + "".join(f"Parus major,{row}\n" for row in rows))
    with pytest.raises(DataError, match=sentence):
        read(path, **settings)


def test_decimal_commas(tmp_path):
    text = (
        "species;lon;lat;uncertainty\nParus major;8,5;47,1;2,5\nParus major;-8,25;47,2;\nAbies alba;9,5;-46;20000,5\n"
    )
    assert seen(read(write(tmp_path, text), decimal="comma")) == ROWS[:2]


@pytest.mark.parametrize(("numbers", "weeks"), [("four_a_month", [1, 1, 48]), ("iso", [1, 1, 44])])
def test_weeks_without_dates(numbers, weeks, tmp_path):
    text = "species,lon,lat,year,week\nParus major,8,47,2020,1\nAbies alba,8,47,2020,1\nParus major,8,47,2020,48\n"
    path = write(tmp_path, text)
    assert read(path, weeks=True, week_numbers=numbers).table["week"].to_list() == weeks
    # They tell visits apart, whatever they mean.
    assert len(read(path).table) == 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"path": []}, r"d\.path = \[\]: must be a list of at least 1"),
        ({"path": "t", "crs": "EPSG:1"}, r"d\.crs = 'EPSG:1': must be a coordinate reference system that pyproj knows"),
        ({"path": "t", "columns": {"lon": "x"}}, r"d\.columns has the name 'lon': must be one of 'longitude', "),
        ({"path": "t", "names": "as_given", "infraspecific": "drop"}, "d: must be settings with names 'scientific'"),
        ({}, "missing key 'd.path'"),
    ],
)
def test_wrong_settings_are_one_sentence(settings, sentence):
    with pytest.raises(SettingsError, match=f"^{sentence}"):
        parse_dataset({"kind": "table", **settings}, "d")


def test_a_table_of_many_batches_is_read_whole(tmp_path):
    """Quoted rows come in batches; what is looked at in the first one alone must not leak into others."""
    n = 450_000
    table = pl.DataFrame(
        {"species": ["Parus major", "Abies alba"] * (n // 2), "lon": np.arange(n) % 170, "lat": np.arange(n) % 80}
    )
    table.write_parquet(tmp_path / "t.parquet")
    records = read(tmp_path / "t.parquet", drop_duplicates=False)
    assert len(records.table) == n - sum(i % 170 == 0 and i % 80 == 0 for i in range(n))
    assert records.filters[0] == ("read", n)


@needs_real
@pytest.mark.parametrize(
    ("name", "rows", "records", "species", "first"),
    [
        ("bradypus.csv", 116, 116, 1, ("Bradypus variegatus", -65.4, -10.3833)),
        ("mammals_borneo.csv", 6262, 6063, 226, ("Hylobates albibarbis", 117.8028, 4.9634)),
    ],
)
def test_real_tables(name, rows, records, species, first):
    """Counted with awk: rows, those with a name, and distinct names."""
    found = read(REAL / name, drop_duplicates=False)
    assert found.filters[0] == ("read", rows)
    assert len(found.table) == records
    assert len(vocabulary(found)[0]) == species
    assert seen(found)[0] == first


@needs_real
@pytest.mark.parametrize(
    ("name", "evaluation"), [("bradypus.csv", {"absences": "land"}), ("mammals_borneo.csv", {"degrees": 1.0})]
)
def test_real_tables_become_data_sets(name, evaluation):
    settings = {"kind": "table", "path": str(REAL / name), "evaluation": evaluation, "background_sites": 100}
    dataset = build_dataset(parse_dataset(settings, "datasets.mine"))
    assert dataset.training.records.n_rows > 90
    assert len(dataset.survey.sites_M2) > 20


def test_the_page_has_every_setting_and_a_study_that_is_one():
    text = (Path(__file__).parents[2] / "docs" / "records" / "table.md").read_text()
    own = set(DatasetSettings.model_fields) - set(RecordsSettings.model_fields) - set(CleaningSettings.model_fields)
    assert [name for name in own - {"kind"} if f"| `{name}`" not in text] == []
    (raw,) = YAML(typ="safe").load(re.findall(r"```yaml\n(datasets:.*?)```", text, flags=re.S)[0])["datasets"].values()
    assert parse_dataset(raw, "datasets.mine").kind == "table"


def test_the_names_on_the_page_are_recognised():
    text = (Path(__file__).parents[2] / "docs" / "records" / "table.md").read_text()
    optional = tuple(name for name in get_args(ColumnName) if name not in {"longitude", "latitude"})
    columns = Columns(("longitude", "latitude"), optional, TABLE_SPELLINGS, weak=TABLE_WEAK, setting="columns")
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", text.split("## What is read")[1].split("\n## ")[0], flags=re.M)
    assert {name for wanted, _ in rows for name in re.findall(r"`(\w+)`", wanted)} == set(get_args(ColumnName))
    for wanted, names in rows:
        known = {plain for name in re.findall(r"`(\w+)`", wanted) for plain in columns.names_of(name)}
        listed = re.split(r"[,;] (?:else )?", re.sub(r", \.\.\.|; else class.*|these names alone", "", names).strip())
        assert {plain_name(name) for name in listed if name} <= known


@pytest.mark.parametrize("form", ["text", "parquet"])
def test_negative_counts_and_words_for_nothing(tmp_path, form):
    table = pl.DataFrame(
        {
            "species": ["Parus major"] * 6,
            "lon": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
            "lat": [47.5] * 6,
            "count": [3, -9999, 2, 2, 2, 0],
            "uncertainty": [10, 10, -1, -9999, 10, 10],
            "detection": ["1", "yes", "none", "-1", "", "1"],
        }
    )
    path = tmp_path / "t"
    table.write_csv(path) if form == "text" else table.write_parquet(path)
    records = read(path, columns={"status": "detection"})
    assert [site for _, *site in seen(records)] == [[1.5, 47.5], [2.5, 47.5], [5.5, 47.5]]
    assert records.filters[3:7] == (
        ("coordinate uncertainty at most 10000 m - not understood: '-1' (1), '-9999' (1)", 6),
        ("coordinate uncertainty not that of a centroid (301, 999, 3036, 9999 m)", 6),
        ("status is a presence - not understood: '-1' (1)", 4),
        ("count is not 0 - not understood: '-9999' (1)", 3),
    )


def test_one_column_for_two_is_refused(tmp_path):
    path = write(tmp_path, lines(","))
    sentence = r"columns\.longitude = 'lon' and columns\.latitude = 'Lon' are one column; each must have its own"
    with pytest.raises(DataError, match=sentence):
        read(path, columns={"longitude": "lon", "latitude": "Lon"})


NESTED = {"list": [[1.5, 2.5]] * 3, "struct": [{"a": 1.5}] * 3}


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("column", ["species", "lon", "lat", "count", "week", "status", "group", "date", "uncertainty"])
def test_parquet_columns_of_lists_are_refused(tmp_path, kind, column):
    table = {name: list(cells) for name, cells in zip(("species", "lon", "lat"), zip(*ROWS, strict=True), strict=True)}
    pl.DataFrame({**table, column: NESTED[kind]}).write_parquet(tmp_path / "t.parquet")
    sentence = rf"t\.parquet: the column '{column}' is of type .*; it must hold one text or number a row"
    with pytest.raises(DataError, match=sentence):
        read(tmp_path / "t.parquet")


def test_parquet_types_that_are_no_numbers(tmp_path):
    names = pl.Series(["Parus major", "Parus major", "Abies alba"])
    table = pl.DataFrame(
        {
            "species": names.cast(pl.Categorical),
            "lon": [8.5, -8.25, 9.5],
            "lat": pl.Series(["47.1", "47.2", "NA"]).cast(pl.Categorical),
            "year": pl.Series(["2020-05-03", "1850-01-01", None]).str.to_date(),
        }
    )
    table.write_parquet(tmp_path / "t.parquet")
    records = read(tmp_path / "t.parquet")
    assert seen(records) == [("Parus major", 8.5, 47.1)]
    assert ("year 1900..", 1) in records.filters
    table.with_columns(lon=pl.Series([True, False, True])).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="longitude true, latitude 47"):
        read(tmp_path / "t.parquet")


QUOTED_BLANKS = [
    ('"species" , "lon","lat"  ', '"Parus ""m"" major" ,8,47', 'Parus "m" major'),
    ("species,lon,lat,note", '"Parus major"  , "8" ,"47" ,"" ', "Parus major"),
    ("species;lon;lat;note", '"Parus major" ;8;47;"of two ;\nlines" ', "Parus major"),
    ("species\tlon\tlat", '"Parus major" \t"8" \t 47', "Parus major"),
    ('"species"\t"lon"\t"lat"', '"Parus major" \t"8" \t 47', "Parus major"),
]


@pytest.mark.parametrize(("header", "row", "name"), QUOTED_BLANKS)
def test_blanks_behind_a_closing_quote(tmp_path, header, row, name):
    for end in ("\n", "\r\n", ""):
        path = write(tmp_path, f"{header}\n{row}{end}")
        assert seen(read(path, names="as_given")) == [(name, 8.0, 47.0)]


def test_quotes_within_a_cell_keep_their_blanks(tmp_path):
    path = write(tmp_path, 'species,lon,lat\n"a ""b"" , c" ,8,47\n')
    assert seen(read(path, names="as_given")) == [('a "b" , c', 8.0, 47.0)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[{"species": "Parus major", "lon": 8}]', "is JSON, not a table; write it as CSV"),
        ('{"type": "FeatureCollection", "features": []}', "is JSON, not a table; write it as CSV"),
        ('[\n  {"species": "Parus major"}\n]\n', "is JSON, not a table; write it as CSV"),
        ("<!DOCTYPE html>\n<html>", "is a web page or XML, not a table; write it as CSV"),
        ('species\tlon\tlat\n"Parus\nmajor"\t8\t47\n', "line 2 has 1 fields, .*: does a cell in quotes hold a tab or"),
        ('species\tlon\tlat\n"Parus\tmajor"\t8\t47\n', "line 2 has 4 fields, .*: does a cell in quotes hold a tab or"),
        (
            "species,lon,lat\nParus major,-9999,-9999\n",
            "latitude -9999.0' .* stand for missing values",
        ),
    ],
)
def test_files_that_are_told_what_they_are(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read(write(tmp_path, text))


def test_coordinates_that_stand_for_missing_values_say_no_system(tmp_path):
    rows = "".join(f"Parus major,{x},{y}\n" for x, y in [(-9999, -9999)] * 5 + [(8.5, 47.5)])
    records = read(write(tmp_path, "species,lon,lat\n" + rows))
    assert seen(records) == [("Parus major", 8.5, 47.5)]
    assert "no degrees: 'longitude -9999.0, latitude -9999.0' (5)" in records.filters[1][0]
