"""Joined numbers against a second calculation by hand."""

import runpy
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from models import BaselineFiles
from ruamel.yaml import YAML
from scipy import stats
from side_by_side import (
    MethodResult,
    best_encoder,
    methods_table,
    methods_text,
    pairs_with,
    read_baseline,
    read_encoder,
)
from support.tiny import params

from presence_only.common.atomic_files import content_hash, write_json
from presence_only.common.errors import DataError
from presence_only.statistics.differences import compare_pairs
from presence_only.statistics.paired import holm
from presence_only.statistics.significance import is_significant
from presence_only.study.paths import CellFiles
from presence_only.study.results import StudyResults

ROOT = Path(__file__).parents[2]
SPECIES = tuple(f"species_{i}" for i in range(8))


def result(dataset, method, kind, auc_VU, **changes):
    auc_VU = np.asarray(auc_VU, dtype=float)
    fields = {
        "species": SPECIES,
        "values": {"auc_roc": auc_VU, "species_map": auc_VU / 2},
        "ensemble": {"auc_roc": 0.9, "species_map": 0.5} if kind == "encoder" else {},
        "seconds": 2.0,
    }
    return MethodResult(dataset, method, kind, **(fields | changes))


def results():
    rng = np.random.default_rng(0)
    made = []
    for dataset, base in (("a", 0.6), ("b", 0.7)):
        species_U = base + 0.1 * rng.random(8)
        made += [
            result(dataset, "good", "encoder", species_U + 0.05 + 0.01 * rng.random((3, 8))),
            result(dataset, "poor", "encoder", species_U + 0.01 * rng.random((3, 8))),
            result(dataset, "forest", "baseline", (species_U + 0.1 * rng.random(8))[None]),
        ]
    return made


def by(made, dataset, method):
    return next(r for r in made if r.dataset == dataset and r.method == method)


def test_means_are_those_of_species_and_seeds_and_then_of_regions():
    made = results()
    table = methods_table(made, resamples=200)
    assert table["dataset"].to_list() == ["a"] * 3 + ["b"] * 3 + ["mean"] * 3
    rows = {(row["dataset"], row["method"]): row for row in table.iter_rows(named=True)}
    for method in ("good", "poor", "forest"):
        means = [by(made, d, method).values["auc_roc"].mean() for d in ("a", "b")]
        assert rows["a", method]["auc_roc"] == pytest.approx(means[0])
        assert rows["mean", method]["auc_roc"] == pytest.approx(np.mean(means))
        assert rows["mean", method]["species_map"] == pytest.approx(np.mean(means) / 2)
        for row in (rows[d, method] for d in ("a", "b", "mean")):
            assert row["auc_roc_low"] < row["auc_roc"] < row["auc_roc_high"]
    assert [rows["a", m]["n_seeds"] for m in ("good", "forest")] == [3, 1]
    assert rows["mean", "good"]["n_species"] == 16
    assert (rows["mean", "good"]["ensemble_auc_roc"], rows["mean", "forest"]["ensemble_auc_roc"]) == (0.9, None)
    assert table.filter(pl.col("dataset") == "mean")["auc_roc"].is_sorted(descending=True)


def test_the_interval_of_one_run_is_that_of_resampled_species():
    auc_U = np.linspace(0.5, 0.9, 8)
    table = methods_table([result("a", "forest", "baseline", auc_U[None])], resamples=4000)
    rng = np.random.default_rng(9)
    # Means of equally spaced values lie 0.007 apart.
    means = auc_U[rng.integers(8, size=(20_000, 8))].mean(axis=1)
    assert table["auc_roc_low"][0] == pytest.approx(np.quantile(means, 0.025), abs=0.008)
    assert table["auc_roc_high"][0] == pytest.approx(np.quantile(means, 0.975), abs=0.008)


