"""Jobs of Slurm, run as processes of this machine by the library that submits them."""

import os
import sys

import pytest
from support.executors import Contract

from presence_only.common.errors import ExecutionError
from presence_only.execution.executor import prepare_executor

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
