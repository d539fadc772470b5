"""epr against mpmath, and its balanced logits against closed forms and its own slopes."""

import math
from importlib import import_module

import mpmath
import pytest
import support.losses_reference as reference
import torch
from scipy.optimize import minimize

from presence_only.losses import epr
from presence_only.losses.balance import FARTHEST
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(5, 4, generator=SOURCE, dtype=torch.float64) * 3
TARGETS_BS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])


def slow(x, targets, k):
    """The definition, at 60 digits."""
    with mpmath.workdps(60):
        surprise = sum(
            (reference.bce(float(x[i, s]), 1) for i, s in targets.nonzero().tolist()),
            mpmath.mpf(0),
        )
        predicted = sum(reference.p_of(value) for value in x.flatten().tolist()) / len(x)
        return float(surprise / x.numel() + ((predicted - k) / x.shape[1]) ** 2)


def settings(**changes):
    return parse_variant({"loss": "epr", **changes}, "v")


@pytest.mark.parametrize("k", [0.5, 1.0, 3.7])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_it_is_the_definition(scale, k):
    got = epr(X_BS * scale, TARGETS_BS, expected_species=k)
    assert float(got) == pytest.approx(slow(X_BS * scale, TARGETS_BS, k), rel=1e-12)


def test_by_hand():
    """Probabilities 0.5, 0.268941, 0.880797 and 0.731059, 0.119203, 0.047426: 1.273713 species per row, not 1."""
    x = torch.tensor([[0.0, -1.0, 2.0], [1.0, -2.0, -3.0]], dtype=torch.float64)
    targets = torch.tensor([[0, 0, 1], [0, 0, 0]])
    expected = 0.126928 / 6 + (0.273713 / 3) ** 2
    assert float(epr(x, targets, expected_species=1.0)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_slopes_keep_their_digits_where_the_sigmoid_rounds(dtype, tolerance):
    """An unrecorded pair has the slope 2 (sum of p - k) p q / S^2 / B, however surely it is predicted."""
    x = torch.tensor([[20.0, -30.0, 40.0, 0.0]], dtype=dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(epr(x, torch.zeros(1, 4), expected_species=1.0), x)
    with mpmath.workdps(60):
        p = [reference.p_of(v) for v in x[0].tolist()]
        for got, one, v in zip(slope[0].tolist(), p, x[0].tolist(), strict=True):
            expected = 2 * (sum(p) - 1) * one * reference.p_of(-v) / 16
            assert got == pytest.approx(float(expected), rel=tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_extreme_logits_are_finite(dtype):
    x = torch.tensor([[-1e4, 1e4], [1e4, -1e4]], dtype=dtype, requires_grad=True)
    value = epr(x, torch.tensor([[1, 0], [0, 0]]), expected_species=1.0)
    (slope,) = torch.autograd.grad(value, x)
    assert value.isfinite()
    assert slope.isfinite().all()
    assert float(slope[0, 0]) == pytest.approx(-0.25)


def test_the_batch_form_is_the_public_function_with_the_settings_or_the_mean_number_of_records():
    counts = TrainingCounts(40, torch.tensor([20.0, 30.0, 0.0, 10.0], dtype=torch.float64))
    batch = LossBatch(X_BS, *TARGETS_BS.nonzero(as_tuple=True), torch.Generator())
    for raw, k in (({"expected_species": 2.5}, 2.5), ({}, 60 / 40)):
        loss = settings(**raw).build(counts)
        assert not loss.needs_background
        assert float(loss(batch)) == pytest.approx(float(epr(X_BS, TARGETS_BS, expected_species=k)), rel=1e-14)


RECORDS_S = torch.tensor([200, 100, 60, 30, 8, 2], dtype=torch.float64)
COUNTS = TrainingCounts(400, RECORDS_S)


def slopes_at(balance_S, k):
    """Slopes of the species' logits for the whole training set at one logit per species."""
    x_S = balance_S.clone().requires_grad_()
    species_P = torch.arange(6).repeat_interleave(RECORDS_S.long())
    batch = LossBatch(x_S.expand(400, 6), torch.arange(400), species_P, torch.Generator())
    return torch.autograd.grad(settings(expected_species=k).build(COUNTS)(batch), x_S)[0]


@pytest.mark.parametrize("k", [0.01, 0.1, 0.3])
def test_where_no_species_is_certain_the_balance_has_a_closed_form(k):
    """p_s = c pi_s, and c sum(pi) - k = S / (2 c) is a square equation."""
    share_S = RECORDS_S / 400
    total = float(share_S.sum())
    c = (k + math.sqrt(k * k + 2 * total * 6)) / (2 * total)
    assert c * float(share_S.max()) < 1
    balance_S = settings(expected_species=k).balance(COUNTS)
    torch.testing.assert_close(balance_S, torch.logit(c * share_S), rtol=1e-10, atol=1e-10)


@pytest.fixture
def uncapped(monkeypatch):
    """The balance itself, of which a start has at most 4."""
    monkeypatch.setattr(import_module("presence_only.losses.epr"), "HIGHEST_START", FARTHEST)


@pytest.mark.usefixtures("uncapped")
@pytest.mark.parametrize("k", [0.3, 1.0, 2.0, 4.0, 6.0])
def test_at_the_balance_no_species_has_a_slope(k):
    balance_S = settings(expected_species=k).balance(COUNTS)
    assert balance_S.dtype == torch.float64
    assert balance_S.isfinite().all()
    slope_S = slopes_at(balance_S, k)
    # A certain species stands at 25, where a slope of order exp(-25) is left.
    assert slope_S.abs().max() < 1e-11


@pytest.mark.usefixtures("uncapped")
@pytest.mark.parametrize("k", [0.3, 2.0])
def test_a_search_finds_no_lower_value(k):
    def value(x):
        share_S = (RECORDS_S / 400).numpy()
        p = [1 / (1 + math.exp(-v)) for v in x]
        surprise = sum(share * math.log1p(math.exp(-v)) for share, v in zip(share_S, x, strict=True)) / 6
        return surprise + ((sum(p) - k) / 6) ** 2

    least = value(settings(expected_species=k).balance(COUNTS).tolist())
    for start in (-2.0, 0.0, 2.0):
        found = minimize(value, [start] * 6, method="BFGS", options={"gtol": 1e-9})
        assert least <= found.fun + 1e-12


def test_the_balance_follows_batches_of_any_rows():
    """The mean slope over random batches, whose records differ from the training set's."""
    source = torch.Generator().manual_seed(2)
    species_N = torch.arange(6).repeat_interleave(RECORDS_S.long())
    x_S = settings(expected_species=1.5).balance(COUNTS).requires_grad_()
    loss = settings(expected_species=1.5).build(COUNTS)
    total_S = torch.zeros(6, dtype=torch.float64)
    for _ in range(300):
        rows = torch.randperm(400, generator=source)[:40]
        batch = LossBatch(x_S.expand(40, 6), torch.arange(40), species_N[rows], torch.Generator())
        total_S += torch.autograd.grad(loss(batch), x_S)[0]
    assert (total_S / 300).abs().max() < 0.002


def test_bad_input_is_refused_in_one_sentence():
    x = torch.zeros(2, 3)
    for call, sentence in (
        (lambda: epr(x, x, expected_species=0.0), "expected_species = 0.0: must be finite and > 0"),
        (lambda: epr(x, x, expected_species=3.5), "expected_species = 3.5: must be in (0, 3]"),
        (lambda: epr(x, x[:1], expected_species=1.0), "targets_BS has shape (1, 3)"),
        (lambda: epr(x, x + 0.5, expected_species=1.0), "targets_BS hold 0.5: must be exactly 0 or 1"),
        (lambda: epr(x.long(), x, expected_species=1.0), "logits_BS has dtype torch.int64"),
        (lambda: settings(expected_species=0.0), "v.expected_species = 0.0: must be greater than 0"),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert str(caught.value).startswith(sentence)
        assert "\n" not in str(caught.value)


def test_an_empty_batch_gives_a_0_that_back_propagates():
    logits = torch.zeros(0, 3, requires_grad=True)
    value = epr(logits, torch.zeros(0, 3), expected_species=1.0)
    assert value == 0
    assert torch.autograd.grad(value, logits)[0].shape == (0, 3)


def test_more_species_than_there_are_count_as_all_of_them():
    """A search tries the same numbers on any data set."""
    assert settings(expected_species=7.0).build(COUNTS).expected == 6
    assert settings(expected_species=5.5).build(COUNTS).expected == 5.5


def test_a_species_in_most_rows_does_not_start_where_nothing_moves_it():
    counts = TrainingCounts(10, torch.tensor([9.0, 1.0, 1.0], dtype=torch.float64))
    start_S = settings().balance(counts)
    assert start_S.max() == 4
    assert (start_S[1:] < 0).all()
