"""The Makefile: what it says where something is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def archive(tmp_path):
    """A source archive without .git, its environment set up."""
    for name in ("Makefile", "dvc.yaml", "params.yaml", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", tmp_path / ".dvc/config")
    (tmp_path / "experiments/small").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", tmp_path / "experiments/small/params.yaml")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.installed").touch()
    return tmp_path


def make(folder, *arguments):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_", "MAKE", "MFLAGS"))}
    # A folder above the temporary one may be a repository.
    environment = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [("study",), ("experiment", "NAME=small")])
def test_a_source_archive_without_git_is_told_what_to_do(archive, arguments):
    done = make(archive, *arguments)
    assert done.returncode != 0
    (sentence,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert "is no git repository" in sentence
    assert "`git init`" in sentence
    assert "`dvc config --local core.no_scm true`" in sentence
    assert "ERROR" not in done.stdout + done.stderr
    assert all(word in (ROOT / "README.md").read_text() for word in ("`git init`", "core.no_scm true"))


def test_without_git_is_a_choice(archive):
    (archive / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    # Past the question, to the command that runs a study: there is none here.
    (archive / "params.yaml").unlink()
    done = make(archive, "study")
    assert "is no git repository" not in done.stdout
    assert "no params.yaml in" in done.stderr


def test_an_unknown_study_is_told_with_those_that_exist(archive):
    done = make(archive, "experiment", "NAME=nothing")
    assert done.stdout == "error: NAME=nothing is no folder of experiments/; there are: small/\n"
