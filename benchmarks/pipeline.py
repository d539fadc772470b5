"""What does DVC itself cost, by the number of variants and of further studies in the repository?

Runs the real dvc.yaml by `dvc repro` in a repository of its own, with a `python` that does no work but writes what each
stage promises (the stage `code` is the real one). What is left is DVC's time: of a first run, and of a second one that
finds nothing to do.

    python benchmarks/pipeline.py
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from rich.console import Console
from ruamel.yaml import YAML

from results import write_results

ROOT = Path(__file__).resolve().parents[1]
NO_WORK = """\
#!/bin/bash
# python -m presence_only.pipeline.NAME --dataset D --variant V
case "$2" in
  *.code) exec {python} "$@" --unchecked ;;
  *.generate) mkdir -p data/$4/training data/$4/survey results/datasets
    echo $4 | tee data/$4/training/a data/$4/survey/a > results/datasets/$4.json ;;
  *.train) mkdir -p runs/$4/$6; echo $6 > runs/$4/$6/encoder ;;
  *.evaluate) for folder in per_species per_site curves maps; do
      mkdir -p results/$folder/$4; echo $6 > results/$folder/$4/$6.parquet; done
    mkdir -p results/metrics/$4; echo '{{}}' > results/metrics/$4/$6.json ;;
  *.compare) for table in across across_pairs comparison pairs; do echo a > results/$table.csv; done
    echo '{{}}' > results/metrics.json ;;
  *.figures) for folder in figures more_figures; do
      mkdir -p results/$folder; echo a > results/$folder/a.png; done ;;
  *.settings) mkdir -p results/description; echo '{{}}' > results/description/settings.json
    echo 'a: 1' > results/settings.yaml ;;
  *.report) echo a > results/report.html ;;
esac
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", type=int, default=[4, 16, 32, 64])
    parser.add_argument("--studies", nargs="+", type=int, default=[0, 9], help="further studies, 16 variants each")
    arguments = parser.parse_args()
    console, lines = Console(), []
    for studies in arguments.studies:
        for variants in arguments.variants:
            stages = 2 * variants + 7
            with tempfile.TemporaryDirectory() as folder:
                first, second = measure(Path(folder), variants, studies)
            line = f"| {studies} | {variants} | {stages} | {first[1]:.1f} | {first[1] / stages:.2f} | "
            line += f"{second[0]:.1f} | {second[1]:.1f} |"
            console.print(line)
            lines.append(line)
    write_results(
        Path(__file__),
        [
            "Stages of one `dvc repro` in a repository with further studies of 16 variants each, none of which is run.",
            "All stages but `code` do no work, so that CPU seconds are DVC's, with the start of shells and of `code`.",
            "",
            "| further studies | variants | stages | first run, CPU s | a stage, CPU s | second run, wall s | CPU s |",
            "|---|---|---|---|---|---|---|",
            *lines,
        ],
    )


def measure(folder: Path, variants: int, studies: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Wall and CPU seconds of a first and of a second `dvc repro`."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "python").write_text(NO_WORK.format(python=sys.executable))
    (programs / "python").chmod(0o755)
    project = folder / "project"
    project.mkdir()
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, project / name)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "DVC_NO_ANALYTICS": "1",
    }

    def run(*command: str) -> tuple[float, float]:
        began, before = perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return perf_counter() - began, cpu

    run("git", "init", "-q")
    run("dvc", "init", "-q")
    write_params(project, variants)
    for number in range(studies):
        study = project / f"experiments/study_{number}"
        study.mkdir(parents=True)
        write_params(study, 16)
        shutil.copy(ROOT / "dvc.yaml", study / "dvc.yaml")
    return run("dvc", "repro"), run("dvc", "repro")


def write_params(folder: Path, variants: int) -> None:
    """A study of so many variants."""
    names = [f"v{number}" for number in range(variants)]
    YAML().dump(
        {
            "study": {"name": "x", "datasets": ["virtual"], "variants": names, "seeds": [0, 1, 2, 3]},
            "datasets": {"virtual": {"kind": "virtual"}},
            "variants": {name: {"loss": "an_full", "pos_lambda": 1.0 + i} for i, name in enumerate(names)},
        },
        folder / "params.yaml",
    )


if __name__ == "__main__":
    main()
