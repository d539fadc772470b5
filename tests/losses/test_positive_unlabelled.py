"""nnPU and uPU against loops over pairs, over all batches of a small set, and over all labellings of a known truth."""

import itertools
import math
from statistics import fmean, pvariance

import mpmath
import pytest
import torch
from support.losses_reference import LOGITS

from presence_only.common.settings import SettingsError
from presence_only.losses import nnpu
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
N, S, K = 6, 4, 5
TARGETS_NS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]])
# Records mostly above the others, as after some training: then brackets are negative.
X_NS = torch.randn(N, S, generator=SOURCE, dtype=torch.float64) + 3 * TARGETS_NS - 1
FAR_KS = torch.randn(K, S, generator=SOURCE, dtype=torch.float64) * 2 - 1
MASK_KS = torch.rand(K, S, generator=SOURCE) < 0.6
MASK_KS[:, 2] = False
PRIOR_S = torch.tensor([0.5, 0.9, 0.3, 0.1], dtype=torch.float64)
# Every way through the loss: background, mask, rows in U, beta and gamma.
WAYS = {
    "rows": {},
    "both": {"background_KS": FAR_KS},
    "masked": {"background_KS": FAR_KS, "background_mask_KS": MASK_KS},
    "background": {"background_KS": FAR_KS, "rows_unlabelled": False},
    "masked background": {"background_KS": FAR_KS, "background_mask_KS": MASK_KS, "rows_unlabelled": False},
    "slack": {"background_KS": FAR_KS, "beta": 0.05, "gamma": 0.5},
}
COUNTED = {"batch": {}, "set": {"records_S": torch.tensor([9.0, 4.0, 3.0, 2.0]), "n_sites": 20}}


def loop_bce(x, y):
    """Cross-entropy of a logit of any size, in Python floats."""
    return max((1 - 2 * y) * x, 0.0) + math.log1p(math.exp(-abs(x)))


def species_risk(x, targets, far, prior, s, *, mask=None, rows=True, expected=None):
    """Cost of presences and of absences of a species, from their definition; None without an unlabelled site."""
    records = [x[i][s] for i in range(len(x)) if targets[i][s]]
    unlabelled = [row[s] for row in x] if rows else []
    unlabelled += [far[k][s] for k in range(len(far)) if mask is None or mask[k][s]]
    if not unlabelled:
        return None
    number = len(records) if expected is None else expected
    mean_present = sum(loop_bce(v, 1) for v in records) / number if records else 0.0
    mean_absent = sum(loop_bce(v, 0) for v in records) / number if records else 0.0
    return prior * mean_present, fmean(loop_bce(v, 0) for v in unlabelled) - prior * mean_absent


def slow(x, targets, prior_S, estimator, way, counted):
    """Mean over species of the risk."""
    way = {"background_KS": torch.zeros(0, S), "beta": 0.0, **way}
    mask, total = way.get("background_mask_KS"), 0.0
    for s in range(S):
        expected = counted["records_S"][s].item() * len(x) / counted["n_sites"] if counted else None
        parts = species_risk(
            x.tolist(),
            targets.tolist(),
            way["background_KS"].tolist(),
            prior_S[s].item(),
            s,
            mask=None if mask is None else mask.tolist(),
            rows=way.get("rows_unlabelled", True),
            expected=expected,
        )
        if parts is not None:
            total += parts[0] + (parts[1] if estimator == "upu" else max(parts[1], -way["beta"]))
    return total / S


@pytest.mark.parametrize("counted", COUNTED.values(), ids=COUNTED)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("estimator", ["nnpu", "upu"])
def test_it_is_the_definition(estimator, way, counted):
    got = nnpu(X_NS, TARGETS_NS, PRIOR_S, estimator=estimator, **way, **counted)
    assert float(got) == pytest.approx(slow(X_NS, TARGETS_NS, PRIOR_S, estimator, way, counted), rel=1e-12)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("estimator", ["nnpu", "upu"])
