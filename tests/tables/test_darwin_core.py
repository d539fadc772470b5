"""Archives as the Darwin Core text guide describes them, and as strangers may send them."""

import zipfile

import polars as pl
import pytest

from presence_only.columns.column_names import Columns
from presence_only.common.errors import DataError
from presence_only.tables.darwin_core import metafile_of, read_folder, read_zip
from presence_only.tables.unpacking import Archive

TERMS = "http://rs.tdwg.org/dwc/terms/"
WANTED = Columns(required=("decimalLatitude", "species"), optional=("basisOfRecord", "occurrenceStatus", "class"))


# As in GBIF's downloads.
GBIF = 'encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"'


def metafile(
    fields,
    attributes=GBIF,
    row_type="Occurrence",
    locations=("occurrence.txt",),
    before="",
):
    files = "".join(f"<location>{location}</location>" for location in locations)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>{before}<archive xmlns="http://rs.tdwg.org/dwc/text/" '
        f'metadata="metadata.xml"><core {attributes} rowType="{TERMS}{row_type}"><files>{files}</files>'
        f'<id index="0"/>{fields}</core>'
        '<extension rowType="http://rs.gbif.org/terms/1.0/Multimedia"><files><location>multimedia.txt</location>'
        '</files><coreid index="0"/></extension></archive>'
    )


# Not in the order of the file, with a term of GBIF's own and one of which only the last part is known.
FIELDS = (
    f'<field index="3" term="{TERMS}decimalLatitude"/><field index="1" term="http://rs.gbif.org/terms/1.0/species"/>'
    f'<field index="2" term="{TERMS}class" default="Aves"/><field term="{TERMS}basisOfRecord" default="OBSERVATION"/>'
)
OCCURRENCES = 'id\tname\tc\ty\n1\tPica pica\t\t51.5\n2\t"Apus" apus\tx\t-1\n'


def archive(path, text, tables, name="meta.xml"):
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(name, text)
        for member, content in tables.items():
            zipped.writestr(member, content)
    return path


def rows(path, columns=WANTED):
    with Archive(path) as opened:
        found = pl.concat(read_zip(opened, metafile_of(opened.names), columns))
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


def failure(path):
    with pytest.raises(DataError) as error:
        rows(path)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(path))


EXPECTED = [
    {"decimalLatitude": "51.5", "species": "Pica pica", "class": "Aves", "basisOfRecord": "OBSERVATION"},
    {"decimalLatitude": "-1", "species": '"Apus" apus', "class": "x", "basisOfRecord": "OBSERVATION"},
]


