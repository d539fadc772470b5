"""Make one data set: presence-only records, background sites and the evaluation survey."""

from __future__ import annotations

import time

from presence_only.pipeline.command import importing, parse_arguments, run_stage


def main() -> None:
    """Build the data set that params.yaml describes; write it with a summary."""
    arguments = parse_arguments(__doc__, "dataset")
    with importing():
        from presence_only.common.atomic_files import write_json
        from presence_only.data.summary import explain, summarise
        from presence_only.datasets import build_dataset
        from presence_only.reporting.console import print_summary
        from presence_only.study.checksums import note_made
        from presence_only.study.dataset_settings import load_dataset
        from presence_only.study.paths import DatasetFiles

    began = time.perf_counter()
    settings = load_dataset(arguments.dataset)
    print(f"{arguments.dataset}: making the data set", flush=True)
    dataset = build_dataset(settings)
    files = DatasetFiles(arguments.dataset)
    dataset.training.save(files.training)
    dataset.save_survey(files.survey)
    counts = summarise(dataset)
    write_json(files.summary, counts | explain(dataset))
    note_made(files.training, files.survey, files.summary)
    print_summary(arguments.dataset, dataset, counts, time.perf_counter() - began)


if __name__ == "__main__":
    run_stage(main)
