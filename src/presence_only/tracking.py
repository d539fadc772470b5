"""MLflow, the view of a study: files are the truth, nothing reads MLflow back.

This is the only module that imports mlflow.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

# Set before the import: mlflow reads it once.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.tracking import MlflowClient

CURRENT, KIND, CELL, FINGERPRINT = "current", "kind", "cell", "fingerprint"
# By this tag mlflow ui nests a run below another.
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class RunRecord:
    """One run of the study, or the study as a whole, as MLflow is to show it.

    Args:
        cell: ``dataset/variant/seed``, unique within the study; empty for the study as a whole.
        fingerprint: Hash of the run's results and settings; equal fingerprints are the same run.
        params: Settings, flat.
        metrics: Final values.
        curves: Values per epoch, from epoch 1.
        tags: Anything to filter by.
        artifacts: Files and folders copied into the run.
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


def viewing(root: Path, page: str = "") -> tuple[str, ...]:
    """How to look at the runs, one step an item, from any folder and outside of the environment.

    Args:
        root: Folder of ``mlflow.db``.
        page: Where in MLflow, such as ``/#/experiments/1/runs``.
    """
    uri = store_uri(root)
    if uri.startswith(("http://", "https://")):
        return (f"open {uri.rstrip('/')}{page}",)
    # `make study` runs in an environment that the user's shell need not have activated.
    beside = Path(sys.executable).parent.resolve() / "mlflow"
    program = str(beside) if beside.exists() else "mlflow"
    command = shlex.join([program, "ui", "--workers", "1", "--backend-store-uri", uri])
    return command, f"then open http://127.0.0.1:5000{page}"


def publish(
    study: str, parent: RunRecord, records: Sequence[RunRecord], root: Path, *, move_current: bool = True
) -> tuple[int, int, str]:
    """Mirror the runs of a study into MLflow, below one parent run that holds what they add up to.

    A run that is there already, by its fingerprint, is not logged again. Afterwards exactly one
    parent and one run of every cell carry ``current = true``, each of these runs is a child of that
    parent, and no run of a cell that the study no longer has is current. One publish at a time works
    on a store; a second one waits.

    Args:
        study: Name of the study, of its MLflow experiment and of the parent run.
        parent: The study as a whole, of no cell.
        records: Every run of the study.
        root: Folder of ``mlflow.db``, of its lock file and of ``mlartifacts``.
        move_current: False for an experiment in a copy of the project: its runs are logged but
            the project's own stay current, below their own parent.

    Returns:
        Runs logged now, runs found as they were, both with the parent, and the id of the study's experiment.
    """
    # Two workers of `dvc queue` may come at once, and what one has logged by half looks like a killed run to the other.
    with _alone(root / "mlflow.db.lock"):
        return _publish(study, parent, records, root, move_current)


def _publish(
    study: str, parent: RunRecord, records: Sequence[RunRecord], root: Path, move_current: bool
) -> tuple[int, int, str]:
    """What ``publish`` says, while nobody else publishes."""
    client = MlflowClient(tracking_uri=store_uri(root))
    experiment = client.get_experiment_by_name(study)
    experiment_id = (
        client.create_experiment(study, artifact_location=(root / "mlartifacts" / study).as_uri())
        if experiment is None
        else experiment.experiment_id
    )
    ours: dict[str, Run] = {}
    known: dict[tuple[str, str], Run] = {}
    for run in _all_runs(client, experiment_id):
        tags = run.data.tags
        if CELL not in tags and tags.get(KIND) != "study":
            continue
        if FINGERPRINT not in tags:
            # A publish was killed half-way through this run; it is logged anew.
            client.delete_run(run.info.run_id)
            continue
        ours[run.info.run_id] = run
        known[tags.get(CELL, ""), tags[FINGERPRINT]] = run

    current: list[str] = []
    for record in (parent, *records):
        found = known.get((record.cell, record.fingerprint))
        place = {KIND: "cell", PARENT: current[0]} if current else {KIND: "study"}
        if found is None:
            place[CURRENT] = str(move_current).lower()
            current.append(_log(client, experiment_id, record, record.cell or study, place))
        else:
            current.append(found.info.run_id)
            if move_current:
                _set_tags(client, found, place | {CURRENT: "true"})
    if move_current:
        for run_id in ours.keys() - set(current):
            if ours[run_id].data.tags.get(CURRENT) == "true":
                client.set_tag(run_id, CURRENT, "false")
    kept = len(ours.keys() & set(current))
    return len(current) - kept, kept, experiment_id


def _log(client: MlflowClient, experiment_id: str, record: RunRecord, name: str, place: Mapping[str, str]) -> str:
    """Log one run; its fingerprint comes last and by itself, so that half a run is known by its absence."""
    ended = int(record.finished * 1000)
    cell = {CELL: record.cell} if record.cell else {}
    run = client.create_run(
        experiment_id,
        start_time=ended - int(record.seconds * 1000),
        run_name=name,
        tags={"mlflow.source.name": "dvc repro", KIND: place[KIND]} | cell | dict(record.tags),
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
        tags=[RunTag(key, value) for key, value in place.items()],
    )
    client.set_terminated(run_id, end_time=ended)
    # Not in the batch: MLflow splits a long one, and sends the tags with its first part.
    client.set_tag(run_id, FINGERPRINT, record.fingerprint)
    return run_id


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, which the system lets go of when a process ends, however it ends."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"MLflow: another run publishes; waiting until it lets go of {path}", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _set_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    """Give a run the tags that it lacks or has with another value."""
    changed = [RunTag(key, value) for key, value in tags.items() if run.data.tags.get(key) != value]
    if changed:
        client.log_batch(run.info.run_id, tags=changed)


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
