import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML
from support import tiny
from support.tiny_results import write_study

from presence_only.common.atomic_files import read_json, write_json
from presence_only.common.errors import DataError
from presence_only.reporting.notebook.studies import beside, here
from presence_only.statistics.comparison_table import compare
from presence_only.study.paths import COMPARISON, PAIRS, CellFiles
from presence_only.study.results import MissingResultsError, StudyResults

VARIANTS = {
    "bce": {"loss": "bce"},
    "asl_g2_m0": {"loss": "asl", "gamma_neg": 2.0, "clip": 0.0},
    "asl_g2_m2": {"loss": "asl", "gamma_neg": 2.0, "clip": 0.2},
    "asl_g4_m0": {"loss": "asl", "gamma_neg": 4.0, "clip": 0.0},
    "asl_g4_m2": {"loss": "asl", "gamma_neg": 4.0, "clip": 0.2},
    "asl_long": {"loss": "asl", "gamma_neg": 2.0, "clip": 0.4, "training": {"epochs": 9}},
}
LEVEL = {"asl_g2_m0": 0.3, "asl_g2_m2": 0.4, "asl_g4_m0": 0.5, "asl_g4_m2": 0.7}


def tree(**changes):
    return tiny.params(variants=VARIANTS, study__variants=list(VARIANTS), **changes)


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path, tree(), level=LEVEL)
    return StudyResults(tmp_path)


def test_scores_come_in_the_order_asked_for(study):
    rows = study.scores("virtual", ["asl_g4_m2", "nobody", "bce"])
    assert rows["variant"].to_list() == ["asl_g4_m2", "bce"]
    assert rows["metric"].unique().to_list() == ["species_map"]
    with pytest.raises(MissingResultsError, match="tiny has no species_map of nobody on virtual"):
        study.scores("virtual", ["nobody"])


def test_a_family_shares_all_but_what_is_swept(study):
    grid, *others = study.families("virtual", "asl", "gamma_neg", "clip")
    # asl_long was trained for longer: it belongs to no family.
    assert grid == {(2.0, 0.0): "asl_g2_m0", (2.0, 0.2): "asl_g2_m2", (4.0, 0.0): "asl_g4_m0", (4.0, 0.2): "asl_g4_m2"}
    assert others == []
    lines = study.families("virtual", "asl", "clip")
    assert sorted(map(list, (line.values() for line in lines))) == [
        ["asl_g2_m0", "asl_g2_m2"],
        ["asl_g4_m0", "asl_g4_m2"],
    ]
    assert study.families("virtual", "bce", "pos_weight") == []


def test_variants_that_the_study_no_longer_has_are_left_out(study):
    changed = tree()
    changed["study"]["variants"] = ["bce", "asl_g2_m0"]
    YAML(typ="safe").dump(changed, study.folder / "params.yaml")
    after = StudyResults(study.folder)
    assert set(after.table["variant"]) == {"bce", "asl_g2_m0"}
    assert after.named("virtual", "asl", "bce") == ["bce", "asl_g2_m0"]


def values(study, variant):
    table = pl.read_parquet(study.folder / CellFiles("virtual", variant).per_species)
    return np.stack([part["ap"].to_numpy() for part in table.partition_by("seed", maintain_order=True)])


def test_a_pair_is_the_row_of_the_table_from_either_side(study):
    rows = pl.read_csv(study.folder / PAIRS).filter(pl.col("metric") == "species_map")
    assert len(study.pairs("virtual")) == len(rows) == 15
    row = rows.filter((pl.col("first") == "asl_g4_m2") & (pl.col("second") == "bce")).row(0, named=True)
    found, back = study.pair("virtual", "asl_g4_m2", "bce"), study.pair("virtual", "bce", "asl_g4_m2")
    assert (found.difference, found.low, found.high) == (row["difference"], row["low"], row["high"])
    assert (back.difference, back.low, back.high) == (-row["difference"], -row["high"], -row["low"])
    assert found.significant is back.significant is row["significant"] is True
    assert found.difference == pytest.approx((values(study, "asl_g4_m2") - values(study, "bce")).mean(), abs=1e-5)
    assert len(study.pairs("virtual", "auc_roc")) == 15
    with pytest.raises(
        MissingResultsError, match=r"pairs\.csv of tiny has no species_map of bce and nobody on virtual"
    ):
        study.pair("virtual", "bce", "nobody")


