"""Does every dvc.lock match the code, the settings and the committed results?

    python tools/check_lock.py

What DVC keeps out of git (data, encoders) may be absent; what is in git, and the code of every stage, may not differ
from what the lock says made it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]


def mismatches(status: dict[str, list[Any]], counts: Callable[[str], bool]) -> list[str]:
    """What a `dvc status --json` says was changed of the files and settings that count.

    What DVC alone holds, such as encoders, is absent from a clean checkout; folders of it then look changed.

    Args:
        status: Changes of every stage; a stage that always runs has a plain string among them.
        counts: Whether a file is one that a clean checkout has, or can make at once.
    """
    found = []
    for stage, changes in status.items():
        for change in changes:
            if change == "always changed":
                continue
            if not isinstance(change, dict):
                found.append(f"{stage}: {change}")
                continue
            for what, files in change.items():
                found += [f"{stage}: {what}: {path} is {state}" for path, state in _leaves(files) if counts(path)]
    return found


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Path and state of every entry; settings come as a tree below their file."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key} ")
        else:
            yield prefix + key, str(value)


def not_run(pipeline: Path, index: str) -> bool:
    """Whether a pipeline is that of a study which is not run yet, by its row in the index of studies, and has no lock.

    Args:
        pipeline: A dvc.yaml.
        index: Text of experiments/README.md.
    """
    row = re.search(rf"^.*\]\({re.escape(pipeline.parent.name)}/README\.md\).*$", index, flags=re.MULTILINE)
    state = row.group().rstrip(" |").rsplit("|", 1)[1].strip() if row else "run"
    return state != "run" and not (pipeline.parent / "dvc.lock").exists()


def _counts(path: str) -> bool:
    """Whether git holds a path or a file below it, or it is the code of a stage."""
    file = path.split(" ")[0]
    # A stage's code comes with a name of its entry; the file as a whole may differ by entries that nothing uses.
    return " " in path if Path(file).name == "code.yaml" else bool(_run("git", "ls-files", "--", file))


def _orphans(study: Path) -> list[str]:
    """Committed summaries of data sets that the study no longer has."""
    datasets = YAML(typ="safe").load(study / "params.yaml")["study"]["datasets"]
    folder = (study / "results/datasets").relative_to(ROOT)
    return sorted(set(_run("git", "ls-files", "--", str(folder)).split()) - {f"{folder}/{d}.json" for d in datasets})


def _run(*command: str, cwd: Path = ROOT) -> str:
    """What a command prints.

    Raises:
        SystemExit: If it fails.
    """
    # The stages that write code.yaml are to fingerprint this checkout.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"error: `{' '.join(command)}` failed in {cwd}: {done.stderr}")
    return done.stdout


def main() -> None:
    """Check every study; exit with code 1 and a list if one does not match."""
    pipelines = [ROOT / "dvc.yaml", ROOT / "notebooks/dvc.yaml", *sorted(ROOT.glob("experiments/**/dvc.yaml"))]
    planned = [pipeline for pipeline in pipelines if not_run(pipeline, (ROOT / "experiments/README.md").read_text())]
    pipelines = [pipeline for pipeline in pipelines if pipeline not in planned]
    for pipeline in pipelines:
        if not (pipeline.parent / "dvc.lock").exists():
            sys.exit(f"error: {pipeline.relative_to(ROOT)} has no dvc.lock; run it by `dvc repro` and commit the lock")
        stage = YAML(typ="safe").load(pipeline)["stages"].get("code")
        if stage is None:
            continue
        # Tests check the settings of every study.
        _run(
            sys.executable, *shlex.split(stage["cmd"])[1:], "--unchecked", cwd=pipeline.parent / stage.get("wdir", ".")
        )
    status = json.loads(_run("dvc", "status", "--json"))
    left_out = tuple(f"{pipeline.relative_to(ROOT)}:" for pipeline in planned)
    wrong = mismatches({stage: found for stage, found in status.items() if not stage.startswith(left_out)}, _counts)
    for pipeline in pipelines:
        if (pipeline.parent / "params.yaml").exists():
            wrong += [f"{path} belongs to no data set of its study" for path in _orphans(pipeline.parent)]
    if wrong:
        print("\n".join(wrong))
        sys.exit(f"error: {len(wrong)} entries do not match; run `dvc repro` there and commit dvc.lock and results")
    print(f"dvc.lock matches code, settings and committed results in {len(pipelines)} pipelines")


if __name__ == "__main__":
    main()
