"""Results of a small study, for the tests of the report."""

from functools import cache

import numpy as np
import polars as pl
from markupsafe import Markup

from presence_only.losses.penalties import Asymmetric, CrossEntropy
from presence_only.losses.penalty_curves import penalty_curves
from presence_only.reporting.figures.ranges import SpeciesMap
from presence_only.reporting.report import page
from presence_only.reporting.report.content import DatasetContent, PageContent
from presence_only.reporting.report.page import render_page
from presence_only.statistics.comparison_table import CellResult, compare
from presence_only.statistics.differences import compare_pairs

# What a name from data may hold to break a page, a figure or both.
HOSTILE = "<script>alert(1)</script> \"x\" $\\frac{a & 'b' _ \x07"
VARIANTS = ("a", HOSTILE, "a_rather_long_name_of_a_variant_of_a_loss")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf50"
    "0f0003860180 5a347d6b0000000049454e44ae426082".replace(" ", "")
)


def dataset(name="virtual", variants=("a", "b", "c"), seeds=3, species=40, sites=50, full=True, seed=0):
    rng = np.random.default_rng(seed)
    base_S, base_M = rng.uniform(0.2, 0.6, species), rng.uniform(0.2, 0.6, sites)
    ap = {v: base_S + i / 10 + rng.normal(0, 0.02, (seeds, species)) for i, v in enumerate(variants)}
    site_ap = {v: base_M + i / 10 + rng.normal(0, 0.02, (seeds, sites)) for i, v in enumerate(variants)}
    prevalence_S = rng.uniform(0.01, 0.5, species)
    pairs = compare_pairs(ap, family="all") if len(ap) > 1 else ()
    if not full:
        records_S = rng.integers(1, 90, species)
        return DatasetContent(name, {"rows": 1200}, ap, pairs, prevalence_S, records_S, prevalence_S * 900)
    places_M2 = np.stack([rng.uniform(0, 20, sites), rng.uniform(40, 55, sites)], axis=1)
    maps = [
        SpeciesMap(
            species=f"species {HOSTILE} {i}",
            prevalence=0.25,
            sites_P2=places_M2[:9],
            sites_M2=places_M2,
            truth_M=rng.choice([-1, 0, 1], sites),
            scores={v: rng.random(sites) for v in variants[:2]},
            ap=dict.fromkeys(variants[:2], 0.5),
        )
        for i in range(2)
    ]
    epochs = np.linspace(0.1, 0.9, 3)
    x = np.array([0.25, 0.5, 0.75])
    points = pl.concat(pl.DataFrame({"seed": s, "x": x, "y": 1 - x, "n": [9, 9, 9]}) for s in range(seeds))
    return DatasetContent(
        name=name,
        summary={
            "rows": 1200,
            "filters": [{"rule": HOSTILE, "rows_left": 7}],
            "notes": [HOSTILE],
            "facts": {"cells": 3},
        },
        ap=ap,
        pairs=pairs,
        prevalence_S=prevalence_S,
        records_S=rng.integers(1, 90, species),
        extent_S=prevalence_S * 900,
        site_ap=site_ap,
        effort_M=rng.integers(0, 90, sites),
        losses={v: [0.7, 0.5, 0.4] for v in variants},
        probes={
            v: {"observed_score": epochs, "unobserved_score": epochs / 9, "unobserved_below_0.05": epochs}
            for v in variants
        },
        curves={kind: dict.fromkeys(variants, points) for kind in ("precision_recall", "calibration")},
        maps=maps,
        records_png=PIXEL,
    )


def study(*datasets):
    cells = [
        CellResult(
            dataset=d.name,
            variant=v,
            seeds=tuple(range(len(ap))),
            per_species={"species_map": ap, "auc_roc": ap / 2 + 0.5},
            per_site={"sample_map": d.site_ap[v]} if d.site_ap else {},
            n_species=ap.shape[1],
            n_sites=50,
        )
        for d in datasets
        for v, ap in d.ap.items()
    ]
    return PageContent(
        name="tiny",
        table=compare(cells, resamples=50),
        datasets=datasets,
        penalties=pl.DataFrame(penalty_curves({"a": CrossEntropy(), "b and 2 others": Asymmetric()})),
        settings=dict.fromkeys(datasets[0].ap, "loss bce"),
        common={"seeds": "0, 1", "encoder width": "16"},
        versions={"Python": "3", "torch": "2"},
        land_share=(np.add.outer(np.arange(180), np.arange(360)) % 40 < 20).astype(np.float32),
    )


@cache
def full_page():
    """A page with every section."""
    return render_page(study(dataset("virtual", VARIANTS)))


def draw_nothing(monkeypatch):
    """Let pages have their figures' places and texts without their lines, which take a tenth of a second each."""
    place = Markup('<svg id="{}" role="img" aria-label="{}"></svg>')
    monkeypatch.setattr(page, "inline_svg", lambda _, name, alternative: place.format(name, alternative))
