"""Who imports whom in the package and in its tests, and what the pipeline depends on."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.house import rooms

from presence_only.datasets import parse_dataset
from presence_only.model.settings import EncoderSettings
from presence_only.pipeline.code import LEFT_OUT
from presence_only.pipeline.fingerprint import Fingerprints
from presence_only.study.params import load_params
from presence_only.training.settings import TrainingSettings

ROOT = Path(__file__).parents[2]
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


MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in (SOURCE / PACKAGE).rglob("*.py")
)
STUDIES = [ROOT, *sorted(path.parent for path in ROOT.glob("experiments/*/params.yaml"))]


def stages(path):
    return YAML(typ="safe").load(path)["stages"]


def code_entries(stage):
    """The code that a stage names of code.yaml."""
    return {
        entry.split(".")[1]
        for item in stage.get("params", [])
        if isinstance(item, dict)
        for file, entries in item.items()
        if file.endswith("code.yaml")
        for entry in entries
        if entry.startswith("code.")
    }


@pytest.mark.parametrize("name", [name for name in stages(ROOT / "dvc.yaml") if name not in ("code", "publish")])
def test_every_stage_depends_on_its_own_code(name):
    assert name in code_entries(stages(ROOT / "dvc.yaml")[name])


def test_training_never_depends_on_a_survey():
    train, evaluate = (stages(ROOT / "dvc.yaml")[name] for name in ("train", "evaluate"))
    assert not [dep for dep in train["deps"] if "survey" in dep]
    assert [dep for dep in evaluate["deps"] if "survey" in dep]


@pytest.mark.parametrize("study", STUDIES[1:], ids=lambda path: path.name)
def test_a_study_has_the_pipeline_of_the_root(study):
    assert (study / "dvc.yaml").read_text() == (ROOT / "dvc.yaml").read_text()


@pytest.mark.parametrize("study", [s for s in STUDIES if (s / "results").exists()], ids=lambda path: path.name)
def test_the_settings_in_the_results_are_all_settings_of_the_study(study):
    written = YAML(typ="safe").load(study / "results/settings.yaml")
    assert written == load_params(study / "params.yaml").resolved()


def test_params_yaml_shows_every_setting_of_encoder_and_training():
    text = (ROOT / "params.yaml").read_text()
    params = load_params(ROOT / "params.yaml")
    for group in (params.encoder, params.training):
        for name in type(group).model_fields:
            assert re.search(rf"^ +#? ?{name}:", text, re.MULTILINE), name


def test_defaults_are_the_default_study():
    params = load_params(ROOT / "params.yaml")
    assert params.encoder == EncoderSettings()
    assert params.training == TrainingSettings()
    # Its worlds are smaller than those of the kind, and differ in their seed alone.
    small = {"kind": "virtual", "species": 200, "records": 20_000, "background_sites": 20_000}
    for seed, name in enumerate(params.study.datasets, start=1):
        assert params.dataset(name) == parse_dataset(small | {"seed": seed}, f"datasets.{name}")


# Imports go down this list only.
ROOMS = list(rooms())


def room(module):
    return module.split(".")[1]


def test_the_rooms_are_those_of_the_list():
    folders = {path.name for path in (SOURCE / PACKAGE).iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)
    assert len(ROOMS) == 20


@pytest.mark.parametrize("module", [m for m in MODULES if m != PACKAGE and room(m) in ROOMS])
def test_imports_go_down_the_list_of_rooms(module):
    below = ROOMS[ROOMS.index(room(module)) :]
    assert {room(name) for name in imports(module)} <= set(below)


def test_one_module_reads_the_results_of_a_study():
    """The files of a study's results are named by whoever writes, mirrors or hashes them, and read by results.py."""
    tables, files = {}, r"(?:read_|stored_|self\._)(?:csv|parquet|json|table)\(\s*(?:COMPARISON|PAIRS|cell\.|CellFiles)"
    for path in (SOURCE / PACKAGE).rglob("*.py"):
        tables[path.relative_to(SOURCE / PACKAGE).as_posix()] = bool(re.search(files, path.read_text()))
    # mlflow_rows mirrors the runs into MLflow.
    assert {name for name, reads in tables.items() if reads} == {"study/results.py", "pipeline/mlflow_rows.py"}


def test_only_the_mirror_and_the_exported_model_import_mlflow():
    modules = [p for p in (SOURCE / PACKAGE).rglob("*.py") if re.search(r"(import|from) mlflow\b", p.read_text())]
    assert sorted(path.name for path in modules) == ["mlflow_mirror.py", "mlflow_model.py", "mlflow_predictor.py"]


