"""MLflow, the view of a study: files are the truth, nothing reads MLflow back.

This is the only module that imports mlflow.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Set before the import: mlflow reads it once.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.tracking import MlflowClient

CURRENT, CELL, FINGERPRINT = "current", "cell", "fingerprint"


@dataclass(frozen=True)
class RunRecord:
    """One run of the study, as MLflow is to show it.

    Args:
        cell: ``dataset/variant/seed``, unique within the study.
        fingerprint: Hash of the run's results and settings; equal fingerprints are the same run.
        params: Settings, flat.
        metrics: Final values.
        curves: Values per epoch, from epoch 1.
        tags: Anything to filter by.
        artifacts: Files copied into the run.
        seconds: Training time.
        finished: Unix time in seconds at which training ended.
    """

    cell: str
    fingerprint: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Path] = ()
    seconds: float = 0.0
    finished: float = 0.0


def repository_root(folder: Path) -> Path:
    """The top folder of the git checkout that holds ``folder``, or ``folder`` outside of one."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    return Path(top) if top else folder


def git_commit(folder: Path, paths: Sequence[Path]) -> str:
    """The checked-out commit, with ``-dirty`` where one of ``paths`` differs from it; empty outside git."""
    commit = _git(folder, "rev-parse", "HEAD")
    return commit + "-dirty" * bool(_git(folder, "status", "--porcelain", "--", *map(str, paths)))


def store_uri(root: Path) -> str:
    """The tracking store: ``MLFLOW_TRACKING_URI`` where set, else a database at the repository root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"


def publish(study: str, records: Sequence[RunRecord], root: Path, *, move_current: bool = True) -> tuple[int, int, str]:
    """Mirror the runs of a study into MLflow.

    A run that is there already, by its fingerprint, is not logged again. Afterwards exactly one
    run of every cell carries ``current = true``, and no run of a cell that the study no longer has.

    Args:
        study: Name of the study, and of its MLflow experiment.
        records: Every run of the study.
        root: Folder of ``mlflow.db`` and ``mlartifacts``.
        move_current: False for an experiment in a copy of the project: its runs are logged but
            the project's own stay current.

    Returns:
        Runs logged now, runs found as they were, and the id of the study's experiment.
    """
    client = MlflowClient(tracking_uri=store_uri(root))
    experiment = client.get_experiment_by_name(study)
    experiment_id = (
        client.create_experiment(study, artifact_location=(root / "mlartifacts" / study).as_uri())
        if experiment is None
        else experiment.experiment_id
    )
    known: dict[tuple[str, str], Run] = {}
    for run in _all_runs(client, experiment_id):
        tags = run.data.tags
        if CELL not in tags:
            continue
        if FINGERPRINT not in tags:
            # A publish was killed half-way through this run; it is logged anew.
            client.delete_run(run.info.run_id)
            continue
        known[tags[CELL], tags[FINGERPRINT]] = run

    logged = 0
    current: set[str] = set()
    for record in records:
        found = known.get((record.cell, record.fingerprint))
        if found is None:
            current.add(_log(client, experiment_id, record, move_current))
            logged += 1
        else:
            current.add(found.info.run_id)
            if move_current and found.data.tags.get(CURRENT) != "true":
                client.set_tag(found.info.run_id, CURRENT, "true")
    if move_current:
        for run in known.values():
            if run.info.run_id not in current and run.data.tags.get(CURRENT) == "true":
                client.set_tag(run.info.run_id, CURRENT, "false")
    return logged, len(records) - logged, experiment_id


def _log(client: MlflowClient, experiment_id: str, record: RunRecord, current: bool) -> str:
    """Log one run; its fingerprint comes last, so that half a run is known by its absence."""
    ended = int(record.finished * 1000)
    run = client.create_run(
        experiment_id,
        start_time=ended - int(record.seconds * 1000),
        run_name=record.cell,
        tags={CELL: record.cell, "mlflow.source.name": "dvc repro"} | dict(record.tags),
    )
    run_id: str = run.info.run_id
    for path in record.artifacts:
        client.log_artifact(run_id, str(path))
    metrics = [Metric(name, value, ended, 0) for name, value in record.metrics.items()]
    metrics += [
        Metric(name, value, ended, epoch)
        for name, values in record.curves.items()
        for epoch, value in enumerate(values, 1)
    ]
    client.log_batch(
        run_id,
        metrics=metrics,
        params=[Param(name, value) for name, value in record.params.items()],
        tags=[RunTag(FINGERPRINT, record.fingerprint), RunTag(CURRENT, str(current).lower())],
    )
    client.set_terminated(run_id, end_time=ended)
    return run_id


def _all_runs(client: MlflowClient, experiment_id: str) -> list[Run]:
    """Every run of an experiment, page by page."""
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _git(folder: Path, *arguments: str) -> str:
    """What a git command prints, or nothing where git or the checkout is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
