import numpy as np
import polars as pl
import pytest
import tiny
from ruamel.yaml import YAML
from tiny_results import write_study

from presence_only.comparison import CellResult, paired_difference
from presence_only.files import read_json, write_json
from presence_only.layout import COMPARISON, PAIRS, CellFiles
from presence_only.notebook.evidence import MissingError, Study, beside, families_of, family_name, here

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
    return Study(tmp_path)


def test_scores_come_in_the_order_asked_for(study):
    rows = study.scores("virtual", ["asl_g4_m2", "nobody", "bce"])
    assert rows["variant"].to_list() == ["asl_g4_m2", "bce"]
    assert rows["metric"].unique().to_list() == ["species_map"]
    with pytest.raises(MissingError, match="tiny has no species_map of nobody on virtual"):
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
    assert [members for _, _, members in families_of([study], ["asl"], "gamma_neg", "clip")] == [grid]
    assert family_name(study, grid) == "tiny: asl_g2_m0 to asl_g4_m2"
    with pytest.raises(MissingError, match="no study with results here has variants that differ in neg_samples of an"):
        families_of([study], ["an_full"], "neg_samples")


def test_variants_that_the_study_no_longer_has_are_left_out(study):
    changed = tree()
    changed["study"]["variants"] = ["bce", "asl_g2_m0"]
    YAML(typ="safe").dump(changed, study.folder / "params.yaml")
    after = Study(study.folder)
    assert set(after.table["variant"]) == {"bce", "asl_g2_m0"}
    assert after.named("virtual", "asl", "bce") == ["bce", "asl_g2_m0"]


def values(study, variant):
    table = pl.read_parquet(study.folder / CellFiles("virtual", variant).per_species)
    return np.stack([part["ap"].to_numpy() for part in table.partition_by("seed", maintain_order=True)])


def cell(values_VS):
    return CellResult("virtual", "x", (0, 1), {"species_map": values_VS}, {}, values_VS.shape[1], 0)


def test_a_difference_is_paired_where_the_species_are_at_hand(study):
    found = study.difference("virtual", "asl_g4_m2", "asl_g2_m0")
    a, b = (cell(values(study, name)) for name in ("asl_g4_m2", "asl_g2_m0"))
    assert found == paired_difference(a, b, "species_map")
    assert found.mean == pytest.approx(0.4, abs=0.01)
    assert found.high - found.low < 0.02
    assert study.difference("virtual", "bce", "bce") == (0, 0, 0)
    mask = np.arange(12) < 4
    some = study.difference("virtual", "asl_g4_m2", "asl_g2_m0", species_S=mask)
    assert some.mean == pytest.approx(np.mean((a.values("species_map") - b.values("species_map"))[:, mask]))


def test_an_interaction_is_the_difference_of_two_steps(study):
    found = study.excess("virtual", ("asl_g4_m0", "asl_g4_m2"), ("asl_g2_m0", "asl_g2_m2"))
    by_hand = sum(
        sign * values(study, name).mean()
        for sign, name in ((1, "asl_g4_m2"), (-1, "asl_g4_m0"), (-1, "asl_g2_m2"), (1, "asl_g2_m0"))
    )
    assert found.mean == pytest.approx(by_hand)
    assert found.low < by_hand < found.high
    table_alone = Study(study.folder, committed=True).excess(
        "virtual", ("asl_g4_m0", "asl_g4_m2"), ("asl_g2_m0", "asl_g2_m2")
    )
    assert table_alone.mean == pytest.approx(by_hand, abs=1e-5)
    assert table_alone.high - table_alone.low > found.high - found.low


