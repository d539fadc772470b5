"""Search the settings of a variant by held-out presence records, or write what was found as a new variant.

What is tried, and how, is the group `search` of params.yaml. A search that was interrupted goes on with the same
command, and one that is done with a greater number of trials. It sees no survey.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from presence_only.pipeline.command import importing, run_stage
from presence_only.pipeline.executor_options import add_executor_options, asked_executor

if TYPE_CHECKING:
    from presence_only.search.run import Search
    from presence_only.search.trials import Trial
    from presence_only.study.paths import SearchFiles


def main() -> None:
    """Search, or adopt what a search has found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="name of a data set of the study")
    parser.add_argument("--variant", required=True, help="name of a variant of the study")
    parser.add_argument("--trials", type=int, help="how many, those that are done included; default: search.trials")
    parser.add_argument("--fresh", action="store_true", help="begin anew: the trials so far are removed")
    parser.add_argument("--adopt", metavar="NAME", help="write the best settings so far as a new variant; run nothing")
    add_executor_options(parser)
    arguments = parser.parse_args()
    if arguments.adopt is not None:
        adopt_best(arguments.dataset, arguments.variant, arguments.adopt)
    else:
        search_settings(arguments)


def search_settings(arguments: argparse.Namespace) -> None:
    """Run the trials that are missing, and write tables, figure and MLflow's runs."""
    with importing():
        from presence_only.pipeline.search_progress import SearchDisplay, best_in_words
        from presence_only.search.journal import open_journal
        from presence_only.search.run import check_unchanged, run_search
        from presence_only.study.paths import SearchFiles
    files = SearchFiles(arguments.dataset, arguments.variant)
    search = read_search(files, arguments.trials)
    start = asked_executor(arguments)
    with open_journal(files.journal, search.name) as journal:
        if not arguments.fresh:
            check_unchanged(journal, search)
        with start() as executor:
            # Only now, when nothing can be wrong any more.
            if arguments.fresh:
                journal.forget()
                for path in (files.trials, files.best, files.figure):
                    path.unlink(missing_ok=True)
                check_unchanged(journal, search)
            trials = list(journal.trials().values())

            def keep(ended: Sequence[Trial]) -> None:
                trials[:] = ended
                write_tables(files, search, trials)

            done = f"{len(trials)} of {max(len(trials), search.settings.trials)} trials are done"
            side_by_side = min(executor.slots, search.settings.parallel)
            print(f"{search.name}: {done}, {side_by_side} at a time", flush=True)
            with SearchDisplay(search, trials) as display:
                run_search(search, journal, executor, watcher=display, kept=keep)
    write_tables(files, search, trials)
    draw(files, search, trials)
    print(best_in_words(trials))
    print(f"tables and figure are in {files.folder}; --adopt NAME writes the best settings as a variant", flush=True)
    mirror(files, search, trials)


def read_search(files: SearchFiles, trials: int | None) -> Search:
    """What params.yaml asks for.

    Args:
        files: Of the data set and the variant.
        trials: How many trials; None: as the file says.

    Raises:
        SettingsError: If there is nothing to search for, or a setting is wrong.
    """
    from presence_only.common.settings import SettingsError
    from presence_only.pipeline.code import LEFT_OUT, PACKAGE, of_trials
    from presence_only.pipeline.fingerprint import Fingerprints
    from presence_only.search.run import Search
    from presence_only.search.settings import SearchSettings
    from presence_only.search.space import Searched, check_search
    from presence_only.study.checksums import check_unaltered
    from presence_only.study.inheritance import inherit
    from presence_only.study.params import load_tree
    from presence_only.study.paths import DatasetFiles

    tree = load_tree(files.dataset, files.variant)
    dataset = inherit(tree.datasets, "datasets").get(files.dataset)
    if isinstance(dataset, dict) and dataset.get("propagation") is not None:
        raise SettingsError(
            f"datasets.{files.dataset}.propagation: must be null for a search, which judges by held-out records; "
            "copies of them would train"
        )
    settings = check_search(tree)
    if settings is None:
        raise SettingsError("params.yaml has no group 'search', which says what is tried; see docs/search.md")
    if trials is not None:
        settings = SearchSettings.parse(settings.model_dump() | {"trials": trials}, "search")
    searched = Searched.of(tree, settings, files.variant)
    code = of_trials(Fingerprints(PACKAGE, LEFT_OUT), searched.tried(), tree.encoder.model_dump())
    training = DatasetFiles(files.dataset).training
    check_unaltered(training)
    return Search(files.dataset, training, searched, settings, code)


def write_tables(files: SearchFiles, search: Search, trials: Sequence[Trial]) -> None:
    """Write the table of trials and the best settings."""
    from presence_only.search.results import variant_digest, write_best, write_trials

    write_trials(files.trials, trials, list(search.searched.dimensions))
    about = {"dataset": files.dataset, "variant": files.variant, "criterion": search.settings.criterion}
    write_best(files.best, trials, about | {"variant_settings": variant_digest(search.searched.variant)})


def draw(files: SearchFiles, search: Search, trials: Sequence[Trial]) -> None:
    """Draw the best value so far."""
    from presence_only.reporting.figures.search import search_figure
    from presence_only.reporting.figures.style import save_figure

    figure = search_figure(
        [math.nan if trial.value is None else trial.value for trial in trials],
        [trial.finished for trial in trials],
        [trial.outcome.cpu_seconds for trial in trials],
        search.settings.criterion,
        f"{files.variant} on {files.dataset}",
    )
    save_figure(figure, files.figure)


def mirror(files: SearchFiles, search: Search, trials: Sequence[Trial]) -> None:
    """Log the search and its trials in MLflow, those that are not there yet."""
    from presence_only.pipeline import mlflow_mirror
    from presence_only.pipeline.mlflow_search import search_record, trial_records
    from presence_only.study.settings import load_study

    root = mlflow_mirror.repository_root(Path.cwd())
    mlflow_mirror.check_store(root)
    logged, kept = mlflow_mirror.publish_search(
        load_study().name, search_record(files, search, trials), trial_records(search, trials), root
    )
    print(
        f"MLflow: {logged} trial{'s' * (logged != 1)} logged, {kept} already there, in {mlflow_mirror.store_uri(root)}"
    )


def adopt_best(dataset: str, variant: str, name: str) -> None:
    """Write the best settings of a search as a new variant."""
    from presence_only.search.adopt import adopt
    from presence_only.search.results import read_best
    from presence_only.study.params import load_tree
    from presence_only.study.paths import SearchFiles

    best = read_best(SearchFiles(dataset, variant).best, load_tree(dataset, variant).variant(variant))
    line = adopt(variant, name, best["settings"])
    print(f"params.yaml has a new variant, the best of {best['trials']} trials: {line}")
    print("`dvc repro` trains and evaluates it")


if __name__ == "__main__":
    run_stage(main)
