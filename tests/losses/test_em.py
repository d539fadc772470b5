"""em against loops over pairs: its dense form, and its pseudo-labels, whose schedule is computed by hand."""

import math

import mpmath
import pytest
import support.losses_reference as reference
import torch

from presence_only.common.settings import SettingsError
from presence_only.losses import an_full_me, em
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.em import MOST_PAIRS, label_lowest
from presence_only.losses.negatives import Positives
from presence_only.losses.pair_weights import PairWeights

NAN = math.nan
SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(6, 4, generator=SOURCE, dtype=torch.float64) * 3
TARGETS_BS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
LABELS_BS = torch.where(torch.rand(6, 4, generator=SOURCE) < 0.4, torch.rand(6, 4, generator=SOURCE), NAN)
# The batch of the hand-computed cases: the record is that of row 0 and species 2.
SMALL_BS = torch.tensor([[0.0, -1.0, 2.0], [1.0, -2.0, -3.0]], dtype=torch.float64)


def slow(x, targets, labels, alpha, beta):
    """The definition, pair by pair, at 50 digits."""
    with mpmath.workdps(50):
        total = mpmath.mpf(0)
        for i in range(len(x)):
            for s in range(x.shape[1]):
                logit, label = float(x[i, s]), float(labels[i, s])
                if targets[i, s]:
                    total += reference.bce(logit, 1)
                elif math.isnan(label):
                    total -= alpha * reference.entropy(logit)
                else:
                    total += beta * reference.bce(logit, label)
        return float(total / x.numel())


def asymmetric(n_rows=2, n_species=3, **changes):
    """A loss with pseudo-labels."""
    raw = {"loss": "em", "pseudo_labels": "asymmetric", **changes}
    return parse_variant(raw, "v").build(TrainingCounts(n_rows, torch.ones(n_species, dtype=torch.float64)))


def step(loss, x_BS, pairs, index, progress, **parts):
    """The loss of a batch of training rows ``index``."""
    row_P, species_P = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    return loss(LossBatch(x_BS, row_P, species_P, torch.Generator(), index_B=index, progress=progress, **parts))


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("labels", [None, LABELS_BS])
def test_it_is_the_definition(labels, scale):
    got = em(X_BS * scale, TARGETS_BS, alpha=0.3, pseudo_labels_BS=labels, beta=0.7)
    known = torch.full_like(LABELS_BS, NAN) if labels is None else labels
    assert float(got) == pytest.approx(slow(X_BS * scale, TARGETS_BS, known, 0.3, 0.7), rel=1e-12)


def test_without_background_it_is_the_maximum_entropy_loss_divided_by_lambda():
    species_B = torch.tensor([0, 1, 3, 2, 0, 1])
    targets_BS = torch.nn.functional.one_hot(species_B, 4)
    far_BS = torch.full_like(X_BS, 1e4)  # whose entropy is 0
    for pos_lambda in (1.0, 4.0, 2048.0):
        both = an_full_me(X_BS, species_B, far_BS, pos_lambda=pos_lambda)
        got = pos_lambda * em(X_BS, targets_BS, alpha=1 / pos_lambda)
        assert float(got) == pytest.approx(float(both), rel=1e-12)


def test_with_a_background_of_weight_1_it_is_an_full_me_divided_by_lambda():
    counts = TrainingCounts(6, torch.ones(4, dtype=torch.float64))
    pairs = TARGETS_BS.nonzero(as_tuple=True)
    batch = LossBatch(X_BS, *pairs, torch.Generator(), X_BS[:3] - 1.0)
    one = parse_variant({"loss": "em", "alpha": 0.125, "background_weight": 1.0}, "v").build(counts)
    other = parse_variant({"loss": "an_full_me", "pos_lambda": 8.0}, "v").build(counts)
    assert isinstance(one, PairWeights)
    assert float(8.0 * one(batch)) == pytest.approx(float(other(batch)), rel=1e-13)


