"""Tables are written here byte by byte, with what real ones carry; every bad one is one sentence."""

import gzip
import zipfile

import pytest
from support.table_files import HEADER, failure, rows, write

from presence_only.tables import text_blocks, text_decoding, text_rows, text_tables, text_until_quotes
from presence_only.tables.unpacking import Limits

PLAIN = f"{HEADER}\n1\tParus major\tLeipzig\t51.3\t2019\n2\tPica pica\t\t-1.5\t\n"

EXPECTED = [
    {"decimalLatitude": "51.3", "species": "Parus major", "year": "2019"},
    {"decimalLatitude": "-1.5", "species": "Pica pica", "year": None},
]

# What a text file holds, and the whole sentence about it, behind its path.
BAD_TEXTS = {
    "empty": ("", ": the file is empty"),
    "header without rows": (HEADER + "\n", ": has columns but no rows"),
    "columns that look alike": (
        "species\tlat\tdecimalLattitude\nx\t1\t2\n",
        ": no column 'decimalLatitude'; it has 'decimalLattitude', which look alike: rename them",
    ),
    "other columns": (
        "x\ty\n1\t2\n",
        ": no column 'decimalLatitude', 'species'; its first columns are 'x', 'y': is this the right file?",
    ),
    "a column twice": (
        "species\tSpecies\tdecimalLatitude\nx\tx\t1\n",
        ": 2 columns are named 'species'; there must be one",
    ),
    "few fields": (
        f"{PLAIN}\n2\tPica pica\t\t1\n3\tx\t\t1\t\n",
        ": line 5 has 4 fields, the header 5; every line must have as many",
    ),
    "many fields": (
        f"{PLAIN}\n2\tPica pica\t\t1\t1999\tx\n3\tx\t\t1\t\n",
        ": line 5 has 6 fields, the header 5; every line must have as many",
    ),
    "two wrong lines that add up": (
        f"{HEADER}\n1\tx\ty\t2\n1\tx\ty\t2\t3\t4\n",
        ": line 2 has 4 fields, the header 5; every line must have as many",
    ),
    "wrong line in a later block": (
        HEADER + "\n" + "1\tx\ty\t2\t3\n" * 50 + "1\n" + "1\tx\ty\t2\t3\n" * 50,
        ": line 52 has 1 fields, the header 5; every line must have as many",
    ),
    "cut off in a line": (
        PLAIN + "3\tPica pi",
        ": ends in the middle of a line (line 4 has 2 fields, the header 5); it is cut off: download it again",
    ),
    "latin-1": (
        (PLAIN + "3\tPica pica\tGöttingen\t1\t\n").encode("latin-1"),
        ": line 4 is not UTF-8 (byte 0xF6); if it is Latin-1, convert the file: iconv -f latin1 -t utf-8 OLD > NEW",
    ),
    "latin-1 in quotes": (
        "species,decimalLatitude\nPica pica,1\nGöttingen,2\n".encode("latin-1"),
        ": line 3 is not UTF-8 (byte 0xF6); if it is Latin-1, convert the file: iconv -f latin1 -t utf-8 OLD > NEW",
    ),
    "utf-16": (PLAIN.encode("utf-16"), ": is UTF-16, not UTF-8; convert it: iconv -f utf-16 -t utf-8 OLD > NEW"),
    "a picture": (b"\x89PNG\x0d\x00\x00\n", ": is not a text table, nor gz, zip or parquet"),
    "lines of old Macintoshes": (
        PLAIN.replace("\n", "\r"),
        ": its lines end with a carriage return alone; convert it: tr '\\r' '\\n' < OLD > NEW",
    ),
    "a quote that is never closed": (
        'species,decimalLatitude\nPica pica,"1\nApus apus,2\nParus major,3\n',
        ": line 4 cannot be read (unexpected end of data): is a quote unmatched?",
    ),
    "few fields in quotes": (
        "species,decimalLatitude\nPica pica,1\nApus apus\n",
        ": the row that ends in line 3 has 1 fields, the header 2; every row must have as many: "
        "is a quote unmatched, or the file cut off?",
    ),
    "an endless line": (
        f"{HEADER}\n" + "x" * 5000,
        ": has a line of more than 1,000 bytes; is this a table?",
    ),
    "empty in a gz": (gzip.compress(b""), ": the first line is empty; it must name the columns"),
}


