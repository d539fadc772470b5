"""ONNX files of trained models: onnxruntime gives the logits of the model, whatever the model reads."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import expit
from support import tiny

from presence_only.common.registry import resolve
from presence_only.data.training import TrainingData
from presence_only.export import onnx_file
from presence_only.export.graph import RunGraph, reads
from presence_only.export.graph_features import EXPANSIONS as GRAPHS
from presence_only.export.graph_features import ExportError, GraphFeatures
from presence_only.export.onnx_file import TOLERANCE, Places, export_onnx, run_logits, run_onnx
from presence_only.model.blend import Blend
from presence_only.model.expansions.hinge import Hinges
from presence_only.model.settings import EXPANSIONS, EncoderSettings

WEEKS = np.arange(1, 49)
DATA = tiny.dataset(covariates=3)


def moved(*, size=(180.0, 90.0), centre=(0.0, 0.0), scale=1.0, mean=0.0):
    """The data set in another region, and with covariates in other units; the third one takes two values."""

    def sites(degrees):
        return degrees / np.array([180.0, 90.0]) * size + centre

    def covariates(values):
        values = values.astype(np.float64)
        values[:, 2] = values[:, 2] > 0
        return (values * scale + mean).astype(np.float32)

    records, background = DATA.training.records, DATA.training.background
    own = TrainingData(
        dataclasses.replace(records, sites_N2=sites(records.sites_N2), covariates_NC=covariates(records.covariates_NC)),
        dataclasses.replace(
            background, sites_K2=sites(background.sites_K2), covariates_KC=covariates(background.covariates_KC)
        ),
    )
    return dataclasses.replace(DATA, training=own, survey=DATA.survey)


REGIONS = {
    "globe": moved(),
    "few kilometres": moved(size=(0.02, 0.02), centre=(8.5, 47.0)),
    "across 180 degrees": moved(size=(0.9, 0.9), centre=(179.0, -89.0)),
    "covariates far from 0": moved(scale=0.5, mean=2e6),
}


def places(data, weeks=False, n=200):
    """Sites among and around those of training, ties with what it saw, unknown covariates, poles and the date line."""
    rng, records = np.random.default_rng(1), data.training.records
    rows = rng.integers(0, records.n_rows, n)
    sites = records.sites_N2[rows] + rng.normal(size=(n, 2)) * records.sites_N2.std(axis=0) * 0.3
    covariates = records.covariates_NC[rows].astype(np.float64)
    covariates[n // 2 :] += rng.normal(size=(n - n // 2, 3)) * records.covariates_NC.std(axis=0)
    covariates[rng.random(covariates.shape) < 0.1] = np.nan
    sites[:5] = [[180, 90], [-180, -90], [180, 0], [-180, 0], [0, 0]]
    sites = np.clip(sites, [-180, -90], [180, 90]).astype(np.float32)
    covariates[5] = np.nan
    week = rng.permutation(np.resize(WEEKS, n)) if weeks else None
    return Places(sites.astype(np.float64), covariates.astype(np.float32), week)


def model(data, seed=0, scale=1.0, **encoder):
    """An encoder with weights that differ from species to species, of an additive one too."""
    made = tiny.model(data, seed=seed, **encoder)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        made.species_head.weight.mul_(scale)
    return made


ENCODERS = [
    {"input": "coordinates"},
    {"input": "covariates"},
    {"input": "both"},
    {"input": "covariates", "expansion": "rank"},
    {"input": "both", "expansion": "rank", "coordinates": "local"},
    {"input": "both", "expansion": "hinge"},
    {"input": "covariates", "expansion": "hinge", "kind": "additive"},
    {"input": "coordinates", "expansion": "hinge", "coordinates": "local"},
    {"input": "coordinates", "weeks": True},
    {"input": "both", "week": "film", "weeks": True, "expansion": "hinge"},
    {"input": "both", "environment_head": True, "habitat_head": True},
    {"input": "both", "start_S": torch.arange(5.0) - 2},
]


def name(encoder):
    return " ".join(str(value) for key, value in encoder.items() if key != "start_S") or "start"


def feature_errors(data, encoder, dtype):
    """Largest difference of every feature, graph against numpy, as a share of the value where it is beyond 1."""
    made, where = model(data, **encoder), places(data, encoder.get("weeks", False))
    graph = GraphFeatures(made.features, dtype)
    week = None if where.week_B is None else torch.from_numpy(where.week_B)
    sites = torch.from_numpy(where.sites_B2.astype(np.float32))
    found = graph(sites[:, 0], sites[:, 1], torch.from_numpy(where.covariates_BC), week)
    expected = made.features(where.sites_B2, where.covariates_BC, where.week_B)
    assert found.dtype == torch.float32
    assert torch.isfinite(expected).all()
    return ((found - expected).abs() / expected.abs().clamp(min=1.0)).amax(dim=0).numpy()


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("encoder", ENCODERS, ids=name)
def test_features_of_the_graph_are_those_of_the_encoder(encoder, region):
    # Sines of a few kilometres differ in their last digits alone, which hinges then magnify: that takes float64.
    on_sphere = encoder.get("coordinates") != "local" and encoder["input"] != "covariates"
    magnified = on_sphere and encoder.get("expansion") == "hinge" and region not in ("globe", "covariates far from 0")
    dtype = torch.float64 if magnified else torch.float32
    assert feature_errors(REGIONS[region], encoder, dtype).max() < (1e-6 if dtype == torch.float64 else 4e-6)


def test_every_expansion_has_a_graph():
    assert {resolve(path) for path in EXPANSIONS.values()} == set(GRAPHS)


def test_an_expansion_without_a_graph_is_refused(monkeypatch):
    monkeypatch.delitem(GRAPHS, Hinges)
    with pytest.raises(ExportError, match=r"expansion = 'hinge': has no graph; add its module to EXPANSIONS"):
        GraphFeatures(model(DATA, expansion="hinge").features)


def test_a_rank_that_is_a_tie_in_float64_alone_is_no_tie():
    """Quantiles lie between the covariates' float32 values: the graph must put each on its side."""
    data = moved(scale=1e-3, mean=1000.0)
    errors = feature_errors(data, {"input": "covariates", "expansion": "rank"}, torch.float32)
    assert errors[:2].tolist() == [0.0, 0.0]


