"""The command `run`: all cells side by side, DVC as the record, and what a kill leaves."""

import os
import signal
import subprocess
import sys
import time

import pytest
from ruamel.yaml import YAML
from support.tiny_project import Project

from presence_only.pipeline.stale_cells import StaleCells

RUN = ("python", "-m", "presence_only.pipeline.run")


@pytest.fixture
def fresh(tmp_path, fast_environment):
    """A project in which nothing was run yet."""
    return Project(tmp_path / "project", fast_environment)


def outputs(project):
    """What dvc.lock says of every output of the cells."""
    stages = YAML(typ="safe").load(project.folder / "dvc.lock")["stages"]
    return {
        out["path"]: out["md5"]
        for name, stage in stages.items()
        if name.startswith(("train@", "evaluate@"))
        for out in stage["outs"]
    }


def trained(text):
    """The seeds that were trained, from what was said."""
    return [line.partition(":")[0] for line in text.splitlines() if " loss " in line]


def test_dvc_finds_nothing_to_do_after_it_and_alone_gives_the_same_bytes(fresh, project):
    out = fresh.run(*RUN)
    assert "2 cells to train, 2 to evaluate: 6 tasks" in out
    assert len(trained(out)) == 4
    assert not (fresh.folder / ".cells").exists()
    assert fresh.repro() == set()
    # The other project was run by `dvc repro`.
    assert outputs(fresh) == outputs(project)
    tables = [(folder / "results/comparison.csv").read_text() for folder in (fresh.folder, project.folder)]
    assert tables[0] == tables[1]
    assert len(outputs(fresh)) == 12
    # What was made by an earlier run is restored and not trained again, and without a change nothing happens at all.
    fresh.edit(training__epochs=1)
    assert len(trained(fresh.run(*RUN, "--cells-only"))) == 4
    fresh.edit()
    out = fresh.run(*RUN)
    assert trained(out) == []
    assert outputs(fresh) == outputs(project)
    assert "tasks" not in fresh.run(*RUN)
    # A change of one variant runs its cell alone.
    fresh.edit(variants__bce__pos_weight=True)
    assert {line.partition(" / seed")[0] for line in trained(fresh.run(*RUN))} == {"virtual / bce"}
    assert fresh.repro() == set()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_is_alone_in_its_folder_and_goes_on_where_it_was_killed(fresh, how):
    fresh.edit(training__epochs=40, study__seeds=[0, 1, 2])
    cells = fresh.folder / ".cells"
    with subprocess.Popen(
        # No fork of the server: signals have to reach the command itself.
        [sys.executable, *RUN[1:], "--workers", "1"],
        cwd=fresh.folder,
        env=fresh.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    ) as process:
        done = []
        while len(done) < 2:
            line = process.stdout.readline()
            assert line, "the run ended before it could be killed"
            done += trained(line)
        # It and its worker stand still, in the middle of a task.
        os.killpg(process.pid, signal.SIGSTOP)
        before = sorted(cells.rglob("*"))
        second = fresh.try_run(*RUN)
        assert second.returncode == 1
        assert second.stderr == (
            "error: another process runs the study in this folder; wait until it has ended, or end it\n"
        )
        assert sorted(cells.rglob("*")) == before
        os.killpg(process.pid, signal.SIGCONT)
        os.killpg(process.pid, how)
        said = process.stdout.read()
        process.wait()
    assert process.returncode != 0
    if how == signal.SIGINT:
        assert "interrupted; run the same command again to go on" in said
    kept = {path.parent.name + path.stem for path in cells.glob("*/seed_*.json")}
    assert len(kept) >= 2
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(cells.glob("*/.seed_*")):
        time.sleep(0.1)
    out = fresh.run(*RUN, "--cells-only")
    assert len(trained(out)) == 6 - len(kept)
    assert not set(trained(out)) & set(done)
    assert fresh.repro() >= {"compare"}
    assert not {name for name in fresh.repro() if "@" in name}


def test_a_variant_that_fails_is_named_and_the_others_are_kept(fresh):
    fresh.edit(variants__bce__training={"learning_rate": 1e30})
    done = fresh.try_run(*RUN, "--workers", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: virtual / bce / seed 0: the training loss is ")
    assert "learning_rate, which is 1e+30" in done.stderr
    assert "1 further trainings diverged too" in done.stderr  # its other seed
    assert {path.parent.name for path in (fresh.folder / ".cells").glob("*/seed_*.json")} == {"virtual-an_full"}
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--executor", "dask"), "--executor dask: must be one of processes, ray, slurm"),
        (("--workers", "0"), "--workers 0: must be a positive whole number"),
    ],
)
def test_a_wrong_wish_is_told_before_anything_runs(project, arguments, sentence):
    done = project.stage("run", *arguments)
    assert done.returncode == 1
    assert done.stderr == f"error: {sentence}\n"
    assert done.stdout == ""


def test_a_folder_that_is_no_study_is_told(project, tmp_path):
    done = project.try_run(*RUN, folder="src")
    assert done.returncode == 1
    assert "run from a study's folder" in done.stderr


def test_all_cells_of_a_stage_have_one_name():
    """DVC writes its lock once for each name."""
    one, two = ("a", "bce"), ("b", "bce")
    assert StaleCells((one,), (one, two), 2).stages == ["train@a-bce", "evaluate"]
    assert StaleCells((), (one,)).stages == ["evaluate@a-bce"]
