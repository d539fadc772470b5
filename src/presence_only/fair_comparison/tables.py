"""Tables of a fair comparison: one row per trial of every search, and one row per scored run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from presence_only.common.atomic_files import read_json, write_stream
from presence_only.common.stored_files import reading
from presence_only.fair_comparison.design import Design, Run
from presence_only.fair_comparison.scoring import NUMBERS
from presence_only.fair_comparison.tasks import run_folder, truth_folder
from presence_only.fair_comparison.tuning import TRIALS as TRIALS_FILE
from presence_only.search.criteria import CRITERIA

TRIALS, SCORES = Path("results/trials.csv"), Path("results/scores.csv")
# Digits after the point; a score's last digit is far below its interval.
DIGITS = 5


def trials_table(design: Design) -> pl.DataFrame:
    """Every trial: scenario, variant, loss, trial, state, CPU seconds, criteria, truth, and its settings as JSON."""
    rows = []
    for scenario, variant in design.searches:
        for trial in read_json(truth_folder(scenario, variant) / TRIALS_FILE):
            criteria, truth = trial["criteria"], trial.get("truth", {})
            row: dict[str, Any] = {"scenario": scenario, "variant": variant}
            row |= {key: trial[key] for key in ("trial", "state", "cpu_seconds")}
            row |= {name: criteria.get(name) for name in CRITERIA}
            row |= {f"truth_{name}": truth.get(name) for name in ("species_map", "sample_map", "auc_roc")}
            rows.append(row | trial["settings"])
    return pl.DataFrame(rows, infer_schema_length=None)


def scores_table(runs: Sequence[Run]) -> pl.DataFrame:
    """Every run: scenario, world seed, variant, settings, and all of its numbers."""
    rows = []
    for run in runs:
        where = {"scenario": run.world.scenario, "world": run.world.seed, "variant": run.variant}
        rows.append(where | {"settings": run.settings} | read_json(run_folder(run) / NUMBERS))
    return pl.DataFrame(rows, infer_schema_length=None)


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV, whole or not at all."""
    with write_stream(path) as stream:
        table.write_csv(stream, float_precision=DIGITS)


def read_trials(results: Path) -> pl.DataFrame:
    """The table of trials in a folder of results."""
    return _read(results / TRIALS.name)


def read_scores(results: Path) -> pl.DataFrame:
    """The table of scores in a folder of results."""
    return _read(results / SCORES.name)


def _read(path: Path) -> pl.DataFrame:
    """A table that :func:`write_table` wrote."""
    with reading(path, "`python -m presence_only.pipeline.fair` makes it again"):
        return pl.read_csv(path, infer_schema_length=None)
