"""MLflow, the view of a study: files are the truth, nothing reads MLflow back.

This module alone speaks to the store; ``export/mlflow_model.py`` makes the models that it logs. mlflow is imported
inside of functions: the import takes seconds, and most calls of the publish stage find nothing to log (``published``).
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlencode

from presence_only.common.errors import UserError
from presence_only.pipeline.mlflow_store import local_database, make_database, runs_in

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# mlflow reads these when it is imported or sends a request. Its own 7 retries take minutes where a server is down.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

CURRENT, KIND, CELL, FINGERPRINT = "current", "kind", "cell", "fingerprint"
# In place of ``cell``, so that searches are no part of what the study publishes: the name of a search or a trial.
SEARCH = "search"
# The same of an exported model.
EXPORT = "export"
# By this tag mlflow ui nests a run below another.
PARENT = "mlflow.parentRunId"
# An experiment of this kind opens in mlflow ui as training runs with metrics, and not as traces of a language model.
# Newer versions of mlflow ui go by the browser's own choice instead, unless a link names the workflow.
EXPERIMENT_KIND, TRAINING, WORKFLOW = "mlflow.experimentKind", "custom_model_development", "machine_learning"
# The description of an experiment in mlflow ui, in Markdown. One that does not start so was written by the user.
NOTE, NOTE_START = "mlflow.note.content", "Made by `dvc repro`: "
MAPS = "python -m presence_only.pipeline.explore --run runs/<data set>/<variant> --out map_page_<data set>"
# Tag of an experiment: what the last publish read, and which runs it left current.
STATE = "presence_only.state"
# Libraries whose exceptions are about the store.
LIBRARIES = ("mlflow", "sqlalchemy", "alembic", "requests", "urllib3")
# What SQLite says where MLflow wants to make a table that is there, or to read one that is not.
HALF_MADE = "(table|index) .{1,200} already exists|no such (table|column|index)|duplicate column name"
# Seconds for which a database may be busy with the write of another program.
BUSY = 5.0


class StoreError(UserError):
    """MLflow cannot take the runs; the message is one sentence that says why, and the remedy."""


@dataclass(frozen=True)
class RunRecord:
    """One run in MLflow: a seed, a variant with its means over seeds, the study's report, a search or its trial.

    Args:
        cell: ``dataset/variant/seed`` or ``dataset/variant``, unique within the study; empty for the study. Of a
            search ``dataset/variant``, of its trial ``dataset/variant/number``.
        kind: What the run stands for.
        name: What the run is called in a list.
        fingerprint: Hash of the run's results and settings; equal fingerprints are the same run.
        params: Settings, flat.
        metrics: Final values.
        curves: Values per epoch, from epoch 1; those that are not finite are left out.
        tags: Anything to filter by.
        below: ``cell`` of the run that this one is shown below; empty for a row of its own.
        artifacts: Files and folders copied into the run.
        started: Unix time in seconds at which training began.
        finished: Unix time in seconds at which training ended.
    """

    cell: str
    kind: Literal["study", "variant", "seed", "search", "trial"]
    name: str
    fingerprint: str
    params: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    below: str = ""
    artifacts: Sequence[Path] = ()
    started: float = 0.0
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


def variants_page(experiment_id: str, ranking: str) -> str:
    """Where in MLflow the current variants of an experiment are, with the highest value of metric ``ranking`` first."""
    query = {
        "workflowType": WORKFLOW,
        "compareRunsMode": "CHART",
        # Only in order of time does it nest runs; in any other, seeds would stand among the variants.
        "searchFilter": f'tags.{KIND} = "variant" and tags.{CURRENT} = "true"',
        "orderByKey": f"metrics.`{ranking}`",
        "orderByAsc": "false",
    }
    return f"/#/experiments/{experiment_id}/runs?{urlencode(query, quote_via=quote)}"


def viewing(root: Path, page: str = "") -> tuple[str, ...]:
    """How to look at the runs, one step an item, from any folder and outside of the environment.

    Args:
        root: Folder of ``mlflow.db``.
        page: Where in MLflow, such as ``/#/experiments/1/runs``.
    """
    uri = store_uri(root)
    if uri.startswith(("http://", "https://")):
        return (f"open {uri.rstrip('/')}{page}",)
    command = shlex.join([_program(), "ui", "--workers", "1", "--backend-store-uri", uri])
    return command, f"then open http://127.0.0.1:5000{page}"


def _program() -> str:
    """The command mlflow of this environment, which the user's shell need not have activated."""
    beside = Path(sys.executable).parent.resolve() / "mlflow"
    return str(beside) if beside.exists() else "mlflow"


