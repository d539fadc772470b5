"""How tables are written, line by line; every form holds the same records."""

import csv
import zipfile
from dataclasses import replace

import polars as pl
import pytest

from presence_only.columns.column_names import COORDINATE_SPELLINGS, Columns
from presence_only.common.errors import DataError
from presence_only.tables.darwin_core import metafile_of, read_zip
from presence_only.tables.reading import read_names, read_table
from presence_only.tables.unpacking import Archive

WANTED = Columns(("species", "decimalLatitude"), ("year",), COORDINATE_SPELLINGS)
ROWS = [("Abies una", "1.5", "2020"), ("Abies altera", "-2", None)]
FORMS = {
    "sep=;": "sep=;\nspecies;decimalLatitude;year\nAbies una;1.5;2020\nAbies altera;-2;\n",
    "sep in quotes": '"sep=,"\r\nspecies,decimalLatitude,year\r\nAbies una,1.5,2020\r\nAbies altera,-2,\r\n',
    "sep=tab": "sep=\t\nspecies\tdecimalLatitude\tyear\nAbies una\t1.5\t2020\nAbies altera\t-2\t\n",
    "comments": "# made 2020\n# by x, y\nspecies,decimalLatitude,year\nAbies una,1.5,2020\nAbies altera,-2,NA\n",
    "comments before tabs": "#a\n\nspecies\tdecimalLatitude\tyear\nAbies una\t1.5\t2020\nAbies altera\t-2\tNA\n",
    "header as comment": "#species,decimalLatitude,year\nAbies una,1.5,2020\nAbies altera,-2,\n",
    "commas in a header of semicolons": (
        "species;decimalLatitude;year;a,b,c,d\nAbies una;1.5;2020;x\nAbies altera;-2;;\n"
    ),
    "bars": "species|decimalLatitude|year\nAbies una|1.5|2020\nAbies altera|-2|\n",
    "blanks after commas": 'species, decimalLatitude, year\n"Abies una", 1.5, "2020"\nAbies altera, -2, \n',
    "blanks in tabs": "species\tdecimalLatitude\tyear\n Abies una\t1.5 \t 2020\nAbies altera \t -2\t \n",
    "cells in quotes under a plain header": (
        'species\tdecimalLatitude\tyear\n"Abies una"\t"1.5"\t2020\n"Abies altera"\t-2\t""\n'
    ),
    "R, row names": '"","species","decimalLatitude","year"\n"1","Abies una",1.5,2020\n"2","Abies altera",-2,NA\n',
    "R, tab, row names": (
        '"species"\t"decimalLatitude"\t"year"\n"1"\t"Abies una"\t1.5\t2020\n"2"\t"Abies altera"\t-2\tNA\n'
    ),
    "R, blanks, row names": '"species" "decimalLatitude" "year"\n"a" "Abies una" 1.5 2020\n"b" "Abies altera" -2 NA\n',
    "R without quotes": "species\tdecimalLatitude\tyear\n1\tAbies una\t1.5\t2020\n2\tAbies altera\t-2\tNA\n",
    "separator ends the header alone": "species\tdecimalLatitude\tyear\t\nAbies una\t1.5\t2020\nAbies altera\t-2\t\n",
    "separator ends every row": "species\tdecimalLatitude\tyear\nAbies una\t1.5\t2020\t\nAbies altera\t-2\t\t\n",
}


def rows(path, columns=WANTED):
    return pl.concat(read_table(path, columns)).select("species", "decimalLatitude", "year").rows()


def write(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_forms(tmp_path, text):
    assert rows(write(tmp_path, text)) == ROWS


@pytest.mark.parametrize("separator", ["\t", ","])
def test_ragged_rows_are_filled_by_choice_alone(tmp_path, separator):
    text = "species,decimalLatitude,year\nAbies una,1.5,2020\nAbies altera,-2\n".replace(",", separator)
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=r"has 2 fields, the header 3; every (line|row) must have as many"):
        rows(path)
    with pytest.raises(DataError, match=r"as many, or set ragged_rows: mend if only empty cells at the end"):
        rows(path, replace(WANTED, ragged_rows="refuse"))
    assert rows(path, replace(WANTED, ragged_rows="mend")) == ROWS


