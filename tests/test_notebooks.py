"""The notebooks themselves: as committed, over whole and over broken results, and as pages."""

import base64
import copy
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import tiny
from matplotlib.figure import Figure
from nbformat.v4 import new_output
from presence_only.notebook.runner import notebook_html
from ruamel.yaml import YAML
from test_architecture import closure
from tiny_results import write_study

from presence_only.notebook import display as notebook_display
from presence_only.stages import notebook

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXPERIMENTS = ("asl_in_lan_full", "asl_margin", "lan_full", "nceas", "records_per_species")
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def settings(path):
    return YAML(typ="safe").load(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The default study and the experiments, by their real settings, with made-up scores."""
    folder = tmp_path_factory.mktemp("whole")
    tree = settings(ROOT / "params.yaml")
    tree["study"]["seeds"] = [0, 1]
    write_study(folder, tree, level={"focal_g2": 0.7, "an_l16": 0.6})
    for name in EXPERIMENTS:
        tree = settings(ROOT / f"experiments/{name}/params.yaml")
        write_study(folder / "experiments" / name, tree, committed=True)
    shutil.copy(ROOT / "experiments/nceas/published.csv", folder / "experiments/nceas")
    return folder


@pytest.fixture(scope="module")
def pages(whole):
    """Every notebook over whole results, by name."""
    with pytest.MonkeyPatch.context() as patch:
        return {path.stem: Page(path, whole, patch) for path in NOTEBOOKS}


class Page:
    """What a notebook puts on the page, its code run in this process: a Python of its own takes seconds.

    Figures are made, and not turned into pixels, which takes seconds too; tests/test_notebook_figures.py does.
    """

    def __init__(self, path, folder, monkeypatch):
        self.notebook = nbformat.read(path, as_version=4)
        shown = []
        monkeypatch.setattr(notebook_display, "display", shown.append)
        monkeypatch.setattr(Figure, "savefig", lambda self, buffer, **how: buffer.write(PIXEL))
        monkeypatch.chdir(folder)
        space = {}
        for cell in self.notebook.cells:
            if cell.cell_type != "code":
                continue
            shown.clear()
            exec(compile(cell.source, path.name, "exec"), space)
            cell.outputs = [self.output(item) for item in shown]
        outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", [])]
        self.words = "\n\n".join(o.data["text/markdown"] for o in outputs if "text/markdown" in o.data)
        self.images = [o for o in outputs if "image/png" in o.data]
        self.missing = re.findall(r"\*\*Not shown:\*\* (.*)", self.words)

    @staticmethod
    def output(item):
        if hasattr(item, "_repr_png_"):
            data, metadata = item._repr_png_()
            return new_output("display_data", {"image/png": data}, metadata={"image/png": metadata})
        return new_output("display_data", {"text/markdown": item.data})


def test_the_four_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["01_asl", "02_lan_full", "03_lambda_m_margin", "04_nceas"]


@by_name
def test_a_notebook_is_committed_without_outputs(path):
    read = nbformat.read(path, as_version=4)
    nbformat.validate(read)
    code = [cell for cell in read.cells if cell.cell_type == "code"]
    assert code
    assert not [cell for cell in code if cell.outputs or cell.execution_count is not None]
    assert {key for cell in read.cells for key in cell.metadata} == set()
    assert read.metadata.keys() == {"kernelspec", "language_info"}


@by_name
def test_what_a_notebook_says_of_results_is_computed(path):
    """Typed text holds no result: no decimal number, and no verdict on a variant."""
    read = nbformat.read(path, as_version=4)
    typed = "\n".join(cell.source for cell in read.cells if cell.cell_type == "markdown")
    assert not re.findall(r"\d\.\d", typed)
    assert not re.findall(r"\b(wins|winner|beats|worse|no difference)\b", typed)


@by_name
def test_a_notebook_shows_every_section_where_the_results_are_there(path, pages):
    page = pages[path.stem]
    # One thing no study varies: spatial, beside variants that share everything else.
    assert len(page.missing) <= 1, page.missing
    assert page.images
    assert all(image.metadata["image/png"]["alt"] for image in page.images)
    assert not re.search(r"\bnan\b|\bNone\b", page.words)


@by_name
def test_a_page_needs_nothing_from_outside(path, pages):
    html = notebook_html(pages[path.stem].notebook, path.stem)
    assert "<script" not in html
    assert "<link" not in html
    assert "@import" not in html
    assert "url(" not in html
    sources = re.findall(r"\bsrc\s*=\s*[\"']?([^\"'>\s]*)", html)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert len(re.findall(r"<img[^>]*\balt=\"[^\"]+\"", html)) == len(sources)
    assert f"<title>{pages[path.stem].notebook.cells[0].source.splitlines()[0][2:]}</title>" in html


def test_the_stage_makes_the_page_of_a_real_notebook(whole, monkeypatch):
    """The whole way, in a Python of its own."""
    shutil.copytree(ROOT / "notebooks", whole / "notebooks", dirs_exist_ok=True)
    monkeypatch.chdir(whole)
    monkeypatch.setattr("sys.argv", ["notebook", "--notebook", "04_nceas"])
    notebook.main()
    html = Path("results/notebooks/04_nceas.html").read_text()
    assert "has the highest AUC-ROC" in html
    assert 'src="data:image/png;base64,' in html
    assert "Not shown" not in html


@by_name
def test_without_experiments_a_notebook_says_so_and_goes_on(path, tmp_path, monkeypatch):
    write_study(tmp_path, tiny.params())
    page = Page(path, tmp_path, monkeypatch)
    assert page.missing
    assert re.search(r"experiments/\w+ has no results here; `make experiment NAME=\w+` makes them", page.words)


@by_name
def test_without_any_result_a_notebook_says_so_and_goes_on(path, tmp_path, monkeypatch):
    YAML(typ="safe").dump(tiny.params(), tmp_path / "params.yaml")
    page = Page(path, tmp_path, monkeypatch)
    assert page.missing
    assert all(sentence.endswith(".") for sentence in page.missing)


@by_name
def test_without_tables_curves_and_runs_a_notebook_goes_on(path, tmp_path, monkeypatch):
    tree = settings(ROOT / "params.yaml")
    tree["study"]["seeds"] = [0, 1]
    write_study(tmp_path, tree, committed=True)
    assert Page(path, tmp_path, monkeypatch).missing


def test_the_words_follow_the_numbers(whole, tmp_path, monkeypatch):
    asl = next(path for path in NOTEBOOKS if path.stem == "01_asl")
    words = Page(asl, whole, monkeypatch).words
    assert "`focal_g2` has the highest mAP, 0.7" in words
    assert "no difference in mAP is shown between" in words
    tree = copy.deepcopy(settings(whole / "params.yaml"))
    write_study(tmp_path, tree, level={"asl_g2_m005": 0.8})
    words = Page(asl, tmp_path, monkeypatch).words
    assert "`asl_g2_m005` has the highest mAP, 0.8" in words
    assert "`asl_g2_m005` is 0.3" in words
    assert "above `bce` in mAP" in words
    assert "`focal_g2` has the highest mAP" not in words


def test_a_variant_taken_out_of_the_study_is_not_named(tmp_path, monkeypatch):
    tree = settings(ROOT / "params.yaml")
    tree["study"] |= {"seeds": [0, 1], "variants": ["bce", "asl_g2_m000", "asl_g2_m020"]}
    write_study(tmp_path, tree)
    for path in NOTEBOOKS:
        page = Page(path, tmp_path, monkeypatch)
        assert "focal_g2" not in page.words
        assert "asl_g4" not in page.words


def test_a_notebook_opened_in_its_own_folder_finds_the_study(tmp_path, monkeypatch):
    write_study(tmp_path, tiny.params())
    (tmp_path / "notebooks").mkdir()
    page = Page(NOTEBOOKS[0], tmp_path / "notebooks", monkeypatch)
    assert "Study `tiny`" in page.words
    assert Path(os.curdir).resolve() == (tmp_path / "notebooks").resolve()


def stage():
    """The notebooks' stage of the pipeline."""
    return settings(ROOT / "dvc.yaml")["stages"]["notebooks"]


def test_the_pipeline_makes_every_notebook():
    assert stage()["matrix"]["notebook"] == [path.stem for path in NOTEBOOKS]
    assert "notebooks/${item.notebook}.ipynb" in stage()["deps"]


def test_the_pipeline_knows_what_the_notebooks_import():
    needed = set()
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                needed |= set(re.findall(r"^from (presence_only\.\w+) import", cell.source, flags=re.MULTILINE))
    for module in sorted(needed):
        for name in closure(module, stop={"presence_only.params"}) - {"presence_only"}:
            file = Path("src", *name.split("."))
            file = file / "__init__.py" if (ROOT / file).is_dir() else file.with_suffix(".py")
            assert any(dep == str(file) or str(file).startswith(f"{dep}/") for dep in stage()["deps"]), name


def test_the_pipeline_runs_the_notebooks_again_when_an_experiment_changes():
    used = set()
    for path in NOTEBOOKS:
        text = path.read_text()
        for names in re.findall(r"beside\(study, ([^)]*)\)", text):
            used |= set(re.findall(r"\w+", names.replace("\\", "")))
    assert used == set(EXPERIMENTS)
    # A study that is planned has no results to depend on yet.
    run = [name for name in used if (ROOT / "experiments" / name / "results/comparison.csv").exists()]
    assert run
    for name in run:
        for file in ("params.yaml", "results/comparison.csv"):
            assert f"experiments/{name}/{file}" in stage()["deps"]
