"""Which cells of a study DVC finds out of date, and their record once they are made; all of it asked of DVC itself.

The command `run` calls this module in a process of its own, as DVC starts threads and worker processes are forked.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from presence_only.common.errors import ExecutionError
from presence_only.execution.parent_process import ENDS_WITH_PARENT
from presence_only.study.settings import StudySettings

# The stages whose cells are run side by side, in this order.
STAGES = ("train", "evaluate")


@dataclass(frozen=True)
class StaleCells:
    """Cells by data set and variant, in the order of the study.

    Args:
        train: To be trained.
        evaluate: To be evaluated; all that are to be trained are among them.
        n_cells: How many cells the study has; None: not known.
    """

    train: tuple[tuple[str, str], ...]
    evaluate: tuple[tuple[str, str], ...]
    n_cells: int | None = None

    @property
    def stages(self) -> list[str]:
        """Their names in DVC; where all cells of a stage are meant, the stage's own.

        DVC writes dvc.lock anew for every name that it is given, which takes a second each where the file is large.
        """
        found = []
        for stage, cells in zip(STAGES, (self.train, self.evaluate), strict=True):
            found += [stage] if len(cells) == self.n_cells else [stage_name(stage, *cell) for cell in cells]
        return found


def stage_name(stage: str, dataset: str, variant: str) -> str:
    """What DVC calls a cell's stage."""
    return f"{stage}@{dataset}-{variant}"


def find_stale_cells(study: StudySettings) -> StaleCells:
    """Ask DVC what is out of date; what it can restore from its cache is restored.

    Raises:
        ExecutionError: If DVC cannot tell.
    """
    command = [sys.executable, "-m", "presence_only.pipeline.stale_cells"]
    asked = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **ENDS_WITH_PARENT)
    if asked.returncode:
        raise ExecutionError("DVC cannot tell what is out of date; its message stands above")
    stale = set(json.loads(asked.stdout.splitlines()[-1]))
    cells = [(dataset, variant) for dataset in study.datasets for variant in study.variants]
    train = tuple(cell for cell in cells if stage_name("train", *cell) in stale)
    # What is trained anew is scored anew.
    evaluate = tuple(cell for cell in cells if cell in train or stage_name("evaluate", *cell) in stale)
    return StaleCells(train, evaluate, len(cells))


def record(stages: Sequence[str]) -> None:
    """Have DVC take the outputs of stages, as they lie there, for those of its own run.

    Raises:
        ExecutionError: If DVC refuses.
    """
    run_dvc("commit", "--quiet", "--force", *stages)


def run_dvc(*arguments: str) -> None:
    """Run a command of DVC's, which says what is wrong if something is.

    Raises:
        ExecutionError: If it fails.
    """
    # Stages say `python`: it is this one, also where nobody has activated its environment.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    command = [sys.executable, "-m", "dvc", *arguments]
    # With this process, so that the next run does not find DVC's lock held by a command of a killed one.
    done = subprocess.run(command, env=os.environ | {"PATH": path}, check=False, **ENDS_WITH_PARENT)
    if done.returncode < 0 or done.returncode == 130:
        raise KeyboardInterrupt
    if done.returncode:
        raise ExecutionError(f"`dvc {arguments[0]}` failed; its message stands above")


def main() -> None:
    """Restore cells from DVC's cache; print, as one line of JSON, the stages of cells that are out of date then."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    # It says of every cell that it was restored, and how to add dvc.lock to git.
    logging.getLogger("dvc").setLevel(logging.WARNING)
    # Standard output is for the answer: all else goes to standard error, from processes that DVC starts too.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        stale = _stale()
        for stage in STAGES:
            restorable = _restorable(name for name in sorted(stale) if name.startswith(f"{stage}@"))
            if restorable:
                print(f"{stage}: {len(restorable)} cells are restored from DVC's cache", flush=True)
                with Repo() as repo:
                    repo.reproduce(targets=restorable, single_item=True)
                stale = _stale()
    except DvcException as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(sorted(stale)), file=answer, flush=True)
    # Nothing is left to do but to take down what DVC has built up, which takes as long as the answer.
    os._exit(0)


def _stale() -> set[str]:
    """Names of stages of the study in this folder that are out of date."""
    from dvc.repo import Repo

    with Repo() as repo:
        status = repo.status(targets=[f"dvc.yaml:{stage}" for stage in STAGES])
    return {name.rpartition(":")[2] for name in status}


def _restorable(names: Iterable[str]) -> list[str]:
    """Those of some stages whose outputs DVC has from an earlier run with the same inputs."""
    from dvc.repo import Repo
    from dvc.stage.cache import RunCacheNotFoundError

    known = []
    # Hashing what a stage reads now makes it look up to date: whoever goes on needs another Repo.
    with Repo() as repo, repo.lock:
        for name in names:
            (stage,) = repo.stage.collect(f"dvc.yaml:{name}")
            if not stage.deps_cached():
                stage.save_deps(allow_missing=True)
                for out in stage.outs:
                    # What dvc.lock says of it belongs to other inputs.
                    out.hash_info = type(out.hash_info)()
            try:
                repo.stage_cache.restore(stage, dry=True)
            except (RunCacheNotFoundError, OSError):
                continue
            known.append(f"dvc.yaml:{name}")
    return known


if __name__ == "__main__":
    main()
