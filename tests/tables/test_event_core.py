"""Archives of events: a join written here by hand."""

import zipfile

import polars as pl
import pytest

from presence_only.columns.column_names import Columns
from presence_only.common.errors import DataError
from presence_only.datasets.gbif import DatasetSettings, read_records
from presence_only.tables.darwin_core import metafile_of, read_folder, read_zip
from presence_only.tables.event_core import NO_CORE_ROW
from presence_only.tables.unpacking import Archive

TERMS = "http://rs.tdwg.org/dwc/terms/"
WANTED = Columns(
    ("decimalLongitude", "decimalLatitude"), ("species", "eventDate", "year", "occurrenceStatus", "basisOfRecord")
)
EVENTS = (
    "eventID\tparentEventID\tdecimalLatitude\tdecimalLongitude\teventDate\tbasisOfRecord\n"
    "e1\t\t1\t2\t2020-05-03\tHumanObservation\n"
    "e2\te1\t\t\t2020-05-04\t\n"
    "e3\te2\t\t\t\t\n"
    "e4\t\t5\t\t\t\n"
)
OCCURRENCES = (
    "eventID\tspecies\tdecimalLatitude\tdecimalLongitude\tyear\toccurrenceStatus\n"
    "e1\tAbies una\t\t\t\tpresent\n"
    "e1\tAbies altera\t\t\t\tabsent\n"
    "e2\tAbies una\t\t\t\t\n"
    "e3\tAbies una\t7\t8\t1999\t\n"
    "e3\tAbies una\t\t\t\t\n"
    "e4\tAbies una\t7\t\t\t\n"
    "e9\tAbies una\t\t\t\t\n"
)
# Longitude, latitude, date, year, basis of every occurrence.
EXPECTED = [
    ("2", "1", "2020-05-03", None, "HumanObservation"),
    ("2", "1", "2020-05-03", None, "HumanObservation"),
    # The place of the parent, the date of its own.
    ("2", "1", "2020-05-04", None, None),
    # What an occurrence says itself counts, and its year goes with no other date.
    ("8", "7", None, "1999", None),
    ("2", "1", "2020-05-04", None, None),
    # A latitude of the one never goes with a longitude of the other.
    (None, "7", None, None, None),
    (None, None, None, None, None),
]


def part(tag, row_type, location, header, id_tag):
    fields = "".join(f'<field index="{i}" term="{TERMS}{name}"/>' for i, name in enumerate(header) if i)
    return (
        f'<{tag} fieldsTerminatedBy="\\t" fieldsEnclosedBy="" ignoreHeaderLines="1" rowType="{TERMS}{row_type}"><files>'
        f'<location>{location}</location></files><{id_tag} index="0"/>{fields}</{tag}>'
    )


def metafile(core="Event", id_tag="coreid", events=EVENTS, occurrences=OCCURRENCES):
    header, other = (table.splitlines()[0].split("\t") for table in (events, occurrences))
    return (
        '<archive xmlns="http://rs.tdwg.org/dwc/text/">'
        + part("core", core, "event.txt", header, "id")
        + part("extension", "MeasurementOrFact", "none.txt", ["id", "x"], "coreid")
        + part("extension", "Occurrence", "occurrence.txt", other, id_tag)
        + "</archive>"
    )


def read(path, events=EVENTS, occurrences=OCCURRENCES, **given):
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("event.txt", events)
        zipped.writestr("occurrence.txt", occurrences)
        zipped.writestr("meta.xml", metafile(events=events, occurrences=occurrences, **given))
    with Archive(path) as opened:
        return pl.concat(read_zip(opened, metafile_of(opened.names), WANTED))


NAMES = ("decimalLongitude", "decimalLatitude", "eventDate", "year", "basisOfRecord")


def test_occurrences_have_what_their_events_say(tmp_path):
    found = read(tmp_path / "a.zip")
    assert found.select(NAMES).rows() == EXPECTED
    assert found["species"].to_list() == ["Abies una", "Abies altera"] + ["Abies una"] * 5
    assert found["occurrenceStatus"].to_list() == ["present", "absent"] + [None] * 5


def test_unpacked(tmp_path):
    for name, text in (("meta.xml", metafile()), ("event.txt", EVENTS), ("occurrence.txt", OCCURRENCES)):
        (tmp_path / name).write_text(text)
    assert pl.concat(read_folder(tmp_path, WANTED)).select(NAMES).rows() == EXPECTED


def test_an_event_that_is_there_twice(tmp_path):
    again = read(tmp_path / "a.zip", events=EVENTS + EVENTS.splitlines()[1] + "\n")
    assert again.select(NAMES).rows() == EXPECTED
    with pytest.raises(DataError, match="the id 'e1' stands on rows of the core that differ; it must be unique"):
        read(tmp_path / "b.zip", events=EVENTS + "e1\t\t9\t9\t\t\n")


def test_no_id_to_join_by(tmp_path):
    with pytest.raises(DataError, match="names no id of its Occurrence rows, by which both are joined"):
        read(tmp_path / "a.zip", id_tag="other")


def test_coordinates_in_neither_table(tmp_path):
    events = "eventID\teventDate\ne1\t2020-05-03\n"
    occurrences = "eventID\tspecies\ne1\tAbies una\n"
    with pytest.raises(DataError, match="no column 'decimalLongitude', 'decimalLatitude' in its core, nor in its occ"):
        read(tmp_path / "a.zip", events, occurrences)


def test_a_core_of_taxa(tmp_path):
    """Their names stand on the core, and places on the occurrences."""
    taxa = "taxonID\tspecies\nt1\tAbies una\n"
    occurrences = "taxonID\tdecimalLatitude\tdecimalLongitude\nt1\t1\t2\n"
    found = read(tmp_path / "a.zip", taxa, occurrences, core="Taxon")
    assert found.select("species", "decimalLongitude", "decimalLatitude").rows() == [("Abies una", "2", "1")]


def test_ids_that_a_program_wrote_as_floats(tmp_path):
    """A column of whole numbers with a gap becomes 1.0, 2.0, ... when a data frame is written."""
    events, occurrences = EVENTS, OCCURRENCES
    for i in range(1, 10):
        events, occurrences = events.replace(f"e{i}", str(i)), occurrences.replace(f"e{i}\t", f"{i}.0\t")
    assert read(tmp_path / "a.zip", events, occurrences).select(NAMES).rows() == EXPECTED
    events = events.replace("\n2\t1\t", "\n2.0\t1.0\t")
    assert read(tmp_path / "a.zip", events, occurrences).select(NAMES).rows() == EXPECTED


def test_ids_that_are_not_in_the_core_are_counted(tmp_path):
    more = OCCURRENCES + "e8\tAbies una\t7\t8\t\t\n\tAbies una\t\t\t\t\n"
    assert read(tmp_path / "a.zip", occurrences=more)[NO_CORE_ROW].to_list() == [False] * 6 + [True] * 3
    records = read_records(DatasetSettings(kind="gbif", path=str(tmp_path / "a.zip"), min_records=1))
    # One of the three has coordinates of its own; that of e4 lacks a longitude.
    step = "coordinates given and possible - no degrees: 'id that is not in the core' (2)"
    assert records.filters[:2] == (("read", 9), (step, 6))


def test_no_id_that_is_in_the_core(tmp_path):
    sentence = "none of the ids of its occurrences, such as 'x1', is in its core, which has ids such as 'e1'"
    with pytest.raises(DataError, match=sentence):
        read(tmp_path / "a.zip", occurrences=OCCURRENCES.replace("\ne", "\nx").replace("\t7\t8", "\t\t"))