@pytest.fixture(scope="module")
def runtime():
    for package in onnx_file.PACKAGES:
        pytest.importorskip(package, reason=f"{package} is not installed; the extra export brings it")


def check(models, where, tmp_path):
    """Export, and compare with onnxruntime in full, in one row, and with a row twice."""
    path = tmp_path / "model.onnx"
    checked = export_onnx(models, path, where, {"note": "text"})
    feeds = where.feeds(checked.inputs)
    logits, scores, *spread = run_onnx(path, feeds, checked.outputs)
    expected = run_logits(models, where)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCE * largest)
    each = [m.predict(where.sites_B2, where.covariates_BC, where.week_B).astype(float) for m in models]
    near = max(3e-6, 1e-6 * np.abs(each).max())
    np.testing.assert_allclose(scores, np.mean([expit(x) for x in each], axis=0), atol=near)
    if len(each) == 1:
        # Small scores rank too.
        np.testing.assert_allclose(scores, expit(logits.astype(float)), rtol=1e-5, atol=1e-37)
    if spread:
        np.testing.assert_allclose(spread[0], np.std([expit(x) for x in each], axis=0, ddof=1), atol=near)
    assert checked.error == pytest.approx(np.abs(logits - expected).max() / largest)
    for rows in ([3], [7, 7]):
        (own,) = run_onnx(path, {key: values[rows] for key, values in feeds.items()}, ["logits"])
        np.testing.assert_allclose(own, logits[rows], rtol=0, atol=1e-6 * largest)
    assert (len(spread) == 1) == (len(models) > 1)
    return checked


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("encoder", ENCODERS, ids=name)
def test_onnxruntime_gives_the_logits_of_the_encoder(encoder, tmp_path):
    data = REGIONS["globe"]
    checked = check([model(data, **encoder)], places(data, encoder.get("weeks", False)), tmp_path)
    assert checked.precision == "float32"
    kind = encoder["input"]
    expected = ("longitude", "latitude") * (kind != "covariates") + ("covariates",) * (kind != "coordinates")
    assert checked.inputs == expected + ("week",) * encoder.get("weeks", False)


@pytest.mark.usefixtures("runtime")
def test_onnxruntime_gives_the_mean_score_of_seeds_that_are_blends_with_extreme_logits(tmp_path):
    data = REGIONS["globe"]
    seeds = [
        Blend(
            [
                model(data, seed=seed, weeks=True, scale=3000.0),
                Blend([model(data, seed=seed + i, weeks=True, input="coordinates", scale=9.0) for i in (7, 8, 9)]),
            ]
        )
        for seed in (0, 1, 2)
    ]
    checked = check(seeds, places(data, weeks=True), tmp_path)
    where = places(data, weeks=True)
    assert np.abs(seeds[0].predict(where.sites_B2, where.covariates_BC, where.week_B)).max() > 200
    assert checked.inputs == ("longitude", "latitude", "covariates", "week")


