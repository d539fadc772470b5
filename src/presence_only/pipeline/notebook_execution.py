"""A notebook from its plain text to one that holds its outputs, executed by the running Python."""

from __future__ import annotations

import os
import re
import sys
from html import escape
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from presence_only.common.errors import UserError
from presence_only.common.temporary_names import scratch_folder

# Of any machine that has the package: no version, no path.
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


# What nbconvert says of an image.
_NO_WORDS = "No description has been provided for this image"


class NotebookError(UserError):
    """A notebook cannot be executed; the message is one sentence that names it, the cell and the error."""


class _RunningPython(KernelSpecManager):  # type: ignore[misc, unused-ignore]
    """Knows one kernel: the Python that runs now, whatever kernels are installed under whatever name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def read_notebook(path: Path) -> NotebookNode:
    """A notebook from a script in jupytext's percent format, without outputs.

    Cells are numbered by their place, so that equal text gives equal bytes.

    Args:
        path: Of the script.

    Raises:
        NotebookError: If the file has no cell marks.
        FileNotFoundError: If there is no such file.
    """
    text = path.read_text()
    if not any(line.startswith("# %%") for line in text.splitlines()):
        raise NotebookError(f"{path.name} is no notebook: no line begins a cell with `# %%`")
    notebook: NotebookNode = jupytext.reads(text, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(_METADATA)  # type: ignore[no-untyped-call, unused-ignore]
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for i, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{i + 1}", nbformat.from_dict({})  # type: ignore[no-untyped-call, unused-ignore]
    nbformat.validate(notebook)
    return notebook


def execute_notebook(path: Path, folder: Path, timeout: float) -> NotebookNode:
    """Run every cell of a notebook from top to bottom and return it with the outputs.

    Nothing of the time or the machine enters it: equal inputs give an equal notebook.

    Args:
        path: Of the script, as :func:`read_notebook` takes it.
        folder: Working folder of its code.
        timeout: Seconds that one cell may take, greater than 0.

    Raises:
        NotebookError: If the file is no notebook, a cell fails or takes too long, or its Python dies.
        FileNotFoundError: If there is no such file.
    """
    if not timeout > 0:
        raise ValueError(f"timeout = {timeout}: must be greater than 0 seconds")
    notebook = read_notebook(path)
    last = {"index": 0}
    # A short name: the paths of sockets have about 100 characters at most.
    with scratch_folder("nb") as private:
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=_RunningPython(),
            connection_file=str(private / "kernel.json"),
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
            client.execute(env=os.environ | {"IPYTHONDIR": str(private)}, cleanup_kc=True)
        except CellExecutionError as error:
            told = " ".join(str(error.evalue).split())
            raise _failure(path, notebook, last["index"], f"{error.ename}: {told}") from None
        except CellTimeoutError:
            raise _failure(path, notebook, last["index"], f"took longer than {timeout:g} s") from None
        except DeadKernelError:
            raise _failure(path, notebook, last["index"], "its Python ended while it ran") from None
    # The kernel tells its version, which differs between machines.
    notebook.metadata = nbformat.from_dict(_METADATA)  # type: ignore[no-untyped-call, unused-ignore]
    return notebook


def notebook_html(notebook: NotebookNode, title: str) -> str:
    """The page that nbconvert makes of an executed notebook, without anything from the network.

    Args:
        notebook: With its outputs.
        title: Of the page.
    """
    exporter = HTMLExporter(  # type: ignore[no-untyped-call, unused-ignore]
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        mathjax_url="",
        require_js_url="",
        jquery_url="",
        mermaid_js_url="",
    )
    html, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    # nbconvert writes the same words for every image; these come from the notebook.
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    words = iter([image.metadata.get("image/png", {}).get("alt", _NO_WORDS) for image in images])
    return re.sub(f'alt="{_NO_WORDS}"', lambda _: f'alt="{escape(next(words))}"', str(html))


def notebook_text(notebook: NotebookNode) -> str:
    """What a file ``.ipynb`` holds."""
    return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call, unused-ignore]


def _failure(path: Path, notebook: NotebookNode, index: int, what: str) -> NotebookError:
    """The sentence for a cell that did not end well: its number from the top, and its first line."""
    line = notebook.cells[index].source.strip().splitlines()[0]
    return NotebookError(f"{path.name}, cell {index + 1} ({line!r}): {what}")
