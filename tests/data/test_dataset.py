from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.common.errors import DataError
from presence_only.data.dataset import Dataset
from presence_only.data.records import Background
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.data.truth import ListedTruth


def test_save_and_load_give_the_same_data(tmp_path):
    data = tiny.dataset(per_row=2)
    groups = tuple(["all"] * 39 + [""])
    training = replace(data.training, background=replace(data.training.background, kind="given", groups_K=groups))
    training.save(tmp_path / "training")
    data.survey.save(tmp_path / "survey")
    again, survey = TrainingData.load(tmp_path / "training"), Survey.load(tmp_path / "survey")
    for name in ("sites_N2", "covariates_NC", "row_P", "species_P"):
        np.testing.assert_array_equal(getattr(again.records, name), getattr(training.records, name))
    assert again.records.species == training.records.species
    assert again.records.covariate_names == training.records.covariate_names
    assert again.background.groups_K == groups
    assert again.background.kind == "given"
    np.testing.assert_array_equal(survey.truth_MS, data.survey.truth_MS)
    np.testing.assert_array_equal(survey.covariates_MC, data.survey.covariates_MC)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    data = tiny.dataset()
    for name in ("one", "two"):
        data.training.save(tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def changed(**fields):
    return lambda: replace(tiny.dataset().training.records, **fields)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (changed(sites_N2=np.array([[200.0, 0.0]] * 60)), r"record 0 has longitude 200; it must lie within -180..180"),
        (changed(sites_N2=np.array([[0.0, -91.0]] * 60)), r"record 0 has latitude -91; it must lie within -90..90"),
        (changed(sites_N2=np.full((60, 2), np.nan)), r"record 0 has longitude nan"),
        (changed(sites_N2=np.zeros((0, 2)), row_P=np.zeros(0, int), species_P=np.zeros(0, int)), "no presence records"),
        (changed(species_P=np.zeros(60, int)), r"species 'species_1' has no records \(4 such species\)"),
        (changed(species_P=np.full(60, 5)), "species indices must lie within 0..4"),
        (changed(row_P=np.arange(60)[::-1]), "rows of positives must ascend"),
        (changed(row_P=np.arange(59)), "59 rows for 60 positives"),
        (changed(species=("a",) * 5), "names must be unique"),
        (changed(covariate_names=("a",)), r"covariates have shape \(60, 2\); \(60, 1\) expected"),
        (lambda: Background("given", np.zeros((0, 2)), np.zeros((0, 0))), "background has no sites"),
        (lambda: Background("given", np.array([[0.0, 99.0]]), np.zeros((1, 0))), "background site 0 has latitude 99"),
        (lambda: replace(tiny.dataset().survey, truth_MS=np.full((50, 5), 2, np.int8)), "truth must be int8"),
        (lambda: replace(tiny.dataset().survey, truth_MS=np.zeros((50, 4), np.int8)), "50 sites x 5 species expected"),
        (
            lambda: Dataset(tiny.dataset().training, replace(tiny.dataset().survey, species=tuple("edcba"))),
            "the survey's species must be the records' species",
        ),
    ],
)
def test_wrong_data_is_one_sentence(make, sentence):
    with pytest.raises(DataError, match=sentence):
        make()