def test_the_best_comes_first_and_an_undefined_mean_last(study):
    assert study.ranked("virtual")[0] == "asl_g4_m2"
    assert study.ranked("virtual")[-2:] == ["asl_g2_m2", "asl_g2_m0"]
    assert study.pairs("virtual")[0].first == "asl_g4_m2"
    table = study.table.with_columns(
        mean=pl.when(pl.col("variant") == "asl_g4_m2").then(float("nan")).otherwise(pl.col("mean"))
    )
    table.write_csv(study.folder / COMPARISON)
    assert StudyResults(study.folder).ranked("virtual")[-1] == "asl_g4_m2"


def test_values_come_a_row_a_seed(study):
    np.testing.assert_array_equal(study.values("virtual", "bce"), values(study, "bce"))
    assert study.values("virtual", "bce", "sample_map").shape == (2, 30)
    np.testing.assert_array_equal(study.values("virtual", "bce", "mean_score")[0], np.arange(1, 13) / 100)
    assert study.species("virtual", "bce")[:2] == ("species_0", "species_1")
    assert study.prevalence("virtual", "bce")[0] == pytest.approx(1 / 30)
    assert study.ensemble("virtual", "bce") == {"species_map": 0.6}


def test_a_cell_is_what_the_comparison_was_made_of(study):
    cells = [study.cell("virtual", variant) for variant in study.variants]
    table = compare(cells, resamples=50).filter(pl.col("metric") == "species_map")
    known = study.scores("virtual", table["variant"])
    for column in ("mean", "low", "high", "sd"):
        assert table[column].to_list() == pytest.approx(known[column].to_list(), abs=1e-5)


def test_seeds_with_other_species_are_refused(study):
    path = study.folder / CellFiles("virtual", "bce").per_species
    renamed = pl.when(pl.col("seed") == 1).then(pl.lit("x")).otherwise(pl.col("species"))
    pl.read_parquet(path).with_columns(species=renamed).write_parquet(path)
    with pytest.raises(DataError, match=r"bce\.parquet: seeds \(0, 1\) must all have the same species"):
        study.species("virtual", "bce")


NOT_TIMED = "`timing/virtual/bce.json` does not have the seconds of the runs at hand"


def test_probes_and_seconds_are_means_over_seeds(study):
    file = study.folder / CellFiles("virtual", "bce").history(1)
    history = read_json(file)
    history["probes"]["observed_score"] = [0.4, 0.7, 1.0]
    write_json(file, history)
    assert study.probes("virtual", "bce")["observed_score"] == pytest.approx([0.3, 0.6, 0.9])
    # The run is no longer the one that was timed.
    with pytest.raises(MissingResultsError, match=NOT_TIMED):
        study.seconds("virtual", "bce")
    assert study.seconds_by_seed("virtual", "bce") == {}
    assert study.seconds_by_seed("virtual", "asl_long") == {"0": 9.0, "1": 9.0}
    assert study.losses("virtual", "bce") == pytest.approx([0.8, 0.5, 0.2])
    assert study.seconds("virtual", "asl_long") == pytest.approx(1.0 + len("asl_long"))


@pytest.fixture
def worlds(tmp_path):
    """The same study over three data sets."""
    names = ["virtual", "second", "third"]
    datasets = {name: tiny.params()["datasets"]["virtual"] for name in names}
    write_study(tmp_path, tree(study__datasets=names, datasets=datasets), level=LEVEL)
    return StudyResults(tmp_path)


def test_scores_over_all_data_sets_come_in_the_order_asked_for(worlds):
    rows = worlds.scores_across(["asl_g4_m2", "nobody", "bce"])
    assert rows["variant"].to_list() == ["asl_g4_m2", "bce"]
    assert rows["n_worlds"].to_list() == [3, 3]
    with pytest.raises(MissingResultsError, match="tiny has no species_map of nobody over all data sets"):
        worlds.scores_across(["nobody"])


