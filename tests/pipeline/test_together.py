"""The command that trains, started by torchrun: the files of one process, written by the first of two."""

import os
import subprocess
import sys

import pytest
import torch
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.atomic_files import content_hash, read_json
from presence_only.model.files import load_model
from presence_only.study.params import load_variant
from presence_only.study.paths import CellFiles, DatasetFiles
from presence_only.training.seed_run import train_seed

CELL, DATA = CellFiles("virtual", "an_full"), DatasetFiles("virtual")


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.dataset(rows=41).training.save(DATA.training)
    YAML().dump(tiny.params(training__batch_size=10), tmp_path / "params.yaml")
    return tmp_path


def torchrun(n_processes):
    """Train a variant by several processes of this machine."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
    command = [*launch, "-m", "presence_only.pipeline.train", "--dataset", "virtual", "--variant", "an_full"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_two_processes_write_what_one_writes(study):
    done = torchrun(2)
    assert done.returncode == 0, done.stderr
    variant, seeds = load_variant("virtual", "an_full")
    for seed in seeds:
        assert done.stdout.count(f"virtual / an_full / seed {seed}: loss ") == 1
        expected = study / f"expected_{seed}"
        expected.mkdir()
        train_seed(variant, seed, {"training": DATA.training}, expected, lambda *_: None)
        ours, theirs = (load_model(folder / "encoder.pt").state_dict() for folder in (CELL.seed(seed), expected))
        for name, weight in theirs.items():
            torch.testing.assert_close(ours[name], weight, rtol=0, atol=2e-5)
        ours, theirs = (read_json(folder / "history.json") for folder in (CELL.seed(seed), expected))
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["probes"].keys() == theirs["probes"].keys()
    timing = read_json(CELL.timing)
    assert timing["runs"] == content_hash(CELL.runs)
    assert timing["seconds"].keys() == {str(seed) for seed in seeds}


def test_a_mistake_is_told_once(study):
    YAML().dump(tiny.params(training__batch_size=1), study / "params.yaml")
    done = torchrun(2)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        "error: 2 processes for batches of 1 rows: each needs a row of its own; start fewer, or raise "
        "training.batch_size"
    ]
    assert not CELL.runs.exists() or not any(CELL.runs.rglob("*.pt"))