def test_slopes_pair_by_pair(estimator, way):
    """Where the bracket is held, slopes are those of -gamma times the bracket, and records pull no other way."""
    x, far = X_NS.clone().requires_grad_(), FAR_KS.clone().requires_grad_()
    arguments = way | ({"background_KS": far} if "background_KS" in way else {})
    used = [x, far] if "background_KS" in way else [x]
    got = torch.autograd.grad(nnpu(x, TARGETS_NS, PRIOR_S, estimator=estimator, **arguments), used)
    rows = way.get("rows_unlabelled", True)
    mask_KS = way.get("background_mask_KS", torch.full((K, S), fill_value=True))
    held = 0
    near, distant = torch.zeros(N, S).double(), torch.zeros(K, S).double()
    for s in range(S):
        sites = (N if rows else 0) + (int(mask_KS[:, s].sum()) if len(used) == 2 else 0)
        if sites == 0:
            continue
        parts = species_risk(
            X_NS.tolist(),
            TARGETS_NS.tolist(),
            FAR_KS.tolist() if len(used) == 2 else [],
            PRIOR_S[s].item(),
            s,
            mask=mask_KS.tolist(),
            rows=rows,
        )
        turned = estimator == "nnpu" and parts[1] < -way.get("beta", 0.0)
        held += turned
        sign = -way.get("gamma", 1.0) if turned else 1.0
        n_s = int(TARGETS_NS[:, s].sum())
        for i in range(N):
            p = 1 / (1 + math.exp(-X_NS[i, s].item()))
            absent = (p / sites if rows else 0.0) - (PRIOR_S[s].item() * p / n_s if TARGETS_NS[i, s] else 0.0)
            present = -PRIOR_S[s].item() * (1 - p) / n_s if TARGETS_NS[i, s] and not turned else 0.0
            near[i, s] = (sign * absent + present) / S
        for k in range(K):
            p = 1 / (1 + math.exp(-FAR_KS[k, s].item()))
            distant[k, s] = sign * p / sites / S if mask_KS[k, s] else 0.0
    for mine, expected in zip(got, (near, distant), strict=False):
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-16)
    assert (held > 0) == (estimator == "nnpu")


def test_a_held_bracket_by_hand():
    """A record at log 7, an unlabelled site at 0, the prior 1/2: the bracket is log(2) - log(8) / 2 = -log(2) / 2."""
    x, far = (
        torch.tensor([[math.log(7)]], dtype=torch.float64).requires_grad_(),
        torch.zeros(1, 1).double().requires_grad_(),
    )
    bracket = -math.log(2) / 2

    def loss(**settings):
        return nnpu(x, torch.ones(1, 1), 0.5, far, rows_unlabelled=False, **settings)

    held = loss(gamma=0.25)
    assert held.item() == pytest.approx(math.log(8 / 7) / 2, rel=1e-14)
    assert [float(slope) for slope in torch.autograd.grad(held, (x, far))] == pytest.approx(
        [0.25 * 0.5 * 7 / 8, -0.25 * 0.5], rel=1e-14
    )
    slack = loss(beta=0.1)
    assert slack.item() == pytest.approx(math.log(8 / 7) / 2 - 0.1, rel=1e-14)
    free = loss(beta=0.5)
    assert free.item() == pytest.approx(math.log(8 / 7) / 2 + bracket, rel=1e-14)
    assert loss(estimator="upu").item() == free.item()
    assert [float(slope) for slope in torch.autograd.grad(free, (x, far))] == pytest.approx([-0.5, 0.5], rel=1e-14)


def batches(size):
    """The rows of every batch of so many."""
    return [list(rows) for rows in itertools.combinations(range(N), size)]


def built(raw, targets=TARGETS_NS, n=N):
    return parse_variant({"loss": "nnpu", **raw}, "v").build(TrainingCounts(n, targets.sum(dim=0).double()))


def over_all_batches(raw, size, x_NS=X_NS):
    """The loss of every batch of a size."""
    loss = built(raw)
    far = FAR_KS if loss.needs_background else None
    return [
        loss(LossBatch(x_NS[rows], *TARGETS_NS[rows].nonzero(as_tuple=True), torch.Generator(), far)).item()
        for rows in batches(size)
    ]


PRIORS = ({"prior_factor": 1.5}, {"prior": 0.4}, {"priors": [0.5, 0.9, 0.3, 0.1]})


@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("raw", PRIORS)
def test_the_mean_of_upu_over_all_batches_is_the_risk_of_all_rows_and_its_variance_that_of_a_mean(raw, size):
    """With sp(-x) - sp(x) = -x a batch is a mean over its rows of z_i = mean_s [sp(x) - y pi n / n_s x]."""
    values = over_all_batches({"estimator": "upu", "unlabelled": "rows", **raw}, size)
    n_S = TARGETS_NS.sum(dim=0).tolist()
    prior_S = raw.get("priors", [raw.get("prior")] * S)
    prior_S = prior_S if "prior_factor" not in raw else [1.5 * n_s / N for n_s in n_S]
    rows = []
    for i in range(N):
        z = [loop_bce(X_NS[i, s].item(), 0) for s in range(S)]
        z = [v - (prior_S[s] * N / n_S[s] * X_NS[i, s].item() if TARGETS_NS[i, s] else 0) for s, v in enumerate(z)]
        rows.append(fmean(z))
    assert fmean(values) == pytest.approx(fmean(rows), rel=1e-12)
    variance = pvariance(rows) / size * (N - size) / (N - 1)  # of a mean drawn without replacement
    assert pvariance(values) == pytest.approx(variance, rel=1e-9, abs=1e-28)


