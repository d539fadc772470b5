"""maxent against mpmath sums over sites, far outside the range where exp is finite too."""

import math

import mpmath
import pytest
import torch

from presence_only.losses import maxent
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(5, 4, generator=SOURCE, dtype=torch.float64) * 3
FAR_KS = torch.randn(6, 4, generator=SOURCE, dtype=torch.float64) * 3
TARGETS_BS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
MASK_KS = torch.rand(6, 4, generator=SOURCE) < 0.6
MASK_KS[:, 3] = False


def slow(x, targets, far, mask=None, include=False, weights=None):
    """The definition, at 60 digits, skipping species without records or sites."""
    with mpmath.workdps(60):
        total, total_weight = mpmath.mpf(0), mpmath.mpf(0)
        for s in range(x.shape[1]):
            presences = [mpmath.mpf(float(x[i, s])) for i in range(len(x)) if targets[i, s]]
            sites = [mpmath.mpf(float(far[k, s])) for k in range(len(far)) if mask is None or mask[k, s]]
            if not presences or not sites:
                continue
            weight = mpmath.mpf(1 if weights is None else float(weights[s]))
            everywhere = sites + (presences if include else [])
            total += weight * (mpmath.log(sum(map(mpmath.exp, everywhere))) - sum(presences) / len(presences))
            total_weight += weight
        return float(total / total_weight)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("mask", [None, MASK_KS])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0])
def test_it_is_the_definition(include, mask, scale):
    got = maxent(X_BS * scale, TARGETS_BS, FAR_KS * scale, background_mask_KS=mask, include_presences=include)
    expected = slow(X_BS * scale, TARGETS_BS, FAR_KS * scale, mask, include)
    assert float(got) == pytest.approx(expected, rel=1e-12)


def test_species_weights():
    weights = torch.tensor([1.0, 3.0, 5.0, 0.5])
    got = maxent(X_BS, TARGETS_BS, FAR_KS, species_weights_S=weights)
    assert float(got) == pytest.approx(slow(X_BS, TARGETS_BS, FAR_KS, weights=weights), rel=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lead", [1.0, 10.0, 30.0, 80.0])
def test_a_record_far_above_its_background_keeps_the_digits_of_its_loss(lead, dtype):
    """With its own record in the sum the loss is log(1 + exp(-lead)): 1 - 1 for a plain log-sum-exp."""
    x = torch.full((1, 1), lead + 5000.0, dtype=dtype, requires_grad=True)
    loss = maxent(x, torch.ones(1, 1), torch.full((1, 1), 5000.0, dtype=dtype), include_presences=True)
    loss.backward()
    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    assert loss.item() == pytest.approx(math.log1p(math.exp(-lead)), rel=tolerance)
    assert float(x.grad) == pytest.approx(-1 / (1 + math.exp(lead)), rel=tolerance)


@pytest.mark.parametrize("include", [False, True])
def test_gradients_against_a_plain_log_sum_exp(include):
    x, far = X_BS.clone().requires_grad_(), FAR_KS.clone().requires_grad_()
    plain = 0.0
    present = [s for s in range(4) if TARGETS_BS[:, s].any()]
    for s in present:
        own = x[TARGETS_BS[:, s] == 1, s]
        everywhere = torch.cat([far[:, s], own]) if include else far[:, s]
        plain = plain + (everywhere.exp().sum().log() - own.mean()) / len(present)
    expected = torch.autograd.grad(plain, (x, far))
    got = torch.autograd.grad(maxent(x, TARGETS_BS, far, include_presences=include), (x, far))
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("include", [False, True])
def test_derivatives(include):
    x, far = X_BS.clone().requires_grad_(), FAR_KS.clone().requires_grad_()

    def loss(x, far):
        return maxent(x, TARGETS_BS, far, background_mask_KS=MASK_KS, include_presences=include)

    assert torch.autograd.gradcheck(loss, (x, far))
    assert torch.autograd.gradgradcheck(loss, (x, far), fast_mode=True)


def test_only_differences_between_sites_matter():
    shift = torch.tensor([5.0, -3.0, 0.0, 1.0])
    plain = maxent(X_BS, TARGETS_BS, FAR_KS)
    assert float(maxent(X_BS + shift, TARGETS_BS, FAR_KS + shift)) == pytest.approx(float(plain), rel=1e-12)


@pytest.mark.parametrize("weighting", ["uniform", "sqrt", "records"])
def test_batches_average_to_the_training_set_with_the_named_weights(weighting):
    records = TARGETS_BS.sum(dim=0).double()
    counts = TrainingCounts(5, records)
    loss = parse_variant({"loss": "maxent", "weighting": weighting}, "variants.x").build(counts)
    rows = [
        loss(LossBatch(X_BS[i : i + 1], *TARGETS_BS[i : i + 1].nonzero(as_tuple=True), torch.Generator(), FAR_KS))
        for i in range(5)
    ]
    power = {"uniform": 0.0, "sqrt": 0.5, "records": 1.0}[weighting]
    expected = slow(X_BS, TARGETS_BS, FAR_KS, weights=records**power)
    assert float(sum(rows)) / 5 == pytest.approx(expected, rel=1e-12)


def test_nan_reaches_the_result():
    far = FAR_KS.clone()
    far[2, 0] = math.nan
    for include in (False, True):
        assert maxent(X_BS, TARGETS_BS, far, include_presences=include).isnan()


def test_no_record_or_no_site_gives_a_0_that_back_propagates():
    x = X_BS.clone().requires_grad_()
    for targets, mask in ((torch.zeros_like(TARGETS_BS), None), (TARGETS_BS, torch.zeros_like(MASK_KS))):
        for include in (False, True):
            loss = maxent(x, targets, FAR_KS, background_mask_KS=mask, include_presences=include)
            (slope,) = torch.autograd.grad(loss, x)
            assert loss == 0
            assert slope.eq(0).all()
