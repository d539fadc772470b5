"""Compare losses fairly: tune each with the same budget, then score it in worlds that no search saw.

What is run is the file design.yaml. A comparison that was interrupted goes on with the same command.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from presence_only.pipeline.command import importing, run_stage
from presence_only.pipeline.executor_options import add_executor_options, asked_executor

if TYPE_CHECKING:
    from presence_only.fair_comparison.design import Run


def main() -> None:
    """Search, score, and write results/trials.csv and results/scores.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_executor_options(parser)
    parser.add_argument("--searches-only", action="store_true", help="stop before anything is scored in other worlds")
    arguments = parser.parse_args()
    with importing():
        from presence_only.execution.journal import Journal
        from presence_only.execution.lock import alone
        from presence_only.execution.run_tasks import run_tasks
        from presence_only.fair_comparison.design import Design
        from presence_only.fair_comparison.tables import SCORES, TRIALS, scores_table, trials_table, write_table
        from presence_only.fair_comparison.tasks import WORK, read_best, run_tasks_of, search_tasks
        from presence_only.pipeline.progress import Display

    design = Design.load()
    start = asked_executor(arguments)
    with alone(WORK.with_name(f".{WORK.name}.in_use"), "compares losses in this folder"):
        journal, searches = Journal(WORK), search_tasks(design)
        runs: list[Run] = []
        with start() as executor:
            with Display(searches, "searches") as display:
                run_tasks(searches, executor, watcher=display, journal=journal)
            if not arguments.searches_only:
                runs, tasks = run_tasks_of(design, read_best(design))
                with Display(tasks, "runs") as display:
                    run_tasks(tasks, executor, watcher=display, journal=journal)
        # After the last worker was forked, as polars starts threads.
        write_table(trials_table(design), TRIALS)
        if runs:
            write_table(scores_table(runs), SCORES)
    print(f"results are in {TRIALS.parent}", flush=True)


if __name__ == "__main__":
    run_stage(main)