@pytest.mark.parametrize("separator", ["\t", ","])
def test_further_empty_cells_are_cut_by_choice_alone(tmp_path, separator):
    text = "species,decimalLatitude,year\nAbies una,1.5,2020\nAbies altera,-2,,,\n".replace(",", separator)
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=r"has 5 fields, the header 3; every (line|row) must have as many, or set ragg"):
        rows(path, replace(WANTED, ragged_rows="refuse"))
    assert rows(path, replace(WANTED, ragged_rows="mend")) == ROWS


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_shifted_row_where_a_separator_ends_every_row(tmp_path, separator):
    text = "species,decimalLatitude,year\nAbies una,1.5,2020,\nAbies altera,x,-2,2020\n".replace(",", separator)
    with pytest.raises(DataError, match="has something in field 4, which is empty in the first row and has no name"):
        rows(write(tmp_path, text))


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_cell_beyond_the_header_is_refused(tmp_path, separator):
    text = "species,decimalLatitude,year\nAbies una,1.5,2020\nAbies altera,-2,,x\n".replace(",", separator)
    with pytest.raises(DataError, match="has 4 fields, the header 3"):
        rows(write(tmp_path, text))


def test_a_separator_within_the_first_row_is_no_name_of_a_row(tmp_path):
    columns = Columns(("species", "decimalLatitude"), ("year", "locality"))
    path = write(tmp_path, "id,species,locality,decimalLatitude,year\n1,Abies una,Town, Land,1.5,2020\n")
    with pytest.raises(DataError, match="has 6 fields, the header 5"):
        list(read_table(path, columns))


def test_a_long_cell(tmp_path):
    polygon = "POLYGON((" + "1 2, " * 60_000 + "1 2))"
    path = write(tmp_path, f'species,decimalLatitude,year,area\nAbies una,1.5,2020,"{polygon}"\nAbies altera,-2,,\n')
    assert rows(path) == ROWS


def test_line_numbers_count_what_stands_before_the_header(tmp_path):
    path = write(tmp_path, "# made 2020\nspecies,decimalLatitude,year\nAbies una,1.5\n")
    with pytest.raises(DataError, match="the row that ends in line 3 has 2 fields"):
        rows(path)


TERMS = "http://rs.tdwg.org/dwc/terms/"


def archive(path, terms, table, header_lines=1):
    fields = "".join(f'<field index="{i}" term="{TERMS}{term}"/>' for i, term in enumerate(terms) if term)
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("occurrence.txt", table)
        zipped.writestr(
            "meta.xml",
            f'<archive xmlns="http://rs.tdwg.org/dwc/text/"><core fieldsTerminatedBy="\\t" fieldsEnclosedBy="" '
            f'ignoreHeaderLines="{header_lines}" rowType="{TERMS}Occurrence"><files><location>occurrence.txt</location>'
            f'</files><id index="0"/>{fields}</core></archive>',
        )
    return path


def read(path):
    with Archive(path) as opened:
        return pl.concat(read_zip(opened, metafile_of(opened.names), WANTED))


TERMS_OF_ALL = ("occurrenceID", "species", "year", "decimalLatitude")