def test_a_species_without_a_value_is_left_out_for_all():
    made = [
        result("a", "good", "encoder", [[0.9, np.nan] + [0.5] * 6]),
        result("a", "forest", "baseline", [[0.7, 0.1] + [0.5] * 6]),
    ]
    rows = {row["method"]: row for row in methods_table(made, resamples=10).iter_rows(named=True)}
    assert rows["forest"]["n_species"] == 7
    assert rows["forest"]["auc_roc"] == pytest.approx((0.7 + 3.0) / 7)


def test_pairs_are_the_reference_minus_the_others():
    made = results()
    assert best_encoder(made) == "good"
    pairs = pairs_with("good", made, resamples=500)
    assert set(pairs["method"]) == {"poor", "forest"}
    for metric in ("auc_roc", "species_map"):
        differences = {}
        for dataset in ("a", "b"):
            good = by(made, dataset, "good").values[metric].mean(axis=0)
            for method in ("poor", "forest"):
                differences[dataset, method] = good - by(made, dataset, method).values[metric].mean(axis=0)
        for method in ("poor", "forest"):
            differences["mean", method] = np.concatenate([differences[d, method] for d in ("a", "b")])
        for dataset in ("a", "b", "mean"):
            rows = pairs.filter((pl.col("dataset") == dataset) & (pl.col("metric") == metric))
            p = {m: stats.wilcoxon(differences[dataset, m]).pvalue for m in ("poor", "forest")}
            corrected = dict(zip(p, holm(list(p.values())), strict=True))
            for row in rows.iter_rows(named=True):
                expected = differences[dataset, row["method"]]
                assert row["difference"] == pytest.approx(expected.mean())
                assert row["low"] < row["difference"] < row["high"]
                assert row["p_units"] == pytest.approx(p[row["method"]])
                assert row["holm_units"] == pytest.approx(corrected[row["method"]])
                assert row["share_higher"] == pytest.approx((expected > 0).mean())
                assert row["n_species"] == len(expected)


def test_a_difference_is_significant_by_the_rule_of_the_table_of_pairs():
    """A method against one other, on one data set: the same numbers and the same verdict as of two variants."""
    made = [r for r in results() if r.dataset == "a" and r.method != "forest"]
    for reference, other in (("good", "poor"), ("poor", "good")):
        row = pairs_with(reference, made).filter(pl.col("metric") == "auc_roc").row(0, named=True)
        (pair,) = compare_pairs({r.method: r.values["auc_roc"] for r in made})
        pair = pair if pair.first == reference else pair.turned()
        assert pair.second == other
        assert row["significant"] is pair.significant is is_significant(row)
        for name in ("difference", "p_seeds", "p_units", "holm_units", "rank_biserial", "share_higher"):
            assert row[name] == pytest.approx(getattr(pair, name)), name


FIRST = results()[0]


def forest(auc, **changes):
    return result("a", "forest", "baseline", np.full((1, 8), auc), **changes)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: methods_table([]), "there are no methods to compare"),
        (lambda: methods_table([FIRST, FIRST]), "good on a is given twice"),
        (lambda: methods_table(results()[:-1]), "b has the methods good, poor; good, poor, forest expected"),
        (lambda: methods_table([FIRST, forest(0.5, species=SPECIES[::-1])]), "forest on a has other species than good"),
        (lambda: methods_table([forest(np.nan)]), "a: no species has a value of auc_roc for every method"),
        (
            lambda: methods_table([FIRST, result("a", "poor", "encoder", np.full((1, 8), 0.5))]),
            r"a: encoders have \[1, 3\] seeds; all must have the same",
        ),
        (
            lambda: pairs_with("none", results()),
            "reference = 'none': must be one of two or more methods; there are: good",
        ),
        (lambda: pairs_with("forest", [forest(0.5)]), "reference = 'forest': must be one of two or more methods"),
        (lambda: best_encoder([forest(0.5)]), "there is no encoder to compare with"),
    ],
)
def test_bad_input_is_one_sentence(asked, message):
    with pytest.raises(DataError, match=f"^{message}"):
        asked()


