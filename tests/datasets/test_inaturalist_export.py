"""Exports of iNaturalist, written here as its website and its archive write them, with what becomes of each row."""

import csv
import gzip
import zipfile

import pytest
from support.real_files import real_files
from support.records import vocabulary

from presence_only.data.sites import sites_of
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.datasets.inaturalist_export import OBSCURED_M, DatasetSettings, read_records

REAL, needs_real = real_files("inaturalist")
WEBSITE = (
    "id",
    "observed_on",
    "quality_grade",
    "description",
    "captive_cultivated",
    "latitude",
    "longitude",
    "positional_accuracy",
    "public_positional_accuracy",
    "coordinates_obscured",
    "scientific_name",
    "iconic_taxon_name",
    "taxon_id",
)
USUAL = {
    "observed_on": "2020-05-03",
    "quality_grade": "research",
    "captive_cultivated": "false",
    "latitude": "51.5",
    "positional_accuracy": "10",
    "public_positional_accuracy": "10",
    "coordinates_obscured": "false",
    "scientific_name": "Parus major",
    "iconic_taxon_name": "Aves",
    "taxon_id": "203153",
}
# What differs from a usual observation, and the species that it counts for.
ROWS = [
    ({"description": 'first, of "two"\nlines'}, "Parus major"),
    ({"quality_grade": "casual"}, None),
    ({"quality_grade": "needs_id"}, None),
    ({"quality_grade": "Research Grade"}, "Parus major"),
    ({"captive_cultivated": "true"}, None),
    ({"coordinates_obscured": "true", "public_positional_accuracy": "28200"}, None),
    ({"coordinates_obscured": "true", "public_positional_accuracy": ""}, None),
    ({"public_positional_accuracy": "", "positional_accuracy": "25000"}, None),
    ({"public_positional_accuracy": "", "positional_accuracy": ""}, "Parus major"),
    ({"scientific_name": "Parus major newtoni", "taxon_id": "555"}, "Parus major"),
    ({"scientific_name": "Parus", "taxon_id": "12"}, None),
    ({"scientific_name": "Paridae", "taxon_id": "13"}, None),
    ({"scientific_name": "", "taxon_id": ""}, None),
    ({"scientific_name": "Salix × fragilis", "iconic_taxon_name": "Plantae", "taxon_id": "7"}, "Salix × fragilis"),
    ({"observed_on": ""}, "Parus major"),
    ({"latitude": ""}, None),
    ({"scientific_name": "Agathis montana", "iconic_taxon_name": "Plantae", "taxon_id": "8"}, "Agathis montana (8)"),
    ({"scientific_name": "Agathis montana", "iconic_taxon_name": "Insecta", "taxon_id": "9"}, "Agathis montana (9)"),
]


def write(folder, rows=ROWS, columns=WEBSITE, name="observations-1.csv"):
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for i, (given, *_) in enumerate(rows):
            writer.writerow({"id": i, "longitude": f"{i + 1}.5", **USUAL, **given})
    return path


def read(path, **given):
    raw = {"kind": "inaturalist_export", "path": str(path), "min_records": 1, **given}
    return read_records(DatasetSettings.parse(raw, "datasets.x"))


def kept(rows=ROWS):
    """Species and longitude of the rows that count."""
    return [(species, i + 1.5) for i, (_, species) in enumerate(rows) if species is not None]


def found(records):
    return list(zip(records.table["species"].to_list(), sites_of(records.table)[:, 0].tolist(), strict=True))


def test_the_export_of_the_website(tmp_path):
    records = read(write(tmp_path))
    assert found(records) == kept()
    names, groups = vocabulary(records)
    assert dict(zip(names, groups, strict=True))["Parus major"] == "Aves"
    assert [
        step for step in records.filters if "grade" in step[0] or "captive" in step[0] or "identified" in step[0]
    ] == [
        ("quality_grade is research", 12),
        ("neither captive nor cultivated", 11),
        ("identified to a species - open names: 'Paridae' (1), 'Parus' (1)", 9),
    ]


