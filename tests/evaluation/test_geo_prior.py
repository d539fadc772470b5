"""The Geo Prior against a dense second implementation that loops over images."""

import dataclasses

import numpy as np
import pytest
import torch

from presence_only.data.geo_prior import GeoPriorImages
from presence_only.evaluation import geo_prior as module
from presence_only.evaluation.geo_prior import GeoPrior, chosen_class
from presence_only.evaluation.tasks import load_further


class Fixed:
    """A model whose logits are given, which remembers how many rows were asked for at a time."""

    def __init__(self, logits_MS):
        self.logits_MS, self.asked = logits_MS, []

    def scores(self, sites_M2, covariates_MC, week_M=None):
        assert len(sites_M2) == len(covariates_MC) == len(self.logits_MS)
        return self

    def rows(self, sites):
        self.asked.append(sites.stop - sites.start)
        return self.logits_MS[sites]


def dense_choice(logits_S, candidates_K, probabilities_K, species_V):
    """One image, all classes: the classifier's probabilities, zero elsewhere, times the prior, one if unknown."""
    products = []
    for k in range(len(species_V)):
        probability = np.float32(0)
        for candidate, value in zip(candidates_K, probabilities_K, strict=True):
            if candidate == k:
                probability = np.float32(value)
        prior = torch.sigmoid(torch.tensor(logits_S[species_V[k]])).item() if species_V[k] >= 0 else 1.0
        products.append(float(probability * np.float32(prior)))
    return products.index(max(products))


def images(rng, n_images=40, n_candidates=4, n_classes=12, n_species=7, covariates=2):
    """Predictions whose probabilities and logits tie now and then, and the species of every class."""
    candidates = np.stack([rng.permutation(n_classes)[:n_candidates] for _ in range(n_images)])
    probabilities = np.sort(rng.integers(0, 5, (n_images, n_candidates)) / 16, axis=1).astype(np.float32)
    classes = tuple(f"s{i}" if i < n_species - 1 else f"other {i}" for i in rng.permutation(n_classes))
    prior = GeoPriorImages(
        sites_M2=np.stack([rng.uniform(-180, 180, n_images), rng.uniform(-90, 90, n_images)], axis=1),
        covariates_MC=rng.normal(size=(n_images, covariates)).astype(np.float32),
        candidates_MK=candidates,
        probabilities_MK=probabilities,
        label_M=candidates[np.arange(n_images), rng.integers(0, n_candidates, n_images)],
        classes=classes,
    )
    species = tuple(f"s{i}" for i in rng.permutation(n_species))
    logits = rng.integers(-2, 3, (n_images, n_species)).astype(np.float32)
    return prior, species, logits


@pytest.mark.parametrize("seed", range(8))
def test_it_equals_a_loop_over_images_and_all_classes(seed):
    rng = np.random.default_rng(seed)
    prior, species, logits = images(rng)
    species_V = np.array([species.index(name) if name in species else -1 for name in prior.classes])
    expected = [
        dense_choice(logits[i], prior.candidates_MK[i], prior.probabilities_MK[i], species_V)
        for i in range(len(logits))
    ]
    chosen = chosen_class(logits, prior.candidates_MK, prior.probabilities_MK, species_V)
    np.testing.assert_array_equal(chosen, expected)

    numbers = GeoPrior(prior).score(Fixed(logits), species)
    accuracy = np.mean(np.array(expected) == prior.label_M)
    without = np.mean([prior.candidates_MK[i, -1] == prior.label_M[i] for i in range(len(logits))])
    assert numbers["accuracy_with"] == pytest.approx(accuracy)
    assert numbers["accuracy_without"] == pytest.approx(without)
    assert numbers["accuracy_gain"] == pytest.approx(accuracy - without)
    assert (numbers["n_classes"], numbers["n_classes_covered"], numbers["n_images"]) == (12, 6, 40)
    assert numbers["n_images_covered"] == sum(species_V[label] >= 0 for label in prior.label_M)


def test_a_good_prior_turns_the_answer():
    prior = GeoPriorImages(
        sites_M2=np.zeros((3, 2)),
        covariates_MC=np.zeros((3, 0), dtype=np.float32),
        candidates_MK=np.array([[0, 1]] * 3),
        probabilities_MK=np.array([[0.4, 0.6]] * 3, dtype=np.float32),
        label_M=np.array([0, 1, 0]),
        classes=("wren", "owl"),
    )
    logits = np.array([[3.0, -3.0], [-3.0, 3.0], [0.0, 0.0]], dtype=np.float32)
    numbers = GeoPrior(prior).score(Fixed(logits), ("wren", "owl"))
    assert (numbers["accuracy_without"], numbers["accuracy_with"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    # Unknown species count as suitable everywhere: only the classifier speaks.
    numbers = GeoPrior(prior).score(Fixed(logits), ("lark", "kite"))
    assert (numbers["accuracy_gain"], numbers["n_classes_covered"], numbers["n_images_covered"]) == (0, 0, 0)


def test_saturated_logits_choose_as_their_limits():
    candidates, probabilities = np.array([[2, 1]]), np.array([[0.1, 0.9]], dtype=np.float32)
    species_V = np.array([0, 1, 2])
    for logits, expected in (
        ([0.0, -1e4, 1e4], 2),
        ([0.0, 1e4, -1e4], 1),
        # Nothing is left of any candidate: the first class of all, as in SINR.
        ([0.0, -1e4, -1e4], 0),
    ):
        chosen = chosen_class(np.array([logits], dtype=np.float32), candidates, probabilities, species_V)
        assert chosen.tolist() == [expected]


def test_few_rows_are_held_at_a_time_and_the_result_is_the_same(monkeypatch):
    prior, species, logits = images(np.random.default_rng(0))
    whole = Fixed(logits)
    expected = GeoPrior(prior).score(whole, species)
    monkeypatch.setattr(module, "LOGITS_AT_ONCE", 3 * len(species))
    parts = Fixed(logits)
    assert GeoPrior(prior).score(parts, species) == expected
    assert whole.asked == [40]
    assert max(parts.asked) == 3
    assert sum(parts.asked) == 40


def test_it_comes_back_from_disk(tmp_path):
    prior, species, logits = images(np.random.default_rng(1))
    prior.save(tmp_path / "further" / "birds" / "geo_prior")
    loaded = load_further(tmp_path)["birds"]
    assert isinstance(loaded, GeoPrior)
    for field in dataclasses.fields(prior):
        np.testing.assert_array_equal(getattr(loaded.images, field.name), getattr(prior, field.name))
    assert loaded.score(Fixed(logits), species) == GeoPrior(prior).score(Fixed(logits), species)
