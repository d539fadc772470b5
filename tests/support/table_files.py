"""Tables as files of tests, read with the columns that these want."""

import polars as pl
import pytest

from presence_only.columns.column_names import Columns
from presence_only.common.errors import DataError
from presence_only.tables.reading import read_table

WANTED = Columns(required=("decimalLatitude", "species"), optional=("year", "issue"))
HEADER = "gbifID\tspecies\tlocality\tdecimalLatitude\tyear"


def rows(path, columns=WANTED, **settings):
    """The rows of a table, each as a dictionary."""
    found = pl.concat(read_table(path, columns, **settings), how="vertical")
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


def write(path, text, encoding="utf-8"):
    """Write a text, and give back where."""
    path.write_bytes(text.encode(encoding))
    return path


def failure(path, columns=WANTED, **settings):
    """The sentence about a table that is refused, behind its path."""
    with pytest.raises(DataError) as error:
        list(read_table(path, columns, **settings))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))
    return str(error.value).removeprefix(str(path))
