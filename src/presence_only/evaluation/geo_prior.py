"""Accuracy of an image classifier that knows the place: SINR's Geo Prior.

Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564, after Mac Aodha et al. (2019),
https://arxiv.org/abs/1906.05272: the classifier's probability of a class times the range model's
suitability for it at the place of the photograph; the class with the largest product is the answer.

Shape legend: M images, m some of them, K candidates of the classifier for an image, V classes of the
classifier, S species of the range model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import Floats, Ints
from presence_only.data.geo_prior import GeoPriorImages
from presence_only.model.interface import SpeciesModel

# Logits held at a time: 64 MB of float32.
LOGITS_AT_ONCE = 2**24


@dataclass(frozen=True, eq=False)
class GeoPrior:
    """Scores a range model by what it adds to a classifier's answers."""

    images: GeoPriorImages

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the images that a data set saved."""
        return cls(GeoPriorImages.load(folder))

    def score(self, model: SpeciesModel, species: tuple[str, ...]) -> Mapping[str, float]:
        """Accuracy of the classifier with and without the model's suitability.

        Args:
            model: The range model.
            species: Its vocabulary, in the order of its logits.

        Returns:
            ``accuracy_gain``, ``accuracy_with``, ``accuracy_without``: of the first answer, as SINR
            reports; ``n_classes``, and ``n_classes_covered`` that the model knows; ``n_images``, and
            ``n_images_covered`` whose true class it knows.
        """
        images = self.images
        index = {name: i for i, name in enumerate(species)}
        species_V = np.array([index.get(name, -1) for name in images.classes], dtype=np.int64)
        scores = model.scores(images.sites_M2, images.covariates_MC)
        n_images, step = len(images.label_M), max(1, LOGITS_AT_ONCE // max(1, len(species)))
        right = 0
        for start in range(0, n_images, step):
            part = slice(start, min(start + step, n_images))
            chosen_m = chosen_class(
                scores.rows(part), images.candidates_MK[part], images.probabilities_MK[part], species_V
            )
            right += int(np.count_nonzero(chosen_m == images.label_M[part]))
        without = float(np.mean(images.candidates_MK[:, -1] == images.label_M))
        return {
            "accuracy_gain": right / n_images - without,
            "accuracy_with": right / n_images,
            "accuracy_without": without,
            "n_classes": float(len(species_V)),
            "n_classes_covered": float(np.count_nonzero(species_V >= 0)),
            "n_images": float(n_images),
            "n_images_covered": float(np.count_nonzero(species_V[images.label_M] >= 0)),
        }


def chosen_class(
    logits_mS: Floats, candidates_mK: Ints, probabilities_mK: Floats, species_V: Ints
) -> NDArray[np.int64]:
    """The class with the largest product of image probability and suitability, for every image.

    A class that the range model does not know counts as suitable everywhere (factor 1), and of equal
    products the class that comes first wins, as in SINR. Where every product is zero - the classifier
    gives nothing to classes outside its candidates - that is class 0.

    Args:
        logits_mS: The range model's logits where the photographs were taken.
        candidates_mK: The classifier's candidates, each once.
        probabilities_mK: Their probabilities.
        species_V: Species of every class in the range model, -1 where it has none.

    Returns:
        Shape (m,), 0 <= class < V.
    """
    species_mK = species_V[candidates_mK]
    logits_mK = np.take_along_axis(logits_mS, np.maximum(species_mK, 0), axis=1)
    # In float32, as SINR multiplies: suitabilities that round to one value tie there and tie here.
    prior_mK = np.where(species_mK >= 0, expit(logits_mK.astype(np.float32)), np.float32(1.0))
    product_mK = probabilities_mK * prior_mK
    best_m = product_mK.max(axis=1)
    first_m = np.where(product_mK == best_m[:, None], candidates_mK, len(species_V)).min(axis=1)
    chosen_m: NDArray[np.int64] = np.where(best_m > 0, first_m, 0).astype(np.int64)
    return chosen_m
