"""An exported run as an MLflow model with signature and example, which mlflow and onnxruntime alone can run."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presence_only.export.interface import Interface

if TYPE_CHECKING:
    import pandas as pd

# mlflow reads it when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

CODE = Path(__file__).with_name("mlflow_predictor.py")
# Listed, so that MLflow does not find them out by loading the model, which takes half a minute.
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas")


def save_mlflow_model(
    path: Path, files: Path, interface: Interface, species: Sequence[str], example: dict[str, Any]
) -> None:
    """Write a folder that ``mlflow.pyfunc.load_model`` loads.

    Args:
        path: The folder to make.
        files: Folder with ``model.onnx``, ``interface.json`` and ``species.json``.
        interface: What the graph reads and gives.
        species: Names, in the order of the outputs.
        example: Column to values: a few places to predict at.
    """
    with _quiet():
        import mlflow

        mlflow.pyfunc.save_model(str(path), **_content(files, interface, species, example))


def log_mlflow_model(
    name: str, files: Path, interface: Interface, species: Sequence[str], example: dict[str, Any]
) -> str:
    """Log the same model into the run of MLflow that is open; returns its address."""
    with _quiet():
        import mlflow

        uri: str = mlflow.pyfunc.log_model(name=name, **_content(files, interface, species, example)).model_uri
        return uri


def _content(files: Path, interface: Interface, species: Sequence[str], example: dict[str, Any]) -> dict[str, Any]:
    """What MLflow is told of the model."""
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    types = {"week": DataType.long}
    inputs = [
        ColSpec(types.get(name, DataType.double), name, required=name != "week") for name in interface.table_columns
    ]
    outputs = [ColSpec(DataType.float, name) for name in species]
    params = ParamSchema([ParamSpec("output", DataType.string, "scores")])
    table: pd.DataFrame = pd.DataFrame(example)
    return {
        "python_model": str(CODE),
        "artifacts": {
            "onnx": str(files / "model.onnx"),
            "interface": str(files / "interface.json"),
            "species": str(files / "species.json"),
        },
        "signature": ModelSignature(Schema(inputs), Schema(outputs), params),
        "input_example": table,
        "pip_requirements": [f"{package}=={version(package)}" for package in REQUIREMENTS],
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep mlflow's hints and progress bars off the terminal; its errors are raised."""
    level, bar = logging.root.manager.disable, os.environ.get("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
    logging.disable(logging.WARNING)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        if bar is None:
            del os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"]
        else:
            os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = bar
