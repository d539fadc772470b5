"""How many presences does label propagation add, and how many of them are true?

Virtual species, whose truth is known at every place, become checklists, which receive species from each other under the
default settings and with one setting changed at a time. An added presence is true if the species is present at the
centre of the row's cell. Chance is the expected share if every row had received as many species, drawn alike from those
that it did not have and that have a record within `cap_km`.

    python benchmarks/label_propagation.py --write
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time

from rich.console import Console
from rich.table import Table

from presence_only.datasets.virtual import DatasetSettings, build
from presence_only.occurrences.label_propagation import PropagationSettings, propagate_labels
from results import write_results

# What is changed of the defaults; those of a list are changed together.
CHANGES = [
    {},
    {"nearest": "anywhere"},
    {"k": 5},
    {"min_species": 6},
    {"radius_km": 300.0},
    {"max_distance": 1.0},
    {"spread": 0.3},
    {"cap_km": 300.0},
    {"k": 5, "radius_km": 300.0, "max_distance": 1.0, "spread": 0.3, "cap_km": 300.0},
]
HEADINGS = [
    "changed",
    "rows that give",
    "rows that received",
    "presences added",
    "species that gained",
    "of them true",
    "by chance",
    "CPU, s",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, default=500)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[5, 4], help="h3 resolutions of the checklists")
    parser.add_argument("--write", action="store_true", help="write the tables to benchmarks/results")
    arguments = parser.parse_args()
    lines = []
    for resolution in arguments.resolutions:
        title, rows = measure(arguments.species, arguments.records, resolution)
        table = Table(title=title)
        for heading in HEADINGS:
            table.add_column(heading, justify="right")
        for cells in rows:
            table.add_row(*cells)
        Console(width=140).print(table)
        lines += [f"{title}.", ""]
        lines += ["| " + " | ".join(cells) + " |" for cells in (HEADINGS, ["---"] + ["---:"] * 7, *rows)]
        lines.append("")
    if arguments.write:
        lines += [
            "True: the species is present at the centre of the row's cell. By chance: the expected share if every row",
            "had received as many species, drawn alike from those that it did not have and that have a record within",
            "`cap_km`.",
            "CPU: of the propagation alone.",
        ]
        write_results(Path(__file__), lines)


def measure(species: int, records: int, resolution: int) -> tuple[str, list[list[str]]]:
    """The heading and the rows of the table of one resolution."""
    title, rows = "", []
    for change in CHANGES:
        propagation = PropagationSettings(**change)
        settings = DatasetSettings(
            kind="virtual",
            species=species,
            records=records,
            rows="checklists",
            checklist_resolution=resolution,
            propagation=propagation,
        )
        dataset = build(settings)
        recorded, facts = dataset.recorded, dataset.facts
        began = process_time()
        propagate_labels(recorded, propagation)
        seconds = process_time() - began
        title = (
            f"{records:,} records of {species:,} virtual species as checklists at resolution {resolution}: "
            f"{len(recorded.row_P):,} presences in {recorded.n_rows:,} rows, "
            f"{share(facts, 'recorded')} of them true at the centre of the cell"
        )
        rows.append(
            [
                ", ".join(f"{name} {value}" for name, value in change.items()) or "nothing",
                f"{recorded.n_rows - facts['propagation_rows_below_min_species']:,}",
                f"{facts['propagation_rows_that_received']:,}",
                f"{facts['propagation_presences_added']:,}",
                f"{facts['propagation_species_that_gained']:,}",
                share(facts, "added"),
                share(facts, "chance"),
                f"{seconds:.2f}",
            ]
        )
    return title, rows


def share(facts, of: str) -> str:
    """A share that is true, as text."""
    value = facts.get(f"propagation_{of}_true_share")
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