def published(state: str, root: Path) -> int:
    """Number of current runs, where the last publish read the same and its runs are all there; else 0.

    The standard library reads the database, without mlflow. Whatever is not as expected, such as a store on a
    server, a locked database or a table that is missing, gives 0, and an ordinary publish finds out.

    Args:
        state: Hash of all that the publish would read.
        root: Folder of ``mlflow.db``.
    """
    database = local_database(store_uri(root))
    if database is None:
        return 0
    try:
        # Without mode=ro a missing database would be made.
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=0)) as store:
            experiments = store.execute(
                "select experiment_id, value from experiment_tags join experiments using (experiment_id) "
                "where key = ? and lifecycle_stage = 'active'",
                [STATE],
            ).fetchall()
            for experiment, value in experiments:
                if value.split()[0] != state:
                    continue
                rows = store.execute(
                    "select run_uuid from runs join tags using (run_uuid) "
                    "where experiment_id = ? and lifecycle_stage = 'active' and key = ? and value = 'true'",
                    [experiment, CURRENT],
                )
                runs = [run for (run,) in rows]
                return len(runs) if value == _state(state, runs) else 0
    except (sqlite3.Error, AttributeError, IndexError):
        pass
    return 0


def check_store(root: Path) -> None:
    """Find out, without mlflow, whether a local database can be written; mlflow would try again for minutes.

    Raises:
        StoreError: If the database is locked, damaged or read-only.
    """
    database = local_database(store_uri(root))
    if database is None or not database.exists():
        return
    with _in_one_sentence(root), closing(sqlite3.connect(database, timeout=BUSY, isolation_level=None)) as store:
        store.execute("begin immediate")
        store.execute("rollback")


def publish(
    study: str,
    records: Sequence[RunRecord],
    root: Path,
    *,
    move_current: bool = True,
    ranking: str = "",
    note: str = "",
    state: str = "",
) -> tuple[int, int, str]:
    """Mirror the runs of a study into MLflow.

    A run that is there already, by its fingerprint, is not logged again. Afterwards exactly one
    run of every cell carries ``current = true``, each of them lies below the current run of the cell that
    its record names, and no run of a cell that the study no longer has is current. One publish at a
    time works on a store; a second one waits.

    Args:
        study: Name of the study and of its MLflow experiment.
        records: Every run of the study; one that others are below comes before these.
        root: Folder of ``mlflow.db``, unless another store is set, and of ``mlartifacts``.
        move_current: False for an experiment in a copy of the project: its runs are logged but
            the project's own stay current, below their own variants.
        ranking: The metric by which variants are shown, the highest first.
        note: Description of the experiment, in Markdown, to stand below links to its variants and its report; one
            that the user wrote is kept.
        state: Hash of all that the records were read from, by which ``published`` knows them again.

    Returns:
        Runs logged now, runs found as they were, and the id of the study's experiment.

    Raises:
        StoreError: If MLflow cannot take the runs.
    """
    # Two workers of `dvc queue` may come at once, and what one has logged by half looks like a killed run to the other.
    with _in_one_sentence(root), _alone(root):
        return _publish(study, records, root, move_current, ranking, note, state)


