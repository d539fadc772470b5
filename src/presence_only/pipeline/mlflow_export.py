"""An exported model in MLflow's store: a run of its own, below the current run of its variant."""

from __future__ import annotations

from presence_only.export.bundle import CARD, Bundle
from presence_only.export.mlflow_model import log_mlflow_model
from presence_only.export.trained_run import Run
from presence_only.pipeline.mlflow_mirror import open_export, repository_root
from presence_only.study.settings import load_study

# What the model is called within its run.
NAME = "range_model"


def log_bundle(run: Run, bundle: Bundle) -> str:
    """Log the model of an export, with its card; returns the address to load it from.

    Raises:
        StoreError: If MLflow cannot take it.
    """
    study = load_study(run.study / "params.yaml").name
    cell = f"{run.cell.dataset}/{run.cell.variant}"
    settings = {"dataset": run.cell.dataset, "variant": run.cell.variant, "seeds": ", ".join(map(str, run.seeds))}
    with open_export(study, cell, settings, [bundle.folder / CARD], repository_root(run.study)):
        return log_mlflow_model(NAME, bundle.folder, bundle.interface, run.records.species, bundle.example)
