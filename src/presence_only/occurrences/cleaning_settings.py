"""Settings of cleaning: which records are good enough, with the reason of every default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from presence_only.common.settings import Need, Settings

Unknown = Literal["keep", "drop"]

Year = Annotated[int, Field(ge=1, le=9999)]

Metres = Annotated[float, Field(ge=0.0, le=20_000_000.0)]

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class CleaningSettings(Settings):
    """Which records are good enough, whatever file they come from.

    Args:
        longitudes: How the file counts them; ``0..360`` is converted, and refused if not said here.
        ragged_rows: What becomes of rows of a table with fewer cells than its header, or with further empty ones: the
            file is refused, or the missing cells at the end are empty and the further ones cut (``mend``). A cell may
            be lost or added in the middle, so that others stand under wrong names; archives are always refused. A
            separator that ends every row is no matter.
        zero_or_equal_coordinates: What becomes of records with longitude or latitude 0, with both equal (whatever
            their signs), or within half a degree of 0, 0: most are slips of the pen, some are true. Those kept are
            counted in the funnel. Source: cc_zero and cc_equ of CoordinateCleaner,
            https://doi.org/10.1111/2041-210X.13152
        max_uncertainty_m: Largest coordinate uncertainty in metres; null: any.
        unknown_uncertainty: What becomes of a record without one.
        default_uncertainties_m: Uncertainties that georeferencing tools give to centroids of countries
            and provinces, as GBIF's guide to filtering lists them; such records are dropped.
        centroids: Path of a table of places to avoid, with ``decimalLongitude`` and ``decimalLatitude``,
            such as GBIF's catalogue of centroids (https://github.com/jhnwllr/catalogue-of-centroids).
        centroid_distance_m: Records nearer to a centroid are dropped, by this table and by the file's
            ``distanceFromCentroidInMeters``; 0: none is.
        min_year: First year; null: any.
        max_year: Last year; null: any.
        unknown_year: What becomes of a record without a year.
        drop_duplicates: Whether of several records of one species at one site (five decimals of a
            degree) on one date only the first is kept. Records without a date count as of one date; texts that
            are no day are dates of their own.
        max_per_cell: Records kept of one species in one cell, drawn at random; 0: all.
        cell: What a cell is: ``h3`` or a ``grid`` of degrees.
        cell_h3_resolution: Of the h3 cells; 6 is cells of 6 km.
        cell_degrees: Side of the grid's cells.
        min_records: Species with fewer records are dropped.
        max_per_species: Records kept of one species, drawn at random; 0: all.
        cleaning_seed: Of both draws.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "cell": Need(lambda cleaning: cleaning.max_per_cell, "max_per_cell is more than 0"),
        "cell_h3_resolution": Need(
            lambda cleaning: cleaning.max_per_cell and cleaning.cell == "h3",
            "max_per_cell is more than 0 and cell is 'h3'",
        ),
        "cell_degrees": Need(
            lambda cleaning: cleaning.max_per_cell and cleaning.cell == "grid",
            "max_per_cell is more than 0 and cell is 'grid'",
        ),
        "cleaning_seed": Need(
            lambda cleaning: cleaning.max_per_cell or cleaning.max_per_species,
            "max_per_cell or max_per_species is more than 0",
        ),
    }

    longitudes: Literal["-180..180", "0..360"] = "-180..180"
    ragged_rows: Literal["refuse", "mend"] = "refuse"
    zero_or_equal_coordinates: Unknown = "keep"
    max_uncertainty_m: Metres | None = 10_000.0
    unknown_uncertainty: Unknown = "keep"
    default_uncertainties_m: Annotated[tuple[float, ...], Field(strict=False)] = (301.0, 999.0, 3036.0, 9999.0)
    centroids: str | None = None
    centroid_distance_m: Metres = 2_000.0
    min_year: Year | None = 1900
    max_year: Year | None = None
    unknown_year: Unknown = "keep"
    drop_duplicates: bool = True
    max_per_cell: Count = 0
    cell: Literal["h3", "grid"] = "h3"
    cell_h3_resolution: Annotated[int, Field(ge=0, le=10)] = 6
    cell_degrees: Annotated[float, Field(gt=0.0, le=90.0)] = 0.1
    min_records: Annotated[int, Field(ge=1, le=1_000_000_000)] = 10
    max_per_species: Count = 0
    cleaning_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.min_year is not None and self.max_year is not None and self.max_year < self.min_year:
            raise ValueError(f"settings where max_year, {self.max_year}, is not below min_year, {self.min_year}")
        if 0 < self.max_per_species < self.min_records:
            raise ValueError(
                f"settings where max_per_species, {self.max_per_species}, is 0 or at least "
                f"min_records, {self.min_records}"
            )
        return self
