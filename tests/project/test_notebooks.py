"""The notebooks themselves: their text, what they show over whole and over broken results, and their products."""

import ast
import base64
import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from ruamel.yaml import YAML
from support import tiny
from support.tiny_results import write_study

import presence_only
from presence_only.evaluation.metrics import METRICS
from presence_only.pipeline import notebook
from presence_only.pipeline.code import of_files
from presence_only.pipeline.fingerprint import Fingerprints
from presence_only.pipeline.notebook_execution import read_notebook
from presence_only.reporting.notebook.display import judgement
from presence_only.statistics.significance import is_significant, is_significant_across
from presence_only.statistics.world_intervals import FEWEST_WORLDS
from presence_only.study.results import StudyResults

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
EXPERIMENTS = ("lambda_m_margin", "nceas")
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
NUMBER = r"([+-]?\d?\.\d+)"
INTERVAL = re.compile(rf"{NUMBER} \({NUMBER} to {NUMBER}\)")
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def settings(path):
    return YAML(typ="safe").load(path)


def study_settings(folder):
    """Settings of a study over as few data sets as tables over all of them need, which saves time."""
    tree = settings(folder / "params.yaml")
    tree["study"]["datasets"] = tree["study"]["datasets"][:FEWEST_WORLDS]
    return tree


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The default study and the experiments, by their real settings, with made-up scores."""
    folder = tmp_path_factory.mktemp("whole")
    tree = study_settings(ROOT)
    tree["study"]["seeds"] = [0, 1]
    write_study(folder, tree, level={"focal_g2": 0.7, "an_l16": 0.6})
    for name in EXPERIMENTS:
        tree = study_settings(ROOT / "experiments" / name)
        write_study(folder / "experiments" / name, tree, committed=True)
    shutil.copy(ROOT / "experiments/nceas/published.csv", folder / "experiments/nceas")
    return folder


class Page:
    """What the cells of a notebook show, their code run in this process: a Python of its own takes seconds.

    Figures are made, and not turned into pixels, which takes seconds too: test_notebook_figures.py does.
    """

    def __init__(self, path, folder, monkeypatch):
        monkeypatch.setattr(Figure, "savefig", lambda self, buffer, **how: buffer.write(PIXEL))
        monkeypatch.chdir(folder)
        space, shown = {}, []
        for cell in read_notebook(path).cells:
            if cell.cell_type == "code":
                *before, last = ast.parse(cell.source).body
                exec(compile(ast.Module(before, []), path.name, "exec"), space)
                if isinstance(last, ast.Expr):
                    shown.append(eval(compile(ast.Expression(last.value), path.name, "eval"), space))
                else:
                    exec(compile(ast.Module([last], []), path.name, "exec"), space)
        self.tables = [item.data for item in shown if not hasattr(item, "_repr_png_")]
        self.images = [item for item in shown if hasattr(item, "_repr_png_")]
        self.missing = [text for text in self.tables if text.startswith("> **Not shown:**")]
        self.words = "\n\n".join(self.tables)


# Their text.


def test_the_four_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["01_asl", "02_lan_full", "03_lambda_m_margin", "04_nceas"]


@by_name
def test_a_cell_calls_one_function_in_at_most_ten_lines(path):
    first, *others = [cell.source for cell in read_notebook(path).cells if cell.cell_type == "code"]
    assert all(isinstance(node, (ast.ImportFrom, ast.Assign)) for node in ast.parse(first).body)
    for source in (first, *others):
        assert len(source.splitlines()) <= 10, source
    for source in others:
        (only,) = ast.parse(source).body
        assert isinstance(only, ast.Expr), source
        assert isinstance(only.value, ast.Call), source


@by_name
def test_text_stands_before_and_after_every_output(path):
    kinds = "".join(cell.cell_type[0] for cell in read_notebook(path).cells)
    # Figures and tables of one question may stand together; where sources are listed the table is the answer.
    assert re.fullmatch(r"mc(m+c{1,3})+m?", kinds), kinds
    assert kinds.endswith("m") or path.stem == "04_nceas"


@by_name
def test_the_first_cell_warns_that_no_loss_was_tuned_or_of_its_start(path):
    text = " ".join(read_notebook(path).cells[0].source.split())
    limit = (
        r"\(`start: zero`\).*`beta2: 0\.999`" if path.stem == "04_nceas" else "no loss was tuned.*`experiments/fair`"
    )
    assert re.search(rf"\*\*Before you choose a loss by this page:\*\*.*{limit}", text)


def paragraphs(path):
    """Typed paragraphs, each on one line."""
    for cell in read_notebook(path).cells:
        if cell.cell_type == "markdown":
            yield from (" ".join(part.split()) for part in cell.source.split("\n\n"))


def named_rows(paragraph, differences):
    """The rows of the tables that a paragraph names, of the variants, data sets and metric that it names."""
    names = re.findall(r"`([^`]+)`", paragraph)
    files = ("pairs.csv", "across_pairs.csv") if differences else ("comparison.csv", "across.csv")
    metric = next((name for name in METRICS if name in names), "auc_roc" if "AUC" in paragraph else "species_map")
    for path in dict.fromkeys(name for name in names if Path(name).name in files):
        table = pl.read_csv(ROOT / path).filter(pl.col("metric") == metric)
        if "scenario" in table.columns:
            table = table.filter(pl.col("scenario") == "all")
        elif table["dataset"].n_unique() > 1:
            table = table.filter(pl.col("dataset").is_in(names))
        for column in ("first", "second") if differences else ("variant",):
            table = table.filter(pl.col(column).is_in(names))
        yield from table.iter_rows(named=True)


def matching(paragraph, texts):
    """The rows that hold a number and its interval, told from either side where it is a difference."""
    differences = texts[0][0] in "+-"
    keys = ("difference", "low", "high") if differences else ("mean", "low", "high")
    told, digits = [float(text) for text in texts], len(texts[0].split(".")[1])
    for row in named_rows(paragraph, differences):
        values = [row[key] for key in keys]
        for own in [values, [-values[0], -values[2], -values[1]]] if differences else [values]:
            if (np.abs(np.subtract(own, told)) <= 0.501 * 10.0**-digits).all():
                yield row


@by_name
def test_every_typed_number_is_in_the_table_that_its_paragraph_names(path):
    found = 0
    for paragraph in paragraphs(path):
        for texts in INTERVAL.findall(paragraph):
            assert list(matching(paragraph, texts)), f"{texts} is in no table that is named here: {paragraph}"
            found += 1
        # No number stands without its interval; values of settings stand in code.
        rest = re.sub(r"`[^`]*`", "", INTERVAL.sub("", paragraph))
        assert not re.findall(r"\d?\.\d", rest), paragraph
    assert found


@by_name
def test_every_typed_difference_is_judged_as_the_rule_judges_it(path):
    for paragraph in paragraphs(path):
        for match in INTERVAL.finditer(paragraph):
            if match[1][0] not in "+-":
                continue
            word = re.match(r", (not significant|significant)\b(, practically equal)?", paragraph[match.end() :])
            assert word, f"{match[0]} needs `, significant` or `, not significant` after it: {paragraph}"
            for row in matching(paragraph, match.groups()):
                across = "practically_equal" in row
                rule = is_significant_across if across else is_significant
                assert rule(row) is (word[1] == "significant"), (match[0], paragraph)
                assert bool(word[2]) is (across and row["practically_equal"]), (match[0], paragraph)


@by_name
def test_typed_text_has_no_private_word_for_significance(path):
    text = " ".join(paragraphs(path))
    assert not re.findall(r"\b(wins|winner|beats|no difference|(?:not|is|are|be) shown to)\b", text)


# What they show.


@by_name
def test_a_notebook_shows_every_section_where_the_results_are_there(path, whole, monkeypatch):
    page = Page(path, whole, monkeypatch)
    assert not page.missing
    assert page.images
    assert all(image._repr_png_()[1]["alt"] for image in page.images)
    assert not re.search(r"\bnan\b|\bNone\b", page.words)


def test_a_table_says_of_a_pair_what_the_row_says(whole, monkeypatch):
    page = Page(NOTEBOOKS[0], whole, monkeypatch)
    study = StudyResults(whole)
    lines = re.findall(r"^\| `(\w+)` - `(\w+)` \| (\S+) .*\| (.+) \|$", page.words, flags=re.MULTILINE)
    assert len(lines) >= 5
    studies = (study, StudyResults(whole / "experiments/lambda_m_margin"))
    for first, second, *told in lines:
        own = [each.pair_across(first, second) for each in studies if {first, second} <= set(each.variants)]
        assert tuple(told) in [(f"{pair.difference:+.3f}", judgement(pair)) for pair in own]
    best = re.findall(r"^\| `(\w+)` \| (?:asl|bce|focal) .*\| (.*) \|$", page.words, flags=re.MULTILINE)
    assert best[0] == ("focal_g2", "")
    for name, judged in best[1:]:
        assert judged == judgement(study.pair_across(name, "focal_g2"))


def test_an_interaction_is_the_difference_of_two_steps(whole, monkeypatch):
    page = Page(NOTEBOOKS[2], whole, monkeypatch)
    study = StudyResults(whole / "experiments/lambda_m_margin", committed=True)
    value = dict(study.scores_across(study.variants).select("variant", "mean").rows())
    excess = value["asl_g4_m040"] - value["asl_g4_m000"] - value["asl_g2_m040"] + value["asl_g2_m000"]
    row, *_ = re.findall(r"^\| second minus first step \| (\S+) .* \| (.+) \|$", page.words, flags=re.MULTILINE)
    assert float(row[0]) == pytest.approx(excess, abs=0.0006)
    assert row[1] in ("significant", "not significant")


@by_name
def test_without_experiments_a_notebook_says_so_and_goes_on(path, tmp_path, monkeypatch):
    write_study(tmp_path, tiny.params())
    page = Page(path, tmp_path, monkeypatch)
    assert any("has no params.yaml" in text for text in page.missing)


@by_name
def test_without_any_result_a_notebook_says_so_and_goes_on(path, tmp_path, monkeypatch):
    YAML(typ="safe").dump(tiny.params(), tmp_path / "params.yaml")
    page = Page(path, tmp_path, monkeypatch)
    assert page.missing
    assert all(text.endswith(".") and "\n" not in text for text in page.missing)


# The third needs no more than these.
@pytest.mark.parametrize("path", NOTEBOOKS[:2], ids=lambda path: path.stem)
def test_with_committed_tables_alone_a_notebook_notes_what_it_leaves_out(path, tmp_path, monkeypatch):
    tree = study_settings(ROOT)
    tree["study"]["seeds"] = [0, 1]
    write_study(tmp_path, tree, committed=True)
    page = Page(path, tmp_path, monkeypatch)
    assert any("is not there; `make study` makes it" in text for text in page.missing)
    assert page.images


def test_a_variant_taken_out_of_the_study_is_not_shown(tmp_path, monkeypatch):
    tree = study_settings(ROOT)
    tree["study"] |= {"seeds": [0, 1], "variants": ["bce", "asl_g2_m005", "asl_g2_m020"]}
    write_study(tmp_path, tree)
    for path in NOTEBOOKS:
        tables = [text for text in Page(path, tmp_path, monkeypatch).tables if text.startswith("|")]
        assert not [text for text in tables if "focal_g2" in text or "asl_g4" in text]


def test_a_notebook_opened_in_its_own_folder_finds_the_study(tmp_path, monkeypatch):
    write_study(tmp_path, tiny.params())
    (tmp_path / "notebooks").mkdir()
    assert Page(NOTEBOOKS[0], tmp_path / "notebooks", monkeypatch).images
    assert Path(os.curdir).resolve() == (tmp_path / "notebooks").resolve()


def test_the_stage_makes_the_products_of_a_real_notebook(whole, monkeypatch):
    """The whole way, in a Python of its own."""
    shutil.copytree(ROOT / "notebooks", whole / "notebooks", dirs_exist_ok=True)
    monkeypatch.chdir(whole)
    monkeypatch.setattr("sys.argv", ["notebook", "--notebook", "04_nceas"])
    notebook.main()
    html = Path("results/notebooks/04_nceas.html").read_text()
    assert 'src="data:image/png;base64,' in html
    assert "Not shown" not in html
    assert str(whole) not in Path("results/notebooks/04_nceas.ipynb").read_text()


# Their products in git.


@by_name
def test_the_committed_product_is_of_this_source_and_knows_no_machine(path):
    product = ROOT / f"results/notebooks/{path.stem}.ipynb"
    text, source = product.read_text(), read_notebook(path)
    executed = nbformat.reads(text, as_version=4)
    nbformat.validate(executed)
    assert [(c.id, c.source) for c in executed.cells] == [(c.id, c.source) for c in source.cells]
    assert executed.metadata == source.metadata
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    # Not a warning among them, nor an error.
    assert {output.output_type for output in outputs} == {"execute_result"}
    assert len(outputs) == sum(cell.cell_type == "code" for cell in executed.cells) - 1
    assert any("image/png" in output.data for output in outputs)
    assert not re.findall(r"/home/|/root/|/Users/|/tmp/|site-packages", text)
    assert not [cell for cell in json.loads(text)["cells"] if cell["metadata"]]
    for output in outputs:
        assert b"Software" not in base64.b64decode(output.data.get("image/png", ""))


# Their place in the pipeline.


def stage():
    """The stage that executes them."""
    return settings(ROOT / "notebooks/dvc.yaml")["stages"]["notebooks"]


def test_the_pipeline_makes_every_notebook():
    assert stage()["matrix"]["notebook"] == [path.stem for path in NOTEBOOKS]
    assert "notebooks/${item.notebook}.py" in stage()["deps"]
    assert {"results/notebooks/${item.notebook}.ipynb": {"cache": False}} in stage()["outs"]


def test_the_pipeline_looks_at_the_code_of_every_notebook():
    """Of the functions that a notebook calls, an edit runs it again; what it imports is found in its text."""
    command = settings(ROOT / "notebooks/dvc.yaml")["stages"]["code"]["cmd"]
    assert re.findall(r"notebooks/(\w+)\.py", command) == [path.stem for path in NOTEBOOKS]
    prints = Fingerprints(Path(presence_only.__file__).parent)
    for path in NOTEBOOKS:
        reached = prints.reached(prints.add_script(path))
        assert ("presence_only.study.results", "StudyResults") in reached
        assert ("presence_only.statistics.significance", "judged") in reached


def test_the_pipeline_runs_the_notebooks_again_when_an_experiment_changes(monkeypatch):
    used = {name for path in NOTEBOOKS for name in re.findall(r"beside\([^\"]*\"(\w+)\"\)", path.read_text())}
    assert used == set(EXPERIMENTS)
    command = settings(ROOT / "notebooks/dvc.yaml")["stages"]["code"]["cmd"]
    monkeypatch.chdir(ROOT)
    hashed = of_files(command.split("--files ")[1].split())["files"]
    for name in used:
        tables = [f"results/{table}.csv" for table in ("across", "across_pairs", "comparison", "pairs")]
        for file in ("params.yaml", *tables):
            assert len(hashed[f"experiments/{name}/{file}"]) == 16
    assert "files" in next(
        entries["notebooks/code.yaml"] for entries in stage()["params"] if "notebooks/code.yaml" in entries
    )
    # With a table itself as a dependency DVC would run the study that made it.
    assert not [dep for dep in stage()["deps"] if dep.startswith("experiments")]
