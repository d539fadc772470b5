"""What an exported model reads and gives, for whoever calls it without this package: inputs, outputs, columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from presence_only.data.sites import WEEKS

# Raised where a change would break those who read the files.
FORMAT = 1
_MEANINGS: dict[str, dict[str, Any]] = {
    "longitude": {"type": "float32", "unit": "degrees WGS84", "range": [-180, 180]},
    "latitude": {"type": "float32", "unit": "degrees WGS84", "range": [-90, 90]},
    "covariates": {"type": "float32", "unit": "see covariates", "unknown": "NaN, which counts as the training mean"},
    "week": {"type": "int32", "unit": "week of the year, four a month, the last one longer", "range": [1, WEEKS]},
    "logits": {"type": "float32", "unit": "log odds", "meaning": "sigmoid(logits) = scores"},
    "scores": {
        "type": "float32",
        "unit": "relative suitability, no probability of presence",
        "range": [0, 1],
    },
    "spread": {
        "type": "float32",
        "unit": "relative suitability",
        "meaning": "standard deviation of the score over the seeds",
    },
}


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of an exported graph.

    Args:
        inputs: Names, in order.
        outputs: Names, in order.
        covariates: Name of every column of the input ``covariates``, with its unit.
        n_species: Columns of every output.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    covariates: tuple[str, ...]
    n_species: int

    @property
    def covariate_columns(self) -> tuple[str, ...]:
        """The covariates' names in a table that also has columns of place and week."""
        taken = Counter([*self.covariates, "longitude", "latitude", "week"])
        return tuple(name if taken[name] == 1 else f"covariate: {name}" for name in self.covariates)

    @property
    def table_columns(self) -> tuple[str, ...]:
        """The columns of a table of places, ``covariates`` being one each."""
        return tuple(
            column for name in self.inputs for column in (self.covariate_columns if name == "covariates" else (name,))
        )

    def content(self) -> dict[str, Any]:
        """What ``interface.json`` says."""
        shapes: dict[str, list[str | int]] = {"covariates": ["sites", len(self.covariates)]}
        return {
            "format": FORMAT,
            "inputs": [{"name": n, "shape": shapes.get(n, ["sites"])} | _MEANINGS[n] for n in self.inputs],
            "outputs": [{"name": n, "shape": ["sites", self.n_species]} | _MEANINGS[n] for n in self.outputs],
            "covariates": list(self.covariates) if "covariates" in self.inputs else [],
            "covariate_columns": list(self.covariate_columns) if "covariates" in self.inputs else [],
        }
