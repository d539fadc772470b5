"""A finished tiny study to try commands on: copies of it that are cheap, and what a command may do to one."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from support.tiny_project import Project

CELL = ("--dataset", "virtual", "--variant", "bce")
# Every stage, and the commands that read a study, with arguments.
STAGES = {
    "generate": ("presence_only.pipeline.generate", "--dataset", "virtual"),
    "train": ("presence_only.pipeline.train", *CELL),
    "evaluate": ("presence_only.pipeline.evaluate", *CELL),
    "compare": ("presence_only.pipeline.compare",),
    "figures": ("presence_only.pipeline.figures",),
    "settings": ("presence_only.pipeline.settings",),
    "report": ("presence_only.pipeline.report",),
    "publish": ("presence_only.pipeline.publish",),
}
MAP = ("presence_only.predict", "--run", "runs/virtual/bce", "--box", "0", "40", "20", "50", "--resolution", "1")
COMMANDS = {
    "show": ("presence_only.pipeline.show",),
    "predict --at": (*MAP[:3], "--at", "8", "47"),
    **{
        f"predict {ending}": (*MAP, "--species", "virtual_0001", "--out", f"map.{ending}")
        for ending in ("png", "tif", "csv")
    },
}
# What they write.
OUTPUTS = {
    "generate": ("data", "results/datasets"),
    "train": ("runs/virtual/bce",),
    "evaluate": tuple(
        f"results/{name}/virtual/bce.{'json' if name == 'metrics' else 'parquet'}"
        for name in ("per_species", "per_site", "curves", "maps", "metrics")
    ),
    "compare": tuple(f"results/{name}" for name in ("across.csv", "across_pairs.csv", "comparison.csv", "pairs.csv")),
    "figures": ("results/figures", "results/more_figures"),
    "settings": ("results/settings.yaml", "results/description"),
    "report": ("results/report.html",),
    **{f"predict {ending}": (f"map.{ending}",) for ending in ("png", "tif", "csv")},
}
TESTS = Path(__file__).parents[1]


class FinishedStudy:
    """A study that DVC has run, whose commands can be tried on copies.

    Args:
        folder: Where it goes.
        environment: With the commands of a :class:`~support.fork_server.ForkServer`.
    """

    def __init__(self, folder, environment):
        self.project = Project(folder / "project", environment)
        self.project.repro()
        path = os.pathsep.join((self.project.environment["PYTHONPATH"], str(TESTS)))
        # One process trains after the other: the trials are many, and what is tried is no parallel work.
        self.environment = self.project.environment | {"PYTHONPATH": path, "PRESENCE_ONLY_WORKERS": "1"}
        self.copies = folder / "copies"

    def copy(self, to=None):
        """A fresh copy, without the history of git and DVC's cache."""
        to = to or self.copies / "study"
        shutil.rmtree(to, ignore_errors=True)
        leave = shutil.ignore_patterns(".git", "src", "cache", "tmp", "__pycache__")
        shutil.copytree(self.project.folder, to, ignore=leave, symlinks=True)
        return to

    def run(self, folder, command, fault="none", **environment):
        """Run a command in a copy; returns exit code and standard error."""
        return self.run_raw(folder, ["python", "-m", "support.faults", fault, *command], **environment)

    def run_raw(self, folder, command, **environment):
        """Run any program in a copy; returns exit code and standard error."""
        done = subprocess.run(
            command,
            cwd=folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr


def bytes_of(folder, outputs):
    """A hash of files and folders; None stands for what is not there."""
    found = {}
    for output in outputs:
        path = folder / output
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                found[file.relative_to(folder).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
            elif file == path:
                found[output] = None
    return found


def one_sentence(errors):
    """The sentence by which a command says what is wrong; None if there is none, or more than it."""
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    if len(lines) != 1 or "Traceback" in errors or "panicked" in errors or "Exception ignored" in errors:
        return None
    return lines[0]
