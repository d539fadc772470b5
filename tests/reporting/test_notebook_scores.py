"""Notebook tables and figures over several data sets, and of one that is asked for."""

import re

import numpy as np
import pytest
from support import tiny
from support.tiny_results import write_study

from presence_only.reporting.notebook import interactions, runs, scores
from presence_only.study.results import StudyResults

NAMES = ["virtual", "second", "third"]
VARIANTS = {
    f"asl_g{gamma}_m{clip}": {"loss": "asl", "gamma_neg": gamma, "clip": clip}
    for gamma in (2.0, 4.0)
    for clip in (0.0, 0.2)
}
VARIANTS = {name.replace(".", ""): settings for name, settings in VARIANTS.items()}
G2, G2_WIDE, G4, G4_WIDE = VARIANTS


def study_of(folder, names, **how):
    datasets = {name: tiny.params()["datasets"]["virtual"] for name in names}
    tree = tiny.params(study__datasets=names, datasets=datasets, variants=VARIANTS, study__variants=list(VARIANTS))
    write_study(folder, tree, level={G4_WIDE: 0.7}, **how)
    return StudyResults(folder)


@pytest.fixture
def worlds(tmp_path):
    return study_of(tmp_path, NAMES)


def cells(shown, first):
    """The cells of the row that begins so."""
    (row,) = re.findall(rf"^\| {re.escape(first)} \| (.*) \|$", shown.data, flags=re.MULTILINE)
    return row.split(" | ")


def test_pairs_are_over_all_data_sets_unless_one_is_named(worlds):
    over_all, in_one = worlds.pair_across(G4_WIDE, G4), worlds.pair("second", G4_WIDE, G4)
    first = f"`{G4_WIDE}` - `{G4}`"
    shown = cells(scores.pairs(worlds, (G4_WIDE, G4)), first)
    assert shown[0] == f"{over_all.difference:+.3f} ({over_all.low:+.3f} to {over_all.high:+.3f})"
    assert shown[2] == "3 of 3"
    shown = cells(scores.pairs(worlds, (G4_WIDE, G4), dataset="second"), first)
    assert shown[0] == f"{in_one.difference:+.3f} ({in_one.low:+.3f} to {in_one.high:+.3f})"
    assert len(shown) == 3


def test_the_leaderboard_has_the_means_over_all_data_sets(worlds):
    row = worlds.scores_across([G4_WIDE]).row(0, named=True)
    shown = cells(scores.leaderboard(worlds, "asl"), f"`{G4_WIDE}`")
    assert shown[1] == f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
    row = worlds.scores("third", [G4_WIDE]).row(0, named=True)
    assert cells(scores.leaderboard(worlds, "asl", dataset="third"), f"`{G4_WIDE}`")[1].startswith(f"{row['mean']:.3f}")


def test_an_interaction_needs_the_committed_tables_alone(tmp_path):
    worlds = study_of(tmp_path, NAMES, committed=True)
    value = {name: worlds.scores_across([name])["mean"][0] for name in VARIANTS}
    excess = (value[G4_WIDE] - value[G4]) - (value[G2_WIDE] - value[G2])
    mean = float(
        cells(interactions.interaction(worlds, "asl", "gamma_neg", "clip"), "second minus first step")[0].split()[0]
    )
    assert mean == pytest.approx(excess, abs=0.0006)
    assert 0.1 < mean < 0.3


def test_an_interaction_says_that_one_data_set_is_too_few(tmp_path):
    shown = interactions.interaction(study_of(tmp_path, NAMES[:1]), "asl", "gamma_neg", "clip")
    assert shown.data == "> **Not shown:** tiny has too few data sets for the interval of an interaction."


def test_curves_and_probes_are_those_of_all_data_sets_together(worlds):
    for make in (runs.silenced, runs.calibration_errors, runs.precision_recall, runs.by_prevalence, runs.silencing):
        assert "Not shown" not in str(make(worlds, "asl").data)
    pooled = cells(runs.calibration_errors(worlds, "asl"), f"`{G2}`")
    single = [cells(runs.calibration_errors(worlds, "asl", dataset=name), f"`{G2}`") for name in NAMES]
    # Every made-up cell has the same number of pairs.
    assert float(pooled[0]) == pytest.approx(np.mean([float(cell[0]) for cell in single]), abs=1e-4)
