"""Make the folder of a study below experiments/, or bring the pipelines of all studies up to date.

    python tools/new_study.py my_study     # a new one
    python tools/new_study.py              # after an edit of the root's dvc.yaml

The folder gets a params.yaml, which holds what differs from the default study, a README.md with the questions that a
write-up answers, and a copy of the root's dvc.yaml. (A link would do, but that DVC cannot read links of an earlier
commit, as `dvc metrics diff` wants to.) `make experiment NAME=my_study` runs it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = """\
# What differs from the default study; ../../params.yaml shows every setting.
study:
  name: {name}
  datasets: [virtual]
  variants: [bce, bce_background]
  seeds: [0, 1, 2, 3]

datasets:
  virtual: {{kind: virtual}}

variants:
  bce: {{loss: bce}}
  bce_background: {{loss: bce, background_weight: 1.0}}
"""
WRITE_UP = """\
# {name}

**Question.**

**Hypothesis, fixed before the run.**

**Command.** `make experiment NAME={name}`

**Result.**

**Verdict.**
"""


def make_study(name: str, root: Path = ROOT) -> Path:
    """Make one study's folder.

    Args:
        name: Of the study: lower-case letters, digits and underscores.
        root: Folder of the project.

    Returns:
        The new folder.

    Raises:
        ValueError: If the name is not as above.
        FileExistsError: If there is such a study already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"name = {name!r}: must be lower-case letters, digits and underscores, a letter first")
    folder = root / "experiments" / name
    if (folder / "params.yaml").exists():
        raise FileExistsError(f"experiments/{name} is there already; edit its params.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(SETTINGS.format(name=name))
    (folder / "README.md").write_text(WRITE_UP.format(name=name))
    shutil.copy(root / "dvc.yaml", folder / "dvc.yaml")
    return folder


def refresh(root: Path = ROOT) -> list[str]:
    """Give every study the root's pipeline; returns their names."""
    studies = sorted(path.parent for path in root.glob("experiments/*/params.yaml"))
    for study in studies:
        shutil.copy(root / "dvc.yaml", study / "dvc.yaml")
    return [study.name for study in studies]


def main() -> None:
    """Make the study named on the command line, or refresh all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="of the study: lower-case letters, digits and underscores")
    name = parser.parse_args().name
    if name is None:
        print(f"dvc.yaml is the root's in {', '.join(refresh())}")
        return
    try:
        folder = make_study(name)
    except (ValueError, FileExistsError) as error:
        sys.exit(f"error: {error}")
    print(f"{folder.relative_to(ROOT)}/params.yaml is yours to edit; make experiment NAME={folder.name} runs it")


if __name__ == "__main__":
    main()