@pytest.mark.parametrize("unlabelled", ["rows", "both", "background"])
@pytest.mark.parametrize("size", [2, 3])
def test_nnpu_is_upu_raised_where_a_bracket_is_negative_so_that_its_bias_is_upwards(size, unlabelled):
    """Lemma 1 of Kiryo et al.: the bias is positive if and only if a bracket can be negative."""
    priors = {"priors": [0.5, 0.9, 0.3, 0.1], "unlabelled": unlabelled}
    unbiased, raised = (over_all_batches({"estimator": e, **priors}, size) for e in ("upu", "nnpu"))
    n_S = TARGETS_NS.sum(dim=0).tolist()
    expected = []
    for rows in batches(size):
        total = 0.0
        for s in range(S):
            _, bracket = species_risk(
                X_NS[rows].tolist(),
                TARGETS_NS[rows].tolist(),
                FAR_KS.tolist() if unlabelled != "rows" else [],
                PRIOR_S[s].item(),
                s,
                rows=unlabelled != "background",
                expected=n_S[s] * size / N or None,
            )
            total += max(0.0, -bracket)
        expected.append(total / S)
    assert max(expected) > 0
    got = [high - low for high, low in zip(raised, unbiased, strict=True)]
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert fmean(raised) - fmean(unbiased) == pytest.approx(fmean(expected), rel=1e-9)
    assert min(raised) >= 0
    pairs = list(zip(unbiased, expected, strict=True))
    covariance = fmean(u * e for u, e in pairs) - fmean(unbiased) * fmean(expected)
    variance = pvariance(unbiased) + pvariance(expected) + 2 * covariance
    assert pvariance(raised) == pytest.approx(variance, rel=1e-9)


def test_where_no_bracket_can_be_negative_both_are_the_same():
    """A prior equal to the recorded share: what is unlabelled outweighs its records in every batch of all sizes."""
    for size in (1, 3):
        raw = {"unlabelled": "rows", "prior_factor": 1.0, "prior": None}
        both = [over_all_batches({"estimator": e, **raw}, size) for e in ("upu", "nnpu")]
        assert both[0] == both[1]


def test_the_mean_with_a_background_is_the_risk_with_rows_and_sites_in_the_shares_of_a_batch():
    values = over_all_batches({"estimator": "upu", "prior": 0.4}, 2)
    total = 0.0
    for s in range(S):
        near = fmean(loop_bce(v, 0) for v in X_NS[:, s].tolist())
        distant = fmean(loop_bce(v, 0) for v in FAR_KS[:, s].tolist())
        records = [X_NS[i, s].item() for i in range(N) if TARGETS_NS[i, s]]
        total += (2 * near + K * distant) / (2 + K) - (0.4 * fmean(records) if records else 0.0)
    assert fmean(values) == pytest.approx(total / S, rel=1e-12)


def labellings(present, recorded):
    """All ways to record some of the presences, with probabilities."""
    where = [i for i, is_present in enumerate(present) if is_present]
    for kept in itertools.product((0, 1), repeat=len(where)):
        targets = torch.zeros(len(present), 1)
        targets[[i for i, k in zip(where, kept, strict=True) if k]] = 1
        yield targets, math.prod(recorded if k else 1 - recorded for k in kept), sum(kept)


TRUTH = [1, 1, 0, 0, 1, 0]
SUPERVISED = fmean(loop_bce(X_NS[i, 0].item(), y) for i, y in enumerate(TRUTH))


