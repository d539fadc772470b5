"""A search and its trials as MLflow shows them: a row for the search, its trials below it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from presence_only.common.atomic_files import json_hash
from presence_only.pipeline.mlflow_mirror import RunRecord
from presence_only.search.run import Search
from presence_only.search.trials import Trial, best_of
from presence_only.study.paths import SearchFiles

# The curve of a search: the best value of the finished trials so far, by trial.
BEST = "best_value"


def search_record(files: SearchFiles, search: Search, trials: Sequence[Trial]) -> RunRecord:
    """The search as a whole; one that goes on with more trials has the same fingerprint."""
    identity = search.identity()
    best_so_far = [best_of(trials[: i + 1]) for i in range(len(trials))]
    best = best_so_far[-1] if best_so_far else None
    values = [math.nan if found is None else float(found.value or 0.0) for found in best_so_far]
    now = time.time()
    return RunRecord(
        cell=search.name,
        kind="search",
        name=f"search {search.name}",
        fingerprint=json_hash(identity),
        params={"dataset": search.dataset, "variant": search.searched.name} | _flat(identity["search"], "search"),
        metrics={"trials": len(trials), "cpu_seconds": sum(trial.outcome.cpu_seconds for trial in trials)}
        | ({f"best_{name}": value for name, value in best.outcome.criteria.items()} if best else {}),
        curves={BEST: values},
        tags={"dataset": search.dataset, "variant": search.searched.name, "criterion": search.settings.criterion},
        artifacts=[path for path in (files.trials, files.best, files.figure) if path.exists()],
        started=now,
        finished=now,
    )


def trial_records(search: Search, trials: Sequence[Trial]) -> list[RunRecord]:
    """A run per trial: its settings, the values of all criteria, and its scores at the looks."""
    identity, now = json_hash(search.identity()), time.time()
    records = []
    for trial in trials:
        outcome = trial.outcome
        criteria = {name: value for name, value in outcome.criteria.items() if math.isfinite(value)}
        value = {} if trial.value is None else {"value": trial.value}
        last = max(outcome.looks, default=0)
        records.append(
            RunRecord(
                cell=f"{search.name}/{trial.number}",
                kind="trial",
                name=f"{search.name}/{trial.number}",
                # Without its CPU time: the same trial again is the same run.
                fingerprint=json_hash([identity, trial.settings, outcome.state, criteria]),
                params={"trial": str(trial.number)} | {name: str(v) for name, v in trial.settings.items()},
                metrics=criteria | value | {"cpu_seconds": outcome.cpu_seconds, "share": outcome.share},
                curves={"look": [outcome.looks.get(look, math.nan) for look in range(1, last + 1)]},
                tags={"dataset": search.dataset, "variant": search.searched.name, "state": outcome.state},
                started=now - outcome.cpu_seconds,
                finished=now,
            )
        )
    return records


def _flat(values: Any, name: str) -> dict[str, str]:
    """Nested settings as ``search.held_out.folds`` to words."""
    if not isinstance(values, dict):
        return {name: str(values)}
    return {key: words for part, inner in values.items() for key, words in _flat(inner, f"{name}.{part}").items()}
