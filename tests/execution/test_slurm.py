"""Jobs of Slurm, run as processes of this machine by the library that submits them."""

import os
import sys

import pytest
from support import works
from support.executors import Contract

from presence_only.common.errors import ExecutionError
from presence_only.execution.executor import prepare_executor
from presence_only.execution.task import Task

pytest.importorskip("submitit", reason="the extra slurm is not installed")
slurm = pytest.importorskip("presence_only.execution.slurm")


class TestSlurm(Contract):
    @pytest.fixture
    def executor(self, tmp_path, monkeypatch):
        # Jobs find what tests give them to do.
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        with slurm.Slurm(2, folder=tmp_path / "jobs", cluster="local") as executor:
            yield executor


def test_a_machine_without_slurm_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ExecutionError, match=r"^--executor slurm: there is no Slurm here: .*srun"):
        prepare_executor("slurm")()


# Stands in for the programs of Slurm: jobs are numbered, and never run.
PROGRAMS = {
    "srun": "",
    "sbatch": "echo job >> jobs.txt; echo Submitted batch job $(wc -l < jobs.txt)",
    "sacct": "",
    "scancel": "",
}


@pytest.mark.parametrize(
    ("options", "asked"),
    [({}, [[], []]), ({"gpus": "2"}, [["#SBATCH --gpus-per-node=2"], ["#SBATCH --gpus-per-node=0"]])],
)
def test_gpus_are_asked_for_if_the_command_says_so(options, asked, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    with prepare_executor("slurm", 2, options)() as executor:
        executor.submit(Task("trains", works.talk, needs_gpu=True))
        executor.submit(Task("scores", works.talk))
    jobs = [(slurm.FOLDER / f"{job}_submission.sh").read_text().splitlines() for job in (1, 2)]
    assert [[line for line in job if line.startswith(("#SBATCH --gpu", "#SBATCH --gres"))] for job in jobs] == asked
