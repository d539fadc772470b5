"""Make one data set: presence-only records, background sites and the evaluation survey."""

from __future__ import annotations

import time

import numpy as np
from rich.console import Console
from rich.table import Table

from presence_only.common.atomic_files import write_json
from presence_only.data.dataset import Dataset
from presence_only.datasets import build_dataset
from presence_only.pipeline.command import parse_arguments, run_stage
from presence_only.study.params import load_params
from presence_only.study.paths import DatasetFiles


def main() -> None:
    """Build the data set that params.yaml describes; write it with a summary."""
    arguments = parse_arguments(__doc__, "dataset")
    began = time.perf_counter()
    settings = load_params().dataset(arguments.dataset)
    print(f"{arguments.dataset}: making the data set", flush=True)
    dataset = build_dataset(settings)
    files = DatasetFiles(arguments.dataset)
    dataset.training.save(files.training)
    dataset.save_survey(files.survey)
    counts = summarise(dataset)
    write_json(files.summary, counts | explain(dataset))
    if dataset.filters:
        Console(width=100).print(funnel(dataset.filters, arguments.dataset))
    for note in dataset.notes:
        print(f"note: {note}")
    print(
        f"{arguments.dataset}: {counts['records']:,} records of {counts['species']:,} species, "
        f"{counts['survey_sites']:,} survey sites in {time.perf_counter() - began:.1f} s",
        flush=True,
    )


def summarise(dataset: Dataset) -> dict[str, int | float]:
    """Counts of a data set, and the spread of records and prevalence over species."""
    records, survey = dataset.training.records, dataset.survey
    present_S, surveyed_S = survey.truth.presences_per_species(), survey.truth.surveyed_per_species()
    prevalence_S = present_S / np.maximum(surveyed_S, 1)
    per_species_S = records.records_per_species()
    n_sites, n_species = survey.truth.shape
    return {
        "species": records.n_species,
        "groups": len(set(records.groups)),
        "rows": records.n_rows,
        "records": len(records.species_P),
        "records_per_species_min": int(per_species_S.min()),
        "records_per_species_median": float(np.median(per_species_S)),
        "records_per_species_max": int(per_species_S.max()),
        "covariates": len(records.covariate_names),
        "background_sites": len(dataset.training.background.sites_K2),
        "survey_sites": n_sites,
        "surveyed_share": round(int(surveyed_S.sum()) / (n_sites * n_species), 6),
        "species_without_presences": int((present_S == 0).sum()),
        "prevalence_min": round(float(prevalence_S.min()), 6),
        "prevalence_median": round(float(np.median(prevalence_S)), 6),
        "prevalence_max": round(float(prevalence_S.max()), 6),
    }


def explain(dataset: Dataset) -> dict[str, object]:
    """What was filtered out, and what the reader of the results must know; nothing where there is nothing to say."""
    parts: dict[str, object] = {
        "filters": [{"rule": rule, "rows_left": left} for rule, left in dataset.filters],
        "notes": dataset.notes,
        "facts": dict(dataset.facts),
        "further": {name: task.kind for name, task in dataset.further.items()},
    }
    return {name: part for name, part in parts.items() if part}


def funnel(filters: tuple[tuple[str, int], ...], name: str) -> Table:
    """What each rule of the cleaning left and dropped; percentages are of the rows before the rule."""
    table = Table(title=f"{name}: rows left by each rule")
    table.add_column("rule")
    for heading in ("rows left", "dropped", "dropped, %"):
        table.add_column(heading, justify="right")
    before = None
    for rule, left in filters:
        dropped = 0 if before is None else before - left
        share = f"{100 * dropped / before:.2f}" if before else "-"
        table.add_row(rule, f"{left:,}", "-" if before is None else f"{dropped:,}", share)
        before = left
    return table


if __name__ == "__main__":
    run_stage(main)
