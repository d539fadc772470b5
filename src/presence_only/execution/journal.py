"""Outputs of finished tasks, kept until whoever asked for them has recorded them, so that a killed run goes on.

A task is known by what it works on: its identity, and the bytes of its inputs. So what was done before a kill is found
again, and what was done for other settings is not taken for it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import KnownHashes, content_hash, json_hash, read_json, write_json
from presence_only.common.temporary_names import remove_leftovers
from presence_only.execution.task import Task


@dataclass(frozen=True)
class Entry:
    """A finished task.

    Args:
        value: What its function returned.
    """

    value: Any


class Journal:
    """A folder with one JSON file a finished task, beside the folder that the task made.

    Values must be what JSON can hold.

    Args:
        folder: Where it lies; it is made if there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hashes = KnownHashes()
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, deep=True, older_names=True, locked=True)

    def find(self, task: Task) -> Entry | None:
        """What is known of a finished task with the same identity and inputs; None if nothing is."""
        if task.output is None:
            return None
        note = self._note(task)
        if not note.is_file() or not task.output.is_dir():
            return None
        try:
            kept = read_json(note)
            task_then, output_then, value = kept["task"], kept["output"], kept["value"]
        except (OSError, ValueError, LookupError, TypeError):
            # A damaged note is none: the task runs again.
            return None
        same = task_then == self._fingerprint(task) and output_then == content_hash(task.output)
        return Entry(value) if same else None

    def add(self, task: Task, value: Any) -> None:
        """Note that a task is finished."""
        if task.output is not None:
            kept = {"task": self._fingerprint(task), "output": content_hash(task.output), "value": value}
            write_json(self._note(task), kept)

    def forget(self) -> None:
        """Remove everything, once it is recorded elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _note(self, task: Task) -> Path:
        assert task.output is not None
        return task.output.with_name(f"{task.output.name}.json")

    def _fingerprint(self, task: Task) -> str:
        inputs = {name: self._hashes.of(path) for name, path in task.inputs.items()}
        return json_hash([task.key, task.identity, inputs])
