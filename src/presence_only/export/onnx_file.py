"""A run's models as one ONNX file, checked against the models themselves.

Shape legend: B sites, C covariates, S species.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit

from presence_only.common.arrays import Floats, Ints
from presence_only.common.atomic_files import write_stream
from presence_only.export.graph import RunGraph
from presence_only.export.graph_features import ExportError
from presence_only.model.interface import SpeciesModel

# The version of ONNX's operators that torch's exporter writes without a conversion; onnxruntime knows it since 1.14.
OPSET = 18
# How far a logit may be off, as a share of the largest absolute logit among the places compared.
TOLERANCE = 1e-5
# What the extra `export` brings, by the names in import statements.
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Beyond it protobuf writes no file.
LARGEST_BYTES = 2**31 - 1


@dataclass(frozen=True)
class Places:
    """Places to compare a graph with its models at.

    Args:
        sites_B2: Longitude, latitude in degrees, float32 as the graph reads them.
        covariates_BC: All covariates of the data set, float32, NaN where unknown.
        week_B: 1..48, for models that read the week; None otherwise.
    """

    sites_B2: Floats
    covariates_BC: Floats
    week_B: Ints | None = None

    def feeds(self, inputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The inputs of a graph by name."""
        known: dict[str, NDArray[Any] | None] = {
            "longitude": self.sites_B2[:, 0].astype(np.float32),
            "latitude": self.sites_B2[:, 1].astype(np.float32),
            "covariates": self.covariates_BC.astype(np.float32),
            "week": None if self.week_B is None else self.week_B.astype(np.int32),
        }
        return {name: values for name in inputs if (values := known[name]) is not None}


@dataclass(frozen=True)
class Checked:
    """What was written, and how near it is to the models.

    Args:
        inputs: Names of the inputs in order.
        outputs: Names of the outputs in order.
        error: Largest difference of logits, as a share of the largest absolute logit.
        n_places: Number of places compared.
        precision: Of the features, ``float32``, or ``float64`` where float32 was not near enough.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    error: float
    n_places: int
    precision: str


def check_packages() -> None:
    """Tell before a long computation whether a model can be exported.

    Raises:
        ExportError: If a package of the extra ``export`` is not installed.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {' and '.join(missing)}: pip install 'presence-only[export]'")


def export_onnx(models: Sequence[SpeciesModel], path: Path, places: Places, about: Mapping[str, str]) -> Checked:
    """Write one graph of all models, whole or not at all, once onnxruntime gives the models' logits.

    Features are computed in float32. Where that is not near enough to the models, which compute theirs in float64,
    as for a region of a few metres on the sphere, they are computed in float64.

    Args:
        models: The seeds of a run; the graph's score is the mean of theirs.
        path: The file.
        places: Where graph and models are compared.
        about: Text to go into the file's metadata.

    Returns:
        What was written.

    Raises:
        ExportError: If a package is missing, the models have no graph, the file would be too large, or the logits
            differ by more than ``TOLERANCE``.
    """
    check_packages()
    expected_BS = run_logits(models, places)
    scale = float(np.abs(expected_BS).max())
    for dtype in (torch.float32, torch.float64):
        graph = RunGraph(models, dtype).eval()
        content = _proto(graph, models[0].n_covariates, about)
        (logits_BS,) = run_onnx(content, places.feeds(graph.reads.inputs), ["logits"])
        error = float(np.abs(logits_BS - expected_BS).max()) / max(scale, float(np.finfo(np.float32).tiny))
        if error <= TOLERANCE:
            with write_stream(path) as stream:
                stream.write(content)
            precision = str(dtype).removeprefix("torch.")
            return Checked(graph.reads.inputs, graph.outputs, error, len(expected_BS), precision)
    raise ExportError(
        f"the logits of the ONNX graph differ from the model's by {error:.1e} of the largest; must be at most "
        f"{TOLERANCE:g}"
    )


def run_logits(models: Sequence[SpeciesModel], places: Places) -> NDArray[np.float64]:
    """The logits (B, S) that the graph has to give: of one model its own, of several that of their mean score."""
    parts = [m.scores(places.sites_B2, places.covariates_BC, places.week_B).columns(slice(None)) for m in models]
    if len(parts) == 1:
        return parts[0].astype(np.float64)
    x_KBS = np.stack(parts).astype(np.float64)
    # The smaller of score and rest keeps its digits.
    mean_BS, rest_BS = expit(x_KBS).mean(axis=0), expit(-x_KBS).mean(axis=0)
    result: NDArray[np.float64] = np.where(mean_BS < rest_BS, logit(mean_BS), -logit(rest_BS))
    return result


def run_onnx(
    model: bytes | Path, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]
) -> list[NDArray[np.float32]]:
    """Outputs of an ONNX model by name, computed by onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found: list[NDArray[np.float32]] = session.run(list(outputs), dict(feeds))
    return found


def _proto(graph: RunGraph, n_covariates: int, about: Mapping[str, str]) -> bytes:
    """The graph as the bytes of an ONNX file; the same graph gives the same bytes."""
    sites = torch.export.Dim("sites")
    # Two rows and more: an example of one would fix the number.
    examples = {
        "longitude": torch.tensor([8.5, -70.0, 0.0]),
        "latitude": torch.tensor([47.0, -10.0, 0.0]),
        "covariates": torch.zeros(3, n_covariates),
        "week": torch.tensor([1, 20, 48], dtype=torch.int32),
    }
    inputs = graph.reads.inputs
    with _silence():
        program = torch.onnx.export(
            graph,
            tuple(examples[name] for name in inputs),
            input_names=list(inputs),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            dynamo=True,
            # Of `*inputs`, one argument that is a tuple.
            dynamic_shapes=(tuple({0: sites} for _ in inputs),),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    # Where the code of this machine lies is nobody's business, and would differ from machine to machine.
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.initializer):
        del value.metadata_props[:]
    for key, text in about.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, text
    if proto.ByteSize() > LARGEST_BYTES:
        raise ExportError(
            f"the ONNX file would have {proto.ByteSize():,} bytes; protobuf writes at most {LARGEST_BYTES:,}: export "
            "one seed, by --seed, or fewer species"
        )
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


@contextlib.contextmanager
def _silence() -> Any:
    """Keep the exporter's own progress and warnings off the terminal; its errors are raised."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def described(about: Mapping[str, Any]) -> dict[str, str]:
    """Values as text for a file's metadata: words as they are, all else as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
