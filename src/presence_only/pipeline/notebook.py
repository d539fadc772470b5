"""Execute one notebook over the results at hand, and keep it with its outputs and as a page."""

from __future__ import annotations

from pathlib import Path

import nbformat

from presence_only.common.atomic_files import write_whole
from presence_only.pipeline.command import parse_arguments, run_stage
from presence_only.pipeline.notebook_execution import execute_notebook, notebook_html

SOURCES = Path("notebooks")
PRODUCTS = Path("results/notebooks")
# A notebook reads tables and draws; one that computes for a minute does something else.
SECONDS_PER_CELL = 120.0


def main() -> None:
    """Run ``notebooks/<name>.py`` in the study's folder; write ``results/notebooks/<name>.ipynb`` and ``.html``."""
    name = parse_arguments(__doc__, "notebook").notebook
    notebook = execute_notebook(SOURCES / f"{name}.py", Path.cwd(), SECONDS_PER_CELL)
    page = notebook_html(notebook, name)
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call, unused-ignore]
    with write_whole(PRODUCTS / f"{name}.ipynb") as executed, write_whole(PRODUCTS / f"{name}.html") as html:
        executed.write_text(f"{text}\n")
        html.write_text(page)


if __name__ == "__main__":
    run_stage(main)