class TestMetafiles:
    def test_header_and_metafile_agree(self, tmp_path):
        path = archive(
            tmp_path / "a.zip", TERMS_OF_ALL, "occurrenceID\tspecies\tyear\tdecimalLatitude\n1\tA b\t2020\t1\n"
        )
        assert read(path).rows() == [("A b", "1", "2020")]

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            ("occurrenceID\tspecies\tdecimalLatitude\tyear", "column 4 'year', the metafile 'decimalLatitude'"),
            ("occurrenceID\tyear\tspecies\tdecimalLatitude", "column 2 'year', the metafile 'species'"),
            ("occurrenceID\tspecies\tlat\tyear", "column 4 'year', the metafile 'decimalLatitude'"),
            (
                "occurrenceID\tspecies\tyear\tverbatimLongitude",
                "column 4 'verbatimLongitude', the metafile 'decimalLat",
            ),
            ("species\toccurrenceID\tyear\tdecimalLatitude", "column 2 'occurrenceID', the metafile 'species'"),
        ],
    )
    def test_another_order(self, tmp_path, header, said):
        path = archive(tmp_path / "a.zip", TERMS_OF_ALL, f"{header}\n1\t2\t3\t4\n")
        with pytest.raises(DataError, match=f"the header calls {said}"):
            read(path)

    def test_rows_that_lost_a_cell(self, tmp_path):
        path = archive(
            tmp_path / "a.zip", (*TERMS_OF_ALL, "genus"), "\t".join((*TERMS_OF_ALL, "genus")) + "\n1\tA b\t1\tA\n"
        )
        with pytest.raises(DataError, match="line 2 has 4 fields, the header 5 and the metafile 5; they must agree"):
            read(path)

    def test_rows_that_lost_a_cell_and_have_no_header(self, tmp_path):
        path = archive(tmp_path / "a.zip", (*TERMS_OF_ALL, "genus"), "1\tA b\t1\tA\n", header_lines=0)
        with pytest.raises(DataError, match="line 1 has 4 fields, the metafile 5; they must agree"):
            read(path)

    def test_a_later_row_that_lost_a_cell(self, tmp_path):
        table = "\t".join(TERMS_OF_ALL) + "\n1\tA b\t2020\t1\n2\tA b\t1\n"
        with pytest.raises(DataError, match="line 3 has 3 fields, the header 4"):
            read(archive(tmp_path / "a.zip", TERMS_OF_ALL, table))

    def test_a_header_in_words_of_its_own(self, tmp_path):
        path = archive(tmp_path / "a.zip", TERMS_OF_ALL, "no\tname\twhen\tnorth\n1\tA b\t2020\t1\n")
        assert read(path).rows() == [("A b", "1", "2020")]

    def test_further_columns_that_the_metafile_does_not_name(self, tmp_path):
        path = archive(tmp_path / "a.zip", TERMS_OF_ALL, "\t".join((*TERMS_OF_ALL, "x")) + "\n1\tA b\t2020\t1\ty\n")
        assert read(path).rows() == [("A b", "1", "2020")]

    def test_a_header_that_the_metafile_forgot(self, tmp_path):
        header = "occurrenceID\tspecies\tdecimalLatitude\tyear"
        path = archive(tmp_path / "a.zip", TERMS_OF_ALL, f"{header}\n1\tA b\t1\t2020\n", header_lines=0)
        with pytest.raises(DataError, match="the header calls column 4 'year', the metafile 'decimalLatitude'"):
            read(path)

    def test_a_row_that_the_metafile_calls_a_header(self, tmp_path):
        path = archive(tmp_path / "a.zip", TERMS_OF_ALL, "1\tA b\t2020\t1.5\n2\tA b\t2020\t2\n")
        with pytest.raises(
            DataError, match=r"line 1 has the decimalLatitude '1\.5' and is a row, but the metafile calls"
        ):
            read(path)

    def test_a_separator_that_ends_every_row(self, tmp_path):
        table = "\t".join(TERMS_OF_ALL) + "\n1\tA b\t2020\t1\t\n2\tA b\t2020\t2\t"
        assert read(archive(tmp_path / "a.zip", TERMS_OF_ALL, table)).rows() == [
            ("A b", "1", "2020"),
            ("A b", "2", "2020"),
        ]
        with pytest.raises(DataError, match="has something in field 5"):
            read(archive(tmp_path / "b.zip", TERMS_OF_ALL, table + "x\n"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "header",
    ['"species\nname","lon","lat"', 'lon,"lat\n(degrees\n\nWGS84)",species', 'lon;lat;"spe\ncies"', '"x\n"\tlat\tlon'],
)
def test_a_header_over_several_lines(tmp_path, header, end):
    separator = next(mark for mark in ",;\t" if mark in header)
    expected = next(csv.reader([header], delimiter=separator))
    names = [" ".join(name.split()) for name in expected]
    cells = [["1", "2", "3"], ["4", "5", "6"]]
    path = tmp_path / "a.csv"
    text = "\n".join([header, *(separator.join(row) for row in cells)]) + "\n"
    path.write_bytes(text.replace("\n", end).encode())
    assert [" ".join(name.split()) for name in read_names(path, WANTED)] == names
    columns = Columns((), ("lon", "lat"), {"lat": ("latDegreesWGS84",)})
    found = pl.concat(read_table(path, columns))
    lon, lat = (next(at for at, name in enumerate(names) if name.startswith(word)) for word in ("lon", "lat"))
    assert found.rows() == [(row[lon], row[lat]) for row in cells]
    # Line numbers count those of the header.
    path.write_bytes((text + "7\n").replace("\n", end).encode())
    with pytest.raises(DataError, match=f"line {header.count(chr(10)) + 4} has 1 field"):
        list(read_table(path, columns))


def test_a_quote_in_the_header_that_does_not_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('species,"lon,lat\nParus major,1,2\n')
    with pytest.raises(DataError, match=r"a quote in the header .* does not end; close it, or remove it"):
        list(read_table(path, WANTED))
    path.write_text('species,lon,lat,size 5"\nParus major,1,2,3\n')
    assert read_names(path, WANTED) == ("species", "lon", "lat", 'size 5"')
