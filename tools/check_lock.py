"""Does every dvc.lock match the code, the settings and the committed results?

    python tools/check_lock.py

For the default study and every study of experiments/ that has been run; one without dvc.lock and results is
planned. What DVC keeps out of git (data,
encoders) may be absent; what is in git may not differ from what the lock says made it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]


def mismatches(status: dict[str, list[Any]], in_git: Callable[[str], bool]) -> list[str]:
    """What a `dvc status --json` says was changed of the files and settings that git holds.

    What DVC alone holds, such as encoders, is absent from a clean checkout; folders of it then look changed.

    Args:
        status: Changes of every stage; a stage that always runs has a plain string among them.
        in_git: Whether git holds a path, or a file below it.
    """
    found = []
    for stage, changes in status.items():
        for change in changes:
            if not isinstance(change, dict):
                if change != "always changed":
                    found.append(f"{stage}: {change}")
                continue
            for what, files in change.items():
                if not isinstance(files, dict):
                    found.append(f"{stage}: {what} {files}")
                    continue
                for path, state in _leaves(files):
                    if in_git(path.split(" ")[0]):
                        found.append(f"{stage}: {what}: {path} is {state}")
    return found


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Path and state of every entry; settings come as a tree below their file."""
    leaves = []
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves += _leaves(value, f"{prefix}{key} ")
        else:
            leaves.append((prefix + key, str(value)))
    return leaves


def is_planned(study: Path) -> bool:
    """Whether a study was written down and never run: it has neither a lock nor committed results."""
    return not (study / "dvc.lock").exists() and not _git(study, "ls-files", "--", "results").split()


def _in_git(study: Path, path: str) -> bool:
    """Whether git holds a path of a study, or a file below it other than the lists of what it ignores."""
    files = _git(study, "ls-files", "--", path).splitlines()
    return any(not file.endswith(".gitignore") for file in files)


def _orphans(study: Path) -> list[str]:
    """Committed metrics of variants and data sets that the study no longer has."""
    settings = YAML(typ="safe").load(study / "params.yaml")["study"]
    cells = {f"results/metrics/{d}/{v}.json" for d in settings["datasets"] for v in settings["variants"]}
    return sorted(set(_git(study, "ls-files", "--", "results/metrics").split()) - cells)


def _git(folder: Path, *arguments: str) -> str:
    """What a git command prints."""
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Check every study; exit with code 1 and a list if one does not match."""
    wrong = []
    studies = [ROOT, *sorted(path.parent for path in ROOT.glob("experiments/*/params.yaml"))]
    planned = [study for study in studies if is_planned(study)]
    if ROOT in planned:
        sys.exit("error: the default study has no dvc.lock; run `dvc repro` and commit it")
    studies = [study for study in studies if study not in planned]
    for study in studies:
        if not (study / "dvc.lock").exists():
            sys.exit(f"error: {study} has results and no dvc.lock; run the study and commit it")
        done = subprocess.run(["dvc", "status", "--json"], cwd=study, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"error: dvc status failed in {study}: {done.stderr}")
        wrong += [f"{study.name}: {line}" for line in mismatches(json.loads(done.stdout), partial(_in_git, study))]
        wrong += [f"{study.name}: {path} belongs to no cell of the study" for path in _orphans(study)]
    if wrong:
        print("\n".join(wrong))
        sys.exit(f"error: {len(wrong)} entries do not match; run `dvc repro` there and commit dvc.lock and results")
    print(
        f"dvc.lock matches code, settings and committed results in {len(studies)} studies; "
        f"{len(planned)} more are planned"
    )


if __name__ == "__main__":
    main()
