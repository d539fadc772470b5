"""The files of a small study that its report reads, with made-up logits."""

from pathlib import Path

import numpy as np
import polars as pl
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.atomic_files import write_json
from presence_only.evaluation.metrics import evaluate
from presence_only.pipeline import settings
from presence_only.statistics.comparison_table import CellResult, compare
from presence_only.statistics.tables import all_pairs
from presence_only.study.paths import COMPARISON, PAIRS, CellFiles, DatasetFiles

SEEDS, VARIANTS, MAPPED = (0, 1), ("bce", "an_full"), (2, 4)


def write_report_files():
    """Write a study into the working folder.

    Returns:
        The data set, and variant to the scores (M, S) of the first seed.
    """
    YAML().dump(tiny.params(), Path("params.yaml"))
    data, files = tiny.dataset(species=5), DatasetFiles("virtual")
    data.training.save(files.training)
    data.save_survey(files.survey)
    write_json(files.summary, {"rows": 60, "survey_sites": 50})
    rng = np.random.default_rng(0)
    scores = {v: [rng.uniform(size=data.survey.truth.shape) for _ in SEEDS] for v in VARIANTS}
    cells = [write_cell(CellFiles("virtual", v), data, scores[v]) for v in VARIANTS]
    compare(cells, resamples=20).write_csv(COMPARISON)
    all_pairs(cells).write_csv(PAIRS)
    settings.main()
    return data, {variant: of_seeds[0] for variant, of_seeds in scores.items()}


def write_cell(cell, data, scores):
    species, sites = [], []
    for seed, score_MS in zip(SEEDS, scores, strict=True):
        write_json(cell.history(seed), {"loss": [0.7, 0.6 - seed / 10], "steps": 4})
        result = evaluate(score_MS, data.survey.truth)
        species.append(pl.DataFrame({"seed": seed, "species": data.survey.species} | result.per_species))
        sites.append(pl.DataFrame({"seed": seed} | result.per_site))
    maps = [pl.DataFrame({"species": s, "score": scores[0][:, s]}) for s in MAPPED]
    for path, tables in ((cell.per_species, species), (cell.per_site, sites), (cell.maps, maps)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.concat(tables).write_parquet(path)
    return CellResult(
        dataset=cell.dataset,
        variant=cell.variant,
        seeds=SEEDS,
        per_species={"species_map": np.stack([table["ap"].to_numpy() for table in species])},
        per_site={"sample_map": np.stack([table["ap"].to_numpy() for table in sites])},
        n_species=5,
        n_sites=50,
    )