def _publish(
    study: str, records: Sequence[RunRecord], root: Path, move_current: bool, ranking: str, note: str, state: str
) -> tuple[int, int, str]:
    """What ``publish`` says, while nobody else publishes."""
    client = _client(root)
    experiment_id, experiment_tags = _experiment(client, study, root)
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

    current: dict[str, str] = {}
    for record in records:
        found = known.get((record.cell, record.fingerprint))
        place = {KIND: record.kind} | ({PARENT: current[record.below]} if record.below else {})
        if found is None:
            place[CURRENT] = str(move_current).lower()
            current[record.cell] = _log(client, experiment_id, record, place)
        else:
            current[record.cell] = found.info.run_id
            if move_current:
                _set_tags(client, found, place | {CURRENT: "true"})
    stays = ours.keys() & set(current.values())
    if move_current:
        _retire(client, [run for run_id, run in ours.items() if run_id not in stays])
        _drop_empty_studies(client, ours, stays)
        if experiment_tags.get(NOTE, NOTE_START).startswith(NOTE_START):
            links = _links(experiment_id, ranking, current.get(""))
            client.set_experiment_tag(experiment_id, NOTE, f"{NOTE_START}{links}\n\n{note}")
        # Last, so that a publish that was cut short is not taken for a whole one.
        client.set_experiment_tag(experiment_id, STATE, _state(state, current.values()))
    return len(current) - len(stays), len(stays), experiment_id


def publish_search(study: str, search: RunRecord, trials: Sequence[RunRecord], root: Path) -> tuple[int, int]:
    """Mirror a search into MLflow: a run, and below it a run per trial.

    What is there already, by its fingerprint, is not logged again, so that a search that goes on adds its new trials.

    Args:
        study: Name of the study and of its MLflow experiment.
        search: The search; its curves have a value per trial, of which the new ones are added.
        trials: All its trials.
        root: Folder of ``mlflow.db``, unless another store is set, and of ``mlartifacts``.

    Returns:
        Trials logged now, and trials found as they were.

    Raises:
        StoreError: If MLflow cannot take the runs.
    """
    with _in_one_sentence(root), _alone(root):
        client = _client(root)
        experiment_id, _ = _experiment(client, study, root)
        known: dict[tuple[str, str], str] = {}
        for run in _all_runs(client, experiment_id):
            tags = run.data.tags
            if SEARCH not in tags:
                continue
            if FINGERPRINT in tags:
                known[tags[SEARCH], tags[FINGERPRINT]] = run.info.run_id
            else:
                # A publish was killed half-way through this run; it is logged anew.
                client.delete_run(run.info.run_id)
        parent = known.get((search.cell, search.fingerprint))
        if parent is None:
            parent = _log(client, experiment_id, search, {KIND: search.kind})
        else:
            _add_to_search(client, parent, search)
        new = [trial for trial in trials if (trial.cell, trial.fingerprint) not in known]
        for trial in new:
            _log(client, experiment_id, trial, {KIND: trial.kind, PARENT: parent})
    return len(new), len(trials) - len(new)


@contextmanager
def open_export(
    study: str, cell: str, params: Mapping[str, str], artifacts: Sequence[Path], root: Path
) -> Iterator[None]:
    """Open a run that holds an exported model, for the block to log the model into.

    It is no part of what the study publishes, and so stays when the study is published again. Like other runs it has
    its fingerprint, here its own id, once it is whole; a run whose block fails is deleted.

    Args:
        study: Name of the study and of its MLflow experiment.
        cell: ``dataset/variant``; the run is shown below the current run of this variant, where there is one.
        params: What to know it by.
        artifacts: Files to copy into the run.
        root: Folder of ``mlflow.db``, unless another store is set, and of ``mlartifacts``.

    Raises:
        StoreError: If MLflow cannot take the run.
    """
    check_store(root)
    with _in_one_sentence(root), _alone(root):
        import mlflow

        client = _client(root)
        experiment_id, _ = _experiment(client, study, root)
        wanted = f'tags.{KIND} = "variant" and tags.{CURRENT} = "true" and tags.{CELL} = "{cell}"'
        above = client.search_runs([experiment_id], filter_string=wanted, max_results=1)
        place = {PARENT: above[0].info.run_id} if above else {}
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(store_uri(root))
        try:
            tags = {KIND: "export", EXPORT: cell, "mlflow.source.name": "python -m presence_only.pipeline.export"}
            with mlflow.start_run(experiment_id=experiment_id, run_name=f"export {cell}", tags=tags | place) as run:
                try:
                    mlflow.log_params(dict(params))
                    for path in artifacts:
                        mlflow.log_artifact(str(path))
                    yield
                except BaseException:
                    client.delete_run(run.info.run_id)
                    raise
            client.set_tag(run.info.run_id, FINGERPRINT, run.info.run_id)
        finally:
            mlflow.set_tracking_uri(before)