class TestListedTruth:
    def random(self, seed=0, n_sites=40, n_species=7):
        """A dense truth and the same as lists: range maps, labels, and one species surveyed nowhere."""
        rng = np.random.default_rng(seed)
        maps_MS = (rng.random((n_sites, n_species)) < 0.3).astype(np.int8)
        labels_MS = rng.integers(-1, 2, (n_sites, n_species)).astype(np.int8)
        maps_MS[:, 2], labels_MS[:, 2] = -1, -1
        maps_MS[:, 4], labels_MS[:, 4] = 0, -1
        kept = [s for s in range(n_species) if s != 2]
        presences = {s: rng.permutation(np.flatnonzero(maps_MS[:, s] == 1)) for s in kept}
        listed = {}
        for s in kept:
            sites = rng.permutation(np.flatnonzero(labels_MS[:, s] >= 0))
            listed[s] = sites, labels_MS[sites, s]
        return (
            (maps_MS, ListedTruth.of_presences(n_sites, n_species, presences)),
            (labels_MS, ListedTruth.of_labels(n_sites, n_species, listed)),
        )

    @pytest.mark.parametrize("form", [0, 1])
    def test_reads_like_the_matrix(self, form):
        dense_MS, truth = self.random()[form]
        assert truth.shape == dense_MS.shape
        for part in (slice(None), slice(1, 4), slice(5, 99), slice(3, 3)):
            np.testing.assert_array_equal(truth.columns(part), dense_MS[:, part])
            assert truth.columns(part).dtype == np.int8
        for some in (np.array([6, 0, 2]), np.array([], dtype=int)):
            np.testing.assert_array_equal(truth.of_species(some).columns(slice(None)), dense_MS[:, some])
        for part in (slice(None), slice(0, 1), slice(7, 31), slice(30, 99), slice(9, 9)):
            np.testing.assert_array_equal(truth.rows(part), dense_MS[part])
        np.testing.assert_array_equal(truth.presences_per_species(), (dense_MS == 1).sum(axis=0))
        np.testing.assert_array_equal(truth.surveyed_per_species(), (dense_MS >= 0).sum(axis=0))
        with pytest.raises(ValueError, match="must be a slice without a step"):
            truth.rows(slice(0, 9, 2))

    @pytest.mark.parametrize("form", [0, 1])
    def test_a_survey_of_lists_counts_and_saves_like_the_matrix(self, form, tmp_path):
        dense_MS, truth = self.random(1, 50, 5)[form]
        survey = replace(tiny.dataset().survey, truth_MS=dense_MS)
        listed = replace(survey, truth_MS=truth)
        for name in ("presences_per_species", "surveyed_per_species"):
            np.testing.assert_array_equal(getattr(listed, name)(), getattr(survey, name)())
        listed.save(tmp_path / "listed")
        again = Survey.load(tmp_path / "listed")
        assert again.truth_MS.columns(slice(None)).tolist() == dense_MS.tolist()
        assert again.species == survey.species
        listed.save(tmp_path / "twice")
        assert (tmp_path / "listed/truth.npz").read_bytes() == (tmp_path / "twice/truth.npz").read_bytes()

    def test_a_map_of_the_world_is_a_small_file(self, tmp_path):
        """30 species, each present at 20,000 of a million sites: a matrix would be 30 MB."""
        n_sites = 1_000_000
        presences = {s: np.arange(20_000) + 30_000 * s for s in range(30)}
        truth = ListedTruth.of_presences(n_sites, 30, presences)
        sites_M2 = np.zeros((n_sites, 2))
        survey = Survey(sites_M2, np.zeros((n_sites, 0), np.float32), truth, tuple(f"s{i}" for i in range(30)))
        survey.save(tmp_path / "survey")
        assert (tmp_path / "survey/truth.npz").stat().st_size < 100_000
        again = Survey.load(tmp_path / "survey").truth_MS
        np.testing.assert_array_equal(again.rows(slice(29_990, 30_010)), truth.rows(slice(29_990, 30_010)))

    @pytest.mark.parametrize(
        ("make", "sentence"),
        [
            (lambda: ListedTruth.of_presences(9, 2, {2: np.array([1])}), r"species index 2 is listed; .* within 0..1"),
            (lambda: ListedTruth.of_presences(9, 2, {0: np.array([9])}), r"outside of the sites 0..8"),
            (lambda: ListedTruth.of_presences(9, 2, {0: np.array([-1])}), r"outside of the sites 0..8"),
            (lambda: ListedTruth.of_presences(9, 2, {0: np.array([3, 1, 3])}), "must ascend, none twice"),
            (lambda: ListedTruth.of_labels(9, 2, {0: (np.array([3]), np.array([2]))}), "another label than 1 present"),
            (lambda: ListedTruth.of_labels(9, 2, {0: (np.array([3]), np.array([1, 0]))}), "1 sites with 2 labels"),
            (
                lambda: ListedTruth(9, np.ones(1, np.int8), np.array([0, 0]), np.array([], int), np.array([], np.int8)),
                "must be 0 absent or -1 not surveyed",
            ),
            (
                lambda: ListedTruth(9, np.zeros(1, np.int8), np.array([0, 2]), np.array([1]), np.ones(1, np.int8)),
                "1 listed sites with 1 labels",
            ),
            (
                lambda: ListedTruth(9, np.zeros(2, np.int8), np.array([0, 1]), np.array([1]), np.ones(1, np.int8)),
                "lists of 2 species need as many ascending starts",
            ),
            (
                lambda: replace(tiny.dataset().survey, truth_MS=ListedTruth.of_presences(50, 4, {})),
                "50 sites x 5 species expected",
            ),
        ],
    )
    def test_wrong_lists_are_one_sentence(self, make, sentence):
        with pytest.raises(DataError, match=sentence):
            make()
