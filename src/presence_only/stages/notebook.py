"""Execute one notebook over the results at hand and write it as a page."""

from __future__ import annotations

from pathlib import Path

from presence_only.files import write_whole
from presence_only.notebook.runner import execute_notebook, notebook_html
from presence_only.stages._cell import parse_arguments, run_stage

NOTEBOOKS = Path("notebooks")
PAGES = Path("results/notebooks")
# A notebook reads tables and draws; one that computes for a minute does something else.
SECONDS_PER_CELL = 120.0


def main() -> None:
    """Run ``notebooks/<name>.ipynb`` in the study's folder; write ``results/notebooks/<name>.html``."""
    name = parse_arguments(__doc__, "notebook").notebook
    notebook = execute_notebook(NOTEBOOKS / f"{name}.ipynb", Path.cwd(), SECONDS_PER_CELL)
    with write_whole(PAGES / f"{name}.html") as temporary:
        temporary.write_text(notebook_html(notebook, name))


if __name__ == "__main__":
    run_stage(main)