def test_committed_results_give_a_wider_interval_unless_the_pairs_are_committed_too(study):
    committed = Study(study.folder, committed=True)
    found, paired = (s.difference("virtual", "asl_g4_m2", "bce") for s in (committed, study))
    assert found.mean == pytest.approx(paired.mean, abs=1e-5)
    assert found.low < paired.low
    assert found.high > paired.high
    columns = ("dataset", "metric", "first", "second", "difference", "low", "high")
    row = ("virtual", "species_map", "asl_g4_m2", "bce", 0.25, 0.2, 0.31)
    pl.DataFrame([row], schema=columns, orient="row").write_csv(study.folder / PAIRS)
    committed = Study(study.folder, committed=True)
    assert committed.difference("virtual", "asl_g4_m2", "bce") == (0.25, 0.2, 0.31)
    assert committed.difference("virtual", "bce", "asl_g4_m2") == (-0.25, -0.31, -0.2)


def test_rows_of_some_species_are_like_those_of_the_table(study):
    everyone = study.part("virtual", ["bce", "asl_g4_m2"], np.ones(12, dtype=bool))
    assert everyone["variant"].to_list() == ["bce", "asl_g4_m2"]
    known = study.scores("virtual", ["bce", "asl_g4_m2"])
    assert everyone["mean"].to_list() == pytest.approx(known["mean"].to_list(), abs=1e-5)
    few = study.part("virtual", ["bce"], np.arange(12) == 3)
    assert few["mean"][0] == pytest.approx(values(study, "bce")[:, 3].mean())


def test_probes_and_seconds_are_means_over_seeds(study):
    file = study.folder / CellFiles("virtual", "bce").history(1)
    history = read_json(file)
    history["probes"]["observed_score"] = [0.4, 0.7, 1.0]
    write_json(file, history)
    assert study.probes("virtual", "bce")["observed_score"] == pytest.approx([0.3, 0.6, 0.9])
    # The run is no longer the one that was timed.
    with pytest.raises(MissingError, match="the timing of bce on virtual is of other runs than those at hand"):
        study.seconds("virtual", "bce")
    assert study.seconds("virtual", "asl_long") == pytest.approx(1.0 + len("asl_long"))


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("results/comparison.csv", lambda s: s.table),
        ("results/per_species/virtual/bce.parquet", lambda s: s.species("virtual", "bce")),
        ("results/curves/virtual/bce.parquet", lambda s: s.curves("virtual", "bce", "calibration")),
        ("runs/virtual/bce/seed_0/history.json", lambda s: s.probes("virtual", "bce")),
        ("timing/virtual/bce.json", lambda s: s.seconds("virtual", "bce")),
        ("results/datasets/virtual.json", lambda s: s.summary("virtual")),
    ],
)
def test_what_is_missing_is_told_with_how_to_make_it(study, path, ask):
    ask(study)
    (study.folder / path).unlink()
    with pytest.raises(MissingError, match="`make study` makes"):
        ask(Study(study.folder))


def test_runs_without_probes_and_seeds_without_results_are_told(study):
    file = study.folder / CellFiles("virtual", "bce").history(0)
    write_json(file, {"loss": [0.3], "steps": 1})
    with pytest.raises(MissingError, match="the runs of bce on virtual were made without probes"):
        study.probes("virtual", "bce")
    path = study.folder / CellFiles("virtual", "bce").per_species
    pl.read_parquet(path).filter(pl.col("seed") == 0).write_parquet(path)
    with pytest.raises(MissingError, match="bce on virtual was not evaluated for every seed of 0, 1"):
        study.species_values("virtual", "bce", "species_map")


def test_an_empty_table_is_told(study):
    (study.folder / COMPARISON).write_text("")
    with pytest.raises(MissingError, match="is empty"):
        _ = Study(study.folder).table


def test_the_study_is_found_from_below_and_its_experiments_beside_it(study, monkeypatch, tmp_path_factory):
    below = study.folder / "notebooks"
    below.mkdir()
    monkeypatch.chdir(below)
    assert here().folder == study.folder
    write_study(study.folder / "experiments/one", tiny.params(study__name="one"), committed=True)
    found, absent = beside(here(), "one", "two")
    assert [other.name for other in found] == ["one"]
    assert found[0].committed
    assert absent == ["experiments/two has no results here; `make experiment NAME=two` makes them."]
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(MissingError, match=r"no params\.yaml in"):
        here()
