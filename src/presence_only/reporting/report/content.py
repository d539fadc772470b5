"""Content of the report's page: arrays and tables, which the stage takes from the study's results and its data.

Shape legend: V seeds, S species, M survey sites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from numpy.typing import NDArray

from presence_only.reporting.figures.ranges import SpeciesMap
from presence_only.statistics.across_datasets import PairAcross
from presence_only.statistics.differences import Pair

Array = NDArray[Any]


@dataclass(frozen=True)
class DatasetContent:
    """What the page shows of one data set. What a study has not measured is left empty, and its section out.

    Args:
        name: Name of the data set.
        summary: Counts, as ``generate`` wrote them; ``filters``, ``survey_filters``, ``notes`` and ``facts`` may be
            among them.
        ap: Variant to average precision (V, S), NaN where undefined.
        pairs: Every pair of variants, the best one's first, as results/pairs.csv has them for mAP.
        prevalence_S: Share of surveyed sites where a species is present.
        records_S: Number of training records of every species.
        extent_S: How far each species reaches, in km.
        site_ap: Variant to average precision over species (V, M), NaN where undefined.
        effort_M: Training records near every survey site.
        losses: Variant to training loss per epoch, mean over seeds.
        probes: Variant to what was probed per epoch, mean over seeds.
        curves: Kind (``precision_recall`` or ``calibration``) to variant to the points x, y, n of every seed.
        maps: Species to map, all under the same variants.
        groups_S: Taxon group of every species.
        by_group: Title of a measure to variant to its values (V, S), NaN where undefined; for the means of every group.
        records_png: A map of the records.
        added_png: A map of the presences that label propagation added.
        map_page: Address of its map page, relative to the report; None where nobody made one.
    """

    name: str
    summary: Mapping[str, Any]
    ap: Mapping[str, Array]
    pairs: Sequence[Pair]
    prevalence_S: Array
    records_S: Array
    extent_S: Array
    site_ap: Mapping[str, Array] = field(default_factory=dict)
    effort_M: Array | None = None
    losses: Mapping[str, Sequence[float]] = field(default_factory=dict)
    probes: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, pl.DataFrame]] = field(default_factory=dict)
    maps: Sequence[SpeciesMap] = ()
    groups_S: Sequence[str] = ()
    by_group: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    records_png: bytes | None = None
    added_png: bytes | None = None
    map_page: str | None = None


@dataclass(frozen=True)
class AcrossContent:
    """What the page shows over all data sets.

    Args:
        table: The means over all data sets, as results/across.csv has them.
        pairs: Every pair of variants over all data sets, the best one's first, for mAP; there may be none.
    """

    table: pl.DataFrame
    pairs: Sequence[PairAcross]


@dataclass(frozen=True)
class PageContent:
    """What the page is made of.

    Args:
        name: Name of the study.
        table: The comparison table.
        datasets: What it shows of every data set.
        penalties: Curves of elementwise penalties, as
            :func:`~presence_only.losses.penalty_curves.penalty_curves` makes them; there may be none.
        settings: Variant to its settings, in words.
        common: Further settings of the study, name to value.
        versions: Software that made the numbers.
        land_share: Share of land of every cell of 1 degree, (180, 360), for coasts.
        across: What it shows over all data sets; None for fewer than three.
    """

    name: str
    table: pl.DataFrame
    datasets: Sequence[DatasetContent]
    penalties: pl.DataFrame
    settings: Mapping[str, str]
    common: Mapping[str, str]
    versions: Mapping[str, str]
    land_share: Array
    across: AcrossContent | None = None
