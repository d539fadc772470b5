"""The exported folder: its files, its card, its MLflow model in a process without torch, and what is refused."""

import json
import re
import shutil
import subprocess
import sys

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from support.house import ROOT

from presence_only.export import bundle as bundles
from presence_only.export import onnx_file
from presence_only.export.model_card import LICENCES, card_of, model_card
from presence_only.export.onnx_file import Checked
from presence_only.export.trained_run import load_run
from presence_only.model.range_map import MapError
from presence_only.pipeline import export
from presence_only.pipeline.mlflow_export import log_bundle

# Loads a model and predicts, where nothing of this package and of what it is trained by can be imported.
ELSEWHERE = """
import json, sys

for name in ("torch", "presence_only", "polars", "onnx", "onnxscript", "pydantic_settings"):
    sys.modules[name] = None
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
table = pandas.read_json(sys.argv[2], orient="split")
found = {output: model.predict(table, params={"output": output}) for output in ("scores", "logits", "spread")}
assert found["scores"].equals(model.predict(table))
example = model.predict(model.input_example)
print(json.dumps({
    "columns": list(found["scores"].columns), "index": list(found["scores"].index), "example": len(example),
    **{output: frame.to_numpy().tolist() for output, frame in found.items()},
}))
"""


@pytest.fixture(scope="module")
def exported(study, tmp_path_factory):
    for package in onnx_file.PACKAGES:
        pytest.importorskip(package, reason=f"{package} is not installed; the extra export brings it")
    out = tmp_path_factory.mktemp("out") / "exported"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["export", "--run", str(study / "runs/virtual/an_full"), "--out", str(out)])
        export.main()
    return out


def test_the_folder_has_all_files_and_no_other(exported):
    assert {path.name for path in exported.iterdir()} == set(bundles.FILES)
    assert [path.name for path in exported.parent.iterdir()] == ["exported"]


def test_labels_and_interface_say_what_the_graph_reads(exported, study):
    run = load_run(study / "runs/virtual/an_full", maps=False)
    labels = json.loads((exported / "species.json").read_text())
    assert [entry["name"] for entry in labels] == list(run.records.species)
    assert [entry["training_records"] for entry in labels] == run.records.records_per_species().tolist()
    interface = json.loads((exported / "interface.json").read_text())
    assert [entry["name"] for entry in interface["inputs"]] == ["longitude", "latitude", "covariates"]
    assert [entry["name"] for entry in interface["outputs"]] == ["logits", "scores", "spread"]
    # A covariate with the name of a coordinate has a column of its own.
    assert interface["covariate_columns"] == ["elevation (m)", "covariate: longitude", "<b>rain</b> | mm"]
    assert interface["covariates"] == list(run.records.covariate_names)


def test_mlflow_and_onnxruntime_alone_predict_what_the_run_does(exported, study, tmp_path):
    run = load_run(study / "runs/virtual/an_full", maps=False)
    places = bundles.places_of(run)
    covariates = places.covariates_BC[:20].astype(float)
    covariates[3, 1] = np.nan
    columns = ["elevation (m)", "covariate: longitude", "<b>rain</b> | mm"]
    table = pd.DataFrame(covariates, columns=columns).assign(
        longitude=places.sites_B2[:20, 0], latitude=places.sites_B2[:20, 1]
    )
    table.index = range(100, 120)
    table.to_json(tmp_path / "places.json", orient="split", double_precision=15)
    command = [sys.executable, "-c", ELSEWHERE, str(exported / "mlflow_model"), str(tmp_path / "places.json")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["columns"] == list(run.records.species)
    assert found["index"] == list(range(100, 120))
    assert found["example"] == bundles.EXAMPLES
    logits = np.stack([m.predict(places.sites_B2[:20], covariates.astype(np.float32)) for m in run.models])
    scores = 1 / (1 + np.exp(-logits.astype(float)))
    np.testing.assert_allclose(found["scores"], scores.mean(axis=0), atol=2e-6)
    np.testing.assert_allclose(found["spread"], scores.std(axis=0, ddof=1), atol=2e-6)
    mean = scores.mean(axis=0)
    np.testing.assert_allclose(found["logits"], np.log(mean / (1 - mean)), atol=1e-5 * np.abs(logits).max())


def test_the_requirements_are_named_and_pinned(exported):
    lines = (exported / "mlflow_model/requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in lines} == {"mlflow", "numpy", "onnxruntime", "pandas"}
    assert all("==" in line for line in lines)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"latitude": 91.0}, "latitude 91 in row 0: must lie within -90..90 degrees"),
        ({"longitude": -181.0}, "longitude -181 in row 0: must lie within -180..180 degrees"),
        ({"output": "ranks"}, "output = 'ranks': must be one of logits, scores, spread"),
    ],
)
def test_what_the_mlflow_model_is_asked_wrongly_is_one_sentence(exported, change, sentence):
    model = mlflow.pyfunc.load_model(str(exported / "mlflow_model"))
    table = model.input_example.assign(**{key: value for key, value in change.items() if key != "output"})
    with pytest.raises(ValueError, match=re.escape(sentence)):
        model.predict(table, params={"output": change.get("output", "scores")})