@pytest.mark.usefixtures("runtime")
def test_small_scores_keep_their_digits(tmp_path):
    data = REGIONS["globe"]
    check([model(data, scale=400.0)], places(data), tmp_path)
    (scores,) = run_onnx(
        tmp_path / "model.onnx", places(data).feeds(("longitude", "latitude", "covariates")), ["scores"]
    )
    assert ((scores > 0) & (scores < 1e-12)).sum() > 10


@pytest.mark.usefixtures("runtime")
def test_a_region_too_small_for_float32_gets_features_in_float64(tmp_path):
    data = REGIONS["few kilometres"]
    checked = check([model(data, expansion="hinge")], places(data), tmp_path)
    assert checked.precision == "float64"
    # onnxruntime-web, and older onnxruntime, have no cosine of float64.
    assert b"Cos" not in (tmp_path / "model.onnx").read_bytes()


@pytest.mark.usefixtures("runtime")
def test_the_same_model_gives_the_same_bytes_without_traces_of_the_machine(tmp_path):
    import onnx

    data = REGIONS["globe"]
    for out in ("a.onnx", "b.onnx"):
        export_onnx([model(data, input="coordinates")], tmp_path / out, places(data), {"dataset": "tiny"})
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert b"presence_only" not in content
    assert b".py" not in content
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto, full_check=True)
    assert {(entry.domain, entry.version) for entry in proto.opset_import} == {("", onnx_file.OPSET)}
    assert {entry.key: entry.value for entry in proto.metadata_props} == {"dataset": "tiny"}
    assert all(value.type.tensor_type.shape.dim[0].dim_param == "sites" for value in proto.graph.input)
    # float32 and whole numbers alone, which every runtime computes.
    double = onnx.TensorProto.DOUBLE
    assert double not in {tensor.data_type for tensor in proto.graph.initializer}
    assert double not in {value.type.tensor_type.elem_type for value in proto.graph.value_info}


@pytest.mark.usefixtures("runtime")
def test_a_graph_that_gives_other_logits_is_not_written(tmp_path, monkeypatch):
    data = REGIONS["globe"]
    right = onnx_file.run_logits
    monkeypatch.setattr(onnx_file, "run_logits", lambda *given: right(*given) * 1.0001)
    with pytest.raises(ExportError, match=r"differ from the model's by 1\.0e-04 of the largest; must be at most 1e-05"):
        export_onnx([model(data)], tmp_path / "model.onnx", places(data), {})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "PACKAGES", ("onnx", "no_such_package"))
    monkeypatch.setattr(onnx_file, "run_logits", lambda *_: pytest.fail("computed in vain"))
    with pytest.raises(ExportError, match=r"no_such_package: pip install 'presence-only\[export\]'"):
        export_onnx([model(DATA)], tmp_path / "model.onnx", places(DATA), {})


def test_what_blends_read_is_what_their_members_read():
    data = REGIONS["globe"]
    place, environment = model(data, input="coordinates"), model(data, input="covariates")
    assert reads([Blend([place, place])]).inputs == ("longitude", "latitude")
    assert reads([environment]).inputs == ("covariates",)
    assert reads([Blend([place, environment])]).inputs == ("longitude", "latitude", "covariates")


def test_members_of_a_blend_weigh_as_in_the_blend():
    data = REGIONS["globe"]
    blend = Blend([model(data, seed=0), Blend([model(data, seed=i) for i in (1, 2)])])
    where = places(data)
    feeds = where.feeds(reads([blend]).inputs)
    with torch.no_grad():
        logits = RunGraph([blend]).eval()(*(torch.from_numpy(values) for values in feeds.values()))[0]
    expected = blend.predict(where.sites_B2, where.covariates_BC)
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5 * np.abs(expected).max())


def test_every_value_of_input_is_tested():
    kinds = EncoderSettings.model_fields["input"].annotation.__args__
    assert {encoder["input"] for encoder in ENCODERS} == set(kinds)
    assert {encoder.get("coordinates", "sphere") for encoder in ENCODERS} == {"sphere", "local"}
    assert {encoder.get("expansion", "none") for encoder in ENCODERS} == set(EXPANSIONS)