def test_a_pair_over_all_data_sets_is_told_from_either_side(worlds):
    pair = worlds.pair_across("asl_g4_m2", "bce")
    means = worlds.scores_across(["asl_g4_m2", "bce"])["mean"]
    assert pair.difference == pytest.approx(means[0] - means[1], abs=2e-6)
    assert worlds.pair_across("bce", "asl_g4_m2") == pair.turned()
    with pytest.raises(MissingResultsError, match=r"across_pairs\.csv of tiny has no species_map of bce and nobody"):
        worlds.pair_across("bce", "nobody")


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("results/comparison.csv", lambda s: s.table),
        ("results/per_species/virtual/bce.parquet", lambda s: s.per_species("virtual", "bce")),
        ("results/curves/virtual/bce.parquet", lambda s: s.curves("virtual", "bce", "calibration")),
        ("runs/virtual/bce/seed_0/history.json", lambda s: s.probes("virtual", "bce")),
        ("results/datasets/virtual.json", lambda s: s.summary("virtual")),
        ("results/pairs.csv", lambda s: s.pairs("virtual")),
        ("results/per_site/virtual/bce.parquet", lambda s: s.values("virtual", "bce", "sample_map")),
        ("results/metrics/virtual/bce.json", lambda s: s.metrics("virtual", "bce")),
    ],
)
def test_what_is_missing_is_told_with_how_to_make_it(study, path, ask):
    ask(study)
    (study.folder / path).unlink()
    with pytest.raises(MissingResultsError, match="`make study` makes"):
        ask(StudyResults(study.folder))


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"runs": "x"', b'{"seconds": {"0": "long"}}', b"\xff"])
def test_runs_without_their_times_say_what_times_them(study, content):
    file = study.folder / CellFiles("virtual", "bce").timing
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert study.seconds_by_seed("virtual", "bce") == {}
    with pytest.raises(MissingResultsError, match=f"{NOT_TIMED}.*`dvc repro --force --single-item train@virtual-bce`"):
        study.seconds("virtual", "bce")


def test_runs_without_probes_and_seeds_without_results_are_told(study):
    file = study.folder / CellFiles("virtual", "bce").history(0)
    write_json(file, {"loss": [0.3], "steps": 1})
    with pytest.raises(MissingResultsError, match="the runs of bce on virtual were made without probes"):
        study.probes("virtual", "bce")
    path = study.folder / CellFiles("virtual", "bce").per_species
    pl.read_parquet(path).filter(pl.col("seed") == 0).write_parquet(path)
    with pytest.raises(MissingResultsError, match="bce on virtual was not evaluated for every seed of 0, 1"):
        study.values("virtual", "bce")


def test_an_empty_table_is_told(study):
    (study.folder / COMPARISON).write_text("")
    with pytest.raises(MissingResultsError, match="is empty"):
        _ = StudyResults(study.folder).table


def test_the_study_is_found_from_below_and_its_experiments_beside_it(study, monkeypatch, tmp_path_factory):
    below = study.folder / "notebooks"
    below.mkdir()
    monkeypatch.chdir(below)
    assert here().folder == study.folder
    write_study(study.folder / "experiments/one", tiny.params(study__name="one"))
    one, two = beside(here(), "one"), beside(here(), "two")
    assert one.name == "one"
    assert one.pairs("virtual")
    # Not even where this machine has them: the page is the same for those who did not run the study.
    with pytest.raises(MissingResultsError, match=r"`results/per_species/virtual/bce\.parquet` of one is not in git"):
        one.values("virtual", "bce")
    with pytest.raises(MissingResultsError, match="`make experiment NAME=two` makes it"):
        _ = two.table
    (one.folder / COMPARISON).unlink()
    with pytest.raises(MissingResultsError, match="`make experiment NAME=one` makes it"):
        _ = beside(here(), "one").table
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(MissingResultsError, match=r"no params\.yaml in"):
        here()