def test_one_seed_is_exported_without_a_spread(study, tmp_path, monkeypatch):
    """The export of one seed; the graph itself is tested elsewhere."""
    asked = {}

    def graph(models, path, places, about):
        asked.update(models=models, about=about)
        path.write_bytes(b"graph")
        return Checked(("longitude", "latitude", "covariates"), ("logits", "scores"), 1e-7, 12, "float64")

    monkeypatch.setattr(bundles, "check_packages", lambda: None)
    monkeypatch.setattr(bundles, "export_onnx", graph)
    monkeypatch.setattr(bundles, "save_mlflow_model", lambda path, *_: path.mkdir())
    bundles.write_bundle(load_run(study / "runs/virtual/an_full", seed=1, maps=False), tmp_path / "out")
    assert len(asked["models"]) == 1
    assert asked["about"]["seeds"] == "[1]"
    card = (tmp_path / "out/MODEL_CARD.md").read_text()
    assert "The exported model has 1 of these seeds." in card
    assert "features are computed in float64" in card
    # A former export is replaced, and one that fails leaves it as it was.
    monkeypatch.setattr(bundles, "save_mlflow_model", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bundles.write_bundle(load_run(study / "runs/virtual/an_full", maps=False), tmp_path / "out")
    assert (tmp_path / "out/MODEL_CARD.md").read_text() == card
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_card_has_the_headings_of_odmap_and_what_the_files_say(study):
    run = load_run(study / "runs/virtual/an_full", maps=False)
    checked = Checked(("longitude", "latitude", "covariates"), ("logits", "scores", "spread"), 2e-7, 100, "float32")
    interface = bundles.Interface(checked.inputs, checked.outputs, run.records.covariate_names, 5)
    card = model_card(card_of(run), interface, checked)
    assert re.findall("^## (.*)$", card, re.MULTILINE) == ["Overview", "Data", "Model", "Assessment", "Prediction"]
    assert "| species\\_map | 0.6685 | 0.6123 to 0.7211 |" in card
    assert "| f1\\_best | 0.701 | none |" in card
    assert "0.1235" not in card  # another variant's
    assert "| rows read | 1,234 |" in card
    assert LICENCES["virtual"] in card
    assert "| `encoder.expansion` | hinge |" in card
    assert "| `pos_lambda` | 16.0 |" in card
    # Names from data are text: no element, no cell, no link, no formula.
    for raw in ("<b>", "<i>", "<script>", " | mm", "Parus | major"):
        assert raw not in card, raw
    assert "&lt;b&gt;rain&lt;/b&gt; \\| mm" in card
    assert card_of(run, "CC0 | <b>").licence == "CC0 \\| &lt;b&gt;"


def test_a_card_of_a_run_that_was_not_evaluated_says_so(study, tmp_path):
    for name in ("params.yaml", "data", "runs"):
        source = study / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    run = load_run(tmp_path / "runs/virtual/an_full/seed_1", maps=False)
    assert (run.seeds, run.name) == ((1,), "virtual / an_full / seed 1")
    checked = Checked(("covariates",), ("logits", "scores"), 2e-7, 100, "float32")
    card = model_card(card_of(run), bundles.Interface(("covariates",), checked.outputs, ("a",), 5), checked)
    assert "The run was not evaluated; `dvc repro` does that." in card
    assert "Counts of the data set are not there" in card


def test_a_seed_that_is_not_there_is_refused(study):
    with pytest.raises(MapError, match="--seed 7: the run has no such seed; it has 0, 1"):
        load_run(study / "runs/virtual/an_full", seed=7, maps=False)


def test_a_log_is_a_run_of_its_own_below_the_variant_that_loads(exported, study, tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(tmp_path)
    run = load_run(study / "runs/virtual/an_full", maps=False)
    interface = bundles.Interface(
        ("longitude", "latitude", "covariates"), ("logits", "scores", "spread"), run.records.covariate_names, 5
    )
    checked = Checked(interface.inputs, interface.outputs, 0.0, 1, "float32")
    example = bundles.example_of(bundles.places_of(run), interface)
    client = MlflowClient(tracking_uri=store)
    experiment = client.create_experiment("tiny", artifact_location=(tmp_path / "artifacts").as_uri())
    tags = {"kind": "variant", "current": "true", "cell": "virtual/an_full"}
    above = client.create_run(experiment, tags=tags).info.run_id
    uri = log_bundle(run, bundles.Bundle(exported, interface, checked, example))
    (logged,) = client.search_runs([experiment], filter_string="tags.kind = 'export'")
    assert logged.data.tags["mlflow.parentRunId"] == above
    assert logged.data.tags["fingerprint"] == logged.info.run_id
    assert logged.data.params == {"dataset": "virtual", "variant": "an_full", "seeds": "0, 1"}
    assert [item.path for item in client.list_artifacts(logged.info.run_id)] == ["MODEL_CARD.md"]
    assert uri.startswith("models:/")
    code = "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]); print(mlflow.pyfunc.load_model(sys.argv[2]))"
    done = subprocess.run([sys.executable, "-c", code, store, uri], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_predictor_imports_nothing_of_the_package():
    text = (ROOT / "src/presence_only/export/mlflow_predictor.py").read_text()
    assert not re.search(r"(import|from) (presence_only|torch|polars|scipy)", text)
