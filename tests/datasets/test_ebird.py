"""The eBird Basic Dataset, written here with what becomes of each observation, in the forms that eBird delivers."""

import gzip
import io
import tarfile
import zipfile

import pytest
from support.real_files import real_files
from support.records import vocabulary

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.sites import sites_of
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.datasets.ebird.dataset import DatasetSettings, read_records

# Real files, which are not shipped: the extract of the R package auk, inst/extdata.
REAL, needs_real = real_files("ebird")
HEADER = (
    "GLOBAL UNIQUE IDENTIFIER\tCATEGORY\tCOMMON NAME\tSCIENTIFIC NAME\tSUBSPECIES SCIENTIFIC NAME\tOBSERVATION COUNT\t"
    "LATITUDE\tLONGITUDE\tOBSERVATION DATE\tSAMPLING EVENT IDENTIFIER\tPROTOCOL NAME\tDURATION MINUTES\t"
    "EFFORT DISTANCE KM\tNUMBER OBSERVERS\tALL SPECIES REPORTED\tGROUP IDENTIFIER\tAPPROVED\tSPECIES COMMENTS\t"
)
FIELDS = tuple(HEADER.rstrip("\t").split("\t"))
USUAL = {
    "CATEGORY": "species",
    "SCIENTIFIC NAME": "Parus major",
    "OBSERVATION COUNT": "1",
    "LATITUDE": "51.5",
    "LONGITUDE": "12.5",
    "OBSERVATION DATE": "2020-05-03",
    "PROTOCOL NAME": "Traveling",
    "DURATION MINUTES": "60",
    "EFFORT DISTANCE KM": "2",
    "NUMBER OBSERVERS": "1",
    "ALL SPECIES REPORTED": "1",
    "APPROVED": "1",
}
# What differs from a usual observation, and the species that it counts for.
OBSERVATIONS = [
    ({}, "Parus major"),
    ({"OBSERVATION COUNT": "X", "LONGITUDE": "1"}, "Parus major"),
    ({"OBSERVATION COUNT": "0", "LONGITUDE": "2"}, None),
    ({"OBSERVATION COUNT": "many", "LONGITUDE": "3"}, "Parus major"),
    ({"CATEGORY": "issf", "LONGITUDE": "4", "SUBSPECIES SCIENTIFIC NAME": "Parus major [major Group]"}, "Parus major"),
    ({"CATEGORY": "ISSF", "LONGITUDE": "5", "SCIENTIFIC NAME": "Parus major minor/newtoni"}, "Parus major"),
    ({"CATEGORY": "domestic", "SCIENTIFIC NAME": "Anas platyrhynchos (Domestic type)"}, None),
    ({"CATEGORY": "spuh", "SCIENTIFIC NAME": "Parus sp."}, None),
    ({"CATEGORY": "spuh", "SCIENTIFIC NAME": "Anatidae sp."}, None),
    ({"CATEGORY": "slash", "SCIENTIFIC NAME": "Parus major/minor"}, None),
    ({"CATEGORY": "hybrid", "SCIENTIFIC NAME": "Anas platyrhynchos x acuta"}, None),
    ({"CATEGORY": "form", "SCIENTIFIC NAME": "Parus major"}, None),
    ({"CATEGORY": "intergrade", "SCIENTIFIC NAME": "Parus major"}, None),
    ({"CATEGORY": "odd", "SCIENTIFIC NAME": "Parus major"}, None),
    ({"APPROVED": "0", "LONGITUDE": "6"}, None),
    ({"LATITUDE": "", "LONGITUDE": "7"}, None),
    ({"SCIENTIFIC NAME": "Anas acuta", "SPECIES COMMENTS": 'a "quote'}, "Anas acuta"),
    # A group of three, of whom two saw the same.
    ({"LONGITUDE": "8", "GROUP IDENTIFIER": "G7"}, "Parus major"),
    ({"LONGITUDE": "8.01", "GROUP IDENTIFIER": "G7"}, None),
    ({"LONGITUDE": "8", "GROUP IDENTIFIER": "G7", "SCIENTIFIC NAME": "Anas acuta"}, "Anas acuta"),
    ({"LONGITUDE": "8.02", "GROUP IDENTIFIER": "G8"}, "Parus major"),
]
FUNNEL = (
    ("read", 21),
    ("coordinates given and possible", 20),
    ("APPROVED is 1", 19),
    ("OBSERVATION COUNT is not 0 - not understood: 'many' (1)", 18),
    ("category is not form", 17),
    ("category is not intergrade", 16),
    ("category is not domestic", 15),
    ("category is not spuh", 13),
    ("category is not slash", 12),
    ("category is not hybrid", 11),
    ("category is species, issf - not understood: 'odd' (1)", 10),
    ("a species once a visit of several observers", 9),
)