# By hand, with alpha 0.1, beta 0.2, theta 1, warm_up 0.5. Sums over 6 pairs; H is the entropy.
# H(0) = 0.693147, H(1) = H(-1) = 0.582203, H(-2) = 0.365334, H(-3) = 0.190865; softplus(-2) = 0.126928.
UNKNOWN = (0.126928 - 0.1 * (0.693147 + 2 * 0.582203 + 0.365334 + 0.190865)) / 6
# At 3/4 of the training the share is 1/2. Of species 0 one of two rows: that of logit 0, beta H(0). Of species 1 one
# of two: that of logit -2. Of species 2, with one unobserved row, floor(1/2) = 0.
HALFWAY = (0.126928 + 0.2 * (0.693147 + 0.365334) - 0.1 * (2 * 0.582203 + 0.190865)) / 6
# Shortly before 5/6 the share is below 2/3, and still one of two rows.


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, UNKNOWN), (0.499, UNKNOWN), (0.5, UNKNOWN), (0.75, HALFWAY), (0.83, HALFWAY)]
)
def test_by_hand(progress, expected):
    loss = asymmetric(alpha=0.1, beta=0.2, theta=1.0, warm_up=0.5)
    got = step(loss, SMALL_BS, [(0, 2)], torch.arange(2), progress)
    assert float(got) == pytest.approx(expected, abs=1e-6)


def test_a_label_has_no_slope_when_it_is_given_and_pulls_back_later():
    loss = asymmetric(beta=0.2, theta=1.0, warm_up=0.5)
    first = SMALL_BS.clone().requires_grad_()
    (slope_BS,) = torch.autograd.grad(step(loss, first, [(0, 2)], torch.arange(2), 0.75), first)
    labelled = [(0, 0), (1, 1)]
    assert all(abs(float(slope_BS[pair])) < 1e-9 for pair in labelled)  # the label has the digits of float32
    moved = (SMALL_BS + 1.5).requires_grad_()
    (slope_BS,) = torch.autograd.grad(step(loss, moved, [(0, 2)], torch.arange(2), 0.75), moved)
    for i, s in labelled:
        was, now = (1 / (1 + math.exp(-float(x_BS[i, s]))) for x_BS in (SMALL_BS, moved.detach()))
        assert float(slope_BS[i, s]) == pytest.approx(0.2 * (now - was) / 6, rel=1e-6)


def test_labels_of_one_batch_are_found_again_in_another():
    loss = asymmetric(n_rows=4, beta=0.2, theta=1.0, warm_up=0.5)
    step(loss, SMALL_BS, [(0, 2)], torch.tensor([3, 1]), 0.75)
    kept_NS = loss.label_NS.clone()
    assert kept_NS.isnan().sum() == 10
    assert float(kept_NS[3, 0]) == 0.5
    assert float(kept_NS[1, 1]) == pytest.approx(1 / (1 + math.exp(2.0)), rel=1e-6)
    # Row 1 again beside row 0: with its label, species 1 has had its share of the two rows.
    step(loss, torch.full((2, 3), -5.0, dtype=torch.float64), [(1, 2)], torch.tensor([0, 1]), 0.75)
    assert torch.equal(loss.label_NS[1, 1], kept_NS[1, 1])
    assert loss.label_NS[0].isnan().tolist() == [False, True, True]


def loop_labels(x, observed, labels, share):
    """The rule of ``label_lowest``, species by species."""
    labels = [list(row) for row in labels]
    for s in range(len(x[0])):
        rows = [i for i in range(len(x)) if (i, s) not in observed]
        free = [i for i in rows if math.isnan(labels[i][s])]
        wanted = math.floor(share * len(rows)) - (len(rows) - len(free))
        for i in sorted(free, key=lambda i, s=s: x[i][s])[: max(wanted, 0)]:
            labels[i][s] = 1 / (1 + math.exp(-x[i][s]))
    return labels


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("rounded", [False, True])
def test_the_lowest_are_labelled(share, rounded):
    """Logits that were rounded have ties, of which the first row counts."""
    source = torch.Generator().manual_seed(5)
    for _ in range(20):
        x_BS = torch.randn(9, 5, generator=source, dtype=torch.float64) * 2
        x_BS = x_BS.round() if rounded else x_BS
        observed_BS = torch.rand(9, 5, generator=source) < 0.3
        observed_BS[:, 4] = True
        known_BS = (torch.rand(9, 5, generator=source) < 0.3) & ~observed_BS
        label_BS = torch.where(known_BS, torch.rand(9, 5, generator=source), NAN)
        pairs = observed_BS.nonzero(as_tuple=True)
        got = label_lowest(x_BS, Positives(*pairs, 9, 5), label_BS, share)
        observed = set(zip(*(part.tolist() for part in pairs), strict=True))
        expected = torch.tensor(loop_labels(x_BS.tolist(), observed, label_BS.tolist(), share))
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=0, equal_nan=True)


