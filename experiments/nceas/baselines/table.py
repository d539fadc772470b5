"""Put encoders and baselines side by side; run from the study's folder."""

import argparse

from models import BaselineFiles
from side_by_side import (
    METHODS_PAIRS,
    METHODS_TABLE,
    METHODS_TEXT,
    best_encoder,
    methods_table,
    methods_text,
    pairs_with,
    read_baseline,
    read_encoder,
)

from presence_only.common.atomic_files import write_whole
from presence_only.pipeline.command import run_stage
from presence_only.study.results import StudyResults


def main() -> None:
    """Write region x method, every method against the best encoder, and both as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("methods", "backgrounds"):
        parser.add_argument(f"--{name}", nargs="+", required=True)
    arguments = parser.parse_args()
    study = StudyResults()
    results = []
    for dataset in study.datasets:
        results += [read_encoder(study, dataset, variant) for variant in study.variants]
        results += [
            read_baseline(BaselineFiles(dataset, method, background))
            for method in arguments.methods
            for background in arguments.backgrounds
        ]
    table, pairs = methods_table(results), pairs_with(best_encoder(results), results)
    for path, content in ((METHODS_TABLE, table), (METHODS_PAIRS, pairs)):
        with write_whole(path) as temporary:
            content.write_csv(temporary, float_precision=6)
    with write_whole(METHODS_TEXT) as temporary:
        temporary.write_text(methods_text(table, pairs))


if __name__ == "__main__":
    run_stage(main)
