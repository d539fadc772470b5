"""How many fields the rows of a text table have, and the sentences for those that have others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from presence_only.columns.column_names import Columns
from presence_only.common.errors import DataError
from presence_only.tables.text_dialects import Dialect, has_row_names


@dataclass(frozen=True)
class RowShape:
    """How many fields the rows of a table have.

    Args:
        n_fields: Of every row.
        fewest: A row with fewer is an error; those between are filled with empty cells.
        told: What messages compare a row with.
        hint: What the user can do about a row with too few, or with further empty ones.
        mend: Whether further empty fields of single rows are cut.
        blank_from: The fields from here on end every row and must be empty, or cells stand under wrong names.
    """

    n_fields: int
    fewest: int
    told: str
    hint: str = ""
    mend: bool = False
    blank_from: int = 0


def row_shape(
    header: Sequence[str] | None,
    line: bytes,
    row: Sequence[str] | None,
    columns: Columns,
    dialect: Dialect,
    where: str,
) -> tuple[tuple[str, ...], RowShape]:
    """Names of the columns, and the fields that every row must have.

    Args:
        header: The fields of the header line; None where the metafile says that there is none.
        line: The header line.
        row: The fields of the first row; None where there is none.
        columns: What is wanted.
        dialect: How the table is written.
        where: What error messages call the table.
    """
    hint = ", or set ragged_rows: mend if only empty cells at the end of rows were cut or added"
    if dialect.names is not None:
        limit = max(len(dialect.names), len(header or ()))
        n_fields = len(row) if row is not None else len(dialect.names)
        told = f"the header {n_fields}" if header and len(header) == n_fields else f"the first row {n_fields}"
        # Without a header, further columns are those that the metafile does not name.
        ended = header is not None and row is not None and not any(cell.strip() for cell in row[limit:])
        return dialect.names, RowShape(n_fields, n_fields, told, blank_from=limit if ended else n_fields)
    assert header is not None
    names, told = tuple(header), f"the header {len(header)}"
    mend, hint = columns.ragged_rows == "mend", hint if columns.ragged_rows == "refuse" else ""
    if row is not None and has_row_names(line, names, row, columns):
        return ("", *names), RowShape(len(row), len(row), f"the first row {len(row)}", blank_from=len(row))
    if row is not None and len(row) == len(names) - 1 and not names[-1].strip():
        # A separator ends the header alone.
        names, told = names[:-1], f"the first row {len(row)}"
    n_fields = len(names)
    if row is not None and len(row) > n_fields and not any(cell.strip() for cell in row[n_fields:]):
        # A separator ends every row.
        names += ("",) * (len(row) - n_fields)
        told = f"the first row {len(row)}"
    return names, RowShape(len(names), 1 if mend else len(names), told, hint, mend, n_fields)


def places_by_name(places: dict[str, int], further: Mapping[str, int]) -> dict[str, int]:
    """The places of columns that have published names."""
    return {name: place for name, place in places.items() if name not in further}


def check_places(places: dict[str, int], n_fields: int, where: str) -> None:
    """Refuse a metafile that speaks of more fields than the rows have."""
    name = max(places, key=places.__getitem__, default="")
    if name and places[name] >= n_fields:
        raise DataError(f"{where}: {name!r} should be field {places[name] + 1}, but rows have {n_fields}")


def misplaced_cell(where: str, row: str, shape: RowShape) -> str:
    """The sentence for a row with something behind the separator that ends every row."""
    return (
        f"{where}: the row {row} has something in field {shape.blank_from + 1}, which is empty in the first row and "
        "has no name; cells stand under wrong names"
    )
