"""Execute one notebook over the results at hand, and keep it with its outputs and as a page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from presence_only.pipeline.command import importing, parse_arguments, run_stage

SOURCES = Path("notebooks")
PRODUCTS = Path("results/notebooks")
# A notebook reads tables and draws; one that computes for a minute does something else.
SECONDS_PER_CELL = 120.0


def main() -> None:
    """Run ``notebooks/<name>.py`` in the study's folder; write ``results/notebooks/<name>.ipynb`` and ``.html``."""
    name = parse_arguments(__doc__, "notebook").notebook
    # jsonschema builds a grammar of web addresses where it finds this package, which takes as long as all else here; no
    # field of a notebook is checked by it.
    with importing(), _without("rfc3987_syntax"):
        from presence_only.common.atomic_files import write_text
        from presence_only.pipeline.notebook_execution import execute_notebook, notebook_html, notebook_text

    notebook = execute_notebook(SOURCES / f"{name}.py", Path.cwd(), SECONDS_PER_CELL)
    page = notebook_html(notebook, name)
    write_text(PRODUCTS / f"{name}.ipynb", notebook_text(notebook))
    write_text(PRODUCTS / f"{name}.html", page)


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Make imports of a module fail while the block runs, as if it were not installed."""
    before = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not None:
            sys.modules[module] = before


if __name__ == "__main__":
    run_stage(main)
