"""A notebook is executed by the running Python, twice alike, and fails in one sentence."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

from presence_only.pipeline import notebook
from presence_only.pipeline.notebook_execution import NotebookError, execute_notebook, notebook_html, read_notebook

PICTURE = """\
from matplotlib.figure import Figure
from presence_only.reporting.notebook.display import picture
figure = Figure(figsize=(1, 1))
picture(figure, 'A "square" & more')"""


def write(path, *sources):
    path.parent.mkdir(exist_ok=True)
    cells = ["# %% [markdown]\n# # A <b>title</b> & more\n#\n# Text.", *(f"# %%\n{source}" for source in sources)]
    path.write_text("\n\n".join(cells) + "\n")
    return path


def test_a_script_is_read_as_cells_that_are_numbered_by_their_place(tmp_path):
    read = read_notebook(write(tmp_path / "a.py", "x = 1", "x"))
    assert [(cell.id, cell.cell_type, cell.source) for cell in read.cells] == [
        ("cell-1", "markdown", "# A <b>title</b> & more\n\nText."),
        ("cell-2", "code", "x = 1"),
        ("cell-3", "code", "x"),
    ]
    assert read.metadata.keys() == {"kernelspec", "language_info"}
    assert "version" not in read.metadata.language_info


def test_the_running_python_executes_in_the_folder_twice_alike(tmp_path):
    path = write(tmp_path / "a.py", "import sys, pathlib\nprint(sys.executable, pathlib.Path.cwd().name)", PICTURE)
    (tmp_path / "work").mkdir()
    before = path.read_bytes()
    first, second = (execute_notebook(path, tmp_path / "work", 60) for _ in range(2))
    assert first.cells[1].outputs[0].text == f"{sys.executable} work\n"
    assert first == second
    assert path.read_bytes() == before
    nbformat.validate(first)
    # Neither times of execution nor the version of Python.
    assert not [cell for cell in first.cells if cell.metadata]
    assert "version" not in first.metadata.language_info
    assert b"Software" not in first.cells[2].outputs[0].data["image/png"].encode()
    html = notebook_html(first, "a")
    assert html == notebook_html(second, "a")
    assert "<title>a</title>" in html
    assert 'alt="A &quot;square&quot; &amp; more"' in html
    # The page loads nothing from the network.
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//", html)
    assert "@import url" not in html
    assert 'src="data:image/png;base64,' in html


@pytest.mark.parametrize(
    ("source", "timeout", "sentence"),
    [
        ("x = 1\nraise ValueError('two\\n lines')", 60, r"a\.py, cell 4 \('x = 1'\): ValueError: two lines"),
        ("import time\ntime.sleep(60)", 1, r"a\.py, cell 4 \('import time'\): took longer than 1 s"),
        ("import os\nos._exit(3)", 60, r"a\.py, cell 4 \('import os'\): its Python ended while it ran"),
    ],
)
def test_a_cell_that_does_not_end_well_is_one_sentence(tmp_path, source, timeout, sentence):
    path = write(tmp_path / "a.py", "y = 1", "y", source, "z = 1")
    with pytest.raises(NotebookError, match=f"^{sentence}$"):
        execute_notebook(path, tmp_path, timeout)


@pytest.mark.parametrize("text", ["", "x = 1\n", '{"cells": []}'])
def test_what_is_no_notebook_is_refused(tmp_path, text):
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(NotebookError, match=r"^a\.py is no notebook: no line begins a cell with `# %%`$"):
        execute_notebook(tmp_path / "a.py", tmp_path, 60)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_positive(tmp_path, timeout):
    with pytest.raises(ValueError, match=r"^timeout = .*: must be greater than 0 seconds$"):
        execute_notebook(tmp_path / "a.py", tmp_path, timeout)


def test_the_stage_writes_the_notebook_with_its_outputs_and_the_page(tmp_path, monkeypatch):
    write(tmp_path / "notebooks/a.py", "6 * 7")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["notebook", "--notebook", "a"])
    notebook.main()
    product = Path("results/notebooks/a.ipynb")
    assert nbformat.reads(product.read_text(), as_version=4).cells[1].outputs[0].data["text/plain"] == "42"
    assert ">42" in product.with_suffix(".html").read_text()


def test_a_notebook_that_fails_leaves_the_old_products(tmp_path, monkeypatch, capsys):
    write(tmp_path / "notebooks/a.py", "1 / 0")
    products = [tmp_path / f"results/notebooks/a.{ending}" for ending in ("html", "ipynb")]
    products[0].parent.mkdir(parents=True)
    for product in products:
        product.write_text("old")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["notebook", "--notebook", "a"])
    with pytest.raises(SystemExit) as stopped:
        notebook.run_stage(notebook.main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: a.py, cell 2 ('1 / 0'): ZeroDivisionError: division by zero\n"
    assert sorted(products[0].parent.iterdir()) == products
    assert [product.read_text() for product in products] == ["old", "old"]


def test_a_notebook_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["notebook", "--notebook", "b"])
    with pytest.raises(SystemExit):
        notebook.run_stage(notebook.main)
    assert f"{Path('notebooks/b.py')} is missing" in capsys.readouterr().err
