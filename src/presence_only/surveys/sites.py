"""Sites of surveys: those of possible coordinates, repeated visits merged or kept, and their covariates.

Shape legend: V surveys as the file has them, M survey sites, C covariates.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.coordinates import SITE_DECIMALS, SITE_WORDS
from presence_only.columns.unread_words import listed
from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.data.sites import WEEKS, covariates_of, sites_of
from presence_only.geography.rasters import Environment
from presence_only.surveys.rows import COVARIATE, SurveyRows


class SurveySites:
    """The surveys of a file, and the site that each becomes; -1 for those left out.

    Attributes:
        table: The surveys in the order of the file.
        site_V: Site of every survey, its place among those that are left.
        n_sites: How many sites there are.
        n_merged: How many surveys were merged into another one.
        filters: What remained after each rule.
    """

    def __init__(self, rows: SurveyRows, weeks: bool) -> None:
        self.table = rows.surveys
        self.site_V = np.full(len(self.table), -1)
        self.filters: list[tuple[str, int]] = [*rows.filters, ("surveys", len(self.table))]
        self.n_sites = 0
        self.n_merged = 0
        longitude, latitude = pl.col("longitude"), pl.col("latitude")
        given = longitude.is_between(-180, 180) & latitude.is_between(-90, 90)
        kept_V = self.table.select(given.fill_null(False)).to_series().to_numpy()
        words = self._words(~kept_V, "unread_coordinates", "no degrees", pl.format(SITE_WORDS, longitude, latitude))
        self._number(kept_V, f"coordinates given and possible{words}")
        self._number(rows.possible_V, "coordinates not 0, 0")
        if weeks:
            if "week" not in self.table.columns:
                raise DataError(
                    "weeks: true: the survey has no weeks nor dates; give a survey that has, or weeks: false"
                )
            kept_V = self.table.select(pl.col("week").is_between(1, WEEKS).fill_null(False)).to_series().to_numpy()
            words = self._words(~kept_V, "unread_week", "not understood", pl.col("week").cast(pl.String))
            self._number(rows.possible_V & kept_V, f"week known{words}")

    def merge(self, weeks: bool) -> None:
        """Surveys of one site, and week, become one."""
        names = [name for name in self.table.columns if name.startswith(COVARIATE)]
        kept_V = np.flatnonzero(self.site_V >= 0)
        east, north = ((pl.col(name) * 10**SITE_DECIMALS).round().cast(pl.Int64) for name in ("longitude", "latitude"))
        # The antimeridian has two names.
        east = pl.when(east == -180 * 10**SITE_DECIMALS).then(-east).otherwise(east)
        week = pl.col("week") if weeks else pl.lit(0)
        keys = self.table[kept_V].select(east.alias("east"), north.alias("north"), week.alias("week"), *names)
        place = pl.col("place").first().over(keys.columns)
        first_V = keys.with_row_index("place").select(place).to_series().to_numpy()
        firsts_M, self.site_V[kept_V] = np.unique(first_V, return_inverse=True)
        self.n_merged = len(kept_V) - len(firsts_M)
        self._left(len(firsts_M), f"one survey per site{' and week' if weeks else ''} (visits merged)")

    def keep_sites(self, useful_V: NDArray[np.bool_], name: str) -> None:
        """Leave out sites of which no survey is useful."""
        kept_M = np.zeros(self.n_sites, dtype=bool)
        kept_M[self.site_V[useful_V & (self.site_V >= 0)]] = True
        self.keep_of_sites(kept_M, name)

    def draw(self, sites: int, generator: np.random.Generator) -> None:
        """Some of the sites, all alike."""
        kept_M = np.zeros(self.n_sites, dtype=bool)
        kept_M[generator.choice(self.n_sites, sites, replace=False)] = True
        self.keep_of_sites(kept_M, f"{sites:,} sites drawn")

    def keep_of_sites(self, kept_M: NDArray[np.bool_], name: str) -> None:
        """Leave out sites."""
        new_M = np.where(kept_M, np.cumsum(kept_M) - 1, -1)
        self.site_V = np.where(self.site_V >= 0, new_M[self.site_V], -1)
        self._left(int(kept_M.sum()), name)

    def site_table(self) -> pl.DataFrame:
        """The first survey of every site, in the order of the sites."""
        _, first_M = np.unique(self.site_V, return_index=True)
        return self.table[first_M[1:] if (self.site_V < 0).any() else first_M]

    def _words(self, dropped_V: NDArray[np.bool_], column: str, told: str, otherwise: pl.Expr) -> str:
        """The texts of dropped surveys that were not understood, for the funnel."""
        unread = [pl.col(column)] if column in self.table.columns else []
        words = self.table.filter(pl.Series(dropped_V)).select(pl.coalesce(*unread, otherwise)).to_series().drop_nulls()
        counts = Counter(dict(words.value_counts().iter_rows())) if len(words) else Counter()
        return f" - {told}: {listed(counts)}" if counts else ""

    def _number(self, kept_V: NDArray[np.bool_], name: str) -> None:
        """Every kept survey is a site of its own."""
        self.site_V = np.where(kept_V, np.cumsum(kept_V) - 1, -1)
        self._left(int(kept_V.sum()), name)

    def _left(self, n_sites: int, name: str) -> None:
        """Note what a rule left."""
        self.n_sites = n_sites
        self.filters.append((name, n_sites))
        if not n_sites:
            steps = "; ".join(f"{rule}: {left:,}" for rule, left in self.filters)
            raise DataError(f"evaluation: no survey is left (surveys left by each rule - {steps})")


def covariates_at(table: pl.DataFrame, environment: Environment | None, names: tuple[str, ...]) -> Floats:
    """Covariates of sites (M, C): their own where they bring some, or those of the environment.

    Args:
        table: The sites, M of them.
        environment: Where covariates come from if the table has none.
        names: The covariates of training, in their order.

    Raises:
        DataError: If the sites lack a covariate.
    """
    own = [name.removeprefix(COVARIATE) for name in table.columns if name.startswith(COVARIATE)]
    if own:
        missing = sorted(set(names) - set(own))
        if missing:
            raise DataError(
                f"the surveys lack the covariate {missing[0]!r} ({len(missing)} such covariates), which training has"
            )
        return covariates_of(table, names)
    if environment is None:
        if names:
            raise DataError(f"the surveys have no covariates; training has {', '.join(map(repr, names[:3]))}")
        return np.zeros((len(table), 0), dtype=np.float32)
    sampled_MC: Floats = environment.sample(sites_of(table))
    return sampled_MC
