"""What is printed at the end of `make study`."""

import shlex
import sys
from pathlib import Path

from support.tiny_results import two_variants

from presence_only.pipeline import mlflow_mirror, show
from presence_only.study.paths import COMPARISON


def test_a_study_below_the_root_shows_the_store_at_the_root(tmp_path, monkeypatch, capsys):
    """And a command that needs neither the folder of the study nor an activated environment."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    study = tmp_path / "experiments/small"
    (study / COMPARISON).parent.mkdir(parents=True)
    two_variants(2, 40).write_csv(study / COMPARISON)
    program = tmp_path / ".venv/bin/mlflow"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    monkeypatch.setattr(mlflow_mirror, "repository_root", {study: tmp_path}.__getitem__)
    monkeypatch.chdir(study)
    show.main()
    said = capsys.readouterr().out.splitlines()[-5:]
    assert said[0] == f"table    {study / COMPARISON}"
    label, *command = shlex.split(said[3])
    assert (label, command[:4]) == ("runs", [str(program), "ui", "--workers", "1"])
    assert command[4:] == ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    assert said[4] == "         then open http://127.0.0.1:5000"
    assert Path(command[0]).is_absolute()
