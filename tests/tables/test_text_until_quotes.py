"""Tables with and without quotes, whose rows are those of the csv module."""

import csv
import io
import random

import pytest
from support.table_files import failure, rows, write

from presence_only.tables import text_blocks


class TestTablesWithAndWithoutQuotes:
    """Blocks without quotes are read at once, others row by row; nobody can tell."""

    LINES = ("1,Parus major,51.3,2019", "2, Pica pica ,-1.5,", "", '3,"Sitta ""x"", y",7,2020', "4,Ä,NA,2021")

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("block_bytes", [1, 30, 70, 2**24])
    def test_rows_are_those_of_the_csv_module(self, tmp_path, monkeypatch, block_bytes, end):
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
        rng = random.Random(block_bytes)
        for trial in range(30):
            lines = rng.choices(self.LINES, k=rng.randint(1, 12))
            if trial % 3 == 0:
                lines = [line for line in lines if line and '"' not in line] or [self.LINES[0]]
            if not any(lines):
                continue
            header = rng.choice(["id,species,decimalLatitude,year", '"id","species","decimalLatitude","year"'])
            text = end.join([header, *lines]) + rng.choice(["", end])
            path = write(tmp_path / "a.csv", text)
            expected = list(csv.reader(io.StringIO(text, newline="")))[1:]
            expected = [[cell.strip() if cell.strip() not in ("", "NA") else None for cell in row] for row in expected]
            names = ("species", "decimalLatitude", "year")
            expected = [dict(zip(names, row[1:], strict=True)) for row in expected if row]
            assert rows(path) == expected

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("9,x,1", "the row that ends in line 7 has 3 fields, the header 4"),
            ("9,x,1,2,3", "the row that ends in line 7 has 5 fields, the header 4"),
            ('9,"x,1,2', "cannot be read"),
        ],
    )
    @pytest.mark.parametrize("block_bytes", [1, 60, 2**24])
    def test_a_bad_row_has_the_number_of_its_line(self, tmp_path, monkeypatch, block_bytes, line, sentence):
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
        good = "1,Parus major,51.3,2019"
        path = write(tmp_path / "a.csv", "\n".join(["id,species,decimalLatitude,year", *[good] * 5, line, good]) + "\n")
        assert sentence in failure(path)

    @pytest.mark.parametrize("block_bytes", [1, 2**24])
    def test_other_encodings_are_refused_in_any_column(self, tmp_path, monkeypatch, block_bytes):
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
        path = tmp_path / "a.csv"
        path.write_bytes(b"place,species,decimalLatitude,year\na,b,1,2\nG\xf6,b,1,2\n")
        assert failure(path).startswith(": line 3 is not UTF-8 (byte 0xF6)")
