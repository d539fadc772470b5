"""A metric that somebody adds: one entry of the table, and every stage, table and page has it."""

import re
import runpy
from pathlib import Path
from textwrap import dedent

import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML
from support import tiny
from support.report_study import draw_nothing

from presence_only.common.atomic_files import read_json, write_json
from presence_only.evaluation import metrics
from presence_only.evaluation.metrics import METRICS, Metric
from presence_only.model.files import load_model, save_model
from presence_only.pipeline import compare, evaluate, figures, mlflow_rows, report, settings, show, workers
from presence_only.reporting import study_figures
from presence_only.study.paths import COMPARISON, PAIRS, REPORT, CellFiles, DatasetFiles

ROOT = Path(__file__).parents[2]
BASELINES = ROOT / "experiments/nceas/baselines"
VARIANTS = ("bce", "an_full")


def guide():
    """The function and the entry that CONTRIBUTING.md shows, as somebody would type them into metrics.py."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## To add a metric")[1].split("\n## ")[0]
    function, entry = (dedent(block) for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    names = {**vars(metrics)}
    exec(function, names)
    return eval(f"{{{entry}}}", names)


def slow_precision(scores_N, present_N):
    """Sites one after the other by falling score, until a tenth of the presences is found; ties come together."""
    found = n = 0
    for score in sorted(set(scores_N.tolist()), reverse=True):
        found += int((present_N & (scores_N == score)).sum())
        n += int((scores_N == score).sum())
        if found >= 0.1 * present_N.sum():
            return found / n
    raise AssertionError("there is no presence")


NEW = guide()
(PLAIN,) = NEW.values()
# And one of sites, whose name ends with the other's.
NEW["sample_precision_10"] = Metric("site", "p10", "sample p10", "mean over sites of that precision", PLAIN.formula)


def in_turn(tasks, *_):
    """Run tasks in this process."""
    for task in tasks:
        task.output.mkdir(parents=True, exist_ok=True)
        task.work(task.inputs, task.output, lambda *_: None)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A data set with covariates, and two variants of untrained models that were evaluated."""
    monkeypatch.chdir(tmp_path)
    for name, metric in NEW.items():
        monkeypatch.setitem(METRICS, name, metric)
    YAML().dump(tiny.params(), tmp_path / "params.yaml")
    data, files = tiny.dataset(), DatasetFiles("virtual")
    data.training.save(files.training)
    data.save_survey(files.survey)
    write_json(files.summary, {"rows": 60})
    # A process that used polars must not fork.
    monkeypatch.setattr(workers, "run_side_by_side", in_turn)
    for i, variant in enumerate(VARIANTS):
        cell = CellFiles("virtual", variant)
        for seed in (0, 1):
            save_model(tiny.model(data, seed=10 * i + seed), cell.encoder(seed))
            write_json(cell.history(seed), {"loss": [0.5, 0.25]})
        monkeypatch.setattr("sys.argv", ["evaluate", "--dataset", "virtual", "--variant", variant])
        evaluate.main()
    return data


def test_a_plain_metric_of_one_entry_goes_all_the_way(study, monkeypatch, capsys):
    # Pixels and lines take seconds, and are other tests' business.
    monkeypatch.setattr(study_figures, "save_figure", lambda figure, path: path.write_text(figure.axes[0].get_xlabel()))
    draw_nothing(monkeypatch)
    for stage in (compare, figures, settings, report, show):
        stage.main()

    # The values are those of a loop over species, and of a loop over sites.
    cell, survey = CellFiles("virtual", "bce"), study.survey
    logits_MS = load_model(cell.encoder(0)).predict(survey.sites_M2, survey.covariates_MC)
    present_MS = survey.truth.matrix() == 1
    by_species = [slow_precision(logits_MS[:, s], present_MS[:, s]) for s in range(5)]
    by_site = [slow_precision(logits_MS[m], present_MS[m]) for m in range(50)]
    for path, expected in ((cell.per_species, by_species), (cell.per_site, by_site)):
        table = pl.read_parquet(path)
        np.testing.assert_allclose(table.filter(pl.col("seed") == 0)["p10"].to_numpy(), expected)
    of_seed = read_json(cell.metrics)["seed_0"]
    assert of_seed["precision_10"] == pytest.approx(np.mean(by_species))
    assert of_seed["sample_precision_10"] == pytest.approx(np.mean(by_site))

    rows = pl.read_csv(COMPARISON).filter(pl.col("metric").is_in(NEW))
    assert set(rows.select("variant", "metric").rows()) == {(v, m) for v in VARIANTS for m in NEW}
    assert not rows["ensemble"].is_null().any()
    assert set(pl.read_csv(PAIRS)["metric"]) == {"species_map", "auc_roc", "precision_10"}
    drawn = {path.name: path.read_text() for path in Path("results").rglob("*.png")}
    html, said = REPORT.read_text(), capsys.readouterr().out
    for name, metric in NEW.items():
        assert drawn[f"{name}_virtual.png"] == f"{name}: {metric.meaning} (0 to 1)"
        assert f"<th>{metric.title}</th>" in html
        assert f"<dd>{metric.meaning}</dd>" in html
        assert metric.title in said
    (record, *_) = mlflow_rows.study_runs(mlflow_rows.read_settings(), "a commit")
    assert NEW.keys() <= record.metrics.keys()


def test_the_tables_of_methods_have_a_third_metric_of_species(study, monkeypatch):
    for script, arguments in (
        ("fit.py", "--dataset virtual --method logistic --background random"),
        ("table.py", "--methods logistic --backgrounds random"),
    ):
        monkeypatch.setattr("sys.argv", [script, *arguments.split()])
        runpy.run_path(str(BASELINES / script), run_name="__main__")
    stored = pl.read_parquet("results/baselines/virtual/logistic_random.parquet")
    assert stored.columns == ["species", "ap", "auc_roc", "p10"]
    row = pl.read_csv("results/methods.csv").row(by_predicate=pl.col("method") == "logistic_random", named=True)
    assert row["precision_10"] == pytest.approx(stored["p10"].mean(), abs=1e-6)
    assert row["precision_10_low"] <= row["precision_10"] <= row["precision_10_high"]
    assert "ensemble_precision_10" in row
    assert set(pl.read_csv("results/methods_pairs.csv")["metric"]) == {"auc_roc", "species_map", "precision_10"}
    assert "## precision" in Path("results/methods.md").read_text()
