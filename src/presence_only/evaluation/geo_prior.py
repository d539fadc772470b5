"""What knowing the place is worth to an image classifier: SINR's Geo Prior.

Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564, after Mac Aodha et al. (2019),
https://arxiv.org/abs/1906.05272: the classifier's probability of a class times the range model's
suitability for it at the place of the photograph; the class with the largest product is the answer.

Shape legend: M images, m some of them, K candidates of the classifier for an image, V classes of the
classifier, C covariates, S species of the range model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import Floats, Ints
from presence_only.common.atomic_files import read_json, write_folder, write_json
from presence_only.common.errors import DataError

if TYPE_CHECKING:
    # Data set modules make tasks, and have no need of torch.
    from presence_only.model.interface import SpeciesModel

# Logits held at a time: 64 MB of float32.
LOGITS_AT_ONCE = 2**24


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


@dataclass(frozen=True, eq=False)
class GeoPrior:
    """Photographs of known species at known places, and what a classifier made of them.

    Args:
        sites_M2: Where the photographs were taken, longitude, latitude in degrees WGS84.
        covariates_MC: Environment there, the columns of the records.
        candidates_MK: The classifier's best classes, each once, the most probable in the last column.
        probabilities_MK: Their probabilities; all other classes have none.
        label_M: True class of every photograph.
        classes: Name of every class; those of species are the names that the records use.

    Raises:
        DataError: If there is no image or no candidate, shapes disagree, a class is outside 0..V-1, a
            probability is outside 0..1, a candidate comes twice, or the last is not the most probable.
    """

    kind: ClassVar[str] = "geo_prior"

    sites_M2: Floats
    covariates_MC: Floats
    candidates_MK: Ints
    probabilities_MK: Floats
    label_M: Ints
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = self.candidates_MK.shape
        if len(shape) != 2 or 0 in shape:
            raise DataError(f"candidates have shape {shape}; expected (images, candidates), at least one of each")
        if (
            self.probabilities_MK.shape != shape
            or self.label_M.shape != shape[:1]
            or self.sites_M2.shape != (shape[0], 2)
            or len(self.covariates_MC) != shape[0]
        ):
            raise DataError(
                f"{shape} candidates, {self.probabilities_MK.shape} probabilities, {self.label_M.shape} labels, "
                f"{self.sites_M2.shape} sites and {self.covariates_MC.shape} covariates: images must agree"
            )
        for what, classes in (("candidate", self.candidates_MK), ("label", self.label_M)):
            if classes.min() < 0 or classes.max() >= len(self.classes):
                raise DataError(
                    f"the {what}s lie within {classes.min()}..{classes.max()}; "
                    f"the classifier's {len(self.classes)} classes are 0..{len(self.classes) - 1}"
                )
        if not (self.probabilities_MK.min() >= 0 and self.probabilities_MK.max() <= 1):
            raise DataError("a candidate's probability is not within 0..1")
        if np.any(self.probabilities_MK[:, -1] < self.probabilities_MK.max(axis=1)):
            raise DataError("the last candidate of an image is not its most probable; they must ascend")
        if np.any(np.diff(np.sort(self.candidates_MK, axis=1), axis=1) == 0):
            raise DataError("an image has the same candidate twice; each must come once")

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
        index = {name: i for i, name in enumerate(species)}
        species_V = np.array([index.get(name, -1) for name in self.classes], dtype=np.int64)
        scores = model.scores(self.sites_M2, self.covariates_MC)
        n_images, step = len(self.label_M), max(1, LOGITS_AT_ONCE // max(1, len(species)))
        right = 0
        for start in range(0, n_images, step):
            part = slice(start, min(start + step, n_images))
            chosen_m = chosen_class(scores.rows(part), self.candidates_MK[part], self.probabilities_MK[part], species_V)
            right += int(np.count_nonzero(chosen_m == self.label_M[part]))
        without = float(np.mean(self.candidates_MK[:, -1] == self.label_M))
        return {
            "accuracy_gain": right / n_images - without,
            "accuracy_with": right / n_images,
            "accuracy_without": without,
            "n_classes": float(len(species_V)),
            "n_classes_covered": float(np.count_nonzero(species_V >= 0)),
            "n_images": float(n_images),
            "n_images_covered": float(np.count_nonzero(species_V[self.label_M] >= 0)),
        }

    def save(self, folder: Path) -> None:
        """Write the images into ``folder``, whole or not at all."""
        with write_folder(folder) as temporary:
            np.savez_compressed(
                temporary / "images.npz",
                sites_M2=self.sites_M2,
                covariates_MC=self.covariates_MC,
                candidates_MK=self.candidates_MK,
                probabilities_MK=self.probabilities_MK,
                label_M=self.label_M,
            )
            write_json(temporary / "classes.json", self.classes)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(folder / "images.npz") as arrays:
            stored = {name: arrays[name] for name in arrays.files}
        return cls(**stored, classes=tuple(read_json(folder / "classes.json")))
