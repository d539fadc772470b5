"""Fit one baseline to one region's records and score it at the survey; run from the study's folder."""

import argparse
import time

from models import BaselineFiles, fit_baseline, score_species
from threadpoolctl import threadpool_limits

from presence_only.common.atomic_files import content_hash, write_json, write_whole
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.pipeline.command import run_stage
from presence_only.study.paths import DatasetFiles


def main() -> None:
    """Write one row per species, and aside the seconds that the fits took."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dataset", "method", "background"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    files = BaselineFiles(arguments.dataset, arguments.method, arguments.background)
    data = TrainingData.load(DatasetFiles(arguments.dataset).training)
    start = time.perf_counter()
    # One thread, as in training: the same sums on machines with any number of cores.
    with threadpool_limits(1):
        baseline = fit_baseline(arguments.method, data, arguments.background, arguments.seed)
        seconds = time.perf_counter() - start
        table = score_species(baseline, Survey.load(DatasetFiles(arguments.dataset).survey))
    with write_whole(files.scores) as temporary:
        table.write_parquet(temporary)
    # The hash tells these seconds from those of other results that DVC may restore later.
    write_json(files.timing, {"scores": content_hash(files.scores), "seconds": round(seconds, 3)})


if __name__ == "__main__":
    run_stage(main)
