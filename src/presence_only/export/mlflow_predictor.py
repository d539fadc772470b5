"""The code inside an exported MLflow model: scores of species by onnxruntime, without this package or torch.

MLflow copies this file into the model and runs it whenever the model is loaded ("models from code"), so it may import
nothing of the package.

Shape legend: B rows, S species, W weeks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

# Rows that go through the graph at once.
CHUNK = 8192
# One week a month: presence at any time of the year is averaged over them.
WEEKS_OF_A_YEAR = tuple(range(2, 49, 4))


class RangeModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Relative suitability of every species at some places.

    Rows are places: ``longitude`` and ``latitude`` in degrees WGS84, ``week`` 1..48 and covariates in their own units,
    as far as the model reads them; ``interface.json`` lists the columns. An empty covariate counts as its mean in
    training. Without a column ``week``, presence is averaged over the year.
    """

    def load_context(self, context: Any) -> None:
        """Read the graph and what its inputs and outputs mean."""
        import onnxruntime

        self.session = onnxruntime.InferenceSession(context.artifacts["onnx"], providers=["CPUExecutionProvider"])
        self.interface = json.loads(Path(context.artifacts["interface"]).read_text(encoding="utf-8"))
        listed = json.loads(Path(context.artifacts["species"]).read_text(encoding="utf-8"))
        self.species = [entry["name"] for entry in listed]

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One column a species and one row a place.

        Args:
            context: Unused.
            model_input: A table.
            params: ``output``: ``scores`` (0 to 1, the default), ``logits``, or ``spread``, the standard deviation of
                the scores over the seeds, of a run of several.

        Raises:
            ValueError: If a column is missing, a value breaks its rule, or there is no such output.
        """
        output = (params or {}).get("output", "scores")
        known = [entry["name"] for entry in self.interface["outputs"]]
        if output not in known:
            raise ValueError(f"output = {output!r}: must be one of {', '.join(known)}")
        table = pd.DataFrame(model_input)
        feeds = self._feeds(table)
        year = "week" in self._inputs() and "week" not in feeds
        if year and output == "spread":
            raise ValueError("output = 'spread': needs a column week; the spread of a whole year is not in the graph")
        parts = [
            self._run({name: values[first : first + CHUNK] for name, values in feeds.items()}, output, year)
            for first in range(0, max(len(table), 1), CHUNK)
        ]
        return pd.DataFrame(np.concatenate(parts), columns=self.species, index=table.index)

    def _inputs(self) -> list[str]:
        return [entry["name"] for entry in self.interface["inputs"]]

    def _run(self, feeds: dict[str, Any], output: str, year: bool) -> Any:
        """One output (B, S) of the graph for some rows."""
        if not year:
            return self.session.run([output], feeds)[0]
        rows = len(next(iter(feeds.values())))
        logits_WBS = np.stack(
            [
                self.session.run(["logits"], {**feeds, "week": np.full(rows, week, np.int32)})[0]
                for week in WEEKS_OF_A_YEAR
            ]
        ).astype(np.float64)
        # Logarithms of mean score and mean rest: exact where the score rounds to 0 or 1.
        score_BS, rest_BS = _log_mean(-np.logaddexp(0, -logits_WBS)), _log_mean(-np.logaddexp(0, logits_WBS))
        return (np.exp(score_BS) if output == "scores" else score_BS - rest_BS).astype(np.float32)

    def _feeds(self, table: Any) -> dict[str, Any]:
        """The inputs of the graph, checked."""
        inputs, columns = self._inputs(), self.interface["covariate_columns"]
        place = [name for name in ("longitude", "latitude") if name in inputs]
        needed = place + (columns if "covariates" in inputs else [])
        missing = [name for name in needed if name not in table.columns]
        if missing:
            raise ValueError(f"column {missing[0]!r} is missing; the model needs {', '.join(map(repr, needed))}")
        feeds: dict[str, Any] = {name: table[name].to_numpy(np.float32) for name in place}
        for name, limit in (("longitude", 180), ("latitude", 90)):
            if name in feeds and not (np.abs(feeds[name]) <= limit).all():
                row = int(np.flatnonzero(~(np.abs(feeds[name]) <= limit))[0])
                raise ValueError(f"{name} {feeds[name][row]:g} in row {row}: must lie within -{limit}..{limit} degrees")
        if "covariates" in inputs:
            feeds["covariates"] = table[columns].to_numpy(np.float32)
        if "week" in inputs and "week" in table.columns:
            week = table["week"].to_numpy(np.float64)
            wrong = ~((week >= 1) & (week <= 48) & (week == np.floor(week)))
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                raise ValueError(f"week {week[row]:g} in row {row}: must be a whole number within 1..48, four a month")
            feeds["week"] = week.astype(np.int32)
        return feeds


def _log_mean(log_WBS: Any) -> Any:
    """log(mean(exp(x))) over the weeks."""
    largest_BS = log_WBS.max(axis=0)
    return largest_BS + np.log(np.exp(log_WBS - largest_BS).mean(axis=0))


mlflow.models.set_model(RangeModel())
