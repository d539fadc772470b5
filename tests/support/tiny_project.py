"""A copy of the project in a git repository of its own, small enough to be run by real DVC."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import polars as pl
from ruamel.yaml import YAML
from support import tiny

ROOT = Path(__file__).parents[2]
CELLS = ["virtual/an_full/0", "virtual/an_full/1", "virtual/bce/0", "virtual/bce/1"]
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "GIT_"))},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# They run each time: the code is looked at, and MLflow.
ALWAYS = {"code", "publish"}


class Project:
    """A copy of the project in a git repository of its own, with the code that its stages run.

    Args:
        folder: Where it goes.
        environment: What its commands run in; its PATH says which python and which dvc.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        folder.mkdir()
        self.environment = {**environment, "PYTHONPATH": str(folder / "src")}
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        self.run("git", "init", "-q")
        self.run("dvc", "init", "-q")
        for name in ("config", "plots.html"):
            shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
        self.edit()
        self.commit("start")

    def edit(self, **changes) -> None:
        """Write params.yaml: the tiny study, and what is different of it."""
        YAML().dump(tiny.params(**changes), self.folder / "params.yaml")

    def commit(self, message) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message)

    def try_run(self, *command, folder="", **environment):
        return subprocess.run(
            command,
            cwd=self.folder / folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *command, folder="") -> str:
        done = self.try_run(*command, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stage(self, name, *arguments, **options):
        return self.try_run("python", "-m", f"presence_only.pipeline.{name}", *arguments, **options)

    def repro(self, *targets) -> set[str]:
        """Reproduce; returns the stages that were executed, but for those that always are."""
        out = self.run("dvc", "repro", *targets)
        ran = {line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")}
        assert {name.split(":")[-1] for name in ran} >= ALWAYS
        return {name for name in ran if name.split(":")[-1] not in ALWAYS}

    def comparison(self, study="") -> pl.DataFrame:
        return pl.read_csv(self.folder / study / "results/comparison.csv")

    def runs(self, current=None, kind="seed"):
        """Runs of seeds, variants or the study, read from the tables: a client would keep a deleted file open."""
        runs = {}
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as store:
            for table in ("tags", "params", "metrics"):
                rows = store.execute(
                    f"select t.run_uuid, t.key, t.value from {table} t join runs r using (run_uuid) "
                    "join experiments e using (experiment_id) "
                    "where e.name = 'tiny' and r.lifecycle_stage = 'active'"
                )
                for run, key, value in rows:
                    runs.setdefault(run, {"id": run, "tags": {}, "params": {}, "metrics": {}})[table][key] = value
        of_kind = [r for r in runs.values() if r["tags"]["kind"] == kind]
        return [r for r in of_kind if current is None or (r["tags"]["current"] == "true") == current]

    def current_cells(self):
        """The cells of the current seeds, each below the one current run of its variant."""
        assert len(self.runs(current=True, kind="study")) == 1
        variants = {run["tags"]["cell"]: run["id"] for run in self.runs(current=True, kind="variant")}
        runs = self.runs(current=True)
        below = {run["tags"]["cell"].rpartition("/")[0]: run["tags"]["mlflow.parentRunId"] for run in runs}
        assert below == variants
        assert len(self.runs(current=True, kind="variant")) == len(variants)
        return sorted(run["tags"]["cell"] for run in runs)

    def current_setting(self, name, cell="virtual/an_full/0"):
        """What a cell's current run says of a setting."""
        (value,) = {run["params"][name] for run in self.runs(current=True) if run["tags"]["cell"] == cell}
        return value
