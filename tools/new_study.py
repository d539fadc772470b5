"""Make or refresh the folder of a study below experiments/: its own pipeline, settings and results.

    python tools/new_study.py my_study     # a new one, with the settings of the default study
    python tools/new_study.py              # bring every study's pipeline up to date with the root's

A study's folder is a DVC project of its own, so that its stages, lock and results leave the default
study's alone. Its pipeline is the root's, with paths to the code that lead two folders up.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = "src/presence_only"


def study_pipeline(root: Path = ROOT) -> str:
    """The root's dvc.yaml as a study's, without the notebooks, which are about the default study.

    Folders of code are spelled out file by file: DVC does not apply .dvcignore outside of the
    study's folder, and would take compiled Python for changed code.
    """
    lines = ["# Made from the root's dvc.yaml by tools/new_study.py; edit that one."]
    text = re.sub(r"(?ms)^  notebooks:\n.*?(?=^  \w)", "", (root / "dvc.yaml").read_text())
    for line in text.splitlines():
        found = re.fullmatch(rf"(\s+- )({CODE}/.*)", line)
        if not found:
            lines.append(line)
            continue
        path = root / found[2]
        files = [path]
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".pyc")
        lines += [f"{found[1]}../../{file.relative_to(root).as_posix()}" for file in files]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the study named on the command line, or refresh all."""
    if len(sys.argv) > 2 or (len(sys.argv) == 2 and not re.fullmatch(r"[a-z][a-z0-9_]*", sys.argv[1])):
        sys.exit(f"error: names are lower-case letters, digits and underscores; usage:\n{__doc__}")
    for name in sys.argv[1:]:
        folder = ROOT / "experiments" / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "params.yaml").exists():
            text = (ROOT / "params.yaml").read_text()
            (folder / "params.yaml").write_text(text.replace("name: default", f"name: {name}"))
    for study in sorted(ROOT.glob("experiments/*/params.yaml")):
        (study.parent / "dvc.yaml").write_text(study_pipeline())
        (study.parent / ".dvc").mkdir(exist_ok=True)
        for file in (".dvc/config", ".dvc/plots.html", ".dvc/.gitignore", ".dvcignore"):
            shutil.copy(ROOT / file, study.parent / file)
        print(f"experiments/{study.parent.name} is up to date; make experiment NAME={study.parent.name} runs it")


if __name__ == "__main__":
    main()