@pytest.mark.parametrize("form", ["gz", "zip", "folder"])
def test_other_forms(tmp_path, form):
    path = write(tmp_path)
    if form == "gz":
        path = tmp_path / "observations.csv.gz"
        path.write_bytes(gzip.compress((tmp_path / "observations-1.csv").read_bytes()))
    elif form == "zip":
        path = tmp_path / "observations.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "observations-1.csv", "observations-1.csv")
    else:
        folder = tmp_path / "parts"
        folder.mkdir()
        write(folder, ROWS[:5])
        write(
            folder,
            [({**given, "longitude": f"{i + 6}.5"}, name) for i, (given, name) in enumerate(ROWS[5:])],
            name="observations-2.csv",
        )
        path = folder
    assert found(read(path)) == kept()


@pytest.mark.parametrize(
    ("given", "further"),
    [
        ({"quality_grades": ["research", "casual", "needs_id"]}, {1, 2}),
        ({"captive": "keep"}, {4}),
        ({"max_uncertainty_m": 30_000.0}, {5, 7}),
        ({"max_uncertainty_m": None}, {5, 6, 7}),
        ({"max_uncertainty_m": None, "obscured": "drop"}, {7}),
    ],
)
def test_each_rule_can_be_changed(tmp_path, given, further):
    records = read(write(tmp_path), **given)
    assert {longitude - 1.5 for _, longitude in found(records)} == {x - 1.5 for _, x in kept()} | further


def test_obscured_coordinates_without_a_public_accuracy_are_as_coarse_as_they_can_be(tmp_path):
    columns = tuple(name for name in WEBSITE if name != "public_positional_accuracy")
    path = write(tmp_path, [({}, 1), ({"coordinates_obscured": "true"}, 1)], columns)
    assert len(read(path, max_uncertainty_m=OBSCURED_M - 1).table) == 1
    assert len(read(path, max_uncertainty_m=OBSCURED_M).table) == 2
    columns = tuple(name for name in columns if name != "positional_accuracy")
    assert len(read(write(tmp_path, [({}, 1), ({"coordinates_obscured": "true"}, 1)], columns)).table) == 1


def test_an_export_that_says_the_species(tmp_path):
    """A complex of species has the name of one and no species; the group is that of the class."""
    columns = (*WEBSITE, "taxon_species_name", "taxon_class_name")
    rows = [
        (
            {"taxon_species_name": "Parus major", "scientific_name": "Parus major newtoni", "taxon_class_name": "Aves"},
            1,
        ),
        ({"taxon_species_name": "", "scientific_name": "Pantherophis obsoletus", "taxon_class_name": "Reptilia"}, 1),
        ({"taxon_species_name": "Pantherophis spiloides", "taxon_class_name": "Reptilia"}, 1),
    ]
    records = read(write(tmp_path, rows, columns))
    assert found(records) == [("Parus major", 1.5), ("Pantherophis spiloides", 3.5)]
    assert vocabulary(records)[1] == ("Reptilia", "Aves")
    assert ("identified to a species - open names: 'Pantherophis obsoletus' (1)", 2) in records.filters


def test_the_table_of_the_archive(tmp_path):
    columns = (
        "id", "captive", "eventDate", "decimalLatitude", "decimalLongitude", "coordinateUncertaintyInMeters",
        "informationWithheld", "scientificName", "taxonRank", "class", "taxonID",
    )  # fmt: skip
    usual = {
        "captive": "wild", "eventDate": "2020-05-03T12:00:00-07:00", "decimalLatitude": "51.5",
        "coordinateUncertaintyInMeters": "30", "scientificName": "Parus major", "taxonRank": "species", "class": "Aves",
    }  # fmt: skip
    withheld = "Coordinate uncertainty increased to 28329m at the request of the observer"
    changes = [
        {},
        {"taxonRank": "genus", "scientificName": "Parus"},
        {"taxonRank": "subspecies", "scientificName": "Parus major newtoni"},
        {"taxonRank": "complex"},
        {"captive": "cultivated"},
        {"informationWithheld": withheld, "coordinateUncertaintyInMeters": "28329"},
        {"informationWithheld": withheld, "coordinateUncertaintyInMeters": ""},
        {"coordinateUncertaintyInMeters": ""},
    ]
    rows = [({**usual, "decimalLongitude": f"{i}.5", **change}, 1) for i, change in enumerate(changes)]
    path = write(tmp_path, rows, columns)
    records = read(path, weeks=True)
    assert found(records) == [("Parus major", 0.5), ("Parus major", 2.5), ("Parus major", 7.5)]
    assert records.table["week"].to_list() == [17, 17, 17]
    assert len(read(path, max_uncertainty_m=None, obscured="drop").table) == 3
    assert len(read(path, max_uncertainty_m=None).table) == 5


