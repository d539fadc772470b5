"""Text tables whose metafile says how they are written."""

import polars as pl
import pytest

from presence_only.columns.column_names import Columns
from presence_only.common.errors import DataError
from presence_only.tables.text_dialects import Dialect
from presence_only.tables.text_tables import read_text


class TestDialects:
    def read(self, tmp_path, content, dialect):
        path = tmp_path / "a.txt"
        path.write_bytes(content)
        with path.open("rb") as stream:
            return pl.concat(read_text(stream, "a.txt", Columns(("species",), ("year",)), dialect)).rows()

    def test_names_from_outside_and_no_header(self, tmp_path):
        dialect = Dialect("|", header_lines=0, names=("", "species", "", "year"))
        assert self.read(tmp_path, b"1|Pica pica|x|1999\n2|Apus apus|y|\n", dialect) == [
            ("Pica pica", "1999"),
            ("Apus apus", None),
        ]

    def test_comment_before_the_rows(self, tmp_path):
        dialect = Dialect(header_lines=2, names=("species", "year"))
        assert self.read(tmp_path, b"made in 2019\nname\tyear\tx\nPica pica\t1999\n", dialect) == [
            ("Pica pica", "1999")
        ]

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
    def test_other_encodings(self, tmp_path, encoding):
        dialect = Dialect(encoding=encoding, names=("species", "year"))
        content = 'name\tyear\nGötting"en\t1999\n'.encode(encoding)
        assert self.read(tmp_path, content, dialect) == [('Götting"en', "1999")]

    def test_bytes_that_the_encoding_does_not_know(self, tmp_path):
        dialect = Dialect(encoding="ascii", quote='"', names=("species", "year"))
        with pytest.raises(DataError, match=r"^a\.txt: line 3 is not ascii, as its metafile says$"):
            self.read(tmp_path, b"name\tyear\nPica\t1999\n" + "Göttingen\t1\n".encode("latin-1"), dialect)

    @pytest.mark.parametrize("quote", ["", '"'])
    def test_more_names_than_fields(self, tmp_path, quote):
        dialect = Dialect(quote=quote, names=("species", "", "year"))
        with pytest.raises(DataError, match=r"^a\.txt: 'year' should be field 3, but rows have 2$"):
            self.read(tmp_path, b"a\tb\nx\ty\n", dialect)