def ebd(rows=OBSERVATIONS, header=HEADER):
    lines = [header]
    for i, (given, *_) in enumerate(rows):
        values = {"SAMPLING EVENT IDENTIFIER": f"S{i + 1}", **USUAL, **given}
        lines.append("".join(f"{values.get(field, '')}\t" for field in FIELDS))
    return "\n".join(lines) + "\n"


def settings(path, **given):
    return DatasetSettings.parse({"kind": "ebird", "path": str(path), "min_records": 1, **given}, "datasets.x")


def read(path, **given):
    return read_records(settings(path, **given))


def write(folder, text=None, name="ebd_XX_relFeb-2025.txt"):
    path = folder / name
    path.write_text(ebd() if text is None else text)
    return path


def test_observations(tmp_path):
    found = read(write(tmp_path))
    assert [step for step in found.filters if step[0] in dict(FUNNEL)] == list(FUNNEL)
    assert found.filters[-1] == ("duplicates of species, site and date", 9)
    kept = [row for row in OBSERVATIONS if row[1] is not None]
    assert found.table["species"].to_list() == [species for _, species in kept]
    assert sites_of(found.table)[:, 0].tolist() == [float(given.get("LONGITUDE", 12.5)) for given, _ in kept]
    assert vocabulary(found) == (("Anas acuta", "Parus major"), ("Aves", "Aves"))


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({"unapproved": "keep"}, 10),
        ({"categories": ["species"]}, 7),
        ({"categories": ["species", "issf", "domestic"]}, 10),
        ({"effort": {"effort_hours": 0.5}}, 0),
        ({"effort": {"effort_hours": 1, "effort_distance_km": 2, "effort_speed_kmph": 2, "number_observers": 1}}, 9),
        ({"effort": {"protocol_name": ["Stationary"]}}, 0),
        ({"effort": {"protocol_name": ["eBird - Traveling Count"]}}, 9),
        ({"drop_duplicates": False}, 9),
    ],
)
def test_each_rule_can_be_changed(tmp_path, given, rows):
    path = write(tmp_path)
    if rows == 0:
        with pytest.raises(DataError, match="no record is left after cleaning"):
            read(path, **given)
    else:
        assert len(read(path, **given).table) == rows


def test_effort(tmp_path):
    """A stationary checklist has no distance, and what is unknown is dropped or kept."""
    rows = [
        ({"LONGITUDE": "1", "PROTOCOL NAME": "Stationary", "EFFORT DISTANCE KM": "", "DURATION MINUTES": "400"}, 1),
        ({"LONGITUDE": "2", "PROTOCOL NAME": "Stationary", "EFFORT DISTANCE KM": ""}, 1),
        ({"LONGITUDE": "3", "EFFORT DISTANCE KM": ""}, 1),
        ({"LONGITUDE": "4", "DURATION MINUTES": "1", "EFFORT DISTANCE KM": "5"}, 1),
        ({"LONGITUDE": "5", "NUMBER OBSERVERS": "11"}, 1),
        ({"LONGITUDE": "6", "PROTOCOL NAME": "Incidental"}, 1),
        ({"LONGITUDE": "7", "EFFORT DISTANCE KM": "11"}, 1),
        ({"LONGITUDE": "8"}, 1),
    ]
    best = {
        "protocol_name": ["Stationary", "Traveling"],
        "effort_hours": 6,
        "effort_distance_km": 10,
        "effort_speed_kmph": 100,
        "number_observers": 10,
    }
    found = read(write(tmp_path, ebd(rows)), effort=best)
    assert sites_of(found.table)[:, 0].tolist() == [2.0, 8.0]
    assert [step for step in found.filters if "effort" in step[0] or "protocol" in step[0]] == [
        ("protocol is Stationary, Traveling - others: 'Incidental' (1)", 7),
        ("effort at most 6 hours", 6),
        ("effort at most 10 km", 4),
        ("effort at most 100 km/h", 3),
        ("effort at most 10 observers", 2),
    ]
    kept = read(write(tmp_path, ebd(rows)), effort={**best, "unknown_effort": "keep"})
    assert sites_of(kept.table)[:, 0].tolist() == [2.0, 3.0, 8.0]


def test_releases_before_2024_call_the_protocol_otherwise(tmp_path):
    text = ebd(header=HEADER.replace("PROTOCOL NAME", "PROTOCOL TYPE"))
    assert len(read(write(tmp_path, text), effort={"protocol_name": ["Traveling"]}).table) == 9


def test_a_table_without_the_columns_of_a_rule(tmp_path):
    path = write(tmp_path, "scientific_name\tlatitude\tlongitude\tobservation_date\nParus major\t51\t12\t2020-05-03\n")
    found = read(path)
    assert len(found.table) == 1
    assert ("APPROVED is 1 - not in the file", 1) in found.filters
    with pytest.raises(DataError, match="no record is left"):
        read(path, effort={"effort_hours": 6})


