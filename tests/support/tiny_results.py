"""Result files of studies that nobody ran, small enough for a test: settings in, made-up scores out."""

import numpy as np
import polars as pl
from ruamel.yaml import YAML

from presence_only.common.atomic_files import content_hash, write_json
from presence_only.evaluation.metrics import METRICS
from presence_only.statistics.comparison_table import CellResult, compare
from presence_only.statistics.tables import across_tables, all_pairs
from presence_only.study.params import Params
from presence_only.study.paths import ACROSS, ACROSS_PAIRS, COMPARISON, PAIRS, CellFiles, DatasetFiles

SPECIES, EPOCHS = 12, 3


def write_study(folder, tree, *, level=None, committed=False):
    """params.yaml and what a run of it leaves.

    Args:
        folder: Where the study goes.
        tree: Its settings, as params.yaml holds them.
        level: Variant to its mean AP; the others have 0.5.
        committed: Whether to leave out what is not in git.
    """
    folder.mkdir(parents=True, exist_ok=True)
    YAML(typ="safe").dump(tree, folder / "params.yaml")
    study = Params.parse(tree).study
    rng = np.random.default_rng(0)
    noise_VS = rng.normal(0, 0.05, (len(study.seeds), SPECIES))
    cells = []
    for dataset in study.datasets:
        write_json(
            folder / DatasetFiles(dataset).summary,
            {"species": SPECIES, "rows": 600, "records": 600, "records_per_species_max": 90},
        )
        for variant in study.variants:
            own_VS = rng.normal(0, 0.005, noise_VS.shape)
            ap_VS = np.clip((level or {}).get(variant, 0.5) + noise_VS + own_VS, 0, 1)
            auc_VS = np.clip(ap_VS + 0.2, 0, 1)
            values = {"species_map": ap_VS, "auc_roc": auc_VS}
            cells.append(CellResult(dataset, variant, study.seeds, values, {}, SPECIES, 30))
            means = {f"seed_{s}": {"species_map": float(ap.mean())} for s, ap in zip(study.seeds, ap_VS, strict=True)}
            write_json(folder / CellFiles(dataset, variant).metrics, means | {"ensemble": {"species_map": 0.6}})
            if not committed:
                write_cell(folder, CellFiles(dataset, variant), study.seeds, ap_VS, auc_VS)
    (folder / "results").mkdir(exist_ok=True)
    compare(cells, resamples=50).write_csv(folder / COMPARISON, float_precision=6)
    all_pairs(cells).write_csv(folder / PAIRS, float_precision=6)
    for path, table in zip((ACROSS, ACROSS_PAIRS), across_tables(cells), strict=True):
        table.write_csv(folder / path, float_precision=6)


def write_cell(folder, cell, seeds, ap_VS, auc_VS):
    """The tables, curves, runs and timing of one cell."""
    tables, curves = [], []
    for v, seed in enumerate(seeds):
        columns = {
            "species": [f"species_{i}" for i in range(SPECIES)],
            "ap": ap_VS[v],
            "auc_roc": auc_VS[v],
            "n_presences": np.arange(1, SPECIES + 1),
            "n_surveyed": np.full(SPECIES, 30),
            "prevalence": np.arange(1, SPECIES + 1) / 30,
            "mean_score": np.arange(1, SPECIES + 1) / 100,
            "n_records": np.arange(1, SPECIES + 1) * 5,
        }
        tables.append(pl.DataFrame(columns).insert_column(0, pl.lit(seed).alias("seed")))
        x = np.linspace(0.1, 0.9, 5)
        for curve, y in (("precision_recall", 1 - x), ("calibration", x / 2)):
            curves.append(pl.DataFrame({"seed": seed, "curve": curve, "x": x, "y": y, "n": 10}))
        rise = np.linspace(0.2, 0.8, EPOCHS).tolist()
        probes = {"observed_score": rise, "unobserved_score": [0.1] * EPOCHS}
        probes |= {"unobserved_below_0.05": rise, "unobserved_below_0.2": rise}
        write_json(folder / cell.history(seed), {"loss": rise[::-1], "steps": 9, "probes": probes})
    sites = pl.DataFrame({"seed": np.repeat(seeds, 30), "ap": np.tile(np.linspace(0.2, 0.8, 30), len(seeds))})
    for path, table in (
        (cell.per_species, pl.concat(tables)),
        (cell.curves, pl.concat(curves)),
        (cell.per_site, sites),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(folder / path)
    seconds = {str(seed): 1.0 + len(cell.variant) for seed in seeds}
    write_json(folder / cell.timing, {"runs": content_hash(folder / cell.runs), "seconds": seconds})


def two_variants(seeds, sites):
    """A comparison table of two variants of one data set, by every metric."""
    rows = [
        {"dataset": "virtual", "variant": variant, "metric": metric, "mean": mean, "low": 0.1, "high": 0.9, "sd": 0.05}
        | {"n_seeds": seeds, "n_species": 12, "n_sites": sites}
        for variant, mean in (("bce", 0.25), ("an_full", 0.5))
        for metric in METRICS
    ]
    return pl.DataFrame(rows)
