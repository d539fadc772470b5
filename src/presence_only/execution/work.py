"""What every worker does with a task, wherever it runs."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import write_folder
from presence_only.common.errors import ExecutionError, UserError
from presence_only.common.system_errors import system_error
from presence_only.execution.task import Report, Work


def run_work(work: Work, inputs: Mapping[str, Path], output: Path | None, report: Report) -> Any:
    """Run a task's function; its output folder is written whole or not at all."""
    if output is None:
        return work(inputs, Path(), report)
    with write_folder(output) as folder:
        return work(inputs, folder, report)


def sendable(error: BaseException) -> BaseException:
    """The exception, or one that says the same, in a form that reaches another process."""
    # An error of the system, such as a missing file, is told by whoever runs the command.
    if isinstance(error, UserError) or (isinstance(error, OSError) and system_error(error)):
        try:
            if str(pickle.loads(pickle.dumps(error))) == str(error):
                return error
        except Exception:
            return ExecutionError(str(error))
    # A traceback does not travel with its exception, and a mistake of the code is no use without it.
    return RuntimeError("".join(traceback.format_exception(error)))
