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

from presence_only.common.errors import UserError
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
    """Run ``main``; a mistake of the user's ends with one sentence and exit code 1, not with a traceback.

    Args:
        main: The command; it reads its own arguments.
        description: Of a command without arguments: what ``--help`` says of it.
    """
    if description is not None:
        argparse.ArgumentParser(description=description).parse_args()
    # DVC sets it for what it runs. A stage of a killed `dvc repro` would write into the outputs of the next one.
    if "DVC_STAGE" in os.environ:
        end_with_parent()
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except FileNotFoundError as error:
        # polars gives no file name, but tells it in the text.
        what = f"{error.filename} is missing" if error.filename else str(error)
        print(f"error: {what}; run `dvc repro`, which makes what is absent", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in STUDY_MODULES:
            raise
        sentence = "this command needs the extra 'study': pip install 'presence-only[study]'"
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on with this stage", file=sys.stderr)
        sys.exit(130)
