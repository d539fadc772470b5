"""The runs of a study as MLflow shows them: a row per variant with its means, its seeds below it, and the report.

Settings come from results/settings.yaml as plain values: their classes need torch, and MLflow takes long enough.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import content_hash, json_hash
from presence_only.common.stored_files import reading, stored_json
from presence_only.pipeline.mlflow_mirror import RunRecord
from presence_only.study.checksums import check_unaltered
from presence_only.study.paths import (
    ACROSS,
    ACROSS_PAIRS,
    CODE,
    COMPARISON,
    FIGURES,
    MORE_FIGURES,
    PAIRS,
    REPORT,
    SETTINGS,
    CellFiles,
    DatasetFiles,
)
from presence_only.study.timings import timed

# What results/settings.yaml holds: `study`, `datasets` and `variants`.
Settings = Mapping[str, Any]

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


def study_state() -> str:
    """Hash of all that decides which runs are published: files, settings, and code by its fingerprints in code.yaml.

    Times of training are not in it: they differ between equal results, which are the same run.
    """
    files = (SETTINGS, CODE, Path("data"), Path("runs"), Path("results/metrics"), *_products())
    return content_hash(*(path for path in files if path.exists()))


def read_settings() -> Settings:
    """Every setting of the study, as the stage ``settings`` wrote them.

    Raises:
        FileNotFoundError: If it did not.
        DamagedError: If the file was altered since.
    """
    # Not at the top: it takes a tenth of a second, and mostly there is nothing to log.
    from ruamel.yaml import YAML

    check_unaltered(SETTINGS)
    with reading(SETTINGS), SETTINGS.open("rb") as file:
        found: Settings = YAML(typ="safe").load(file)
    return found


def study_runs(settings: Settings, commit: str) -> list[RunRecord]:
    """All runs of the study: those of every data set, and last the report, below which nothing lies."""
    tags = {"git_commit": commit, "study": settings["study"]["name"]}
    records = [
        record for dataset in settings["study"]["datasets"] for record in dataset_records(settings, dataset, tags)
    ]
    return [*records, study_record(settings, records, tags)]


def dataset_records(settings: Settings, dataset: str, tags: dict[str, str]) -> list[RunRecord]:
    """The runs of one data set, read from the study's files: every variant, followed by its seeds."""
    data_hash = content_hash(DatasetFiles(dataset).training, DatasetFiles(dataset).survey)
    own_tags = tags | {"dataset": dataset, "data_hash": data_hash}
    records = []
    for variant in settings["study"]["variants"]:
        seeds = seed_records(settings, CellFiles(dataset, variant), own_tags)
        records += [variant_record(settings, CellFiles(dataset, variant), seeds, own_tags), *seeds]
    return records


def variant_record(settings: Settings, cell: CellFiles, seeds: list[RunRecord], tags: dict[str, str]) -> RunRecord:
    """A variant on a data set: the means over its seeds.

    mlflow ui draws a chart of every metric. So what is the same for every variant is a setting here, and the scores of
    the seeds' ensemble, which are no means, are left to the tables.
    """
    metrics = stored_json(cell.metrics)
    numbers = {name: value for name, value in metrics.items() if not isinstance(value, dict) and value is not None}
    data = {name: value for name, value in numbers.items() if name.startswith(COUNT) or name in DATA_NUMBERS}
    trained_with = run_settings(settings, cell.dataset, cell.variant)
    trained_with |= {name: f"{value:g}" for name, value in data.items()}
    trained_with |= {"seeds": fitting(settings["study"]["seeds"]), "data_hash": tags["data_hash"]}
    means = {name: value for name, value in numbers.items() if name not in data}
    seconds = training_seconds(cell)
    several = len(settings["study"]["datasets"]) > 1
    return RunRecord(
        cell=f"{cell.dataset}/{cell.variant}",
        kind="variant",
        name=f"{cell.dataset} / {cell.variant}" if several else cell.variant,
        fingerprint=json_hash([trained_with, means, [seed.fingerprint for seed in seeds]]),
        params=trained_with,
        metrics=means | ({"training_seconds": sum(seconds.values()) / len(seconds)} if seconds else {}),
        curves={LOSS: [_mean(losses) for losses in zip(*(seed.curves[LOSS] for seed in seeds), strict=True)]},
        tags=tags | {"variant": cell.variant},
        started=min(seed.started for seed in seeds),
        finished=max(seed.finished for seed in seeds),
    )


