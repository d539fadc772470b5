"""Who imports whom, and whether DVC knows it."""

import ast
import re
import runpy
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PACKAGE = "presence_only"


@cache
def imports(module):
    """Modules of the package that a module names at its top level."""
    path = SOURCE.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {name for name in names if name.startswith(PACKAGE + ".") and is_module(name)}
    return frozenset(found)


def is_module(name):
    path = SOURCE.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def closure(module, stop=()):
    """Every module that importing ``module`` loads, not looking behind the modules of ``stop``."""
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in stop:
            todo += imports(name)
    return seen


MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in (SOURCE / PACKAGE).rglob("*.py")
)
PIPELINES = [ROOT / "dvc.yaml", *sorted(ROOT.glob("experiments/*/dvc.yaml"))]


def stages():
    for path in PIPELINES:
        for name, stage in YAML(typ="safe").load(path)["stages"].items():
            if "presence_only.stages." in stage["cmd"]:
                yield pytest.param(path.parent, stage, id=f"{path.parent.name}-{name}")


@pytest.mark.parametrize(("folder", "stage"), list(stages()))
def test_a_stage_depends_on_every_module_that_it_imports(folder, stage):
    module = stage["cmd"].split("python -m ")[1].split()[0]
    # params.py checks every setting, and so knows every loss; a stage computes with what it is handed.
    needed = closure(module, stop={f"{PACKAGE}.params"}) - {PACKAGE}
    listed = [(folder / dep).resolve() for dep in stage["deps"]]
    missing = []
    for name in sorted(needed):
        path = SOURCE.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not any(file == dep or dep in file.parents for dep in listed):
            missing.append(str(file.relative_to(ROOT)))
    assert not missing


@pytest.mark.parametrize(("folder", "stage"), list(stages()))
def test_a_stage_depends_on_files_that_exist(folder, stage):
    for dep in stage["deps"]:
        if "src/" in dep:
            assert (folder / dep).exists(), dep


@pytest.mark.parametrize("path", PIPELINES, ids=str)
def test_training_never_depends_on_a_survey(path):
    text = YAML(typ="safe").load(path)["stages"]
    assert not [dep for dep in text["train"]["deps"] if "survey" in dep]
    assert [dep for dep in text["evaluate"]["deps"] if "survey" in dep]


LEAVES = {
    "truth": set(),
    "nouns": {"files", "truth"},
    "datasets": {"background", "datasets", "evaluations", "files", "nouns", "settings", "truth"},
    "background": {"datasets", "nouns", "settings"},
    "expansions": {"nouns"},
    "features": {"expansions", "nouns"},
    "scores": {"features", "files", "nouns"},
    "encoder": {"features", "files", "nouns", "params", "scores"},
    "losses": {"losses", "settings"},
    "probe": {"encoder"},
    "optimizers": set(),
    "heads": {"encoder", "losses", "optimizers", "params", "seeds"},
    "training": {"encoder", "features", "heads", "losses", "nouns", "optimizers", "params", "probe", "seeds"},
    "metrics": set(),
    "evaluations": {"encoder", "files", "metrics", "nouns", "scores", "truth"},
    "diagnostics": {"losses", "metrics", "nouns", "truth"},
    "comparison": {"metrics"},
    "statistics": set(),
    "results": {"comparison", "files", "layout", "metrics", "params", "statistics"},
    "figures": {"diagnostics", "files", "losses", "metrics", "nouns", "statistics"},
    "report": {"diagnostics", "figures", "losses", "metrics", "results", "statistics"},
    "notebook": {"diagnostics", "figures", "losses", "metrics", "results", "statistics"},
    "baselines": {"metrics", "nouns", "seeds"},
    "methods": {"baselines", "metrics", "results", "statistics"},
    "tracking": set(),
}


def part(module):
    return module.split(".")[1]


@pytest.mark.parametrize("module", [m for m in MODULES if m != PACKAGE and part(m) in LEAVES])
def test_data_flows_one_way(module):
    assert {part(name) for name in imports(module)} - {"errors"} <= LEAVES[part(module)] | {part(module)}


# predict is a command too, and tells mistakes as the stages do.
@pytest.mark.parametrize(
    "module", [m for m in MODULES if ".stages" not in m and m not in (PACKAGE, f"{PACKAGE}.predict")]
)
def test_nobody_imports_a_stage(module):
    assert not [name for name in imports(module) if ".stages" in name]


def test_one_module_reads_the_results_of_a_study():
    """The files of a study's results are named by whoever writes, mirrors or hashes them, and read by results.py."""
    tables, files = {}, r"read_(?:csv|parquet|json)\(\s*(?:self\._there\()?(?:COMPARISON|PAIRS|cell\.|CellFiles)"
    for path in (SOURCE / PACKAGE).rglob("*.py"):
        tables[path.relative_to(SOURCE / PACKAGE).as_posix()] = bool(re.search(files, path.read_text()))
    # publish mirrors the runs into MLflow.
    assert {name for name, reads in tables.items() if reads} == {"results.py", "stages/publish.py"}


def test_only_tracking_imports_mlflow():
    users = [
        p.name
        for p in (SOURCE / PACKAGE).rglob("*.py")
        if "import mlflow" in p.read_text() or "from mlflow" in p.read_text()
    ]
    assert users == ["tracking.py"]


def test_only_the_evaluation_and_the_generation_open_a_survey():
    users = {p.stem for p in (SOURCE / PACKAGE / "stages").glob("*.py") if ".survey" in p.read_text()}
    # publish hashes the files, and reads no value; the report draws the truth beside predictions, and chooses nothing.
    assert users == {"evaluate", "generate", "publish", "report"}


def test_the_pipeline_stays_small_enough_for_dvc():
    """DVC's overhead grows with the square of the number of stages."""
    for path in PIPELINES:
        study = YAML(typ="safe").load(path.parent / "params.yaml")["study"]
        cells = len(study["datasets"]) * len(study["variants"])
        assert 2 * cells + len(study["datasets"]) + 4 <= 50, path


def test_the_pipelines_of_the_studies_are_the_roots():
    expected = runpy.run_path(str(ROOT / "tools/new_study.py"))["study_pipeline"]()
    for path in PIPELINES[1:]:
        assert path.read_text() == expected, f"{path}: run `python tools/new_study.py`"
        for file in (".dvc/config", ".dvcignore"):
            assert (path.parent / file).read_text() == (ROOT / file).read_text()
