"""Photographs with a classifier's answers: what a data set hands over for the Geo Prior evaluation.

Shape legend: M images, K candidates of the classifier for an image, V classes of the classifier, C covariates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.stored_files import reading
from presence_only.data.array_folder import load_arrays, save_arrays


@dataclass(frozen=True, eq=False)
class GeoPriorImages:
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

    def save(self, folder: Path) -> None:
        """Write the images into ``folder``, whole or not at all."""
        arrays = {
            "sites_M2": self.sites_M2,
            "covariates_MC": self.covariates_MC,
            "candidates_MK": self.candidates_MK,
            "probabilities_MK": self.probabilities_MK,
            "label_M": self.label_M,
        }
        save_arrays(folder, "images", arrays, {"classes": self.classes})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        content = load_arrays(folder, "images", "classes")
        with reading(folder):
            return cls(**content)
