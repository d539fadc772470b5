"""Counts of a data set, what its cleaning dropped, and what a reader of the results must know.

Shape legend: M survey sites, S species.
"""

from __future__ import annotations

import numpy as np

from presence_only.data.dataset import Dataset


def summarise(dataset: Dataset) -> dict[str, int | float]:
    """Counts of a data set, and the spread of records and prevalence over species; what was added is no record."""
    records, survey = dataset.recorded, dataset.survey
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
        "survey_filters": [{"rule": rule, "rows_left": left} for rule, left in dataset.survey_filters],
        "notes": dataset.notes,
        "facts": dict(dataset.facts),
        "further": {name: task.kind for name, task in dataset.further.items()},
    }
    return {name: part for name, part in parts.items() if part}