@pytest.mark.parametrize("recorded", [0.3, 0.8])
def test_in_a_known_world_the_mean_of_upu_over_labellings_is_the_supervised_risk(recorded):
    """Every presence is recorded with the same probability, and the prior is true. nnPU lies above."""
    counts = {"records_S": torch.tensor([3 * recorded], dtype=torch.float64), "n_sites": 6}
    means = {
        estimator: math.fsum(
            probability * nnpu(X_NS[:, :1], targets, 0.5, estimator=estimator, **counts).item()
            for targets, probability, _ in labellings(TRUTH, recorded)
        )
        for estimator in ("upu", "nnpu")
    }
    assert means["upu"] == pytest.approx(SUPERVISED, rel=1e-12)
    assert means["nnpu"] > means["upu"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_means_over_the_records_of_a_batch_are_unbiased_for_any_number_of_records(number):
    values = [
        nnpu(X_NS[:, :1], targets, 0.5, estimator="upu").item()
        for targets, _, kept in labellings(TRUTH, 0.5)
        if kept == number
    ]
    assert fmean(values) == pytest.approx(SUPERVISED, rel=1e-12)


def test_with_the_recorded_share_as_prior_it_is_cross_entropy_with_all_other_pairs_absent():
    batch = LossBatch(X_NS[:4], *TARGETS_NS[:4].nonzero(as_tuple=True), torch.Generator())
    expected = fmean(loop_bce(X_NS[i, s].item(), TARGETS_NS[i, s].item()) for i in range(4) for s in range(S))
    for estimator in ("nnpu", "upu"):
        loss = built({"estimator": estimator, "unlabelled": "rows", "prior_factor": 1.0})
        assert float(loss(batch)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("x", LOGITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_without_a_difference_have_all_digits_at_any_logit(x, dtype):
    """Two rows, of which one is a record, and one background site; the record's weight in the bracket is positive."""
    logits = torch.tensor([[x], [-x]], dtype=dtype, requires_grad=True)
    far = torch.tensor([[x / 2]], dtype=dtype)
    loss = nnpu(logits, torch.tensor([[1], [0]]), 0.25, far)
    (slope,) = torch.autograd.grad(loss, logits)
    with mpmath.workdps(60 + int(min(abs(x), 800))):
        z, w = mpmath.mpf(logits[0, 0].item()), mpmath.mpf(far[0, 0].item())
        p = 1 / (1 + mpmath.exp(-z))
        q = 1 / (1 + mpmath.exp(z))
        value = -mpmath.log(p) / 4 - (mpmath.log(p) + mpmath.log(1 / (1 + mpmath.exp(w)))) / 3
        value -= (mpmath.mpf(1) / 3 - mpmath.mpf(1) / 4) * mpmath.log(q)
        expected = [float(value), float(p / 12 - q / 4), float(q / 3)]
    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    got = [loss.item(), *slope.flatten().tolist()]
    # The slope of the record crosses 0, and has then only a small absolute error.
    limits = [abs(expected[0]) * tolerance, 0.1 * tolerance, max(abs(expected[2]) * tolerance, 1e-37)]
    for mine, theirs, limit in zip(got, expected, limits, strict=True):
        assert abs(mine - theirs) <= limit


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_difference_errs_by_a_rounding_of_its_larger_part(dtype):
    x, far = (logits.to(dtype) * 300 for logits in (X_NS, FAR_KS))
    arguments = {"background_KS": far, "estimator": "upu"}
    got = nnpu(x, TARGETS_NS, 0.99, **arguments)
    assert got.dtype == torch.float32
    expected = slow(x.double(), TARGETS_NS, torch.full((S,), 0.99), "upu", {"background_KS": far}, {})
    assert abs(float(got) - expected) <= 2e-6 * float(x.abs().max())


def test_a_species_without_a_record_or_without_an_unlabelled_site():
    """Without a record only its unlabelled sites count; without a site it has no term at all."""
    x, far = X_NS.clone().requires_grad_(), FAR_KS.clone().requires_grad_()
    loss = nnpu(x, TARGETS_NS, 0.3, far, background_mask_KS=MASK_KS, rows_unlabelled=False)
    slope_NS, slope_KS = torch.autograd.grad(loss, (x, far))
    assert slope_NS[:, 2].eq(0).all()
    assert slope_KS[:, 2].eq(0).all()
    assert slope_NS[:, 3].eq(0).all()
    assert (slope_KS[MASK_KS[:, 3], 3] > 0).all()
    x[0, 0].data.fill_(math.nan)
    assert nnpu(x, TARGETS_NS, 0.3).isnan()


def test_second_derivatives_where_brackets_are_held():
    x, far = X_NS.clone().requires_grad_(), FAR_KS.clone().requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda x, far: nnpu(x, TARGETS_NS, PRIOR_S, far, gamma=0.7), (x, far), fast_mode=True
    )


@pytest.mark.parametrize("estimator", ["nnpu", "upu"])
@pytest.mark.parametrize("raw", PRIORS)
@pytest.mark.parametrize("unlabelled", ["rows", "both", "background"])
def test_at_the_balance_no_species_has_a_slope(unlabelled, raw, estimator):
    """A constant logit per species, on all rows at once: the log odds of the prior."""
    targets = TARGETS_NS.clone()
    targets[0, 3] = 1
    settings = parse_variant({"loss": "nnpu", "estimator": estimator, "unlabelled": unlabelled, **raw}, "v")
    counts = TrainingCounts(N, targets.sum(dim=0).double())
    x_S = settings.balance(counts).requires_grad_()
    torch.testing.assert_close(torch.sigmoid(x_S), settings.prior_S(counts), rtol=1e-12, atol=0)
    far = x_S.expand(K, S) if unlabelled != "rows" else None
    batch = LossBatch(x_S.expand(N, S), *targets.nonzero(as_tuple=True), torch.Generator(), far)
    (slope_S,) = torch.autograd.grad(settings.build(counts)(batch), x_S)
    assert slope_S.abs().max() < 1e-15


def test_priors_of_settings():
    counts = TrainingCounts(10, torch.tensor([0.0, 1.0, 4.0, 8.0, 10.0]))
    assert parse_variant({"loss": "nnpu"}, "v").prior_S(counts).tolist() == pytest.approx([0.05, 0.2, 0.8, 0.95, 0.95])
    assert parse_variant({"loss": "nnpu", "prior": 0.1}, "v").prior_S(counts).tolist() == [0.1] * 5
    listed = parse_variant({"loss": "nnpu", "priors": [0.1, 0.2, 0.3, 0.4, 0.5]}, "v")
    assert listed.prior_S(counts).tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    for settings in (listed, parse_variant({"loss": "nnpu", "estimator": "upu"}, "v")):
        assert parse_variant(settings.model_dump(mode="json"), "v") == settings
    with pytest.raises(ValueError, match=r"^priors has length 5: must be the number of species, 4$"):
        listed.build(TrainingCounts(10, torch.ones(4)))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"prior": 0.1, "prior_factor": 2.0}, "v: must be settings with one of prior_factor, prior and priors, not"),
        ({"prior": 0.1, "priors": [0.1]}, "v: must be settings with one of .*, not prior and priors$"),
        ({"prior_factor": None}, "v: must be settings with one of prior_factor, prior and priors$"),
        ({"prior": 1.0}, r"v\.prior = 1\.0: must be less than 1"),
        ({"prior_factor": 0.0}, r"v\.prior_factor = 0\.0: must be greater than 0"),
        ({"priors": [0.1, 0.0]}, r"v\.priors\.1 = 0\.0: must be greater than 0"),
        ({"priors": 0.1}, r"v\.priors = 0\.1: must be a list"),
        ({"estimator": "upu", "beta": 0.1}, r"v\.beta = 0\.1: must be left out with estimator 'upu'"),
        ({"gamma": 1.5}, r"v\.gamma = 1\.5: must be less than or equal to 1"),
    ],
)
def test_wrong_settings(raw, message):
    with pytest.raises(SettingsError, match=message):
        parse_variant({"loss": "nnpu", **raw}, "v")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"prior": 1.0}, ValueError, r"prior = 1\.0: must be in \(0, 1\)"),
        ({"prior": "half"}, TypeError, "prior = 'half': must be a real number"),
        ({"prior": torch.ones(2)}, ValueError, r"prior has shape \(2,\): must be \(4,\)"),
        ({"prior": torch.ones(4)}, ValueError, r"prior holds a value outside \(0, 1\)"),
        ({"estimator": "pn"}, ValueError, "unknown estimator 'pn'; known: nnpu, upu"),
        ({"beta": -0.1}, ValueError, r"beta = -0\.1: must be finite and >= 0"),
        ({"gamma": 2.0}, ValueError, r"gamma = 2\.0: must be in \[0, 1\]"),
        ({"rows_unlabelled": False}, ValueError, "background_KS has no rows: must have at least one where rows_unl"),
        ({"records_S": torch.ones(4)}, ValueError, "n_sites = None: records_S and n_sites must be given together"),
        ({"records_S": torch.zeros(4), "n_sites": 5}, ValueError, "records_S is 0 for a species present in targets_BS"),
        ({"targets_BS": TARGETS_NS + 0.5}, ValueError, r"targets_BS hold 1\.5: must be exactly 0 or 1"),
    ],
)
def test_wrong_arguments(changes, error, message):
    arguments = {"targets_BS": TARGETS_NS, "prior": 0.5} | changes
    with pytest.raises(error, match=message):
        nnpu(X_NS, **arguments)
