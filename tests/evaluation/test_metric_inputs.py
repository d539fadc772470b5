"""Metrics of lists, tensors and tables: the numbers of NumPy arrays, or one sentence."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.metrics import average_precision_score

from presence_only.evaluation.breakdown import range_extent
from presence_only.evaluation.curves import calibration, precision_recall
from presence_only.evaluation.geoscore import geoscore
from presence_only.evaluation.metrics import METRICS, auc_roc, average_precision, evaluate, sample_average_precision
from presence_only.evaluation.observer_bias import observer_numbers
from presence_only.evaluation.score_histogram import scale_numbers

# Quarters, which every width of float holds, ties among them.
SCORES = (np.random.default_rng(0).integers(-8, 9, size=(12, 5)) / 4).astype(np.float64)
TRUTH = np.random.default_rng(1).integers(-1, 2, size=(12, 5))
EFFORT = np.arange(12) % 7
NAMES = [f"species {s}" for s in range(5)]


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


# From scores and from truth, each what a user may hold them in.
FORMS = {
    "list": (np.ndarray.tolist, np.ndarray.tolist),
    "tuple of arrays": (tuple, tuple),
    "list of tensors": (lambda x: list(torch.tensor(x)), lambda y: list(torch.tensor(y))),
    "tensor": (torch.tensor, torch.tensor),
    "trained tensor": (lambda x: torch.tensor(x, requires_grad=True) * 1, torch.tensor),
    "float16": (lambda x: torch.tensor(x, dtype=torch.float16), lambda y: torch.tensor(y, dtype=torch.int8)),
    "bfloat16": (lambda x: torch.tensor(x, dtype=torch.bfloat16), lambda y: torch.tensor(y, dtype=torch.int16)),
    "transposed tensor": (lambda x: torch.tensor(x.T.copy()).T, lambda y: torch.tensor(y.T.copy()).T),
    "sparse tensor": (lambda x: torch.tensor(x).to_sparse(), lambda y: torch.tensor(y).to_sparse()),
    "pandas": (pd.DataFrame, pd.DataFrame),
    "pandas nullable": (lambda x: pd.DataFrame(x).astype("Float64"), lambda y: pd.DataFrame(y).astype("Int64")),
    "pandas with names": (lambda x: pd.DataFrame(x, columns=NAMES), lambda y: pd.DataFrame(y, columns=NAMES)),
    "pandas objects": (lambda x: pd.DataFrame(x).astype(object), lambda y: pd.DataFrame(y).astype(object)),
    "polars": (lambda x: pl.DataFrame(x, schema=NAMES), lambda y: pl.DataFrame(y, schema=NAMES)),
    "float32": (lambda x: x.astype(np.float32), lambda y: y.astype(np.int32)),
    "strided": (lambda x: np.repeat(x, 2, axis=1)[:, ::2], lambda y: y[::-1].copy()[::-1]),
    "read-only": (frozen, frozen),
    "whole numbers": (lambda x: (x * 4).astype(np.int64), lambda y: y),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_takes_every_form(metric, form):
    of_scores, of_truth = FORMS[form]
    scores, truth = of_scores(SCORES), of_truth(TRUTH)
    expected = METRICS[metric].function(SCORES, TRUTH)
    np.testing.assert_array_equal(METRICS[metric].function(scores, truth), expected)
    # One in another form than the other.
    np.testing.assert_array_equal(METRICS[metric].function(scores, TRUTH), expected)
    np.testing.assert_array_equal(METRICS[metric].function(SCORES, truth), expected)


@pytest.mark.parametrize("form", FORMS)
def test_inputs_come_back_unmodified(form):
    of_scores, of_truth = FORMS[form]
    scores, truth = of_scores(SCORES.copy()), of_truth(TRUTH.copy())
    evaluate(scores, truth)
    for now, then in ((scores, of_scores(SCORES)), (truth, of_truth(TRUTH))):
        assert type(now) is type(then)
        assert str(now) == str(then)


@pytest.mark.parametrize("form", ["list", "trained tensor", "pandas", "polars"])
def test_all_that_compares_scores_with_a_truth_takes_them(form):
    of_scores, of_truth = FORMS[form]
    scores, truth = of_scores(SCORES), of_truth(TRUTH)
    assert evaluate(scores, truth).summary == evaluate(SCORES, TRUTH).summary
    assert scale_numbers(scores, truth) == scale_numbers(SCORES, TRUTH)
    for curve in (precision_recall, calibration):
        for got, expected in zip(curve(scores, truth), curve(SCORES, TRUTH), strict=True):
            np.testing.assert_array_equal(got, expected)
    watched, effort = [True, False, True, False, False], EFFORT.tolist()
    got = geoscore(scores, truth, effort, watchlist_S=watched)
    assert got.raw == pytest.approx(geoscore(SCORES, TRUTH, EFFORT, watchlist_S=np.array(watched)).raw, nan_ok=True)
    got = observer_numbers(scores, truth, torch.tensor(effort))
    assert got == pytest.approx(observer_numbers(SCORES, TRUTH, EFFORT), nan_ok=True)
    sites = np.stack([np.linspace(-90, 90, 12), np.linspace(-40, 40, 12)], axis=1)
    np.testing.assert_array_equal(range_extent(sites.tolist(), truth), range_extent(sites, TRUTH))


def test_bool_labels_are_present_and_absent():
    present = TRUTH > 0
    expected = [average_precision_score(*pair) for pair in zip(present.T, SCORES.T, strict=True)]
    for truth in (present, present.tolist(), torch.tensor(present), pd.DataFrame(present), present.astype(np.uint8)):
        np.testing.assert_allclose(average_precision(SCORES, truth), expected, rtol=1e-14)


def test_a_missing_score_counts_as_nan_which_matters_where_it_was_surveyed():
    scores, truth = SCORES.copy(), TRUTH.copy()
    scores[3, 2], truth[3, 2] = np.nan, -1
    expected = average_precision(scores, truth)
    for missing in (pd.DataFrame(scores).astype("Float64"), pl.DataFrame(scores).fill_nan(None), scores.tolist()):
        np.testing.assert_array_equal(average_precision(missing, truth), expected)
        truth[3, 2] = 0
        with pytest.raises(ValueError, match=r"^scores hold NaN at species 2: every surveyed score must be a number"):
            average_precision(missing, truth)
        truth[3, 2] = -1


with_hole = pd.DataFrame(TRUTH).astype("Int64")
with_hole.iloc[0, 0] = pd.NA
REFUSED = {
    "scores are text": (SCORES.astype(str).tolist(), TRUTH, "scores have dtype <U.*: must be real numbers"),
    "scores are complex": (SCORES + 1j, TRUTH, "scores have dtype complex128: must be real numbers"),
    "scores are dates": (SCORES.astype("datetime64[s]"), TRUTH, r"scores have dtype datetime64\[s\]: must be real"),
    "scores are ragged": ([[1.0, 2.0], [3.0]], TRUTH, "scores is a list that is no array of numbers: must be a NumPy"),
    "scores are nothing": (None, TRUTH, "scores is a NoneType: must be a NumPy array, a list, a torch tensor, or a"),
    "scores are a mapping": ({"a": [1.0]}, TRUTH, "scores is a dict that is no array of numbers: must be"),
    "scores are a name": ("scores.csv", TRUTH, "scores is a str that is no array of numbers: must be"),
    "scores are lazy": (pl.LazyFrame(SCORES), TRUTH, "scores is a LazyFrame: must be"),
    "scores are one number": (0.5, TRUTH, r"scores have shape \(\) and truth \(12, 5\): both must be \(sites, spec"),
    "scores are a series": (pd.Series(SCORES[:, 0]), TRUTH, r"scores have shape \(12,\) and truth \(12, 5\): both"),
    "both are one species": (SCORES[:, 0].tolist(), TRUTH[:, 0].tolist(), r"scores have shape \(12,\) and truth \(12,"),
    "shapes are swapped": (SCORES.T, TRUTH, r"scores have shape \(5, 12\) and truth \(12, 5\): both must be"),
    "scores are masked": (np.ma.masked_less(SCORES, 0), TRUTH, "scores has masked values: they must be filled"),
    "scores tie in float64": (
        np.array([[2**53 + 1, 0]]),
        [[1, 0]],
        r"scores reach 9007199254740993: whole numbers mus",
    ),
    "truth is soft": (SCORES, np.abs(TRUTH) * 0.5, "truth has dtype float64: it must hold the integers 1, 0 and -1"),
    "truth is a float tensor": (SCORES, torch.ones(12, 5), "truth has dtype float32: it must hold the integers 1, 0"),
    "truth is text": (SCORES, [["yes"] * 5] * 12, "truth has dtype <U3: it must hold the integers 1, 0 and -1"),
    "truth has holes": (SCORES, with_hole, "truth has dtype float64: it must hold the integers 1, 0 and -1"),
    "truth has a third label": (SCORES, (TRUTH + 1).tolist(), "truth holds 2: it must be 1 present, 0 absent or -1"),
    "truth is masked": (SCORES, np.ma.masked_less(TRUTH, 0), "truth has masked values: they must be filled, for insta"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("metric", [average_precision, sample_average_precision, auc_roc, evaluate, scale_numbers])
def test_the_rest_is_refused_in_one_sentence(metric, case):
    scores, truth, sentence = REFUSED[case]
    with pytest.raises(ValueError, match="^" + sentence) as caught:
        metric(scores, truth)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", [lambda x, n: pd.DataFrame(x, columns=n), lambda x, n: pl.DataFrame(x, schema=n)])
def test_tables_whose_species_stand_in_another_order_are_refused(table):
    turned = [*NAMES[:3], NAMES[4], NAMES[3]]
    with pytest.raises(
        ValueError,
        match=r"^the columns of scores and truth are named differently, 'species 3' and 'species 4' at place 3",
    ):
        average_precision(table(SCORES, NAMES), table(TRUTH[:, [0, 1, 2, 4, 3]], turned))


def test_tables_whose_sites_stand_in_another_order_are_refused():
    sites = [f"plot {m}" for m in range(12)]
    with pytest.raises(ValueError, match=r"^the rows of scores and truth are named differently, 'plot 0' and"):
        average_precision(pd.DataFrame(SCORES, index=sites), pd.DataFrame(TRUTH, index=sites[::-1]))


def test_no_site_or_no_species_is_no_error():
    for scores, truth in ((torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int8)), (np.zeros((3, 0)), [[], [], []])):
        truth = np.zeros((3, 0), dtype=np.int8) if isinstance(truth, list) else truth
        assert np.isnan(average_precision(scores, truth)).all()
        assert evaluate(scores, truth).summary["n_sites"] == len(scores)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"effort_M": EFFORT[:3]}, r"effort has shape \(3,\); \(12,\) expected"),
        ({"effort_M": [np.nan] * 12}, "effort holds NaN: it must be a number at every site"),
        ({"effort_M": ["many"] * 12}, "effort have dtype <U4: must be real numbers"),
        ({"watchlist_S": [0, 3, 1, 0, 0]}, "watchlist has dtype int64 or another value: must be bool, or the numbers"),
        ({"holdout_M": [2, 5]}, "holdout has dtype int64 or another value: must be bool, or the numbers 1 and 0"),
    ],
)
def test_geoscore_says_what_it_wants_beside_the_scores(changes, sentence):
    with pytest.raises(ValueError, match="^" + sentence):
        geoscore(SCORES, TRUTH, **{"effort_M": EFFORT} | changes)


def test_a_holdout_of_ones_and_zeros_is_one_of_true_and_false():
    holdout = np.arange(12) % 2
    expected = geoscore(SCORES, TRUTH, EFFORT, holdout_M=holdout == 1).raw["holdout_map"]
    assert geoscore(SCORES, TRUTH, EFFORT, holdout_M=holdout.tolist()).raw["holdout_map"] == expected
