"""Further evaluations of a model, beside the survey, one module a kind; ``TASKS`` is the table, one line a kind.

A data set hands over what is scored by in ``Dataset.further``, objects of the room ``data`` that save themselves; the
kind's module here defines a class with the methods of :class:`Task`, which reads what was saved and scores by it.

Shape legend: S species of the model's vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from presence_only.common.errors import DataError
from presence_only.common.registry import resolve
from presence_only.data.dataset import FURTHER
from presence_only.model.interface import SpeciesModel

Floats = NDArray[np.floating[Any]]

# Kind, which is also the name of the folder that a data set saves, to the class that scores by it.
TASKS = {
    "geo_feature": "presence_only.evaluation.geo_feature:GeoFeature",
    "geo_prior": "presence_only.evaluation.geo_prior:GeoPrior",
    "survey": "presence_only.evaluation.survey:FurtherSurvey",
}


class Task(Protocol):
    """One further evaluation."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what the data set saved."""
        ...

    def score(self, model: SpeciesModel, species: tuple[str, ...]) -> Mapping[str, float | Floats]:
        """Numbers of one run, by name.

        Args:
            model: A trained model, in evaluation mode.
            species: Its vocabulary: the S names in the order of its logits.

        Returns:
            A float is one number of the run, NaN where undefined; it is compared over seeds alone. An
            array of shape (S,) is one value a species, NaN where undefined; its mean is the number, and
            it is compared over seeds and species. A name that begins with ``n_`` is a count, which is
            written down and not compared.
        """
        ...


def kinds() -> tuple[str, ...]:
    """Every known kind of further evaluation, sorted."""
    return tuple(sorted(TASKS))


def load_further(survey_folder: Path) -> dict[str, Task]:
    """The further evaluations that a data set saved with its survey, by name.

    Raises:
        DataError: If one is of a kind that is not known.
    """
    tasks = {}
    for folder in sorted(survey_folder.glob(f"{FURTHER}/*/*")):
        kind = folder.name
        if kind not in TASKS:
            raise DataError(f"{folder}: unknown kind of evaluation {kind!r}; known: {', '.join(kinds())}")
        task: type[Task] = resolve(TASKS[kind])
        tasks[folder.parent.name] = task.load(folder)
    return tasks
