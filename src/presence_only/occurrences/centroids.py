"""Centroids of countries and the like: places that records must keep a distance from.

Shape legend: N rows, P places.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.spatial import cKDTree

from presence_only.columns.column_names import COORDINATE_SPELLINGS, Columns
from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.user_paths import user_path
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.tables.reading import read_table


class Centroids:
    """Centroids, or other places, that records must keep a distance from."""

    def __init__(self, sites_P2: Floats, distance_m: float) -> None:
        self._tree = cKDTree(unit_vectors(sites_P2))
        # Chord of the unit sphere; distances are small against the Earth, or half around it at most.
        self._chord = 2 * np.sin(min(distance_m / 1000 / EARTH_RADIUS_KM, np.pi) / 2)

    @classmethod
    def of(cls, settings: CleaningSettings) -> Centroids | None:
        """The table that the settings name, if they do."""
        if settings.centroids is None or settings.centroid_distance_m == 0:
            return None
        names = ("decimalLongitude", "decimalLatitude")
        table = pl.concat(read_table(user_path(settings.centroids), Columns(names, (), COORDINATE_SPELLINGS)))
        table = table.select(pl.col(name).cast(pl.Float64, strict=False) for name in names)
        good = pl.col(names[0]).is_between(-180, 180) & pl.col(names[1]).is_between(-90, 90)
        wrong = table.filter(~good.fill_null(False))
        if len(wrong):
            raise DataError(
                f"centroids = {settings.centroids!r}: {len(wrong)} of {len(table)} places have no longitude within "
                "-180..180 and latitude within -90..90; every place needs both"
            )
        return cls(table.to_numpy(), settings.centroid_distance_m)

    def near(self, batch: pl.DataFrame) -> pl.Series:
        """Whether a row is nearer to a place than it may be; false where it has no site."""
        sites_N2 = batch.select("longitude", "latitude").to_numpy()
        known_N = (np.abs(sites_N2) <= (180, 90)).all(axis=1)
        near_N = np.zeros(len(sites_N2), dtype=np.bool_)
        distances, _ = self._tree.query(unit_vectors(sites_N2[known_N]), distance_upper_bound=self._chord)
        near_N[known_N] = np.isfinite(distances)
        return pl.Series("near", near_N)
