"""How long does it take, and how much memory, to make virtual species by the thousand?

Every row is a process of its own: the data set is built, then saved, and the process' highest resident
memory is what Linux calls VmHWM. Memory above imports is what the data set adds to it.

    python benchmarks/virtual_species.py --species 10000 --records 5000000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from rich.console import Console
from rich.table import Table

from results import write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/results")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.species, arguments.records)))
        return
    sizes = [(500, 50_000), (arguments.species, arguments.records)]
    rows = [row(species, records) for species, records in sizes]
    table = Table(title="virtual species")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for cells in rows:
        table.add_row(*cells)
    Console(width=110).print(table)
    if arguments.write:
        lines = ["| " + " | ".join(cells) + " |" for cells in (HEADINGS, ["---:"] * len(HEADINGS), *rows)]
        lines += [
            "",
            "Other work on the machine lengthens seconds, hardly those of the CPU.",
            "Memory: the highest resident memory of a process of its own (VmHWM), imports included and without.",
        ]
        write_results(Path(__file__), lines)


HEADINGS = [
    "species",
    "records",
    "survey sites",
    "build, s",
    "of it CPU, s",
    "save, s",
    "on disk, MB",
    "VmHWM, MB",
    "above imports, MB",
]


def row(species: int, records: int) -> list[str]:
    """One row of the table, measured in a fresh process."""
    command = [sys.executable, __file__, "--child", "--species", str(species), "--records", str(records)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return [
        f"{species:,}",
        f"{records:,}",
        f"{found['sites']:,}",
        f"{found['build']:.1f}",
        f"{found['cpu']:.1f}",
        f"{found['save']:.1f}",
        f"{found['disk'] / 1e6:.0f}",
        f"{found['peak'] / 1e6:,.0f}",
        f"{(found['peak'] - found['imports']) / 1e6:,.0f}",
    ]


def measure(species: int, records: int) -> dict[str, float]:
    """Build and save one data set; seconds and bytes."""
    from presence_only.datasets.virtual import DatasetSettings, build

    imports = high_water_mark()
    began, cpu = perf_counter(), process_time()
    dataset = build(DatasetSettings(kind="virtual", species=species, records=records))
    built, cpu = perf_counter(), process_time() - cpu
    with tempfile.TemporaryDirectory() as folder:
        dataset.training.save(Path(folder, "training"))
        dataset.save_survey(Path(folder, "survey"))
        saved = perf_counter()
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return {
        "sites": len(dataset.survey.sites_M2),
        "build": built - began,
        "cpu": cpu,
        "save": saved - built,
        "disk": disk,
        "imports": imports,
        "peak": high_water_mark(),
    }


def high_water_mark() -> int:
    """Highest resident memory of this process so far, in bytes; Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no line VmHWM; this benchmark needs Linux")


if __name__ == "__main__":
    main()
