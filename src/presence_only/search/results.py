"""Tables of a search: every trial with its settings and values, and the best settings.

Written after each trial, by the standard library: polars would start threads, and the search still has to fork workers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from presence_only.common.atomic_files import json_hash, write_stream, write_text
from presence_only.common.errors import SettingsError
from presence_only.search.criteria import CRITERIA
from presence_only.search.trials import Trial, best_of
from presence_only.training.variant import Variant

# Columns of the table of trials, before those of the settings.
COLUMNS = ("trial", "state", "value", "best", "cpu_seconds", "share", *CRITERIA)


def write_trials(path: Path, trials: Sequence[Trial], settings: Sequence[str]) -> None:
    """Write the table of trials as CSV, whole or not at all; what a trial does not have is empty.

    ``value`` is that of the search's criterion, at the end of a finished trial and at the last look of a pruned one;
    ``best`` is the highest value of the finished trials so far; ``share`` is the share of the epochs that was trained.

    Args:
        path: The file.
        trials: All that have ended, by their numbers.
        settings: Names of the settings, in the order of the columns.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *settings])
    for i, trial in enumerate(trials):
        best, outcome = best_of(trials[: i + 1]), trial.outcome
        row = [
            trial.number,
            outcome.state,
            _short(trial.value),
            _short(best.value if best else None),
            f"{outcome.cpu_seconds:.2f}",
            f"{outcome.share:.4g}",
        ]
        row += [_short(outcome.criteria.get(name)) for name in CRITERIA]
        writer.writerow(row + [trial.settings[name] for name in settings])
    write_text(path, text.getvalue())


def write_best(path: Path, trials: Sequence[Trial], about: Mapping[str, Any]) -> None:
    """Write the best settings as YAML, whole or not at all; nothing before a trial has finished.

    Args:
        path: The file.
        trials: All that have ended.
        about: What they belong to, to stand above.
    """
    best = best_of(trials)
    if best is None:
        return
    content = dict(about) | {
        "trials": len(trials),
        "cpu_seconds": round(sum(trial.outcome.cpu_seconds for trial in trials), 1),
        "best_trial": best.number,
        "value": _rounded(best.value),
        "criteria": {name: _rounded(value) for name, value in best.outcome.criteria.items()},
        "settings": dict(best.settings),
    }
    writer = YAML()
    writer.default_flow_style = False
    with write_stream(path) as stream:
        writer.dump(content, stream)


def read_best(path: Path, variant: Variant) -> dict[str, Any]:
    """Read what :func:`write_best` wrote.

    Args:
        path: The file.
        variant: The variant as it is now.

    Raises:
        SettingsError: If there is no such file, or the variant was another when it was searched.
    """
    if not path.exists():
        raise SettingsError(f"{path} is missing: no trial of this search has finished; run it without --adopt first")
    best: dict[str, Any] = YAML(typ="safe").load(path)
    if best["variant_settings"] != variant_digest(variant):
        raise SettingsError(
            f"the variant {best['variant']!r} has other settings now than when {path} was written; search it again, or "
            "put them back"
        )
    return best


def variant_digest(variant: Variant) -> str:
    """16 hex digits that stand for all settings of a variant."""
    return json_hash(variant.resolved())


def _short(value: float | None) -> str:
    """A value with six digits; nothing if there is none, or it is undefined."""
    return "" if value is None or value != value else f"{value:.6g}"


def _rounded(value: float | None) -> float | None:
    """The same as a number."""
    return float(_short(value)) if _short(value) else None
