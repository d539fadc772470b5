import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score
from support.matrices import Parts

from presence_only.evaluation import geoscore as module
from presence_only.evaluation import passes
from presence_only.evaluation.geoscore import WEIGHTS, geoscore


def survey(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice([-1, 0, 1], size=(60, 9), p=[0.1, 0.6, 0.3]).astype(np.int8)
    scores = rng.normal(-2, 1.5, truth.shape) + truth
    truth[:3] = 0
    return scores, truth, rng.integers(0, 50, 60)


def slow(scores, truth, effort, watchlist, holdout):
    """The seven parts as the paper's table words them, one pair at a time."""
    p = expit(scores)
    ap, ratio, lists, density = [], [], [], []
    truths, predictions = [], []
    for i in range(len(p)):
        on = truth[i] >= 0
        predicted = p[i][on] > 0.1
        truths += truth[i][on].tolist()
        predictions += predicted.tolist()
        lists.append(predicted.sum())
        density.append(effort[i])
        if truth[i][on].any():
            ap.append((i, average_precision_score(truth[i][on], p[i][on])))
            ratio.append(predicted.sum() / truth[i][on].sum())
    efforts = [effort[i] for i, _ in ap]
    low, high = np.percentile(efforts, 25), np.percentile(efforts, 75)
    sparse = np.mean([a for i, a in ap if effort[i] <= low])
    dense = np.mean([a for i, a in ap if effort[i] >= high])
    watched = []
    for s in np.flatnonzero(watchlist):
        on = truth[:, s] >= 0
        watched.append(average_precision_score(truth[on, s], p[on, s]))
    return {
        "sample_map": np.mean([a for _, a in ap]),
        "f1": f1_score(truths, predictions),
        "list_ratio": np.exp(-abs(np.log(np.mean(ratio)))),
        "watchlist_ap": np.mean(watched),
        "holdout_map": np.mean([a for i, a in ap if holdout[i]]),
        "density_ratio": min(sparse / dense, dense / sparse),
        "density_correlation": 1 - abs(np.corrcoef(density, lists)[0, 1]),
    }


def test_parts_and_value_by_loops(monkeypatch):
    scores, truth, effort = survey()
    watchlist, holdout = np.arange(9) < 3, np.arange(60) % 2 == 0
    expected = slow(scores, truth, effort, watchlist, holdout)
    monkeypatch.setattr(passes, "_PART", 63)
    monkeypatch.setattr(passes, "_BLOCK", 20)
    for matrices in ((scores, truth), (Parts.of(scores), Parts.of(truth))):
        found = geoscore(*matrices, effort, watchlist_S=watchlist, holdout_M=holdout)
        assert dict(found.parts) == pytest.approx(expected)
        assert found.value == pytest.approx(sum(WEIGHTS[name] * part for name, part in expected.items()))


def test_average_precision_that_is_at_hand_is_not_computed_again(monkeypatch):
    scores, truth, effort = survey()
    holdout = np.arange(60) % 2 == 0
    expected, ap = geoscore(scores, truth, effort, holdout_M=holdout), module.sample_average_precision(scores, truth)
    monkeypatch.setattr(module, "sample_average_precision", lambda *_: pytest.fail("computed again"))
    found = geoscore(scores, truth, effort, holdout_M=holdout, ap_M=ap)
    assert (found.value, found.parts) == (expected.value, expected.parts)


def test_weights_are_the_papers_and_missing_parts_scale_them():
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    scores, truth, effort = survey(1)
    found = geoscore(scores, truth, effort)
    assert set(found.parts) == set(WEIGHTS) - {"watchlist_ap", "holdout_map"}
    assert np.isnan(found.raw["watchlist_ap"])
    assert found.value == pytest.approx(sum(WEIGHTS[name] * part for name, part in found.parts.items()) / 0.8)


def test_a_perfect_model_without_bias():
    truth = np.tile(np.eye(4, dtype=np.int8), (10, 1))
    found = geoscore(np.where(truth == 1, 5.0, -9.0), truth, np.arange(40))
    # All lists have one species, so that no correlation is defined.
    assert dict(found.parts) == {"sample_map": 1.0, "f1": 1.0, "list_ratio": 1.0, "density_ratio": 1.0}
    assert found.value == pytest.approx(1.0)


def test_a_model_that_predicts_nothing_or_everything():
    scores, truth, effort = survey(2)
    nothing = geoscore(np.full_like(scores, -50.0), truth, effort)
    assert nothing.parts["list_ratio"] == 0.0
    assert nothing.parts["f1"] == 0.0
    everything = geoscore(np.full_like(scores, 50.0), truth, effort)
    assert everything.raw["list_ratio"] > 1
    assert everything.parts["list_ratio"] == pytest.approx(1 / everything.raw["list_ratio"])


def test_nothing_surveyed_has_no_value():
    scores, truth, effort = survey()
    assert np.isnan(geoscore(scores, np.full_like(truth, -1), effort).value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"effort_M": np.zeros(3)}, r"effort has shape \(3,\); \(60,\) expected"),
        ({"watchlist_S": np.ones(2, bool)}, r"watchlist has shape \(2,\); \(9,\) expected"),
        ({"holdout_M": np.ones((60, 1), bool)}, r"holdout has shape \(60, 1\); \(60,\) expected"),
        ({"ap_M": np.zeros(9)}, r"ap has shape \(9,\); \(60,\) expected"),
        ({"threshold": 1.0}, "threshold = 1.0: must lie within 0..1, both excluded"),
        ({"threshold": 0.0}, "threshold = 0.0: must lie within 0..1, both excluded"),
    ],
)
def test_wrong_input_is_one_sentence(changes, message):
    scores, truth, effort = survey()
    with pytest.raises(ValueError, match=f"^{message}"):
        geoscore(scores, truth, **({"effort_M": effort} | changes))
