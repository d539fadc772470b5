"""Intervals over worlds: what several data sets say of all of their kind.

Shape legend: W worlds (data sets), G scenarios, V seeds, U units (species or sites), R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presence_only.statistics.bootstrap import bootstrap_means
from presence_only.statistics.significance import LEVEL

Floats = NDArray[np.float64]

# With fewer, an interval over worlds says next to nothing: two have one degree of freedom.
FEWEST_WORLDS = 3
# The scenario of what is over all worlds.
ALL = "all"


@dataclass(frozen=True)
class WorldMean:
    """A mean over worlds, and what it says of a new world.

    Args:
        mean: Mean over worlds; with scenarios, mean over scenarios of the mean over each one's worlds.
        sd: Standard deviation of worlds, within scenarios; NaN without freedom.
        low: Lower end of the interval of the mean over all worlds of the kind; NaN without freedom.
        high: Upper end.
        new_low: Lower end of the interval in which one new world lies, with its own species and seeds; NaN without
            freedom, and over several scenarios, where a new world has to be of one of them.
        new_high: Upper end.
        p: Two-sided, that the mean over all worlds of the kind is 0; NaN without freedom.
        n_worlds: Number of worlds.
    """

    mean: float
    sd: float
    low: float
    high: float
    new_low: float
    new_high: float
    p: float
    n_worlds: int


def mean_over_worlds(
    values_W: Sequence[float] | Floats, scenarios: Sequence[str] | None = None, *, level: float = LEVEL
) -> WorldMean:
    """Mean of one number per world, with Student's interval and test over worlds.

    Each world has species and seeds of its own, so that its number holds the chance of all three: of the world,
    of its species and of its seeds. The spread of the numbers therefore measures all three at once, and the mean over
    worlds, held against Student's distribution with W - 1 degrees of freedom, has the interval that resampling
    worlds, then species and seeds is meant to give. It is exact for normal numbers, which a mean over
    hundreds of species is close to, as far as the worlds' own part is normal. It is the random-effects
    meta-analysis of Hartung and Knapp with equal weights.

    A percentile bootstrap of so few worlds is too narrow, and :func:`bootstrap_over_worlds` is right for some
    shares of the worlds in the variance alone. Share of 95 % intervals that held the truth in simulations of normal
    effects of worlds, species and seeds, 3 seeds and 40 species a world (``tests/statistics/test_world_intervals.py``
    repeats them):

    ================================ ====================== ====================== ======================
    worlds' share of the variance    none: W = 4, 5, 8      half: W = 4, 5, 8      nearly all: W = 4, 5, 8
    ================================ ====================== ====================== ======================
    Student over worlds, as here     .94, .96, .94          .95, .96, .95          .95, .96, .94
    hierarchical bootstrap           .99, .99, .99          .96, .97, .97          .87, .89, .90
    percentile bootstrap of worlds   .79, .84, .87          .80, .84, .88          .81, .84, .88
    ================================ ====================== ====================== ======================

    Where the effects of worlds were skewed, as an exponential distribution is, and made nearly all of the variance,
    it was .90, .88, .88 for Student's interval, and .83, .81, .85 and .78, .78, .83 for the others.

    What the interval lacks: a seed's number stands for the same initial weights in every world, and an effect
    of these that all worlds share is taken for one of the variants. Worlds that share their species or records, as
    those of one generator's seed do, are no draws of their own either: the interval of such worlds is too narrow.

    The interval is that of the mean over all worlds of the kind, so of what to expect. One new world
    scatters about it: the wider interval ``new_low`` to ``new_high`` is where it lies, the prediction interval of
    Higgins, Thompson and Spiegelhalter, here with W - 1 degrees of freedom, which is exact for equal weights.

    With scenarios, such as families of worlds, each is a fixed stratum: the interval is that of the mean over all
    worlds of the same scenarios. Their variance is pooled within scenarios, taken as equal, with W - G degrees of
    freedom; a scenario counts as much as any other, however many worlds it has.

    Source: Hartung and Knapp (2001), https://doi.org/10.1002/sim.791; IntHout, Ioannidis and Borm (2014),
    https://doi.org/10.1186/1471-2288-14-25, compare it with others for few studies; Higgins, Thompson and
    Spiegelhalter (2009), https://doi.org/10.1111/j.1467-985X.2008.00552.x, for one new world.

    Args:
        values_W: One number per world, such as its mean paired difference; without NaN.
        scenarios: Scenario of every world; None: all are of one.
        level: Level of the interval, within 0..1.

    Raises:
        ValueError: If there is no world, a number is NaN, lengths differ or ``level`` is out of range.
    """
    from scipy.special import stdtr, stdtrit

    values_W = np.asarray(values_W, dtype=np.float64)
    labels_W = np.asarray([""] * len(values_W) if scenarios is None else scenarios)
    _check(values_W, labels_W, level)
    names_G, index_W, count_G = np.unique(labels_W, return_inverse=True, return_counts=True)
    mean_G = np.array([values_W[index_W == g].mean() for g in range(len(names_G))])
    mean, freedom = float(mean_G.mean()), len(values_W) - len(names_G)
    if freedom == 0:
        nan = float("nan")
        return WorldMean(mean, nan, nan, nan, nan, nan, nan, len(values_W))
    sd = float((((values_W - mean_G[index_W]) ** 2).sum() / freedom) ** 0.5)
    error = sd * float((1 / count_G).sum()) ** 0.5 / len(names_G)
    quantile = float(stdtrit(freedom, (1 + level) / 2))
    half = error * quantile
    new = (error**2 + sd**2) ** 0.5 * quantile if len(names_G) == 1 else float("nan")
    p = float(mean == 0) if error == 0 else 2 * float(stdtr(freedom, -abs(mean) / error))
    return WorldMean(mean, sd, mean - half, mean + half, mean - new, mean + new, p, len(values_W))


def bootstrap_over_worlds(values: Sequence[NDArray[np.float64]], resamples: int, rng: np.random.Generator) -> Floats:
    """Means over worlds by hierarchical bootstrap, shape (R,): worlds are drawn, then species and seeds within each.

    The deviations of the worlds from their mean are widened by sqrt(W / (W - 1)), as those of seeds are within a
    world. No table uses it: see :func:`mean_over_worlds` for how often its intervals hold the truth.

    Source: Davison and Hinkley (1997), section 3.8.

    Args:
        values: Values (V, U) of every world, such as paired differences; without NaN.
        resamples: Number of resamples.
        rng: Source of the draws.

    Raises:
        ValueError: If there are fewer than two worlds.
    """
    n_worlds = len(values)
    if n_worlds < 2:
        raise ValueError(f"{n_worlds} worlds are given; a bootstrap over worlds needs at least two")
    mean_W = np.array([values_VU.mean() for values_VU in values])
    shift_W = ((n_worlds / (n_worlds - 1)) ** 0.5 - 1) * (mean_W - mean_W.mean())
    drawn_RW = rng.integers(n_worlds, size=(resamples, n_worlds))
    means_RW = np.empty(drawn_RW.shape)
    for w, values_VU in enumerate(values):
        own_RW = drawn_RW == w
        # A world drawn twice has species and seeds drawn anew for each time.
        if own_RW.any():
            means_RW[own_RW] = shift_W[w] + bootstrap_means(values_VU[None], int(own_RW.sum()), rng)[:, 0]
    means_R: Floats = means_RW.mean(axis=1)
    return means_R


def _check(values_W: Floats, labels_W: NDArray[np.str_], level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: must lie within 0..1, both excluded")
    if values_W.ndim != 1 or not len(values_W) or np.isnan(values_W).any():
        raise ValueError(f"values = {values_W.tolist()}: one number per world is needed, of at least one world")
    if len(labels_W) != len(values_W):
        raise ValueError(f"{len(labels_W)} scenarios for {len(values_W)} worlds: every world needs one")