class TestForms:
    def test_plain(self, tmp_path):
        assert rows(write(tmp_path / "a.csv", PLAIN)) == EXPECTED

    def test_gz_whatever_its_name(self, tmp_path):
        path = tmp_path / "download"
        path.write_bytes(gzip.compress(PLAIN.encode()))
        assert rows(path) == EXPECTED

    def test_zip_with_citations_beside(self, tmp_path):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("0012-34.csv", PLAIN)
            archive.writestr("citations.txt", "cite this")
            archive.writestr("__MACOSX/._0012-34.csv", "x")
        assert rows(path) == EXPECTED

    def test_carriage_returns_and_byte_order_mark(self, tmp_path):
        assert rows(write(tmp_path / "a.csv", PLAIN.replace("\n", "\r\n"), "utf-8-sig")) == EXPECTED

    def test_last_line_without_end_and_blank_lines(self, tmp_path):
        assert rows(write(tmp_path / "a.csv", PLAIN.replace("\n2", "\n\n2").rstrip("\n"))) == EXPECTED
        assert rows(write(tmp_path / "b.csv", PLAIN.replace("\n", "\r\n") + "\r\n\r\n")) == EXPECTED

    def test_stray_quotes_swallow_no_row(self, tmp_path):
        text = (
            f'{HEADER}\n1\tParus major\t"Old Mill\t51.3\t2019\n'
            '2\t"Pica" pica\t5" tree\t-1.5\t1999\n3\tApus apus\t"\t2\t\n'
        )
        found = rows(write(tmp_path / "a.csv", text))
        assert [row["species"] for row in found] == ["Parus major", '"Pica" pica', "Apus apus"]

    def test_cells_in_quotes_under_a_plain_header(self, tmp_path):
        text = f'{HEADER}\n1\t"Parus ""p"" major"\tx\t"51.3"\t""\n2\t"A" b "c"\tx\t"1\t2\n'
        assert rows(write(tmp_path / "a.csv", text)) == [
            {"decimalLatitude": "51.3", "species": 'Parus "p" major', "year": None},
            {"decimalLatitude": '"1', "species": '"A" b "c"', "year": "2"},
        ]

    @pytest.mark.parametrize("separator", [",", ";"])
    def test_quoted_csv(self, tmp_path, separator):
        text = (
            "species,locality,decimalLatitude\n"
            'Parus major,"Leipzig, near ""Old Mill""\nand beyond",51.3\n'
            'Pica pica,,""\n'
        ).replace(",", separator)
        assert rows(write(tmp_path / "a.csv", text)) == [
            {"decimalLatitude": "51.3", "species": "Parus major"},
            {"decimalLatitude": None, "species": "Pica pica"},
        ]

    def test_tabs_in_quotes_as_spreadsheets_write_them(self, tmp_path):
        text = '"species"\t"locality"\t"decimalLatitude"\n"Parus major"\t"a\tb"\t"51.3"\n'
        assert rows(write(tmp_path / "a.tsv", text, "utf-8-sig")) == [
            {"decimalLatitude": "51.3", "species": "Parus major"}
        ]

    def test_names_in_any_case(self, tmp_path):
        path = write(tmp_path / "a.csv", "SPECIES\tdecimal_latitude\nPica pica\t1\n")
        assert rows(path) == [{"decimalLatitude": "1", "species": "Pica pica"}]

    def test_nulls_of_databases(self, tmp_path):
        assert rows(write(tmp_path / "a.csv", PLAIN.replace("-1.5", "\\N")))[1]["decimalLatitude"] is None

    def test_blocks_end_anywhere(self, tmp_path, monkeypatch):
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 37)
        lines = [f"{i}\tSpecies{i}\tGöttingen\t{i / 8}\t{1900 + i}" for i in range(100)]
        path = write(tmp_path / "a.csv", "\n".join([HEADER, *lines]))
        assert [(row["species"], row["decimalLatitude"], row["year"]) for row in rows(path)] == [
            (f"Species{i}", str(i / 8), str(1900 + i)) for i in range(100)
        ]


class TestBadFiles:
    @pytest.mark.parametrize("block_bytes", [64, 2**20])
    @pytest.mark.parametrize(("content", "sentence"), BAD_TEXTS.values(), ids=BAD_TEXTS)
    def test_a_bad_text_is_one_sentence_in_blocks_of_any_size(
        self, tmp_path, monkeypatch, content, sentence, block_bytes
    ):
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
        for module in (text_tables, text_blocks, text_until_quotes, text_rows, text_decoding):
            monkeypatch.setattr(module, "LONGEST_LINE_BYTES", 1000)
        path = tmp_path / "a.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        assert failure(path) == sentence

    def test_missing(self, tmp_path):
        assert failure(tmp_path / "a.csv") == ": there is no such file"

    def test_zip_with_two_tables(self, tmp_path):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", PLAIN)
            archive.writestr("b.csv", PLAIN)
        assert failure(path) == (
            ": holds 2 tables (a.csv, b.csv); it must hold one .csv, .tsv or .txt, parquet files, or a Darwin Core "
            "Archive with its meta.xml"
        )

    def test_bomb(self, tmp_path):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", HEADER + "\n" + "1\tx\ty\t2\t3\n" * 100_000)
        limits = Limits(ratio=20, always_bytes=10_000)
        assert failure(path, limits=limits).startswith("/a.csv: unpacks to more than ")
        assert len(rows(path)) == 100_000