def packed(folder, form, text, members=()):
    """A download in one of the forms that eBird delivers; ``members`` come with the table."""
    data, name = text.encode(), "ebd_XX_relFeb-2025.txt"
    others = {"BCRCodes.txt": b"code\tname\n1\tAlaska\n", "terms_of_use.txt": b"Be kind.\n", **dict(members)}
    if form == "txt":
        return write(folder, text)
    if form == "gz":
        path = folder / f"{name}.gz"
        path.write_bytes(gzip.compress(data))
        return path
    if form == "zip":
        path = folder / "ebd_XX_relFeb-2025.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in {**others, name: data}.items():
                archive.writestr(member, content)
        return path
    if form == "folder":
        path = folder / "download"
        path.mkdir()
        for member, content in {**others, name: data}.items():
            (path / member).write_bytes(content)
        return path
    path = folder / f"ebd_relFeb-2025.{form}"
    with tarfile.open(path, "w:gz" if form == "tar.gz" else "w") as archive:
        for member, content in {**others, f"{name}.gz": gzip.compress(data)}.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


FORMS = ("txt", "gz", "zip", "tar", "tar.gz", "folder")


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_that_ebird_delivers(tmp_path, form):
    found = read(packed(tmp_path, form, ebd()))
    assert found.table["species"].to_list() == [species for _, species in OBSERVATIONS if species is not None]


def test_presences_alone_become_a_data_set(tmp_path):
    rows = [
        ({"LONGITUDE": str(5 + i % 40), "SCIENTIFIC NAME": ("Parus major", "Anas acuta")[i % 40 % 3 // 2]}, 1)
        for i in range(120)
    ]
    raw = {"kind": "ebird", "path": str(write(tmp_path, ebd(rows))), "background_sites": 50}
    dataset = build_dataset(parse_dataset(raw, "datasets.mine"))
    assert dataset.training.records.species == ("Anas acuta", "Parus major")
    assert "held-out presence records" in dataset.notes[0]


class TestBadFiles:
    def failure(self, path, **given):
        with pytest.raises(DataError) as error:
            read(path, **given)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_the_sampling_file_in_place_of_the_ebd(self, tmp_path):
        path = write(tmp_path, "LATITUDE\tLONGITUDE\tOBSERVATION DATE\tALL SPECIES REPORTED\t\n1\t2\t2020-01-01\t1\t\n")
        assert self.failure(path).startswith(f"{path}: no column 'SCIENTIFIC NAME'")

    def test_an_archive_without_the_table(self, tmp_path):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("BCRCodes.txt", "code\tname\n1\tAlaska\n")
        assert self.failure(path) == (
            f"{path}: holds no table with the columns 'SCIENTIFIC NAME', 'LATITUDE', 'LONGITUDE', 'OBSERVATION DATE'; "
            "it holds BCRCodes.txt"
        )

    def test_a_tar_that_is_cut_off(self, tmp_path):
        path = packed(tmp_path, "tar", ebd())
        path.write_bytes(path.read_bytes()[:2000])
        assert str(path) in self.failure(path)

    def test_a_line_that_is_cut_off(self, tmp_path):
        path = write(tmp_path, ebd()[:-40])
        assert "it is cut off: download it again" in self.failure(path)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"evaluation": {"kind": "checklists", "years": [2020]}}, "settings with sampling, the path"),
        (
            {"sampling": "s.txt", "evaluation": {"kind": "h3"}},
            "what is held out goes into evaluation.years or evaluation.area",
        ),
        (
            {"evaluation": {"kind": "blocks", "years": [2020]}},
            r"unknown key 'years' in datasets\.x\.evaluation; known: absences, box, degrees",
        ),
        (
            {"sampling": "s", "evaluation": {"kind": "checklists", "fold": 1}},
            r"unknown key 'fold' in datasets\.x\.evaluation; known: area, effort",
        ),
        ({"sampling": "s", "evaluation": {"kind": "checklists", "years": [2020, 2020]}}, "every year once"),
        ({"categories": ["spuh"]}, "must be one of 'species', 'issf', 'form'"),
        ({"effort": {"hours": 3}}, "hours"),
    ],
)
def test_wrong_settings_are_one_sentence(given, sentence):
    with pytest.raises(SettingsError, match=sentence):
        settings("x.txt", **given)


@needs_real
def test_the_real_extract():
    found = read(REAL / "zerofill-ex_ebd.txt")
    assert found.filters[0] == ("read", 283)
    # Ten rows are of five groups, and in each both observers have the one species.
    assert ("a species once a visit of several observers", 278) in found.filters
    assert vocabulary(found)[0] == ("Alcedo meninting", "Halcyon smyrnensis", "Todiramphus chloris")