def _client(root: Path) -> MlflowClient:
    """Speaks to the store, whose database is made first if it is local and there is none. The lock must be held."""
    # Not at the top: it takes seconds.
    from mlflow.tracking import MlflowClient

    uri = store_uri(root)
    if database := local_database(uri):
        # Looking for experiments makes the tables and the default experiment.
        make_database(database, lambda aside: MlflowClient(tracking_uri=aside).search_experiments(max_results=1))
    return MlflowClient(tracking_uri=uri)


def _add_to_search(client: MlflowClient, run_id: str, search: RunRecord) -> None:
    """Add what a search that is in MLflow has found since."""
    from mlflow.entities import Metric

    ended = int(search.finished * 1000)
    before = {
        name: max((metric.step for metric in client.get_metric_history(run_id, name)), default=0)
        for name in search.curves
    }
    metrics = [
        Metric(name, value, ended, place)
        for name, values in search.curves.items()
        for place, value in enumerate(values, 1)
        if place > before[name] and math.isfinite(value)
    ]
    if metrics:
        metrics += [Metric(name, value, ended, 0) for name, value in search.metrics.items()]
        client.log_batch(run_id, metrics=metrics)
        for path in search.artifacts:
            client.log_artifact(run_id, str(path))
        client.set_terminated(run_id, end_time=ended)


def _experiment(client: MlflowClient, study: str, root: Path) -> tuple[str, dict[str, str]]:
    """Id and tags of the study's experiment, which is made where there is none, and opens as training runs."""
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        location = (root / "mlartifacts" / study).as_uri()
        return client.create_experiment(study, artifact_location=location, tags={EXPERIMENT_KIND: TRAINING}), {}
    experiment_id = experiment.experiment_id
    if experiment.lifecycle_stage == "deleted":
        uri = shlex.quote(store_uri(root))
        command = f"MLFLOW_TRACKING_URI={uri} {_program()} experiments restore --experiment-id {experiment_id}"
        raise StoreError(f"its experiment {study!r} was deleted; restore it with `{command}` and run `dvc repro` again")
    if experiment.tags.get(EXPERIMENT_KIND) != TRAINING:
        client.set_experiment_tag(experiment_id, EXPERIMENT_KIND, TRAINING)
    return experiment_id, dict(experiment.tags)


