"""Ask a trained run that reads covariates why: which of them its scores depend on, and how.

python -m presence_only.pipeline.explain --run runs/mine/maxent --species "Parus major" --out explained
"""

from __future__ import annotations

import argparse
from pathlib import Path

from presence_only.pipeline.command import importing

# Lines that can be told apart in one panel.
MOST_SPECIES = 8
# Permutations of an input; 1,000 tell its deviation to 2 %.
MOST_REPEATS = 1_000


def main() -> None:
    """Write the tables and figures of permutation importance and response curves."""
    arguments = _arguments()
    with importing():
        from presence_only.pipeline.explanations import explain

    explain(
        arguments.run, tuple(arguments.species or ()), arguments.out, arguments.on, arguments.seed, arguments.repeats
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m presence_only.pipeline.explain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder runs/<dataset>/<variant>, or one seed's in it")
    parser.add_argument(
        "--species", nargs="+", help="names of species; without, importance is of the mean over all, and has no curves"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to make; a former explanation is replaced")
    parser.add_argument(
        "--on",
        choices=("training", "survey"),
        default="training",
        help="score at training records against background sites (default), or at the survey, which training never saw",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the permutations and draws (default 0)")
    parser.add_argument("--repeats", type=int, default=5, help="permutations of every input (default 5)")
    arguments = parser.parse_args()
    if arguments.species and len(arguments.species) > MOST_SPECIES:
        parser.error(f"--species: {len(arguments.species)} names; at most {MOST_SPECIES} are drawn together")
    if not 1 <= arguments.repeats <= MOST_REPEATS:
        parser.error(f"--repeats {arguments.repeats}: must be within 1..{MOST_REPEATS:,}")
    if not 0 <= arguments.seed < 2**32:
        parser.error(f"--seed {arguments.seed}: must lie within 0..4294967295")
    return arguments


if __name__ == "__main__":
    from presence_only.pipeline.command import run_stage

    run_stage(main)