def opens_a_survey(path):
    """Whether a module names the folder of a survey, or the class that reads one."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    named = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return "survey" in named or any(
        alias.name == "Survey" for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names
    )


def test_of_the_study_only_the_evaluation_the_generation_and_the_reports_open_a_survey():
    package = SOURCE / PACKAGE
    rooms = ("pipeline", "export", "reporting", "study", "statistics", "training", "model", "losses")
    users = {p.relative_to(package).as_posix() for r in rooms for p in (package / r).rglob("*.py") if opens_a_survey(p)}
    # mlflow_rows hashes the files, and reads no value; the figures show where the sites are; the report and the map
    # page draw the truth beside predictions; what explains a run scores by it where asked to; what reads a run counts
    # records without added presences, which lie in a file beside the survey. None of them chooses anything.
    assert users == {
        "export/trained_run.py",
        "pipeline/evaluation_tasks.py",
        "pipeline/explanations.py",
        "pipeline/explore.py",
        "pipeline/generate.py",
        "pipeline/mlflow_rows.py",
        "reporting/map_page/page.py",
        "reporting/map_page/points.py",
        "reporting/report/collect.py",
        "reporting/study_figures.py",
    }


def test_what_thresholds_and_calibration_are_fitted_to_is_no_survey_and_no_truth():
    names = ("training_scores", "training_fits", "presence_thresholds", "presence_calibration", "expected_f1")
    todo = [f"{PACKAGE}.evaluation.{name}" for name in names]
    seen = set(todo)
    while todo:
        for name in imports(todo.pop()) - seen:
            assert not re.search(r"\.data\.(survey|truth|geo_feature|geo_prior)$|\.(datasets|surveys)\.", name), name
            if name.startswith(f"{PACKAGE}.evaluation."):
                todo.append(name)
            seen.add(name)


def test_a_search_sees_no_survey_and_no_truth():
    """What settings are chosen by is held-out records alone: nothing that scores against a survey is within reach."""
    hidden = {"data.survey", "data.truth", "data.geo_feature", "data.geo_prior", "evaluation", "datasets", "surveys"}
    within = re.compile(rf"{PACKAGE}\.({'|'.join(map(re.escape, sorted(hidden)))})(\.|$)")
    modules = [module for module in MODULES if module.startswith(f"{PACKAGE}.search")]
    assert len(modules) > 10
    for module in modules:
        assert not [name for name in imports(module) if within.match(name)], module
    assert not [p.name for p in (SOURCE / PACKAGE / "search").glob("*.py") if opens_a_survey(p)]
    # Nor can a trial call anything of the kind, by whatever way.
    called = Fingerprints(SOURCE / PACKAGE).reached(f"{PACKAGE}.search.objective", start=["run_trial"])
    assert (f"{PACKAGE}.training.fit", "fit") in called
    assert not {module for module, _ in called if within.match(module)}


def test_no_stage_depends_on_a_search():
    fingerprints = Fingerprints(SOURCE / PACKAGE, LEFT_OUT)
    for stage in ("generate", "train", "evaluate", "compare", "figures", "settings", "report", "publish"):
        modules = {module for module, _ in fingerprints.reached(f"{PACKAGE}.pipeline.{stage}")}
        assert not {name for name in modules if room(name) == "search"}, stage


TESTS = ROOT / "tests"


def test_the_tests_have_the_same_rooms():
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*ROOMS, "experiments", "project", "robustness", "support"}
    assert [path.name for path in TESTS.glob("*.py")] == ["conftest.py"]


def test_no_test_imports_a_test():
    """What several tests use lies in tests/support/, or is a fixture of a conftest.py."""
    files = list(TESTS.rglob("*.py"))
    names = {path.stem for path in files if path.name.startswith(("test_", "conftest"))}
    assert len(names) > 50
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imported = [*(alias.name for alias in node.names), getattr(node, "module", None) or ""]
                parts = {part for name in imported for part in name.split(".")}
                assert not parts & names, f"{path.relative_to(ROOT)}, line {node.lineno}"


@pytest.mark.parametrize("path", sorted((TESTS / "support").glob("*.py")), ids=lambda path: path.stem)
def test_a_helper_of_tests_says_what_it_is(path):
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
    assert first.endswith((".", ":")), first