def _log(client: MlflowClient, experiment_id: str, record: RunRecord, place: Mapping[str, str]) -> str:
    """Log one run; its fingerprint comes last and by itself, so that half a run is known by its absence."""
    from mlflow.entities import Metric, Param, RunTag

    ended = int(record.finished * 1000)
    searched = record.kind in ("search", "trial")
    cell = {SEARCH if searched else CELL: record.cell} if record.cell else {}
    source = "python -m presence_only.pipeline.search" if searched else "dvc repro"
    run = client.create_run(
        experiment_id,
        start_time=int(record.started * 1000),
        run_name=record.name,
        tags={"mlflow.source.name": source, KIND: place[KIND]} | cell | dict(record.tags),
    )
    run_id: str = run.info.run_id
    for path in record.artifacts:
        client.log_artifact(run_id, str(path))
    metrics = [Metric(name, value, ended, 0) for name, value in record.metrics.items()]
    metrics += [
        Metric(name, value, ended, epoch)
        for name, values in record.curves.items()
        for epoch, value in enumerate(values, 1)
        if math.isfinite(value)
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


def _retire(client: MlflowClient, runs: Iterable[Run]) -> None:
    """Mark runs as no longer current, and seeds of the layout before there were variants as seeds."""
    for run in runs:
        changes = {CURRENT: "false"} if run.data.tags.get(CURRENT) == "true" else {}
        _set_tags(client, run, changes | ({KIND: "seed"} if run.data.tags.get(KIND) == "cell" else {}))


def _drop_empty_studies(client: MlflowClient, runs: Mapping[str, Run], moved: Iterable[str]) -> None:
    """Delete the studies whose last runs moved below variants: rows of an older layout, in which all lay below them."""
    left = {run.data.tags.get(PARENT) for run_id, run in runs.items() if run_id not in set(moved)}
    for run_id in {run.data.tags.get(PARENT) for run in runs.values()} - left:
        if run_id in runs and runs[run_id].data.tags.get(KIND) == "study":
            client.delete_run(run_id)


def _links(experiment_id: str, ranking: str, report: str | None) -> str:
    """Links to the variants and to the run of the report, in Markdown; relative, as a server may lie below a path."""
    links = [f"[compare the variants]({variants_page(experiment_id, ranking)[1:]})"]
    if report:
        page = f"#/experiments/{experiment_id}/runs/{report}/artifacts?workflowType={WORKFLOW}"
        links.append(f"[open the report, tables and figures]({page})")
    # MLflow serves no folder of pages, so this one is named and not linked.
    return f"{', '.join(links)}. A page of range maps: `{MAPS}`"


def _state(state: str, run_ids: Iterable[str]) -> str:
    """The state of the files, and a hash of the ids of the current runs."""
    return f"{state} {hashlib.sha256(' '.join(sorted(run_ids)).encode()).hexdigest()[:16]}"


@contextmanager
def _in_one_sentence(root: Path) -> Iterator[None]:
    """Tell whatever goes wrong with the store in one sentence, without the log lines and retries of the libraries."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    except FileNotFoundError:
        # A file of the study is missing, which its stages make.
        raise
    except Exception as error:
        why = str(error) if isinstance(error, StoreError) else _remedy(error, store_uri(root))
        if why is None:
            raise
        raise StoreError(f"the study's results are complete, but MLflow did not take them: {why}") from error
    finally:
        logging.disable(level)


def _remedy(error: Exception, uri: str) -> str | None:
    """What is wrong with the store ``uri``, and what helps; None if the error is not the store's."""
    # By name, as the import of mlflow takes seconds, which a locked database need not cost.
    library = type(error).__module__.partition(".")[0]
    if library not in LIBRARIES and not isinstance(error, (sqlite3.Error, OSError, ImportError)):
        return None
    text = " ".join(str(error).split())
    outdated = re.search(r"out-of-date database schema \(found version (\w+)", text)
    if outdated and not _knows_schema(outdated[1]):
        return f"{uri} was written by a newer mlflow; install that one, or move the database away and run `dvc repro`"
    if outdated:
        command = shlex.join([_program(), "db", "upgrade", uri])
        return f"{uri} was written by an older mlflow; back it up, run `{command}` and then `dvc repro` again"
    if "database is locked" in text:
        return f"{uri} is locked by another program; close that program and run `dvc repro` again"
    if "file is not a database" in text or "malformed" in text:
        return f"{uri} is damaged; move the file away and run `dvc repro`, which makes a new one with the same runs"
    database = local_database(uri)
    if database and re.search(HALF_MADE, text):
        return (
            f"{uri} was left half-made, by a kill while MLflow made it or changed its tables, with {_runs(database)} "
            "in it; move the file away and run `dvc repro`, which makes a new one with the runs of this study"
        )
    if uri.startswith(("http://", "https://")) and re.search("failed with exception|Max retries exceeded", text):
        return (
            f"no server answers at {uri}; start it, or unset MLFLOW_TRACKING_URI to use a local database, "
            "and run `dvc repro` again"
        )
    return f"{uri} fails with {text[:300]!r}; mend that and run `dvc repro` again"


def _runs(database: Path) -> str:
    """How many runs are in a database, in words."""
    try:
        n = runs_in(database)
    except (sqlite3.Error, OSError):
        return "runs that cannot be counted"
    return f"{n} run{'s' * (n != 1)}"


def _knows_schema(version: str) -> bool:
    """Whether the installed mlflow knows a version of the database's tables, and so can bring it up to date."""
    import mlflow

    migrations = Path(mlflow.__file__).parent / "store/db_migrations/versions"
    return any(migrations.glob(f"{version}_*.py"))


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the lock file of the store, which the system lets go of when a process ends, however it ends.

    It lies beside a local database, wherever that is: several projects may publish into the same one.
    """
    from filelock import FileLock, Timeout

    database = local_database(store_uri(root)) or root / "mlflow.db"
    path = database.with_name(f"{database.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
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
    from mlflow.entities import RunTag

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
