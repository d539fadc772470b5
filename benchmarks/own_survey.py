"""How long does a user's own survey take to become the truth of a model, and how much memory?

Writes seeded surveys as a long table of presences and as a wide table of 0 and 1. A fresh process reads each and makes
the truth over all species; its CPU time and its peak memory (VmHWM) are reported, beside those of a process that only
imports the package.

    python benchmarks/own_survey.py --surveys 100000 --species 10000 --found 100
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

from results import write_results

CHILD = """
import json, sys, time
from pathlib import Path
from presence_only.surveys.own_survey import SurveyEvaluation, read_own_survey
from presence_only.surveys.assembly import survey_of_rows
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
answer = {"imported": peak()}
names = json.loads(Path(sys.argv[2]).read_text())
start = time.process_time()
rows = read_own_survey(SurveyEvaluation(kind="survey", path=sys.argv[1]), dict.fromkeys(names, "Plantae"))
answer["read_s"], start = time.process_time() - start, time.process_time()
made = survey_of_rows(rows, names)
answer |= {"truth_s": time.process_time() - start, "peak": peak(), "presences": made.facts["survey_presences"]}
print(json.dumps(answer))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surveys", type=int, default=100_000)
    parser.add_argument("--species", type=int, default=10_000)
    parser.add_argument("--found", type=int, default=100, help="species that a survey finds")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    report = [
        "Each line is a fresh process. CPU seconds are over all threads; peak memory is VmHWM, which counts the "
        "interpreter and the imported packages too.",
        "",
        "| table | surveys | species | size (MB) | presences | read (CPU s) | truth (CPU s) | imports (MB) "
        "| peak (MB) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    names = [f"Genus species{letters(i)}" for i in range(arguments.species)]
    with tempfile.TemporaryDirectory(prefix="presence-only-") as folder:
        (Path(folder) / "names.json").write_text(json.dumps(names))
        for layout in ("long", "wide"):
            path = Path(folder) / f"{layout}.csv"
            write_survey(path, layout, names, arguments.surveys, arguments.found, arguments.seed)
            command = [sys.executable, "-c", CHILD, str(path), str(Path(folder) / "names.json")]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            report.append(
                f"| {layout} | {arguments.surveys:,} | {arguments.species:,} | {path.stat().st_size / 2**20:,.0f} | "
                f"{found['presences']:,} | {found['read_s']:.1f} | {found['truth_s']:.1f} | {found['imported']:,.0f} | "
                f"{found['peak']:,.0f} |"
            )
            path.unlink()
    write_results(Path(__file__), report)
    Console(width=160).print("\n".join(report))


def write_survey(path: Path, layout: str, names: list[str], surveys: int, found: int, seed: int) -> None:
    """The same surveys in one of the layouts."""
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        file.write("plot,longitude,latitude," + ("species" if layout == "long" else ",".join(names)) + "\n")
        for number in range(surveys):
            begin = f"{number},{rng.uniform(-10, 30):.5f},{rng.uniform(35, 65):.5f},"
            seen = rng.choice(len(names), min(found, len(names)), replace=False)
            if layout == "long":
                file.writelines(f"{begin}{names[s]}\n" for s in seen)
                continue
            cells = np.full(len(names), ord("0"), dtype=np.uint8)
            cells[seen] = ord("1")
            file.write(begin + ",".join(cells.tobytes().decode()) + "\n")


def letters(number: int) -> str:
    """A number as small letters."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


if __name__ == "__main__":
    main()
