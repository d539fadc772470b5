"""Publication of a study and its runs in MLflow, where those of the present results are marked as current."""

from __future__ import annotations

import hashlib
import json
import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presence_only.common.atomic_files import content_hash, read_json
from presence_only.pipeline.command import run_stage
from presence_only.pipeline.mlflow_mirror import (
    RunRecord,
    check_store,
    git_commit,
    publish,
    published,
    repository_root,
    store_uri,
    variants_page,
    viewing,
)
from presence_only.study.paths import CODE, COMPARISON, FIGURES, MORE_FIGURES, PAIRS, REPORT, CellFiles, DatasetFiles

if TYPE_CHECKING:
    from presence_only.study.params import Params

# As many characters as MLflow keeps of a setting.
LONGEST_SETTING = 6000
# Prefix of counts (n_sites, n_species), which are not metrics.
COUNT = "n_"
# Metrics of the data set, which no variant changes.
DATA_NUMBERS = ("effort_correlation_of_truth",)
# The metric by which variants are ranked.
RANKING = "species_map"
# The curve of a run: mean training loss of every epoch.
LOSS = "training_loss"
# How many of the best variants the description of the experiment names.
NAMED = 5


def main() -> None:
    """Publish the study: a row per variant with its means, its seeds below it, and a row for the report."""
    here = Path.cwd()
    # `dvc exp run --temp` and `--queue` work in a copy below .dvc/tmp of the project that DVC_ROOT names.
    project = Path(os.environ.get("DVC_ROOT", here)).resolve()
    in_copy = project / ".dvc" / "tmp" in here.resolve().parents
    root = repository_root(project)
    state = study_state()
    if runs := published(state, root):
        print(f"MLflow: nothing to log; the {runs} current runs are those of results/, in {store_uri(root)}")
        return
    check_store(root)
    # Not at the top: settings need torch, which takes seconds to import, and mostly there is nothing to log.
    from presence_only.study.params import load_params

    params = load_params()
    study = params.study
    commit = git_commit(here, [repository_root(here) / "src", here / "params.yaml", here / "dvc.yaml"])
    tags = {"git_commit": commit, "study": study.name}
    records = [record for dataset in study.datasets for record in dataset_records(params, dataset, tags)]
    # Last, as nothing lies below it.
    records.append(study_record(params, records, tags))
    note = study_note(params, records, here)
    logged, kept, experiment = publish(
        study.name, records, root, move_current=not in_copy, ranking=RANKING, note=note, state=state
    )
    print(f"MLflow: {logged} run{'s' * (logged != 1)} logged, {kept} already there, in {store_uri(root)}")
    for step in viewing(root, variants_page(experiment, RANKING)):
        print(f"        {step}")


def study_state() -> str:
    """Hash of all that decides which runs are published: files, settings, and code by its fingerprints in code.yaml.

    Times of training are not in it: they differ between equal results, which are the same run.
    """
    files = (Path("params.yaml"), CODE, Path("data"), Path("runs"), Path("results/metrics"), *_products())
    return content_hash(*(path for path in files if path.exists()))


def dataset_records(params: Params, dataset: str, tags: dict[str, str]) -> list[RunRecord]:
    """The runs of one data set, read from the study's files: every variant, followed by its seeds."""
    data_hash = content_hash(DatasetFiles(dataset).training, DatasetFiles(dataset).survey)
    own_tags = tags | {"dataset": dataset, "data_hash": data_hash}
    records = []
    for variant in params.study.variants:
        seeds = seed_records(params, CellFiles(dataset, variant), own_tags)
        records += [variant_record(params, CellFiles(dataset, variant), seeds, own_tags), *seeds]
    return records


def variant_record(params: Params, cell: CellFiles, seeds: list[RunRecord], tags: dict[str, str]) -> RunRecord:
    """A variant on a data set: the means over its seeds.

    mlflow ui draws a chart of every metric. So what is the same for every variant is a setting here, and the scores of
    the seeds' ensemble, which are no means, are left to the tables.
    """
    metrics = read_json(cell.metrics)
    numbers = {name: value for name, value in metrics.items() if not isinstance(value, dict) and value is not None}
    data = {name: value for name, value in numbers.items() if name.startswith(COUNT) or name in DATA_NUMBERS}
    settings = run_settings(params, cell.dataset, cell.variant)
    settings |= {name: f"{value:g}" for name, value in data.items()}
    settings |= {"seeds": fitting(params.study.seeds), "data_hash": tags["data_hash"]}
    means = {name: value for name, value in numbers.items() if name not in data}
    seconds = training_seconds(cell)
    several = len(params.study.datasets) > 1
    return RunRecord(
        cell=f"{cell.dataset}/{cell.variant}",
        kind="variant",
        name=f"{cell.dataset} / {cell.variant}" if several else cell.variant,
        fingerprint=_fingerprint([settings, means, [seed.fingerprint for seed in seeds]]),
        params=settings,
        metrics=means | ({"training_seconds": sum(seconds.values()) / len(seconds)} if seconds else {}),
        curves={LOSS: [_mean(losses) for losses in zip(*(seed.curves[LOSS] for seed in seeds), strict=True)]},
        tags=tags | {"variant": cell.variant},
        started=min(seed.started for seed in seeds),
        finished=max(seed.finished for seed in seeds),
    )