def test_nan_is_never_a_label_and_reaches_the_loss():
    x_BS = SMALL_BS.clone()
    x_BS[1, 0] = NAN
    loss = asymmetric(theta=1.0, warm_up=0.0)
    assert step(loss, x_BS, [(0, 2)], torch.arange(2), 0.9999).isnan()
    assert loss.label_NS.isnan()[1, 0]


class Twin:
    """The loss with labels in lists, in Python floats."""

    def __init__(self, n_rows, n_species, **settings):
        self.labels = [[NAN] * n_species for _ in range(n_rows)]
        self.settings = settings

    def __call__(self, x, observed, index, progress):
        alpha, beta, theta, warm_up = (self.settings[name] for name in ("alpha", "beta", "theta", "warm_up"))
        own = [self.labels[n] for n in index]
        if progress >= warm_up:
            own = loop_labels(x, observed, own, theta * (progress - warm_up) / (1 - warm_up))
            for n, row in zip(index, own, strict=True):
                self.labels[n] = row
        total = 0.0
        for i, row in enumerate(x):
            for s, logit in enumerate(row):
                f = own[i][s]
                if (i, s) in observed:
                    total += reference.loop_bce(logit, 1)
                elif math.isnan(f):
                    total -= alpha * reference.loop_entropy(logit)
                else:
                    total += beta * (f * reference.loop_bce(logit, 1) + (1 - f) * reference.loop_bce(logit, 0))
        return total / (len(x) * len(x[0]))


def test_a_training_of_many_steps_is_that_of_the_loop():
    settings = {"alpha": 0.2, "beta": 0.5, "theta": 0.8, "warm_up": 0.25}
    loss, twin = asymmetric(24, 5, **settings), Twin(24, 5, **settings)
    source = torch.Generator().manual_seed(3)
    observed_NS = torch.rand(24, 5, generator=source) < 0.2
    steps = 8 * 3
    for number in range(steps):
        if number % 3 == 0:
            order_N = torch.randperm(24, generator=source)
        index = order_N[number % 3 * 8 :][:8]
        x_BS = torch.randn(8, 5, generator=source, dtype=torch.float64) * 2
        pairs = observed_NS[index].nonzero()
        expected = twin(x_BS.tolist(), set(map(tuple, pairs.tolist())), index.tolist(), number / steps)
        got = step(loss, x_BS, pairs.tolist(), index, number / steps)
        assert float(got) == pytest.approx(expected, rel=1e-6)
    labelled = sum(not math.isnan(f) for row in twin.labels for f in row)
    assert labelled == loss.label_NS.isfinite().sum()
    assert 0.4 < labelled / int((~observed_NS).sum()) < 0.9


def test_after_the_warm_up_the_share_of_labels_grows_to_theta():
    """Rows in random batches of 100; a batch with more labels than its share keeps them."""
    n_rows, n_species, epochs = 1000, 3, 10
    loss = asymmetric(n_rows, n_species, theta=0.9, warm_up=0.5)
    source = torch.Generator().manual_seed(1)
    level_NS = torch.randn(n_rows, n_species, generator=source)
    shares = []
    for epoch in range(epochs):
        for number, index in enumerate(torch.randperm(n_rows, generator=source).split(100)):
            x_BS = level_NS[index] + 0.3 * torch.randn(len(index), n_species, generator=source)
            step(loss, x_BS, [], index, (10 * epoch + number) / (10 * epochs))
        shares.append(0.0 if loss.label_NS is None else float(loss.label_NS.isfinite().double().mean()))
    assert shares[:5] == [0.0] * 5
    assert sorted(shares) == shares
    for epoch in range(5, 10):  # at the middle of each epoch, rounded down in every batch
        assert shares[epoch] == pytest.approx(0.9 * (epoch - 4.5) / 5, abs=0.02)


