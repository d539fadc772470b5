"""Evaluate one data set under one variant against the survey: the only stage that opens the truth."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from presence_only.encoder import RangeModel
from presence_only.files import write_json, write_whole
from presence_only.layout import CellFiles, DatasetFiles
from presence_only.metrics import METRICS, evaluate
from presence_only.nouns import Survey
from presence_only.params import load_params
from presence_only.stages._cell import parse_arguments, run_stage


def main() -> None:
    """Score every seed's encoder at the survey's sites; write metrics and per-species tables."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    # One thread, as in training: the same sums on machines with any number of cores.
    torch.set_num_threads(1)
    seeds = load_params().study.seeds
    cell = CellFiles(arguments.dataset, arguments.variant)
    survey = Survey.load(DatasetFiles(arguments.dataset).survey)
    summaries, species_tables, site_tables = [], [], []
    for seed in seeds:
        logits_MS = RangeModel.load(cell.encoder(seed)).predict(survey.sites_M2, survey.covariates_MC)
        result = evaluate(logits_MS, survey.truth_MS)
        summaries.append(result.summary)
        species_tables.append(_table(seed, {"species": np.array(survey.species)} | result.per_species))
        site_tables.append(_table(seed, result.per_site))
    for path, tables in ((cell.per_species, species_tables), (cell.per_site, site_tables)):
        with write_whole(path) as temporary:
            pl.concat(tables).write_parquet(temporary)
    write_json(cell.metrics, summarise(summaries, seeds))


def summarise(summaries: list[dict[str, float]], seeds: tuple[int, ...]) -> dict[str, object]:
    """Means over seeds, and every seed's own metrics."""
    means = {key: float(np.mean([summary[key] for summary in summaries])) for key in summaries[0]}
    by_seed: dict[str, object] = {
        f"seed_{seed}": {name: summary[name] for name in METRICS}
        for seed, summary in zip(seeds, summaries, strict=True)
    }
    return means | by_seed


def _table(seed: int, columns: dict[str, np.ndarray]) -> pl.DataFrame:
    """One seed's rows."""
    return pl.DataFrame(columns).insert_column(0, pl.lit(seed, pl.Int64).alias("seed"))


if __name__ == "__main__":
    run_stage(main)
