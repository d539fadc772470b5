import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from presence_only.notebook.runner import NotebookError, execute_notebook, notebook_html
from presence_only.stages import notebook


def write(path, *sources):
    path.parent.mkdir(exist_ok=True)
    cells = [new_markdown_cell("# A <b>title</b> & more\n\nText.", id="text")]
    cells += [new_code_cell(source, id=f"code-{i}") for i, source in enumerate(sources)]
    # A kernel of this name is installed nowhere: the running Python executes the notebook all the same.
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": {"name": "elsewhere", "display_name": "?"}}), path)
    return path


def test_the_running_python_executes_a_copy_in_the_folder_twice_alike(tmp_path):
    path = write(
        tmp_path / "a.ipynb",
        "import sys, pathlib\nprint(sys.executable, pathlib.Path.cwd())",
        "from IPython.display import Markdown, display\ndisplay(Markdown('| a |\\n| --- |\\n| <script>1</script> |'))",
    )
    (tmp_path / "work").mkdir()
    before = path.read_bytes()
    first, second = (execute_notebook(path, tmp_path / "work", 60) for _ in range(2))
    assert first.cells[1].outputs[0].text == f"{sys.executable} {tmp_path / 'work'}\n"
    assert first == second
    assert path.read_bytes() == before
    html = notebook_html(first, "a")
    assert html == notebook_html(second, "a")
    assert "<title>A &lt;b&gt;title&lt;/b&gt; &amp; more</title>" in html
    assert "<th>a</th>" in html
    assert "&lt;script&gt;1" in html
    assert "<script" not in html
    assert not re.search(r"\b(src|href)\s*=", html)


@pytest.mark.parametrize(
    ("source", "timeout", "sentence"),
    [
        ("x = 1\nraise ValueError('two\\n lines')", 60, r"a\.ipynb, cell 4 \('x = 1'\): ValueError: two lines"),
        ("import time\ntime.sleep(60)", 1, r"a\.ipynb, cell 4 \('import time'\): took longer than 1 s"),
        ("import os\nos._exit(3)", 60, r"a\.ipynb, cell 4 \('import os'\): its Python ended while it ran"),
    ],
)
def test_a_cell_that_does_not_end_well_is_one_sentence(tmp_path, source, timeout, sentence):
    path = write(tmp_path / "a.ipynb", "y = 1", "", source, "z = 1")
    with pytest.raises(NotebookError, match=f"^{sentence}$"):
        execute_notebook(path, tmp_path, timeout)


@pytest.mark.parametrize("text", ["no json", "{}", '{"cells": [{"cell_type": "no"}], "metadata": {}, "nbformat": 4}'])
def test_what_is_no_notebook_is_refused(tmp_path, text):
    (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(NotebookError, match=r"^a\.ipynb is no notebook: [^\n]+$"):
        execute_notebook(tmp_path / "a.ipynb", tmp_path, 60)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_positive(tmp_path, timeout):
    with pytest.raises(ValueError, match=r"^timeout = .*: must be greater than 0 seconds$"):
        execute_notebook(tmp_path / "a.ipynb", tmp_path, timeout)


def test_a_notebook_that_fails_leaves_the_old_page(tmp_path, monkeypatch, capsys):
    write(tmp_path / "notebooks/a.ipynb", "1 / 0")
    page = tmp_path / "results/notebooks/a.html"
    page.parent.mkdir(parents=True)
    page.write_text("old")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["notebook", "--notebook", "a"])
    with pytest.raises(SystemExit) as stopped:
        notebook.run_stage(notebook.main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: a.ipynb, cell 2 ('1 / 0'): ZeroDivisionError: division by zero\n"
    assert [file.name for file in page.parent.iterdir()] == ["a.html"]
    assert page.read_text() == "old"


def test_a_notebook_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["notebook", "--notebook", "b"])
    with pytest.raises(SystemExit):
        notebook.run_stage(notebook.main)
    assert f"{Path('notebooks/b.ipynb')} is missing" in capsys.readouterr().err
