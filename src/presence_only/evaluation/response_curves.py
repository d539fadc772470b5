"""Response curves: the mean score of a species when one covariate is set to a value at all sites.

Shape legend: R reference sites, C covariates, Q species, V values, K seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import expit

from presence_only.common.arrays import Floats, Ints
from presence_only.common.random_streams import numpy_stream
from presence_only.data.records import Background
from presence_only.model.interface import SpeciesModel

# Sites over which the score is averaged, drawn from the background.
REFERENCE_SITES = 500
# As scikit-learn's partial_dependence: a grid of this length between these quantiles, or all values where there are
# fewer.
GRID_LENGTH, LOWEST, HIGHEST = 100, 0.05, 0.95


def reference_sites(background: Background, seed: int) -> Ints:
    """Rows of background sites to average over, ascending; all where there are few."""
    n = len(background.sites_K2)
    if n <= REFERENCE_SITES:
        return np.arange(n)
    return np.sort(numpy_stream(seed, "reference sites of response curves").choice(n, REFERENCE_SITES, replace=False))


def grid_of(values: Floats) -> Floats:
    """The values of a covariate at which its curve is computed, ascending; none where it is nowhere known."""
    known = values[~np.isnan(values)].astype(np.float64)
    distinct: Floats = np.unique(known)
    if len(distinct) < GRID_LENGTH:
        return distinct
    low, high = (float(np.quantile(known, share)) for share in (LOWEST, HIGHEST))
    return np.linspace(low, high, GRID_LENGTH)


def response_curves(
    models: Sequence[SpeciesModel],
    background: Background,
    species_Q: Ints,
    names_Q: Sequence[str],
    covariate_names: Sequence[str],
    *,
    seed: int,
) -> pl.DataFrame:
    """Partial dependence of relative suitability on every covariate.

    The score is averaged over background sites, all at the same value of the covariate, everything else as it is. It
    mixes values that occur together with others that do not: where covariates go together, as elevation and
    temperature, a curve is of places that may not exist.

    Source: Friedman (2001), https://doi.org/10.1214/aos/1013203451, by the definitions of scikit-learn's
    ``partial_dependence`` (method ``brute``, kind ``average``).

    Args:
        models: The seeds of a run; the score is the mean of theirs.
        background: Sites with covariates.
        species_Q: Indices of the species.
        names_Q: Their names.
        covariate_names: Of all covariates, with units.
        seed: Of the draw of reference sites.

    Returns:
        One row per species, covariate and value: ``species``, ``covariate``, ``value`` in the covariate's own unit,
        ``suitability`` within 0..1, and ``spread``, its standard deviation over the seeds, empty for a single one. A
        covariate that is known nowhere has no rows.
    """
    rows_R = reference_sites(background, seed)
    week_R = None if background.week_K is None or not models[0].weeks else background.week_K[rows_R]
    tables = []
    for column, covariate in enumerate(covariate_names):
        values_V = grid_of(background.covariates_KC[:, column])
        curve_KVQ = np.empty((len(models), len(values_V), len(species_Q)))
        for place, value in enumerate(values_V):
            covariates_RC = background.covariates_KC[rows_R].copy()
            covariates_RC[:, column] = value
            for k, model in enumerate(models):
                scores = model.scores(background.sites_K2[rows_R], covariates_RC, week_R, species_Q=species_Q)
                curve_KVQ[k, place] = expit(scores.columns(slice(None)).astype(np.float64)).mean(axis=0)
        mean_VQ = curve_KVQ.mean(axis=0)
        spread_VQ = curve_KVQ.std(axis=0, ddof=1) if len(models) > 1 else np.full_like(mean_VQ, np.nan)
        tables += [
            pl.DataFrame(
                {
                    "species": [name] * len(values_V),
                    "covariate": [covariate] * len(values_V),
                    "value": values_V,
                    "suitability": mean_VQ[:, q],
                    "spread": spread_VQ[:, q],
                }
            )
            for q, name in enumerate(names_Q)
        ]
    return pl.concat(tables).with_columns(pl.col("spread").fill_nan(None))