class TestArchives:
    def test_terms_by_index_and_default_values(self, tmp_path):
        tables = {"occurrence.txt": OCCURRENCES, "verbatim.txt": "x", "dataset/a.xml": "<a/>"}
        assert rows(archive(tmp_path / "a.zip", metafile(FIELDS), tables)) == EXPECTED

    def test_the_column_of_the_id_may_have_a_term(self, tmp_path):
        fields = FIELDS + f'<field index="0" term="{TERMS}occurrenceStatus"/>'
        first = metafile(fields)
        last = first.replace('<id index="0"/>', "").replace("</core>", '<id index="0"/></core>')
        for text in (first, last):
            found = rows(archive(tmp_path / "a.zip", text, {"occurrence.txt": OCCURRENCES}))
            assert [row["occurrenceStatus"] for row in found] == ["1", "2"]

    def test_unpacked(self, tmp_path):
        (tmp_path / "meta.xml").write_text(metafile(FIELDS))
        (tmp_path / "occurrence.txt").write_text(OCCURRENCES)
        assert pl.concat(read_folder(tmp_path, WANTED)).to_dicts() == EXPECTED

    def test_in_a_folder_of_the_zip(self, tmp_path):
        path = archive(tmp_path / "a.zip", metafile(FIELDS), {"dwca/occurrence.txt": OCCURRENCES}, name="dwca/meta.xml")
        assert rows(path) == EXPECTED

    def test_core_of_two_files_each_with_its_header(self, tmp_path):
        text = metafile(FIELDS, locations=("a.txt", "./b.txt"))
        path = archive(tmp_path / "a.zip", text, {"a.txt": OCCURRENCES, "b.txt": OCCURRENCES})
        assert rows(path) == EXPECTED * 2

    @pytest.mark.parametrize("row_type", ["Occurrence", "DarwinCore", "SimpleDarwinRecord", "occurrence"])
    def test_row_types_of_occurrences(self, tmp_path, row_type):
        text = metafile(FIELDS, row_type=row_type)
        assert rows(archive(tmp_path / "a.zip", text, {"occurrence.txt": OCCURRENCES})) == EXPECTED
        text = text.replace(f' rowType="{TERMS}{row_type}"', "", 1)
        assert rows(archive(tmp_path / "b.zip", text, {"occurrence.txt": OCCURRENCES})) == EXPECTED

    @pytest.mark.parametrize("empty", ["", OCCURRENCES.splitlines()[0] + "\n"])
    @pytest.mark.parametrize("order", [1, -1])
    def test_a_part_without_rows(self, tmp_path, empty, order):
        text = metafile(FIELDS, locations=("a.txt", "b.txt")[::order])
        assert rows(archive(tmp_path / "a.zip", text, {"a.txt": OCCURRENCES, "b.txt": empty})) == EXPECTED
        with pytest.raises(DataError, match=r"has columns but no rows"):
            rows(archive(tmp_path / "b.zip", text, {"a.txt": empty, "b.txt": empty}))

    def test_the_standards_defaults(self, tmp_path):
        """Commas, quotes, UTF-8 and no header, where the metafile says nothing."""
        text = metafile(FIELDS, attributes="")
        table = '1,"Pica, ""p""",,51.5\n2,Apus apus,x,-1\n'
        assert [row["species"] for row in rows(archive(tmp_path / "a.zip", text, {"occurrence.txt": table}))] == [
            'Pica, "p"',
            "Apus apus",
        ]

    @pytest.mark.parametrize("separator", ["|", "&#9;", "\t", ";"])
    def test_separators(self, tmp_path, separator):
        attributes = f'fieldsTerminatedBy="{separator}" fieldsEnclosedBy="" ignoreHeaderLines="1"'
        table = OCCURRENCES.replace("\t", separator.replace("&#9;", "\t"))
        path = archive(tmp_path / "a.zip", metafile(FIELDS, attributes), {"occurrence.txt": table})
        assert rows(path) == EXPECTED

    def test_other_encodings_and_line_ends(self, tmp_path):
        attributes = (
            'encoding="ISO-8859-1" fieldsTerminatedBy="\\t" linesTerminatedBy="\\r\\n" fieldsEnclosedBy="" '
            'ignoreHeaderLines="1"'
        )
        table = OCCURRENCES.replace("Pica", "Göttingen").replace("\n", "\r\n").encode("latin-1")
        path = archive(tmp_path / "a.zip", metafile(FIELDS, attributes), {"occurrence.txt": table})
        assert [row["species"] for row in rows(path)] == ["Göttingen pica", '"Apus" apus']

    def test_required_term_with_one_value_for_all(self, tmp_path):
        fields = f'<field index="1" term="{TERMS}decimalLatitude"/><field term="x/species" default="Pica pica"/>'
        path = archive(tmp_path / "a.zip", metafile(fields), {"occurrence.txt": "id\ty\n1\t2\n"})
        assert rows(path) == [{"decimalLatitude": "2", "species": "Pica pica"}]


