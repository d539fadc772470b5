"""A study that is run twice gives the same bytes, the same dvc.lock and no run of MLflow twice."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.fork_server import ForkServer
from support.tiny_project import ENVIRONMENT, Project
from support.torture import record_trials, trials

from presence_only.common.temporary_names import temporary_name

KINDS = ("seed", "variant", "study")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A tiny study that was run once; on Linux by forks of a Python that has imported the libraries."""
    folder = tmp_path_factory.mktemp("study") / "project"
    if sys.platform != "linux":
        project = Project(folder, ENVIRONMENT)
        project.repro()
        yield project
        return
    # Not below pytest's folders: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory() as place:
        server = ForkServer(Path(place), ENVIRONMENT)
        project = Project(folder, server.environment(ENVIRONMENT))
        project.repro()
        yield project
        server.stop()


def outputs(project):
    """Every output of every stage in dvc.lock, file by file: place to bytes."""
    stages = YAML(typ="safe").load(project.folder / "dvc.lock")["stages"].values()
    places = [project.folder / out["path"] for stage in stages for out in stage.get("outs", ())]
    files = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()]
    return {str(file.relative_to(project.folder)): file.read_bytes() for file in files}


def test_a_second_execution_of_every_stage_changes_no_byte(project):
    """Under ``make torture`` also by Pythons of their own, which hash words by other random numbers each."""
    lock, before = (project.folder / "dvc.lock").read_bytes(), outputs(project)
    runs = {kind: sorted(run["id"] for run in project.runs(kind=kind)) for kind in KINDS}
    assert {kind: len(ids) for kind, ids in runs.items()} == {"seed": 4, "variant": 2, "study": 1}
    assert {"results/report.html", "results/comparison.csv", "results/metrics.json"} <= before.keys()
    number, fell = trials(1, 5), []
    for i in range(number):
        timing = (project.folder / "timing/virtual/bce.json").read_bytes()
        if i:
            done = subprocess.run(
                ["dvc", "repro", "-f"], cwd=project.folder, env=real(project), capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr
        else:
            project.run("dvc", "repro", "-f")
        assert (project.folder / "timing/virtual/bce.json").read_bytes() != timing, "the stages were not executed"
        after = outputs(project)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        again = {kind: sorted(run["id"] for run in project.runs(kind=kind)) for kind in KINDS}
        if changed or again != runs or (project.folder / "dvc.lock").read_bytes() != lock:
            fell.append(f"run {i}: {', '.join(changed) or 'dvc.lock or the runs of MLflow'} changed")
    record_trials("executions of every stage on the same inputs", number, fell)


def real(project):
    """The project's environment with the real `python` and `dvc`."""
    return project.environment | {"PATH": ENVIRONMENT["PATH"], "PYTHONHASHSEED": "random"}


def test_the_next_run_of_a_study_removes_what_killed_stages_left(project):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    pid, start, machine = temporary_name("x").rpartition(".tmp-")[2].split("-")
    for place in ("data/virtual", "runs/virtual", "timing/virtual", "results", "results/metrics/virtual"):
        # As this version and as older ones name them; and what this process, which lives, is writing.
        for name in (f".a.tmp-{ended.pid}-{start}-{machine}", f".b.tmp-{ended.pid}"):
            (project.folder / place / name).mkdir()
            (project.folder / place / name / "half.png").touch()
            (project.folder / place / f"{name}.json").touch()
        (project.folder / place / f".c.tmp-{pid}-{start}-{machine}.csv").touch()
    assert project.repro() == set()
    left = [path.name for path in project.folder.rglob("*.tmp-*") if ".git" not in path.parts]
    assert set(left) == {f".c.tmp-{pid}-{start}-{machine}.csv"}