def seed_records(settings: Settings, cell: CellFiles, tags: dict[str, str]) -> list[RunRecord]:
    """The runs of one cell, a seed each."""
    for path in (cell.runs, cell.metrics):
        check_unaltered(path)
    metrics, seconds = stored_json(cell.metrics), training_seconds(cell)
    trained_with = run_settings(settings, cell.dataset, cell.variant)
    records = []
    for seed in settings["study"]["seeds"]:
        finished = cell.encoder(seed).stat().st_mtime
        # NaN was written as null.
        history = stored_json(cell.history(seed))
        with reading(cell.history(seed)):
            losses = [math.nan if value is None else float(value) for value in history["loss"]]
        with reading(cell.metrics):
            values = dict(metrics[f"seed_{seed}"])
        run = trained_with | {"seed": str(seed), "data_hash": tags["data_hash"]}
        identity = [run, values, content_hash(cell.encoder(seed), cell.history(seed))]
        records.append(
            RunRecord(
                cell=f"{cell.dataset}/{cell.variant}/{seed}",
                kind="seed",
                name=f"{cell.dataset}/{cell.variant}/{seed}",
                fingerprint=json_hash(identity),
                params=run,
                metrics={name: value for name, value in values.items() if value is not None}
                | ({"training_seconds": seconds[str(seed)]} if str(seed) in seconds else {}),
                curves={LOSS: losses},
                tags=tags | {"variant": cell.variant, "seed": str(seed)},
                below=f"{cell.dataset}/{cell.variant}",
                artifacts=[cell.encoder(seed), cell.history(seed)],
                started=finished - seconds.get(str(seed), 0.0),
                finished=finished,
            )
        )
    return records


def study_record(settings: Settings, records: Sequence[RunRecord], tags: dict[str, str]) -> RunRecord:
    """The study as a whole: what it compares, with the report, the tables and the figures that are there.

    It has no metric and begins before its runs do, so that it is the last row by time and by every metric.
    """
    lists = {name: settings["study"][name] for name in ("datasets", "variants", "seeds")}
    whole = {name: ", ".join(map(str, items)) for name, items in lists.items()}
    artifacts = _products()
    return RunRecord(
        cell="",
        kind="study",
        name="report",
        # The word tells it from a run of the older layout with the same files, which had all seeds below it.
        fingerprint=json_hash(["report", whole, content_hash(*artifacts)]),
        params={name: fitting(items) for name, items in lists.items()},
        tags=tags,
        artifacts=artifacts,
        started=min(record.started for record in records) - 1,
        finished=max([path.stat().st_mtime for path in artifacts] + [record.finished for record in records]),
    )


def study_note(settings: Settings, records: Sequence[RunRecord], folder: Path) -> str:
    """What the experiment is, which variants lead, and where the report is, in Markdown."""
    study = settings["study"]
    name, seeds = study["name"], study["seeds"]
    lines = [
        f"A row is a variant of the study {name}, with its means over {len(seeds)} seeds; + shows them. "
        "The last row, `report`, holds the report, the tables and the figures."
    ]
    for dataset in study["datasets"]:
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
    return timed(cell.timing, "runs", cell.runs) or {}


def run_settings(settings: Settings, dataset: str, variant: str) -> dict[str, str]:
    """Every setting that shaped a run, flat: ``loss``, ``encoder.width``, ``dataset.kind``."""
    own = settings["variants"][variant]
    groups: dict[str, Mapping[str, Any]] = {
        "": {key: value for key, value in own.items() if key not in ("encoder", "training", "members")},
        "encoder.": own["encoder"],
        "training.": own["training"],
        "dataset.": settings["datasets"][dataset],
    }
    flat = {prefix + key: str(value) for prefix, group in groups.items() for key, value in group.items()}
    return {"dataset": dataset, "variant": variant} | flat


def _products() -> list[Path]:
    """What the study as a whole adds up to, as far as it is there."""
    return [path for path in (REPORT, COMPARISON, PAIRS, ACROSS, ACROSS_PAIRS, FIGURES, MORE_FIGURES) if path.exists()]


def _mean(values: Sequence[float]) -> float:
    """The mean; NaN where one value is."""
    return math.fsum(values) / len(values)
