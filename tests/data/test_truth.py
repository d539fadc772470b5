"""The truth of a survey in every form, against a matrix."""

from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.common.errors import DataError
from presence_only.data.survey import Survey
from presence_only.data.truth import SurveyTruth, as_truth


def made(form, seed=0, n_sites=40, n_species=7):
    """A matrix, and the truth made of it in one form; species 2 was surveyed nowhere."""
    rng = np.random.default_rng(seed)
    kept = [s for s in range(n_species) if s != 2]
    if form == "maps":
        truth_MS = (rng.random((n_sites, n_species)) < 0.3).astype(np.int8)
        truth_MS[:, 2], truth_MS[:, 4] = -1, 0
        presences = {s: rng.permutation(np.flatnonzero(truth_MS[:, s] == 1)) for s in kept}
        return truth_MS, SurveyTruth.of_presences(n_sites, n_species, presences)
    truth_MS = rng.integers(-1, 2, (n_sites, n_species)).astype(np.int8)
    truth_MS[:, 2], truth_MS[:, 4] = -1, -1
    if form == "matrix":
        return truth_MS, SurveyTruth.of_matrix(truth_MS)
    sites = {s: rng.permutation(np.flatnonzero(truth_MS[:, s] >= 0)) for s in kept}
    labels = {s: (sites[s], truth_MS[sites[s], s]) for s in kept}
    return truth_MS, SurveyTruth.of_labels(n_sites, n_species, labels)


every_form = pytest.mark.parametrize("form", ["matrix", "maps", "labels"])


@every_form
def test_every_form_reads_like_the_matrix(form):
    truth_MS, truth = made(form)
    assert truth.shape == truth_MS.shape
    np.testing.assert_array_equal(truth.matrix(), truth_MS)
    for part in (slice(None), slice(1, 4), slice(5, 99), slice(3, 3)):
        np.testing.assert_array_equal(truth.columns(part), truth_MS[:, part])
        assert truth.columns(part).dtype == np.int8
    for some in (np.array([6, 0, 2]), np.array([], dtype=int)):
        np.testing.assert_array_equal(truth.of_species(some).matrix(), truth_MS[:, some])
    for part in (slice(None), slice(0, 1), slice(7, 31), slice(30, 99), slice(9, 9)):
        np.testing.assert_array_equal(truth.rows(part), truth_MS[part])
    np.testing.assert_array_equal(truth.presences_per_species(), (truth_MS == 1).sum(axis=0))
    np.testing.assert_array_equal(truth.surveyed_per_species(), (truth_MS >= 0).sum(axis=0))
    assert as_truth(truth) is truth


@every_form
def test_every_form_comes_back_from_its_file(form, tmp_path):
    truth_MS, truth = made(form, 1, 50, 5)
    survey = replace(tiny.dataset().survey, truth=truth)
    for name in ("one", "two"):
        survey.save(tmp_path / name)
    again = Survey.load(tmp_path / "one")
    np.testing.assert_array_equal(again.truth.matrix(), truth_MS)
    assert again.truth.matrix().dtype == np.int8
    assert again.species == survey.species
    assert (tmp_path / "one/truth.npz").read_bytes() == (tmp_path / "two/truth.npz").read_bytes()


def test_the_arrays_of_the_files_keep_their_names(tmp_path):
    """Surveys on disk are outputs of studies: another name would be another file."""
    for form, names in (("matrix", ["truth_MS"]), ("maps", ["elsewhere_S", "start_S1", "site_step_P", "label_P"])):
        made(form)[1].save(tmp_path / "truth.npz")
        with np.load(tmp_path / "truth.npz") as arrays:
            assert arrays.files == names


def test_a_map_of_the_world_is_a_small_file(tmp_path):
    """30 species, each present at 20,000 of a million sites: a matrix would be 30 MB."""
    truth = SurveyTruth.of_presences(1_000_000, 30, {s: np.arange(20_000) + 30_000 * s for s in range(30)})
    truth.save(tmp_path / "truth.npz")
    assert (tmp_path / "truth.npz").stat().st_size < 100_000
    again = SurveyTruth.load(tmp_path / "truth.npz", 1_000_000)
    np.testing.assert_array_equal(again.rows(slice(29_990, 30_010)), truth.rows(slice(29_990, 30_010)))


def test_a_matrix_is_not_copied_and_other_integers_become_int8():
    truth_MS, truth = made("matrix")
    assert np.shares_memory(truth.columns(slice(2, 5)), truth_MS)
    assert np.shares_memory(truth.rows(slice(2, 5)), truth_MS)
    for other_MS in (truth_MS.astype(np.int64), truth_MS == 1):
        made_MS = as_truth(other_MS).matrix()
        assert made_MS.dtype == np.int8
        np.testing.assert_array_equal(made_MS, other_MS)


def stored(**arrays):
    """A file of lists for 9 sites and 2 species, some arrays changed."""

    def make(path):
        lists = {"elsewhere_S": np.zeros(2, np.int8), "start_S1": np.array([0, 1, 2])}
        lists |= {"site_step_P": np.array([3, 2], np.int32), "label_P": np.ones(2, np.int8)}
        np.savez(path, **lists | arrays)
        return SurveyTruth.load(path, 9)

    return make


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _: SurveyTruth.of_matrix(np.full((5, 2), 2)), "truth holds 2: it must be 1 present, 0 absent or -1"),
        (lambda _: SurveyTruth.of_matrix(np.full((5, 2), -300)), "truth holds -300: it must be 1 present"),
        (lambda _: SurveyTruth.of_matrix(np.zeros((5, 2))), "truth has dtype float64: it must hold the integers"),
        (lambda _: SurveyTruth.of_matrix(np.zeros(5, int)), r"truth has shape \(5,\): must be \(sites, species\)"),
        (lambda _: SurveyTruth.of_presences(9, 2, {2: np.array([1])}), r"species index 2 is listed; .* within 0..1"),
        (lambda _: SurveyTruth.of_presences(9, 2, {0: np.array([9])}), r"outside of the sites 0..8"),
        (lambda _: SurveyTruth.of_presences(9, 2, {0: np.array([-1])}), r"outside of the sites 0..8"),
        (lambda _: SurveyTruth.of_presences(9, 2, {0: np.array([3, 1, 3])}), "must ascend, none twice"),
        (lambda _: SurveyTruth.of_labels(9, 2, {0: (np.array([3]), np.array([2]))}), "another label than 1 present"),
        (lambda _: SurveyTruth.of_labels(9, 2, {0: (np.array([3]), np.array([1, 0]))}), "1 sites with 2 labels"),
        (stored(elsewhere_S=np.ones(2, np.int8)), "must be 0 absent or -1 not surveyed"),
        (stored(label_P=np.full(2, 2, np.int8)), "truth must hold the values 1 present"),
        (stored(label_P=np.ones(1, np.int8)), "2 listed sites with 1 labels"),
        (stored(start_S1=np.array([0, 2])), "lists of 2 species need as many ascending starts"),
        (stored(site_step_P=np.array([3, 6], np.int32)), r"listed sites must lie within 0\.\.8"),
        (stored(start_S1=np.array([0, 2, 2]), site_step_P=np.array([3, 0], np.int32)), "must ascend, none twice"),
    ],
)
def test_a_wrong_truth_is_one_sentence(make, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        make(tmp_path / "truth.npz")