ENTITIES = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(12))
OUTSIDE = ("../../etc/passwd", "/etc/passwd", "http://example.org/a.txt", "", "C:/a")
DOCTYPE = "/meta.xml: declares a document type (<!DOCTYPE archive>), which a metafile never needs"
# A metafile, and the whole sentence about it, behind the path of its archive.
BAD_METAFILES = {
    "a million entities": (
        metafile(FIELDS, before=f'<!DOCTYPE archive [<!ENTITY a0 "x">{ENTITIES}]>').replace("occurrence.txt", "&a12;"),
        DOCTYPE,
    ),
    "a file from outside": (
        metafile(FIELDS, before='<!DOCTYPE archive [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        DOCTYPE,
    ),
    **{
        f"core at {location!r}": (
            metafile(FIELDS, locations=(location,)),
            f"/meta.xml: its core lies at {location!r}; it must lie inside the archive",
        )
        for location in OUTSIDE
    },
    "core that is not there": (
        metafile(FIELDS, locations=("other.txt",)),
        ": meta.xml names 'other.txt', which is not in the archive",
    ),
    "no XML": ("<archive><core>", "/meta.xml: is not XML (no element found: line 1, column 15)"),
    "no core": ("<archive/>", "/meta.xml: has no <core>; it is not the metafile of a Darwin Core Archive"),
    "no location": (
        metafile(FIELDS, locations=()),
        "/meta.xml: its core names no file; a <location> is missing",
    ),
    "core of taxa": (
        metafile(FIELDS, row_type="Taxon"),
        ": its core is of Taxon rows; it must be of Occurrence rows, as in the downloads of gbif.org",
    ),
    "a term that is missing": (
        metafile(f'<field index="1" term="{TERMS}verbatimLatitude"/><field index="2" term="x/species"/>'),
        "/occurrence.txt: no column 'decimalLatitude'; it has 'verbatimLatitude', which look alike: rename them",
    ),
    "index beyond the fields": (
        metafile(FIELDS.replace('"3"', '"9"')),
        "/occurrence.txt: 'decimalLatitude' should be field 10, but rows have 4",
    ),
    "index that is no number": (
        metafile(FIELDS.replace('"3"', '"-1"')),
        "/meta.xml: field 'decimalLatitude' has the index '-1'; it must be 0, 1, 2, ... up to 10,000",
    ),
    "index of thousands of digits": (
        metafile(FIELDS.replace('"3"', f'"{"9" * 5000}"')),
        f"/meta.xml: field 'decimalLatitude' has the index '{'9' * 40}'; it must be 0, 1, 2, ... up to 10,000",
    ),
    "long separator": (
        metafile(FIELDS, 'fieldsTerminatedBy="||"'),
        "/meta.xml: fields end with '||' and are in '\"'; both must be one character",
    ),
    "encoding": (metafile(FIELDS, 'encoding="klingon"'), "/meta.xml: unknown encoding 'klingon'"),
    "header lines": (
        metafile(FIELDS, 'ignoreHeaderLines="one"'),
        "/meta.xml: ignoreHeaderLines is 'one'; it must be a number of lines up to 1,000",
    ),
    **{
        f"{len(number)} digits of header lines": (
            metafile(FIELDS, f'ignoreHeaderLines="{number}"'),
            f"/meta.xml: ignoreHeaderLines is '{number[:40]}'; it must be a number of lines up to 1,000",
        )
        for number in ("1001", "1000000000", "1" + "0" * 30, "9" * 5000)
    },
    **{
        f"more header lines than lines, in {quote}quotes": (
            metafile(FIELDS, f'fieldsTerminatedBy="\\t" fieldsEnclosedBy="{quote}" ignoreHeaderLines="0999"'),
            "/occurrence.txt: has columns but no rows",
        )
        for quote in ("", "'")
    },
    "huge": (
        " " * (4 * 2**20 + 1),
        "/meta.xml: has more than 4,194,304 bytes; a metafile is a page or two",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), BAD_METAFILES.values(), ids=BAD_METAFILES)
def test_a_bad_metafile_is_one_sentence(tmp_path, text, sentence):
    assert failure(archive(tmp_path / "a.zip", text, {"occurrence.txt": OCCURRENCES})) == sentence
