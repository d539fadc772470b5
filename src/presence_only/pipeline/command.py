"""What every command of the pipeline shares: its arguments, and errors as one sentence.

A command reads its arguments before it imports what it works with. So ``--help`` and a misspelt argument are answered
at once, and :func:`run_stage` can say which extra of the package is missing.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from presence_only.common.errors import UserError
from presence_only.common.shown_names import in_a_line, write_any_text
from presence_only.common.system_errors import system_error
from presence_only.execution.parent_process import end_with_parent

# Modules that the extra `study` brings, by their names in import statements.
STUDY_MODULES = frozenset(
    (
        "IPython",
        "dvc",
        "filelock",
        "h3",
        "jinja2",
        "jupyter_client",
        "jupytext",
        "markupsafe",
        "matplotlib",
        "mlflow",
        "nbclient",
        "nbconvert",
        "nbformat",
        "optuna",
        "polars",
        "pyproj",
        "pyreadr",
        "rich",
        "ruamel",
        "scipy",
        "sklearn",
    )
)


def parse_arguments(description: str | None, *names: str) -> argparse.Namespace:
    """Read ``--dataset`` and ``--variant``, whichever of them ``names`` asks for."""
    parser = argparse.ArgumentParser(description=description)
    for name in names:
        parser.add_argument(f"--{name}", required=True, help=f"name of a {name} of the study")
    return parser.parse_args()


@contextmanager
def importing() -> Iterator[None]:
    """Import, within the block, what a command works with, and spare the collector of garbage the search in it.

    What is imported stays until the process ends. Searching it takes a tenth of the time of importing torch while it
    is imported, and a quarter when the process ends.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Once: whatever garbage there is at this time is never collected.
        if not gc.get_freeze_count():
            gc.freeze()
        if enabled:
            gc.enable()


def run_stage(main: Callable[[], None], description: str | None = None) -> None:
    """Run ``main``; a mistake of the user's, or an error of the system such as a full disk, ends with one sentence.

    The exit code is 1 then. A mistake of the code keeps its traceback.

    Args:
        main: The command; it reads its own arguments.
        description: Of a command without arguments: what ``--help`` says of it.
    """
    write_any_text()
    if description is not None:
        argparse.ArgumentParser(description=description).parse_args()
    # DVC sets it for what it runs. A stage of a killed `dvc repro` would write into the outputs of the next one.
    if "DVC_STAGE" in os.environ:
        end_with_parent()
    try:
        main()
        # What cannot be printed, as to a full disk, is told like any other error.
        sys.stdout.flush()
    except UserError as error:
        _fail(str(error))
    except FileNotFoundError as error:
        if "temporary directory" in str(error):
            _fail("no folder for temporary files can be written; free some space, or name a folder in TMPDIR")
        # polars gives no file name, but tells it in the text.
        what = f"{error.filename} is missing" if error.filename else str(error)
        _fail(f"{what}; run `dvc repro`, which makes what is absent")
    except BrokenPipeError:
        # Whoever reads the output has seen enough, as `head` has. What is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        sentence = system_error(error)
        if not sentence:
            raise
        _fail(sentence)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in STUDY_MODULES:
            raise
        _fail("this command needs the extra 'study': pip install 'presence-only[study]'")
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on with this stage", file=sys.stderr)
        sys.exit(130)


def _fail(sentence: str) -> NoReturn:
    """Say one sentence and end with exit code 1."""
    print(f"error: {in_a_line(sentence)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        # Python would try once more at the end, and say in several lines that it cannot.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
