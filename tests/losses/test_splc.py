"""splc and its focal margin against 50 digits, at its threshold, and by hand before and after its start."""

import math

import mpmath
import pytest
import support.losses_reference as reference
import torch
from support.losses_reference import LOGITS, TOLERANCE, worst_error

from presence_only.losses import splc
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.pair_weights import PairWeights
from presence_only.losses.penalties import Asymmetric, CrossEntropy, Focal, FocalMargin
from presence_only.losses.splc import Corrected

SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(5, 4, generator=SOURCE, dtype=torch.float64) * 3
TARGETS_BS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
COUNTS = TrainingCounts(5, torch.tensor([3.0, 2, 1, 1], dtype=torch.float64))
# The batch of the hand-computed cases: the record is that of row 0 and species 2.
SMALL_BS = torch.tensor([[0.0, -1.0, 2.0], [1.0, -2.0, -3.0]], dtype=torch.float64)


def focal_margin(x, present, margin, gamma):
    return (
        reference.focal(mpmath.mpf(x) - mpmath.mpf(margin), 1, None, gamma)
        if present
        else reference.focal(x, 0, None, gamma)
    )


def slow(x, targets, tau, margin, gamma):
    """The definition, pair by pair, at 50 digits."""
    with mpmath.workdps(50):
        total = mpmath.mpf(0)
        for i in range(len(x)):
            for s in range(x.shape[1]):
                logit = float(x[i, s])
                total += focal_margin(logit, targets[i, s] or reference.p_of(logit) > tau, margin, gamma)
        return float(total / x.numel())


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize(("tau", "margin", "gamma"), [(0.6, 1.0, 2.0), (0.2, 0.0, 0.0), (0.9, 0.3, 1.5)])
def test_it_is_the_definition(tau, margin, gamma, scale):
    got = splc(X_BS * scale, TARGETS_BS, tau=tau, margin=margin, gamma=gamma)
    assert float(got) == pytest.approx(slow(X_BS * scale, TARGETS_BS, tau, margin, gamma), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 2.7, 8.0])
def test_the_focal_margin_is_exact(gamma, margin, dtype):
    penalty = FocalMargin(margin, gamma)
    for curve, present in ((penalty.positive, True), (penalty.negative, False)):
        error, where = worst_error(curve, lambda x, y=present: focal_margin(x, y, margin, gamma), LOGITS, dtype)
        assert error < TOLERANCE[dtype], where


def test_without_a_margin_it_is_focal_and_without_a_gamma_cross_entropy():
    x = torch.linspace(-9, 9, 37, dtype=torch.float64)
    for one, other in (
        (FocalMargin(0.0, 2.0), Focal(None, 2.0)),
        (FocalMargin(0.0, 0.0), CrossEntropy()),
        (FocalMargin(0.0, 3.0), Asymmetric(3.0, 3.0, 0.0)),
    ):
        for half in ("positive", "negative"):
            torch.testing.assert_close(getattr(one, half)(x), getattr(other, half)(x), rtol=1e-14, atol=0)


