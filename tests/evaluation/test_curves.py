import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, precision_recall_curve
from support.matrices import Parts

from presence_only.evaluation import curves, passes
from presence_only.evaluation.curves import (
    LOGIT_EDGES,
    bins_of,
    calibration,
    calibration_error,
    mean_precision_recall,
    pooled_calibration,
    precision_recall,
)


def survey(seed=0, sites=80, species=6, ties=False):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(sites, species)).astype(np.float32)
    if ties:
        scores = scores.round()
    truth = rng.choice([-1, 0, 1], size=scores.shape, p=[0.2, 0.6, 0.2]).astype(np.int8)
    return scores, truth


@pytest.mark.parametrize("ties", [False, True])
def test_precision_recall_is_scikit_learns(ties):
    scores, truth = survey(ties=ties)
    grid = np.array([0.05, 0.3, 0.5, 0.75, 1.0])
    expected = []
    for score, label in zip(scores.T, truth.T, strict=True):
        precision, recall, _ = precision_recall_curve(label[label >= 0], score[label >= 0])
        # Of the thresholds that find enough, the highest; recall falls along scikit-learn's curve.
        expected.append([precision[np.flatnonzero(recall >= r - 1e-12)[-1]] for r in grid])
    found = precision_recall(scores, truth, grid)
    np.testing.assert_allclose(found.y, np.mean(expected, axis=0))
    assert found.n.tolist() == [6] * 5


def test_the_area_is_the_mean_average_precision():
    scores, truth = survey(1)
    ap = [average_precision_score(y[y >= 0], x[y >= 0]) for x, y in zip(scores.T, truth.T, strict=True)]
    fine = (np.arange(20_000) + 0.5) / 20_000
    assert precision_recall(scores, truth, fine).y.mean() == pytest.approx(np.mean(ap), abs=1e-4)


def test_species_without_presences_are_left_out():
    scores, truth = survey(2)
    truth[:, 0] = 0
    found, rest = precision_recall(scores, truth), precision_recall(scores[:, 1:], truth[:, 1:])
    np.testing.assert_array_equal(found.y, rest.y)
    assert found.n[0] == 5
    assert np.isnan(precision_recall(scores, np.zeros_like(truth)).y).all()