def write_study(folder):
    """Files of two variants and one baseline on one data set."""
    rng = np.random.default_rng(0)
    tree = params(study__seeds=[0, 1])
    YAML().dump(tree, folder / "params.yaml")
    for variant in tree["study"]["variants"]:
        cell = CellFiles("virtual", variant)
        cell.per_species.parent.mkdir(parents=True, exist_ok=True)
        tables = [
            pl.DataFrame({"seed": [seed] * 8, "species": SPECIES, "ap": rng.random(8), "auc_roc": rng.random(8)})
            for seed in (0, 1)
        ]
        pl.concat(tables).write_parquet(cell.per_species)
        write_json(cell.metrics, {"seed_0": {}, "seed_1": {}, "ensemble": {"auc_roc": 0.8, "species_map": 0.4}})
        cell.runs.mkdir(parents=True)
        (cell.runs / "encoder.pt").write_text(variant)
        write_json(cell.timing, {"runs": content_hash(cell.runs), "seconds": {"0": 4.0, "1": 6.0}})
    files = BaselineFiles("virtual", "logistic", "random")
    files.scores.parent.mkdir(parents=True)
    pl.DataFrame({"species": SPECIES, "ap": rng.random(8), "auc_roc": rng.random(8)}).write_parquet(files.scores)
    write_json(files.timing, {"scores": content_hash(files.scores), "seconds": 1.5})


def test_the_script_joins_what_the_stages_wrote(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path)
    script = ROOT / "experiments/nceas/baselines/table.py"
    monkeypatch.setattr(sys, "argv", [script.name, "--methods", "logistic", "--backgrounds", "random"])
    runpy.run_path(str(script), run_name="__main__")
    table = pl.read_csv("results/methods.csv")
    assert set(table["method"]) == {"bce", "an_full", "logistic_random"}
    row = table.row(by_predicate=pl.col("method") == "bce", named=True)
    stored = pl.read_parquet(CellFiles("virtual", "bce").per_species)
    assert row["auc_roc"] == pytest.approx(stored["auc_roc"].mean(), abs=1e-6)
    assert row["species_map"] == pytest.approx(stored["ap"].mean(), abs=1e-6)
    assert (row["ensemble_auc_roc"], row["seconds"], row["n_seeds"]) == (0.8, 5.0, 2)
    row = table.row(by_predicate=pl.col("method") == "logistic_random", named=True)
    assert (row["kind"], row["seconds"], row["ensemble_auc_roc"]) == ("baseline", 1.5, None)
    pairs = pl.read_csv("results/methods_pairs.csv")
    assert set(pairs["reference"]) == {max(("bce", "an_full"), key=lambda v: mean_auc(v))}
    assert len(pairs) == 4
    text = (tmp_path / "results/methods.md").read_text()
    assert f"{row['auc_roc']:.3f}" in text
    assert "1.5" in text


def mean_auc(variant):
    return pl.read_parquet(CellFiles("virtual", variant).per_species)["auc_roc"].mean()


def test_seconds_of_other_results_are_not_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path)
    files, cell = BaselineFiles("virtual", "logistic", "random"), CellFiles("virtual", "bce")
    assert (read_baseline(files).seconds, read_encoder(StudyResults(), "virtual", "bce").seconds) == (1.5, 5.0)
    (cell.runs / "encoder.pt").write_text("another")
    files.timing.unlink()
    assert (read_baseline(files).seconds, read_encoder(StudyResults(), "virtual", "bce").seconds) == (None, None)


def test_the_text_holds_every_method_and_region():
    made = results()
    text = methods_text(methods_table(made, resamples=50), pairs_with("good", made, resamples=50))
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert sum(line.startswith("| `forest` |") for line in tables) == 5
    assert "| method | a | b | mean |" in tables
    widths = {line.count("|") for line in tables}
    assert widths == {5}
    assert "over 3 seeds" in text
    assert "), significant |" in text
    assert "), not significant |" in text
