"""Splits by spatial blocks against plain loops over rows, places and cells."""

from collections import Counter
from dataclasses import replace

import h3
import numpy as np
import pytest
from support import tiny

from presence_only.common.errors import DataError
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.search import blocks
from presence_only.search.blocks import folds_of, split
from presence_only.search.settings import HeldOutSettings

SETTINGS = HeldOutSettings(resolution=0, folds=3)


def data(*, rows=300, species=7, per_row=1, groups=None, weeks=False, background_groups=None):
    """Records, some at the same places, on half of the globe, and background on all of it."""
    made = tiny.dataset(rows=rows, species=species, per_row=per_row, groups=groups).training
    records, background = made.records, made.background
    sites = records.sites_N2.copy()
    sites[:, 0] = np.abs(sites[:, 0])
    sites[rows // 2 :] = sites[: rows - rows // 2]
    rng = np.random.default_rng(1)
    week_N = rng.integers(1, 5, rows) if weeks else None
    week_K = rng.integers(1, 49, len(background.sites_K2)) if weeks else None
    return TrainingData(
        replace(records, sites_N2=sites, week_N=week_N),
        replace(background, week_K=week_K, groups_K=background_groups),
    )


def cell(site, resolution=0):
    return h3.latlng_to_cell(site[1], site[0], resolution)


@pytest.mark.parametrize(("per_row", "weeks"), [(1, False), (3, False), (2, True)])
def test_a_fold_takes_all_that_lies_in_its_blocks_out_of_training(per_row, weeks):
    whole = data(per_row=per_row, weeks=weeks)
    records, background = whole.records, whole.background
    fold_N, fold_K = folds_of(whole, SETTINGS)
    for fold in range(3):
        parts = split(whole, SETTINGS, fold)
        fit, held = parts.fit, parts.held_out
        rows = [n for n in range(records.n_rows) if fold_N[n] != fold]
        # The rows of the fit, with their species by name, are those outside of the fold.
        expected = [
            (tuple(records.sites_N2[n]), None if not weeks else records.week_N[n], tuple(records.covariates_NC[n]))
            for n in rows
        ]
        found = [
            (
                tuple(fit.records.sites_N2[n]),
                None if not weeks else fit.records.week_N[n],
                tuple(fit.records.covariates_NC[n]),
            )
            for n in range(fit.records.n_rows)
        ]
        assert found == expected
        names = {(i, records.species[s]) for i, n in enumerate(rows) for s in records.species_P[records.row_P == n]}
        pairs = zip(fit.records.row_P.tolist(), (fit.records.species[s] for s in fit.records.species_P), strict=True)
        assert set(pairs) == names
        outside = [k for k in range(len(background.sites_K2)) if fold_K[k] != fold]
        np.testing.assert_array_equal(fit.background.sites_K2, background.sites_K2[outside])
        np.testing.assert_array_equal(fit.background.covariates_KC, background.covariates_KC[outside])
        # What is judged: pairs of place and species inside, each once, of species that the fit has.
        judged = {
            (tuple(records.sites_N2[n]), None if not weeks else records.week_N[n], records.species[s])
            for n, s in zip(records.row_P, records.species_P, strict=True)
            if fold_N[n] == fold and records.species[s] in fit.records.species
        }
        found = [
            (tuple(held.sites_M2[m]), None if not weeks else held.week_M[m], fit.records.species[s])
            for m, s in zip(held.place_Q, held.species_Q, strict=True)
        ]
        assert len(found) == len(set(found))
        assert set(found) == judged
        assert np.all(np.diff(held.species_Q) >= 0)


def test_blocks_are_whole_and_folds_even():
    whole = data(rows=2000)
    fold_N, fold_K = folds_of(whole, SETTINGS)
    owner = {}
    for sites, folds in ((whole.records.sites_N2, fold_N), (whole.background.sites_K2, fold_K)):
        for site, fold in zip(sites, folds, strict=True):
            assert owner.setdefault(cell(site), fold) == fold
    counts = np.bincount(fold_N)
    assert counts.max() < 1.1 * counts.min()
    # Blocks without records are dealt too: the background of the empty half leaves by thirds.
    empty = ~np.isin([cell(site) for site in whole.background.sites_K2], [cell(s) for s in whole.records.sites_N2])
    assert empty.sum() > 10
    assert len(set(fold_K[empty])) == 3
    other, _ = folds_of(whole, SETTINGS.model_copy(update={"seed": 1}))
    assert (other == fold_N).mean() < 0.6


def test_visited_cells_weigh_alike_by_group():
    groups = ("birds", "birds", "plants", "plants", "plants", "birds", "moss")
    whole = data(groups=groups)
    settings = SETTINGS.model_copy(update={"effort_resolution": 1})
    held = split(whole, settings, 0).held_out
    fold_N, _ = folds_of(whole, settings)
    records = whole.records
    for g, name in enumerate(("birds", "moss", "plants")):
        visits = {
            tuple(records.sites_N2[n])
            for n, s in zip(records.row_P, records.species_P, strict=True)
            if fold_N[n] == 0 and groups[s] == name
        }
        per_cell = Counter(cell(site, 1) for site in visits)
        for m, site in enumerate(held.sites_M2):
            expected = 1 / per_cell[cell(site, 1)] if tuple(site) in visits else 0
            assert held.weight_GM[g, m] == pytest.approx(expected)
        assert held.weight_GM[g].sum() == pytest.approx(len(per_cell))


def test_species_without_training_records_are_left_out():
    """Species 2 lives in one block alone: where it is held out, no model knows it."""
    rng = np.random.default_rng(0)
    sites = np.column_stack([rng.uniform(0, 120, 90), rng.uniform(-60, 60, 90)])
    sites[:10] = [150.0, 70.0]
    species = np.array([2] * 10 + [0, 1] * 40)
    names = ("a", "b", "rare")
    records = PresenceRecords(sites, np.zeros((90, 0)), np.arange(90), species, names, ("all",) * 3)
    background = Background("uniform", sites[10:40] + 1, np.zeros((30, 0)))
    whole = TrainingData(records, background)
    rare_fold = folds_of(whole, SETTINGS)[0][0]
    for fold in range(3):
        parts = split(whole, SETTINGS, fold)
        lost = fold == rare_fold
        assert parts.fit.records.species == (("a", "b") if lost else names)
        # Its records still say that somebody looked there.
        places = {tuple(site) for site in parts.held_out.sites_M2}
        assert ((150.0, 70.0) in places) == lost
        assert set(parts.held_out.judged) == {0, 1}


def test_background_of_the_fold_is_compared_with_if_it_is_enough(monkeypatch):
    groups = ("birds",) * 3 + ("plants",) * 4
    whole = data(groups=groups, background_groups=("birds", "plants", "", "moss") * 10)
    _, fold_K = folds_of(whole, SETTINGS)
    few = split(whole, SETTINGS, 0).held_out
    assert len(few.background.sites_K2) == 40
    monkeypatch.setattr(blocks, "ENOUGH_BACKGROUND", 5)
    held = split(whole, SETTINGS, 0).held_out
    np.testing.assert_array_equal(held.background.sites_K2, whole.background.sites_K2[fold_K == 0])
    for group, counts_K in zip(("birds", "plants"), held.counts_GK, strict=True):
        np.testing.assert_array_equal(counts_K, [own in (group, "") for own in held.background.groups_K])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (HeldOutSettings(resolution=0, folds=100), "lie in .* h3 cells of resolution 0, fewer than folds = 100"),
        (HeldOutSettings(resolution=0, folds=2), "takes all background sites; take more folds"),
    ],
)
def test_what_cannot_be_split_is_refused(settings, sentence):
    whole = data()
    one = whole.records.sites_N2[:1]
    near = replace(whole.background, sites_K2=one, covariates_KC=np.zeros((1, 2), dtype=np.float32))
    whole = TrainingData(whole.records, near)
    with pytest.raises(DataError, match=sentence):
        [split(whole, settings, fold) for fold in range(settings.folds)]


def test_nothing_to_judge_by_is_refused():
    """Each species has a block of its own."""
    sites = np.array([[0.0, 0.0], [60.0, 0.0], [120.0, 0.0]])
    records = PresenceRecords(sites, np.zeros((3, 0)), np.arange(3), np.arange(3), ("a", "b", "c"), ("all",) * 3)
    whole = TrainingData(records, Background("uniform", sites + 30, np.zeros((3, 0))))
    with pytest.raises(DataError, match="no species has records both inside and outside of a fold"):
        split(whole, SETTINGS, 0)