def test_calibration_by_a_loop():
    scores, truth = survey(3)
    edges = np.array([-1.0, 0.0, 1.5])
    bins = [[] for _ in range(4)]
    for score, label in zip(scores.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if label >= 0:
            bins[sum(score >= edge for edge in edges)].append((expit(score), label))
    found = calibration(scores, truth, edges)
    np.testing.assert_allclose(found.x, [np.mean([x for x, _ in b]) for b in bins])
    np.testing.assert_allclose(found.y, [np.mean([y for _, y in b]) for b in bins])
    assert found.n.tolist() == [len(b) for b in bins]


def test_calibration_of_calibrated_scores_is_the_diagonal():
    rng = np.random.default_rng(4)
    logits = rng.normal(-2, 2, size=(4000, 10))
    truth = (rng.random(logits.shape) < expit(logits)).astype(np.int8)
    found = calibration(logits, truth)
    large = found.n > 300
    error = np.sqrt(found.x * (1 - found.x) / found.n)
    assert large.sum() > 10
    assert (np.abs(found.y - found.x)[large] < 4 * error[large]).all()
    assert calibration(logits, np.full_like(truth, -1)).n.size == 0


def test_precision_is_averaged_over_seeds_at_each_recall():
    curve = pl.DataFrame({"seed": [0, 0, 1, 1], "x": [0.1, 0.5, 0.5, 0.1], "y": [1.0, 0.4, 0.6, 0.8], "n": [9] * 4})
    assert mean_precision_recall(curve).rows() == [(0.1, 0.9), (0.5, 0.5)]


def test_calibration_is_pooled_as_if_all_pairs_were_of_one_seed():
    """The curves of three seeds against the curve of all their pairs at once, far scores included."""
    rng = np.random.default_rng(6)
    logits = rng.normal(-3, 6, size=(900, 4))
    truth = (rng.random(logits.shape) < 0.3).astype(np.int8)
    seeds = [calibration(logits[v::3], truth[v::3]) for v in range(3)]
    points = pl.concat(pl.DataFrame({"seed": v, **curve._asdict()}) for v, curve in enumerate(seeds))
    pooled, whole = pooled_calibration(points), calibration(logits, truth)
    assert pooled["n"].to_list() == whole.n.tolist()
    np.testing.assert_allclose(pooled["x"].to_numpy(), whole.x)
    np.testing.assert_allclose(pooled["y"].to_numpy(), whole.y)
    distance, signed = calibration_error(pooled)
    assert signed == pytest.approx(expit(logits).mean() - truth.mean())
    assert distance >= abs(signed)


def test_parts_make_the_same_and_inputs_stay(monkeypatch):
    scores, truth = survey(5)
    whole = precision_recall(scores, truth), calibration(scores, truth)
    before = scores.copy(), truth.copy()
    monkeypatch.setattr(passes, "_PART", 160)
    monkeypatch.setattr(passes, "_LEAST_SPECIES", 1)
    parts = Parts.of(scores)
    for found, expected in zip((precision_recall(parts, truth), calibration(parts, truth)), whole, strict=True):
        np.testing.assert_allclose(found.y, expected.y)
        np.testing.assert_array_equal(found.n, expected.n)
    assert parts.asked == [160, 160, 160] * 2
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(truth, before[1])


@pytest.mark.parametrize("at_once", [7, 2**16])
def test_sums_are_those_of_all_pairs_of_a_part_to_the_last_bit(monkeypatch, at_once):
    """Site by site, as `bincount` adds the pairs of a part that is handed over whole."""
    monkeypatch.setattr(curves, "_IN_CACHE", at_once)
    scores, truth = survey(6, sites=300, species=20)
    edges = np.array([-1.0, 0.0, 0.5])
    found = calibration(scores, truth, edges)
    logits = scores[truth >= 0].astype(np.float64)
    bins = np.searchsorted(edges, logits, side="right")
    np.testing.assert_array_equal(found.x, np.bincount(bins, weights=expit(logits)) / np.bincount(bins))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("edges", [LOGIT_EDGES, np.array([-3.0, 1.0, 5.0]), np.array([0.1, 0.2, 0.3]), np.zeros(1)])
def test_bins_are_those_of_a_bisection(dtype, edges):
    rng = np.random.default_rng(7)
    near = [np.nextafter(edges.astype(dtype), dtype(side)) for side in (-np.inf, np.inf)]
    logits = np.concatenate([rng.normal(0, 9, 500), edges, *near, [np.inf, -np.inf, 0.0, -0.0, 1e30]]).astype(dtype)
    out = np.empty(len(logits), dtype=np.int64)
    assert bins_of(logits, edges, out) is out
    np.testing.assert_array_equal(out, np.searchsorted(edges, logits.astype(np.float64), side="right"))


SCORES, TRUTH = survey()
NAN = SCORES.copy()
NAN[:, 4] = np.nan


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (calibration, (SCORES, TRUTH[1:]), r"scores have shape \(80, 6\) and truth \(79, 6\): both must be"),
        (precision_recall, (SCORES, TRUTH[:, 1:]), r"scores have shape \(80, 6\) and truth \(80, 5\): both must be"),
        (precision_recall, (NAN, TRUTH), "scores hold NaN at species 4: every surveyed score must be a number"),
        (calibration, (NAN, TRUTH), "scores hold NaN at species 4: every surveyed score must be a number"),
        (precision_recall, (SCORES, TRUTH, np.array([0.0, 0.5])), "recalls = .*: must be .* within 0..1, 0 excluded"),
        (precision_recall, (SCORES, TRUTH, np.array([0.5, 1.1])), "recalls = .*: must be .* within 0..1, 0 excluded"),
        (calibration, (SCORES, TRUTH, np.array([1.0, 0.0])), "edges = .*: must be a list of ascending logits"),
        (calibration, (SCORES, TRUTH, np.array([])), "edges = .*: must be a list of ascending logits"),
    ],
)
def test_wrong_input_is_one_sentence(function, arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        function(*arguments)