def test_gradients_of_labelled_pairs_by_hand_and_none_into_the_labels():
    x = X_BS.clone().requires_grad_()
    labels = LABELS_BS.clone().requires_grad_()
    slope_BS, into_labels = torch.autograd.grad(
        em(x, TARGETS_BS, alpha=0.3, pseudo_labels_BS=labels, beta=0.7), (x, labels), allow_unused=True
    )
    assert into_labels is None
    for i in range(6):
        for s in range(4):
            logit, label = float(X_BS[i, s]), float(LABELS_BS[i, s])
            p = 1 / (1 + math.exp(-logit))
            if TARGETS_BS[i, s]:
                expected = p - 1
            elif math.isnan(label):
                expected = 0.3 * logit * p * (1 - p)
            else:
                expected = 0.7 * (p - label)
            assert float(slope_BS[i, s]) == pytest.approx(expected / 24, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_extreme_logits_are_finite_with_any_label(dtype):
    x = torch.tensor([[-1e4, 1e4, -1e4], [1e4, 0.0, 1e4]], dtype=dtype, requires_grad=True)
    labels = torch.tensor([[0.0, 0.0, 1.0], [1.0, NAN, NAN]])
    value = em(x, torch.tensor([[0, 0, 0], [0, 0, 1]]), pseudo_labels_BS=labels)
    (slope,) = torch.autograd.grad(value, x)
    assert value.isfinite()
    assert slope.isfinite().all()


X, Y = torch.zeros(2, 3), torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: em(X, Y, alpha=0.0), "alpha = 0.0: must be finite and > 0"),
        (lambda: em(X, Y, beta=-1.0), "beta = -1.0: must be finite and >= 0"),
        (lambda: em(X, Y[:1]), "targets_BS has shape (1, 3): must equal the shape (2, 3) of logits_BS"),
        (lambda: em(X, Y + 0.25), "targets_BS hold 0.25: must be exactly 0 or 1"),
        (lambda: em(X, Y, pseudo_labels_BS=Y[:1]), "pseudo_labels_BS has shape (1, 3)"),
        (lambda: em(X, Y, pseudo_labels_BS=Y.long()), "pseudo_labels_BS has dtype torch.int64"),
        (lambda: em(X, Y, pseudo_labels_BS=Y - 0.5), "pseudo_labels_BS hold a value outside [0, 1]"),
        (lambda: step(asymmetric(), SMALL_BS, [], None, 0.0), "index_B is None: must be given"),
        (
            lambda: asymmetric(MOST_PAIRS, 2),
            f"pseudo_labels = 'asymmetric' with {MOST_PAIRS} training rows and 2 species: must have at most ",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"theta": 0.5}, r"v\.theta = 0\.5: must be left out with pseudo_labels 'none'; it belongs to .*'asymmetric'"),
        ({"pseudo_labels": "asymmetric", "warm_up": 1.0}, r"v\.warm_up = 1\.0: must be less than 1"),
        ({"pseudo_labels": "asymmetric", "theta": 0.0}, r"v\.theta = 0\.0: must be greater than 0"),
        ({"alpha": 0.0}, r"v\.alpha = 0\.0: must be greater than 0"),
    ],
)
def test_wrong_settings_are_refused(raw, message):
    with pytest.raises(SettingsError, match=message):
        parse_variant({"loss": "em"} | raw, "v")


def test_settings_are_written_without_what_is_not_chosen():
    written = parse_variant({"loss": "em"}, "v").model_dump(mode="json")
    assert not {"theta", "beta", "warm_up"} & set(written)
    written = parse_variant({"loss": "em", "pseudo_labels": "asymmetric"}, "v").model_dump(mode="json")
    assert parse_variant(written, "v").model_dump() == written


@pytest.mark.parametrize("labels", [None, torch.full((0, 3), NAN)])
def test_an_empty_batch_gives_a_0_that_back_propagates(labels):
    logits = torch.zeros(0, 3, requires_grad=True)
    value = em(logits, torch.zeros(0, 3), pseudo_labels_BS=labels)
    assert value == 0
    assert torch.autograd.grad(value, logits)[0].shape == (0, 3)
