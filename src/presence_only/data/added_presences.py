"""Presences that label propagation added to the training rows: which they are, and which of them are true.

They lie beside the survey, which training never opens: training takes them like any other presence, while whatever
counts observers or records leaves them out.

Shape legend: N training rows, P positives, A added presences, S species.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Ints
from presence_only.common.atomic_files import write_stream
from presence_only.common.errors import DataError
from presence_only.common.stored_files import reading, stored_table
from presence_only.data.records import PresenceRecords

FILE = "added_presences.parquet"


@dataclass(frozen=True, eq=False)
class AddedPresences:
    """Pairs of training row and species that nobody recorded and that train as presences.

    Args:
        row_A: Training row of every added presence, ascending.
        species_A: Its species, ascending within a row.
        true_A: Whether the species is there in truth; None where the truth is not known.

    Raises:
        DataError: If shapes disagree, or a pair comes twice or out of order.
    """

    row_A: Ints
    species_A: Ints
    true_A: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        shapes = {self.row_A.shape, self.species_A.shape, *([] if self.true_A is None else [self.true_A.shape])}
        if len(shapes) > 1:
            raise DataError(f"added presences have shapes {', '.join(map(str, sorted(shapes)))}; they must agree")
        steps_A, species_steps_A = np.diff(self.row_A), np.diff(self.species_A)
        if np.any((steps_A < 0) | ((steps_A == 0) & (species_steps_A <= 0))):
            raise DataError("added presences must ascend by row and within a row by species, each once")

    def __len__(self) -> int:
        """Number of added presences A."""
        return len(self.row_A)

    def per_row(self, n_rows: int) -> NDArray[np.int64]:
        """How many were added to every training row, shape (N,)."""
        return np.bincount(self.row_A, minlength=n_rows)

    def per_species(self, n_species: int) -> NDArray[np.int64]:
        """How many were added of every species, shape (S,)."""
        return np.bincount(self.species_A, minlength=n_species)

    def joined_to(self, records: PresenceRecords) -> PresenceRecords:
        """The records with the added presences among them; a row's species ascend.

        Raises:
            DataError: If an added presence is among the records already.
        """
        own_P, added_A = _keys(records.row_P, records.species_P, records), _keys(self.row_A, self.species_A, records)
        if np.isin(added_A, own_P).any():
            raise DataError("an added presence is a record already; only what was not recorded can be added")
        row_P, species_P = np.divmod(np.sort(np.concatenate([own_P, added_A])), records.n_species)
        return replace(records, row_P=row_P, species_P=species_P)

    def left_out_of(self, records: PresenceRecords) -> PresenceRecords:
        """The records without the added presences."""
        recorded_P = ~np.isin(
            _keys(records.row_P, records.species_P, records), _keys(self.row_A, self.species_A, records)
        )
        return replace(records, row_P=records.row_P[recorded_P], species_P=records.species_P[recorded_P])

    def save(self, folder: Path) -> None:
        """Write a table of the pairs into ``folder``, whole or not at all."""
        columns: dict[str, Any] = {"row": self.row_A, "species": self.species_A}
        if self.true_A is not None:
            columns["true"] = self.true_A
        with write_stream(folder / FILE) as stream:
            pl.DataFrame(columns).write_parquet(stream)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read what :meth:`save` wrote; None where nothing was added."""
        if not (folder / FILE).exists():
            return None
        table = stored_table(folder / FILE)
        with reading(folder / FILE):
            true_A = table["true"].to_numpy() if "true" in table.columns else None
            return cls(table["row"].to_numpy(), table["species"].to_numpy(), true_A)


def recorded_alone(records: PresenceRecords, survey_folder: Path) -> PresenceRecords:
    """The training records without what label propagation added to them.

    Args:
        records: As training has them.
        survey_folder: Folder of the survey, beside which added presences lie.
    """
    added = AddedPresences.load(survey_folder)
    return records if added is None else added.left_out_of(records)


def _keys(row_P: Ints, species_P: Ints, records: PresenceRecords) -> NDArray[np.int64]:
    """One number for every pair of row and species, in the order of rows and then of species."""
    return row_P.astype(np.int64) * records.n_species + species_P