@pytest.mark.parametrize("penalty", [FocalMargin(), FocalMargin(0.5, 1.5), Corrected(FocalMargin(), 0.6)])
@pytest.mark.parametrize("half", ["positive", "negative"])
def test_derivatives(penalty, half):
    x = torch.tensor([-6.0, -2.5, -0.4, 0.0, 0.7, 3.0, 9.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(getattr(penalty, half), (x,))
    assert torch.autograd.gradgradcheck(getattr(penalty, half), (x,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 2.0, 8.0])
def test_value_and_slope_are_finite_everywhere(gamma, dtype):
    x = torch.cat([torch.linspace(-1e4, 1e4, 401), torch.linspace(-120, 120, 481)]).to(dtype).requires_grad_()
    for inner in (FocalMargin(1.0, gamma), Asymmetric(gamma, gamma, 0.05)):
        for tau in (0.01, 0.6, 0.999):
            for curve in (Corrected(inner, tau).negative, Corrected(inner, tau).positive):
                values = curve(x)
                (slopes,) = torch.autograd.grad(values.sum(), x)
                assert values.isfinite().all()
                assert slopes.isfinite().all()
                assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_at_the_threshold_a_pair_is_absent_and_just_above_it_present(dtype):
    """p = 1/2 is the logit 0 in every dtype."""
    tiny = torch.finfo(dtype).tiny
    x = torch.tensor([-1.0, -tiny, 0.0, tiny, 1.0, math.nan], dtype=dtype, requires_grad=True)
    values = Corrected(FocalMargin(0.0, 1.0), 0.5).negative(x)
    (slopes,) = torch.autograd.grad(values[:-1].sum(), x)
    assert slopes[:5].sign().tolist() == [1, 1, 1, -1, -1]
    assert values.isnan().tolist() == [False] * 5 + [True]


def variant(**changes):
    return parse_variant({"loss": "splc", **changes}, "v")


def run(loss, x_BS, targets_BS, epoch, background_KS=None):
    pairs = targets_BS.nonzero(as_tuple=True)
    return float(loss(LossBatch(x_BS, *pairs, torch.Generator(), background_KS, epoch=epoch)))


# By hand, cross-entropy and tau 1/2. softplus(0) = 0.693147, softplus(1) = 1.313262, softplus(-1) = 0.313262,
# softplus(-2) = 0.126928, softplus(-3) = 0.048587; the record has the logit 2.
PLAIN = (0.126928 + 0.693147 + 0.313262 + 1.313262 + 0.126928 + 0.048587) / 6
# The pair of logit 1 counts as present; that of logit 0 has p = tau, and does not.
CORRECTED = PLAIN - (1.313262 - 0.313262) / 6


@pytest.mark.parametrize(("epoch", "expected"), [(0, PLAIN), (1, PLAIN), (2, CORRECTED), (7, CORRECTED)])
def test_by_hand(epoch, expected):
    loss = variant(penalty="bce", tau=0.5, start=2).build(TrainingCounts(2, torch.ones(3)))
    targets_BS = torch.tensor([[0, 0, 1], [0, 0, 0]])
    assert run(loss, SMALL_BS, targets_BS, epoch) == pytest.approx(expected, abs=1e-6)


def test_with_the_focal_margin_the_first_epoch_is_plain_and_the_second_the_public_function():
    loss = variant(penalty="focal_margin").build(COUNTS)
    with mpmath.workdps(50):
        plain = [focal_margin(float(X_BS[i, s]), bool(TARGETS_BS[i, s]), 1.0, 2.0) for i in range(5) for s in range(4)]
    assert run(loss, X_BS, TARGETS_BS, 0) == pytest.approx(float(sum(plain)) / 20, rel=1e-12)
    assert run(loss, X_BS, TARGETS_BS, 1) == pytest.approx(float(splc(X_BS, TARGETS_BS)), rel=1e-13)


def test_with_start_0_it_is_dense_and_the_same_as_after_its_start():
    for changes in ({}, {"penalty": "asl", "label_smoothing": 0.1, "logit_adjustment": 0.5}):
        dense, paced = (variant(start=start, **changes).build(COUNTS) for start in (0, 3))
        assert isinstance(dense, PairWeights)
        assert not isinstance(paced, PairWeights)
        assert run(dense, X_BS, TARGETS_BS, 0) == run(paced, X_BS, TARGETS_BS, 3)
        assert run(dense, X_BS, TARGETS_BS, 0) != run(paced, X_BS, TARGETS_BS, 2)


def test_background_sites_are_further_rows_and_corrected_like_them():
    far_KS = torch.tensor([[3.0, -1.0, 0.0, -4.0]], dtype=torch.float64)
    loss = variant(penalty="focal_margin", background_weight=1.0).build(COUNTS)
    none = torch.zeros_like(far_KS, dtype=torch.long)
    joined = splc(torch.cat([X_BS, far_KS]), torch.cat([TARGETS_BS, none]))
    assert run(loss, X_BS, TARGETS_BS, 1, far_KS) == pytest.approx(float(joined), rel=1e-13)


def test_its_balance_is_that_of_its_first_epochs():
    for start in (0, 1):
        weights = variant(start=start, penalty="bce").expected_weights(COUNTS)
        assert weights.penalty == CrossEntropy()


def test_bad_input_is_refused_in_one_sentence():
    x = torch.zeros(2, 3)
    for call, sentence in (
        (lambda: splc(x, x, tau=0.0), "tau = 0.0: must be in (0, 1)"),
        (lambda: splc(x, x, tau=1.0), "tau = 1.0: must be in (0, 1)"),
        (lambda: splc(x, x, margin=-1.0), "margin = -1.0: must be finite and >= 0"),
        (lambda: splc(x, x, gamma=math.nan), "gamma = nan: must be finite and >= 0"),
        (lambda: splc(x, x[:1]), "targets_BS has shape (1, 3)"),
        (lambda: splc(x, x + 0.5), "targets_BS hold 0.5: must be exactly 0 or 1"),
        (lambda: splc(x.long(), x), "logits_BS has dtype torch.int64"),
        (lambda: FocalMargin(-1.0), "fm_margin = -1.0: must be finite and >= 0"),
        (lambda: FocalMargin(fm_gamma=math.inf), "fm_gamma = inf: must be finite and >= 0"),
        (lambda: variant(tau=1.0), "v.tau = 1.0: must be less than 1"),
        (lambda: variant(start=-1), "v.start = -1: must be greater than or equal to 0"),
        (lambda: variant(penalty="bce", fm_gamma=1.0), "v.fm_gamma = 1.0: must be left out with penalty 'bce'"),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert str(caught.value).startswith(sentence)
        assert "\n" not in str(caught.value)


def test_an_empty_batch_gives_a_0_that_back_propagates():
    logits = torch.zeros(0, 3, requires_grad=True)
    value = splc(logits, torch.zeros(0, 3))
    assert value == 0
    assert torch.autograd.grad(value, logits)[0].shape == (0, 3)


def test_smoothed_labels_stay_smoothed_above_the_threshold():
    """A recorded pair, and an unobserved one with p > tau, cost (1 - e) pos + e neg of the penalty."""
    x = torch.tensor([[3.0, 3.0]], dtype=torch.float64)
    settings = parse_variant({"loss": "splc", "start": 0, "label_smoothing": 0.2}, "v")
    loss = settings.build(TrainingCounts(4, torch.tensor([2.0, 1.0], dtype=torch.float64)))
    got = loss(LossBatch(x, torch.tensor([0]), torch.tensor([0]), torch.Generator()))
    assert got.item() == pytest.approx(0.8 * math.log1p(math.exp(-3)) + 0.2 * math.log1p(math.exp(3)), rel=1e-12)