def test_an_export_becomes_a_data_set(tmp_path):
    names = ("Parus major", "Turdus merula")
    rows = [
        ({"scientific_name": names[i % 40 % 3 // 2], "longitude": str(i % 40 + 0.5), "taxon_id": ""}, 1)
        for i in range(120)
    ]
    raw = {
        "kind": "inaturalist_export",
        "path": str(write(tmp_path, rows)),
        "background_sites": 50,
        "drop_duplicates": False,
    }
    assert build_dataset(parse_dataset(raw, "datasets.x")).training.records.species == names


@needs_real
def test_real_exports():
    website, archive = read(REAL / "observations_export.csv"), read(REAL / "observations_dwca.csv")
    assert (website.filters[0][1], len(website.table)) == (47, 42)
    assert (archive.filters[0][1], len(archive.table)) == (50, 34)
    assert "Thamnophis elegans" in vocabulary(archive)[0]
    assert "Ophion" not in vocabulary(archive)[0]


PRIVACY = (*(name for name in WEBSITE if name != "coordinates_obscured"), "geoprivacy", "taxon_geoprivacy")
PRIVATE = [
    ({}, "Parus major"),
    ({"geoprivacy": "obscured"}, None),
    ({"taxon_geoprivacy": "Obscured"}, None),
    ({"geoprivacy": "open", "taxon_geoprivacy": "private"}, None),
    ({"geoprivacy": "open", "taxon_geoprivacy": "open"}, "Parus major"),
    ({"geoprivacy": "secret"}, "Parus major"),
    ({"geoprivacy": "obscured_private"}, None),
]


def test_geoprivacy_without_the_column_coordinates_obscured(tmp_path):
    path = write(tmp_path, PRIVATE, PRIVACY)
    assert found(read(path)) == kept(PRIVATE)
    # Nor does the accuracy of the true place count where the public one is not given.
    lacking = [({"public_positional_accuracy": "", **given}, name) for given, name in PRIVATE]
    assert found(read(write(tmp_path, lacking, PRIVACY))) == kept(PRIVATE)
    records = read(path, obscured="drop", max_uncertainty_m=None)
    assert found(records) == kept(PRIVATE)
    step = "coordinates not obscured - not understood: 'secret' (1)"
    assert (step, 3) in records.filters
    assert "coordinates_obscured and geoprivacy - not understood: 'secret' (1)" in dict(read(path).filters)


@pytest.mark.parametrize("word", ["obscured", "Private", "true", "1"])
def test_words_of_coordinates_obscured(tmp_path, word):
    rows = [
        ({}, "Parus major"),
        ({"coordinates_obscured": word}, None),
        ({"coordinates_obscured": "open"}, "Parus major"),
    ]
    assert found(read(write(tmp_path, rows))) == kept(rows)


def test_negative_accuracies_are_unknown(tmp_path):
    accuracies = {"positional_accuracy": "-5", "public_positional_accuracy": "-9999"}
    records = read(write(tmp_path, [({}, "Parus major"), (accuracies, "Parus major")]))
    assert "coordinate uncertainty at most 10000 m - not understood: '-9999' (1)" in dict(records.filters)
    assert len(read(write(tmp_path, [({}, ""), (accuracies, "")]), unknown_uncertainty="drop").table) == 1
