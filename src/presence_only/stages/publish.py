"""Mirror the study and its runs into MLflow, and mark what stands in the results as current."""

from __future__ import annotations

import hashlib
import json
import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from presence_only.files import content_hash, read_json
from presence_only.layout import COMPARISON, FIGURES, PAIRS, REPORT, CellFiles, DatasetFiles
from presence_only.params import Params, load_params
from presence_only.stages._cell import run_stage
from presence_only.tracking import RunRecord, git_commit, publish, repository_root, store_uri, viewing

# As many characters as MLflow keeps of a setting.
LONGEST_SETTING = 6000


def main() -> None:
    """Publish every run of the study, below a parent that holds the report, the tables and the figures."""
    params = load_params()
    here = Path.cwd()
    # `dvc exp run --temp` and `--queue` work in a copy below .dvc/tmp of the project that DVC_ROOT names.
    project = Path(os.environ.get("DVC_ROOT", here)).resolve()
    in_copy = project / ".dvc" / "tmp" in here.resolve().parents
    root = repository_root(project)
    commit = git_commit(here, [repository_root(here) / "src", here / "params.yaml", here / "dvc.yaml"])
    tags = {"git_commit": commit, "study": params.study.name}
    records = [record for dataset in params.study.datasets for record in dataset_records(params, dataset, tags)]
    parent = study_record(params, records, tags)
    logged, kept, experiment = publish(params.study.name, parent, records, root, move_current=not in_copy)
    print(f"MLflow: {logged} run{'s' * (logged != 1)} logged, {kept} already there, in {store_uri(root)}")
    for step in viewing(root, f"/#/experiments/{experiment}/runs"):
        print(f"        {step}")


def study_record(params: Params, records: list[RunRecord], tags: dict[str, str]) -> RunRecord:
    """The study as a whole: what it compares, with the report, the tables and the figures that are there."""
    study = params.study
    lists = {"datasets": study.datasets, "variants": study.variants, "seeds": study.seeds}
    settings = {name: ", ".join(map(str, items)) for name, items in lists.items()}
    artifacts = [path for path in (REPORT, COMPARISON, PAIRS, FIGURES) if path.exists()]
    return RunRecord(
        cell="",
        fingerprint=_fingerprint([settings, content_hash(*artifacts)]),
        params={name: fitting(items) for name, items in lists.items()},
        metrics={},
        curves={},
        tags=tags,
        artifacts=artifacts,
        # Not before its runs, so that it comes first in a list by time.
        finished=max([path.stat().st_mtime for path in artifacts] + [record.finished for record in records]),
    )


def fitting(items: Sequence[object], longest: int = LONGEST_SETTING) -> str:
    """The items with commas between them; of too many, how many they are and as many as fit into ``longest``."""
    text = ", ".join(map(str, items))
    if len(text) <= longest:
        return text
    return textwrap.shorten(f"{len(items)} in all: {text}", longest, placeholder=" ...", break_on_hyphens=False)


def dataset_records(params: Params, dataset: str, tags: dict[str, str]) -> list[RunRecord]:
    """The runs of one data set, read from the study's files."""
    data_hash = content_hash(DatasetFiles(dataset).training, DatasetFiles(dataset).survey)
    records = []
    for variant in params.study.variants:
        cell = CellFiles(dataset, variant)
        metrics, seconds = read_json(cell.metrics), training_seconds(cell)
        settings = run_settings(params, dataset, variant)
        for seed in params.study.seeds:
            history = read_json(cell.history(seed))
            values = metrics[f"seed_{seed}"]
            run = settings | {"seed": str(seed), "data_hash": data_hash}
            identity = [run, values, content_hash(cell.encoder(seed), cell.history(seed))]
            records.append(
                RunRecord(
                    cell=f"{dataset}/{variant}/{seed}",
                    fingerprint=_fingerprint(identity),
                    params=run,
                    metrics={name: value for name, value in values.items() if value is not None}
                    | ({"training_seconds": seconds[str(seed)]} if seconds else {}),
                    curves={"training_loss": [value for value in history["loss"] if math.isfinite(value)]},
                    tags=tags | {"dataset": dataset, "variant": variant, "seed": str(seed), "data_hash": data_hash},
                    artifacts=[cell.encoder(seed), cell.history(seed)],
                    seconds=seconds.get(str(seed), 0.0),
                    finished=cell.encoder(seed).stat().st_mtime,
                )
            )
    return records


def training_seconds(cell: CellFiles) -> dict[str, float]:
    """Seconds by seed, where the cell's present results were trained here and not restored."""
    if not cell.timing.exists():
        return {}
    timing = read_json(cell.timing)
    seconds: dict[str, float] = timing["seconds"] if timing["runs"] == content_hash(cell.runs) else {}
    return seconds


def run_settings(params: Params, dataset: str, variant: str) -> dict[str, str]:
    """Every setting that shaped a run, flat: ``loss``, ``encoder.width``, ``dataset.kind``."""
    settings = params.variants[variant]
    groups: dict[str, dict[str, Any]] = {
        "": settings.loss.model_dump(),
        "encoder.": settings.encoder.model_dump(),
        "training.": settings.training.model_dump(),
        "dataset.": params.datasets[dataset].model_dump(),
    }
    flat = {prefix + key: str(value) for prefix, group in groups.items() for key, value in group.items()}
    return {"dataset": dataset, "variant": variant} | flat


def _fingerprint(identity: Any) -> str:
    """The first 16 hex digits of a SHA-256 over anything that JSON can hold."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    run_stage(main)
