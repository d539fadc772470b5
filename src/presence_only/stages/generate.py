"""Make one data set: presence-only records, background sites and the evaluation survey."""

from __future__ import annotations

import time

import numpy as np

from presence_only.datasets import build_dataset
from presence_only.figures import records_figure, save_figure
from presence_only.files import write_json
from presence_only.layout import DatasetFiles
from presence_only.nouns import PRESENT, Dataset
from presence_only.params import load_params
from presence_only.stages._cell import parse_arguments, run_stage


def main() -> None:
    """Build the data set that params.yaml describes; write it with a summary and a map."""
    arguments = parse_arguments(__doc__, "dataset")
    began = time.perf_counter()
    settings = load_params().dataset(arguments.dataset)
    print(f"{arguments.dataset}: making the data set", flush=True)
    dataset = build_dataset(settings)
    files = DatasetFiles(arguments.dataset)
    dataset.training.save(files.training)
    dataset.survey.save(files.survey)
    save_figure(records_figure(dataset, arguments.dataset), files.map)
    counts = summarise(dataset)
    write_json(files.summary, counts)
    print(
        f"{arguments.dataset}: {counts['records']:,} records of {counts['species']:,} species, "
        f"{counts['survey_sites']:,} survey sites in {time.perf_counter() - began:.1f} s",
        flush=True,
    )


def summarise(dataset: Dataset) -> dict[str, int | float]:
    """Counts of a data set, and the spread of records and prevalence over species."""
    records, truth_MS = dataset.training.records, dataset.survey.truth_MS
    present_S = (truth_MS == PRESENT).sum(axis=0)
    surveyed_S = (truth_MS >= 0).sum(axis=0)
    prevalence_S = present_S / np.maximum(surveyed_S, 1)
    per_species_S = records.records_per_species()
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
        "survey_sites": len(dataset.survey.sites_M2),
        "surveyed_share": round(float((truth_MS >= 0).mean()), 6),
        "species_without_presences": int((present_S == 0).sum()),
        "prevalence_min": round(float(prevalence_S.min()), 6),
        "prevalence_median": round(float(np.median(prevalence_S)), 6),
        "prevalence_max": round(float(prevalence_S.max()), 6),
    }


if __name__ == "__main__":
    run_stage(main)