def seed_records(params: Params, cell: CellFiles, tags: dict[str, str]) -> list[RunRecord]:
    """The runs of one cell, a seed each."""
    metrics, seconds = read_json(cell.metrics), training_seconds(cell)
    settings = run_settings(params, cell.dataset, cell.variant)
    records = []
    for seed in params.study.seeds:
        finished = cell.encoder(seed).stat().st_mtime
        # NaN was written as null.
        losses = [math.nan if value is None else value for value in read_json(cell.history(seed))["loss"]]
        values = metrics[f"seed_{seed}"]
        run = settings | {"seed": str(seed), "data_hash": tags["data_hash"]}
        identity = [run, values, content_hash(cell.encoder(seed), cell.history(seed))]
        records.append(
            RunRecord(
                cell=f"{cell.dataset}/{cell.variant}/{seed}",
                kind="seed",
                name=f"{cell.dataset}/{cell.variant}/{seed}",
                fingerprint=_fingerprint(identity),
                params=run,
                metrics={name: value for name, value in values.items() if value is not None}
                | ({"training_seconds": seconds[str(seed)]} if seconds else {}),
                curves={LOSS: losses},
                tags=tags | {"variant": cell.variant, "seed": str(seed)},
                below=f"{cell.dataset}/{cell.variant}",
                artifacts=[cell.encoder(seed), cell.history(seed)],
                started=finished - seconds.get(str(seed), 0.0),
                finished=finished,
            )
        )
    return records


def study_record(params: Params, records: Sequence[RunRecord], tags: dict[str, str]) -> RunRecord:
    """The study as a whole: what it compares, with the report, the tables and the figures that are there.

    It has no metric and begins before its runs do, so that it is the last row by time and by every metric.
    """
    study = params.study
    lists = {"datasets": study.datasets, "variants": study.variants, "seeds": study.seeds}
    settings = {name: ", ".join(map(str, items)) for name, items in lists.items()}
    artifacts = _products()
    return RunRecord(
        cell="",
        kind="study",
        name="report",
        # The word tells it from a run of the older layout with the same files, which had all seeds below it.
        fingerprint=_fingerprint(["report", settings, content_hash(*artifacts)]),
        params={name: fitting(items) for name, items in lists.items()},
        tags=tags,
        artifacts=artifacts,
        started=min(record.started for record in records) - 1,
        finished=max([path.stat().st_mtime for path in artifacts] + [record.finished for record in records]),
    )


def study_note(params: Params, records: Sequence[RunRecord], folder: Path) -> str:
    """What the experiment is, which variants lead, and where the report is, in Markdown."""
    study = params.study
    lines = [
        f"A row is a variant of the study {study.name}, with its means over {len(study.seeds)} seeds; + shows them. "
        "The last row, `report`, holds the report, the tables and the figures."
    ]
    for dataset in study.datasets:
        rows = [r for r in records if r.kind == "variant" and r.tags["dataset"] == dataset and RANKING in r.metrics]
        best = sorted(rows, key=lambda row: row.metrics[RANKING], reverse=True)[:NAMED]
        named = ", ".join(f"`{row.tags['variant']}` {row.metrics[RANKING]:.3f}" for row in best)
        lines.append(f"Highest {RANKING} on {dataset}: {named}")
    if products := _products():
        lines.append("Files: " + ", ".join(f"`{folder / path}`" for path in products))
    return "\n\n".join(lines)


def fitting(items: Sequence[object], longest: int = LONGEST_SETTING) -> str:
    """The items with commas between them; of too many, how many they are and as many as fit into ``longest``."""
    text = ", ".join(map(str, items))
    if len(text) <= longest:
        return text
    return textwrap.shorten(f"{len(items)} in all: {text}", longest, placeholder=" ...", break_on_hyphens=False)


def training_seconds(cell: CellFiles) -> Mapping[str, float]:
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


def _products() -> list[Path]:
    """What the study as a whole adds up to, as far as it is there."""
    return [path for path in (REPORT, COMPARISON, PAIRS, FIGURES, MORE_FIGURES) if path.exists()]


def _mean(values: Sequence[float]) -> float:
    """The mean; NaN where one value is."""
    return math.fsum(values) / len(values)


def _fingerprint(identity: Any) -> str:
    """The first 16 hex digits of a SHA-256 over anything that JSON can hold."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    run_stage(main)
