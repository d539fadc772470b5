"""The slow packages that each command has loaded at the end of a run: those that it needs, and no others.

test_stage_code.py and test_stage_publish.py have the same for the commands that run each time.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
from ruamel.yaml import YAML
from support import tiny
from support.search import SEARCH

# By the seconds of CPU time that they take to import, against 3.1 for torch: sklearn 3.8, scipy.stats 1.7, mlflow 3.4,
# matplotlib 1.1, pandas 0.9, polars and scipy.special 0.4, IPython 0.6, rich and jinja2 0.1.
SLOW = (
    *("torch", "sklearn", "scipy.stats", "scipy.special", "mlflow", "matplotlib", "pandas", "polars", "IPython"),
    *("rich", "jinja2", "pyproj", "h3"),
)
CELL = ["--dataset", "virtual", "--variant", "bce"]
# Commands in the order in which they need each other's files, their arguments, and what they may load.
WITH_TORCH = {
    "train": (CELL, {"torch", "polars"}),
    "evaluate": (CELL, {"torch", "polars", "scipy.special", "h3"}),
    # It writes down the settings of the data set, whose kind brings what makes it.
    "settings": ([], {"torch", "polars", "scipy.special", "h3", "pyproj", "rich"}),
    # Workers run the cells and the trials. Like `settings`, `run` checks the settings of every data set.
    "run": (["--workers", "1", "--cells-only"], {"torch", "polars", "scipy.special", "h3", "pyproj", "rich"}),
    "search": ([*CELL, "--workers", "1", "--trials", "1"], {"torch", "polars", "h3", "mlflow", "pandas", "matplotlib"}),
    # A map as a figure needs matplotlib too.
    "predict": (["--run", "runs/virtual/bce", "--at", "8", "47"], {"torch", "polars", "scipy.special", "rich"}),
    "explore": (
        ["--run", "runs/virtual/bce", "--out", "page", "--resolution", "10"],
        # It reads what kind of data set it is, as `settings` does.
        {"torch", "polars", "scipy.special", "h3", "pyproj", "rich"},
    ),
}
WITHOUT = {
    "compare": ([], {"polars", "scipy.stats", "scipy.special"}),
    "figures": ([], {"polars", "matplotlib"}),
    "report": ([], {"polars", "matplotlib", "scipy.stats", "scipy.special", "jinja2", "h3"}),
    "show": ([], {"polars", "rich"}),
}
# Runs every command in a fork of its own, so that none sees what another has loaded, after an import that all need.
PROGRAM = """
import importlib, json, os, sys

slow, first, commands = json.loads(sys.argv[1])
# DVC is another process, which finds one cell out of date.
from presence_only.pipeline import stale_cells
stale_cells.run_dvc = stale_cells.record = lambda *_: None
stale_cells.find_stale_cells = lambda _: stale_cells.StaleCells((("virtual", "bce"),), (("virtual", "bce"),))
for name in first:
    importlib.import_module(name)
loaded = {}
for name, arguments in commands:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        sys.argv = [name, *arguments]
        importlib.import_module(f"presence_only.pipeline.{name}").main()
        os.write(theirs, json.dumps([package for package in slow if package in sys.modules]).encode())
        sys.stdout.flush()
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        loaded[name] = json.load(pipe)
    os.waitpid(child, 0)
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, empty_store):
    """Command to the slow packages that it has loaded at the end."""
    if sys.platform != "linux":
        pytest.skip("needs forks that are safe")
    folder = tmp_path_factory.mktemp("study")
    YAML().dump(tiny.params(study__variants=["bce"], search=SEARCH), folder / "params.yaml")
    YAML().dump({"code": {"train": {"bce": ""}, "evaluate": ""}}, folder / "code.yaml")
    shutil.copy(empty_store, folder / "mlflow.db")
    generate = {"generate": (CELL[:2], None)}
    return run(folder, [], generate) | run(folder, ["torch"], WITH_TORCH) | run(folder, ["polars"], WITHOUT)


def run(folder, first, commands):
    asked = json.dumps([SLOW, first, [[name, arguments] for name, (arguments, _) in commands.items()]])
    command = [sys.executable, "-c", PROGRAM, asked]
    # What lies above the folder is no repository of the study's.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent), "MLFLOW_TRACKING_URI": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: set(found) for name, found in json.loads(done.stdout.splitlines()[-1]).items()}


ALLOWED = {
    # The kind virtual; others may load more.
    "generate": {"polars", "scipy.special", "h3", "pyproj", "rich"},
    **{name: allowed for name, (_, allowed) in (WITH_TORCH | WITHOUT).items()},
}


@pytest.mark.parametrize("command", ALLOWED)
def test_a_command_loads_the_slow_packages_that_it_needs_and_no_others(command, loaded):
    assert loaded[command] <= ALLOWED[command]
