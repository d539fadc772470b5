"""The folder that a user takes away: ONNX, labels, interface, model card and MLflow model, whole or not at all.

Shape legend: N training rows, K background sites, B places to compare at, C covariates, S species.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from presence_only.common.atomic_files import write_folder, write_json
from presence_only.common.output_folder import check_folder
from presence_only.export.interface import Interface
from presence_only.export.mlflow_model import save_mlflow_model
from presence_only.export.model_card import card_of, model_card
from presence_only.export.onnx_file import Checked, Places, check_packages, described, export_onnx
from presence_only.export.trained_run import Run

ONNX, INTERFACE, SPECIES, CARD, MLFLOW = "model.onnx", "interface.json", "species.json", "MODEL_CARD.md", "mlflow_model"
FILES = (ONNX, INTERFACE, SPECIES, CARD, MLFLOW)
# Places at which graph and models are compared.
MOST_PLACES = 2000
EXAMPLES = 3


@dataclass(frozen=True)
class Bundle:
    """What was written.

    Args:
        folder: Where.
        interface: Of the graph.
        checked: How near the graph is to the models.
        example: Column to values, of a few places.
    """

    folder: Path
    interface: Interface
    checked: Checked
    example: dict[str, Any]


def write_bundle(run: Run, out: Path, licence: str | None = None) -> Bundle:
    """Export a run into a folder.

    Args:
        run: Its models, one a seed, become one graph.
        out: The folder to make; a former export is replaced.
        licence: Of the records, in the words of the user; None: what is known of the kind of data set.

    Raises:
        ExportError: If a package is missing, or the graph is not the models.
        OutputError: If the folder holds something else.
        MissingResultsError: If the study's settings or results are not there.
    """
    check_packages()
    check_folder(out, FILES)
    records = run.records
    # First: what is missing is told before minutes of work.
    card = card_of(run, licence)
    places = places_of(run)
    with write_folder(out) as folder:
        about = {
            "dataset": run.cell.dataset,
            "variant": run.cell.variant,
            "seeds": list(run.seeds),
            "covariates": list(records.covariate_names),
            "species": list(records.species),
        }
        checked = export_onnx(run.models, folder / ONNX, places, described(about))
        interface = Interface(checked.inputs, checked.outputs, records.covariate_names, records.n_species)
        write_json(folder / INTERFACE, interface.content())
        write_json(folder / SPECIES, species_list(run))
        (folder / CARD).write_text(model_card(card, interface, checked), encoding="utf-8")
        example = example_of(places, interface)
        save_mlflow_model(folder / MLFLOW, folder, interface, records.species, example)
    return Bundle(out, interface, checked, example)


def species_list(run: Run) -> list[dict[str, Any]]:
    """Index, name, taxon group and number of training records of every species, in the order of the outputs."""
    entries = zip(run.records.species, run.records.groups, run.recorded_S, strict=True)
    return [
        {"index": index, "name": name, "group": group, "training_records": int(count)}
        for index, (name, group, count) in enumerate(entries)
    ]


def places_of(run: Run) -> Places:
    """Training rows and background sites, evenly spread over the files, to compare a graph with its models at."""
    records, background = run.records, run.background
    row_A = np.unique(np.linspace(0, records.n_rows - 1, MOST_PLACES // 2).astype(int))
    site_A = np.unique(np.linspace(0, len(background.sites_K2) - 1, MOST_PLACES // 2).astype(int))
    # Rounded as the graph's inputs are: float32 moves a place by less than a metre.
    sites_B2 = np.concatenate([records.sites_N2[row_A], background.sites_K2[site_A]]).astype(np.float32)
    covariates_BC = np.concatenate([records.covariates_NC[row_A], background.covariates_KC[site_A]])
    week_B = None
    if records.week_N is not None and background.week_K is not None and run.models[0].weeks:
        week_B = np.concatenate([records.week_N[row_A], background.week_K[site_A]])
    return Places(sites_B2.astype(np.float64), covariates_BC.astype(np.float32), week_B)


def example_of(places: Places, interface: Interface) -> dict[str, Any]:
    """Column to values, of a few places, as a table of MLflow has them."""
    feeds = places.feeds(interface.inputs)
    columns: dict[str, Any] = {}
    for name in interface.inputs:
        values = feeds[name][:EXAMPLES]
        if name == "covariates":
            columns |= dict(zip(interface.covariate_columns, values.astype(np.float64).T, strict=True))
        else:
            columns[name] = values.astype(np.int64 if name == "week" else np.float64)
    return columns
