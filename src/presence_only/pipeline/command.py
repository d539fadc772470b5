"""What every stage shares: its arguments, and errors as one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from presence_only.common.errors import UserError


def parse_arguments(description: str | None, *names: str) -> argparse.Namespace:
    """Read ``--dataset`` and ``--variant``, whichever of them ``names`` asks for."""
    parser = argparse.ArgumentParser(description=description)
    for name in names:
        parser.add_argument(f"--{name}", required=True, help=f"name of a {name} of the study")
    return parser.parse_args()


def run_stage(main: Callable[[], None]) -> None:
    """Run ``main``; a mistake of the user's ends with one sentence and exit code 1, not with a traceback."""
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
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on with this stage", file=sys.stderr)
        sys.exit(130)
