"""A notebook from its source to one HTML page: executed by the running Python, readable offline."""

from __future__ import annotations

import os
import re
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mistune
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from presence_only.errors import UserError


class NotebookError(UserError):
    """A notebook cannot be executed; the message is one sentence that names it, the cell and the error."""


class _RunningPython(KernelSpecManager):  # type: ignore[misc, unused-ignore]
    """Knows one kernel: the Python that runs now, whatever kernels are installed under whatever name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def execute_notebook(path: Path, folder: Path, timeout: float) -> NotebookNode:
    """Run every cell of a notebook from top to bottom and return a copy with the outputs.

    Nothing of the time or the machine enters the copy: equal inputs give an equal copy.

    Args:
        path: The notebook.
        folder: Working folder of its code.
        timeout: Seconds that one cell may take, greater than 0.

    Raises:
        NotebookError: If the file is no notebook, a cell fails or takes too long, or its Python dies.
        FileNotFoundError: If there is no such file.
    """
    if not timeout > 0:
        raise ValueError(f"timeout = {timeout}: must be greater than 0 seconds")
    notebook = _read(path)
    last = {"index": 0}
    with TemporaryDirectory() as private:
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=_RunningPython(),
            connection_file=str(Path(private, "kernel.json")),
            # Sockets in a private folder: nobody else on the machine can read them.
            transport="ipc" if os.name == "posix" else "tcp",
        )
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=timeout,
            record_timing=False,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(folder)}},
            on_cell_execute=lambda cell, cell_index: last.update(index=cell_index),
        )
        try:
            # The user's own IPython profile could change what is shown.
            client.execute(env=os.environ | {"IPYTHONDIR": private}, cleanup_kc=True)
        except CellExecutionError as error:
            told = " ".join(str(error.evalue).split())
            raise _failure(path, notebook, last["index"], f"{error.ename}: {told}") from None
        except CellTimeoutError:
            raise _failure(path, notebook, last["index"], f"took longer than {timeout:g} s") from None
        except DeadKernelError:
            raise _failure(path, notebook, last["index"], "its Python ended while it ran") from None
    return notebook


def notebook_html(notebook: NotebookNode, title: str) -> str:
    """One HTML page with everything in it: no script, no file beside it, nothing from the network.

    Args:
        notebook: With its outputs.
        title: Of the page, where the notebook has no heading of the first level.
    """
    heading = re.search(r"^# (.+)$", notebook.cells[0].source if notebook.cells else "", flags=re.MULTILINE)
    template = files("presence_only").joinpath("templates/notebook.html.j2").read_text()
    exporter = HTMLExporter(  # type: ignore[no-untyped-call, unused-ignore]
        template_name="basic",
        raw_template=template,
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    # Names in the results come from data: no tag among them becomes one of the page's.
    markdown = mistune.create_markdown(escape=True, plugins=["table", "url"])
    exporter.register_filter("markdown2html", markdown)  # type: ignore[no-untyped-call, unused-ignore]
    resources: dict[str, Any] = {"metadata": {"name": heading[1] if heading else title}}
    html, _ = exporter.from_notebook_node(notebook, resources=resources)
    return str(html)


def _read(path: Path) -> NotebookNode:
    """The notebook as it is stored, without what an earlier execution left."""
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call, unused-ignore]
        nbformat.validate(notebook)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        told = str(error).strip().splitlines()[0]
        raise NotebookError(f"{path.name} is no notebook: {told}") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _failure(path: Path, notebook: NotebookNode, index: int, what: str) -> NotebookError:
    """The sentence for a cell that did not end well: its number from the top, and its first line."""
    line = notebook.cells[index].source.strip().splitlines()[0]
    return NotebookError(f"{path.name}, cell {index + 1} ({line!r}): {what}")
