"""Poisson point process against a double loop, its closed forms, and what its cap and its masks promise."""

import math

import pytest
import torch
from support.losses_reference import capped_exponential

from presence_only.losses import maxent, poisson
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(6, 4, generator=SOURCE, dtype=torch.float64) * 2
FAR_KS = torch.randn(7, 4, generator=SOURCE, dtype=torch.float64) * 2
TARGETS_BS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
MASK_KS = torch.rand(7, 4, generator=SOURCE) < 0.6
MASK_KS[:, 3] = False


def slow(x, targets, far, mask=None, weights=None, cap=10.0):
    """The definition in Python floats, skipping species without records or sites."""
    total, total_weight = 0.0, 0.0
    for s in range(x.shape[1]):
        records = [float(x[i, s]) for i in range(len(x)) if targets[i, s]]
        sites = [float(far[k, s]) for k in range(len(far)) if mask is None or mask[k, s]]
        if not records or not sites:
            continue
        weight = 1.0 if weights is None else float(weights[s])
        intensity = [float(capped_exponential(site, cap)) for site in sites]
        total += weight * (sum(intensity) / len(sites) - sum(records) / len(records))
        total_weight += weight
    return total / total_weight


@pytest.mark.parametrize("mask", [None, MASK_KS])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 3.0, 5.0, 0.5])])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_it_is_the_definition(mask, weights, scale):
    got = poisson(
        X_BS * scale, TARGETS_BS, FAR_KS * scale, background_mask_KS=mask, species_weights_S=weights, intensity_cap=4.0
    )
    expected = slow(X_BS * scale, TARGETS_BS, FAR_KS * scale, mask, weights, 4.0)
    assert float(got) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighting", ["uniform", "sqrt", "records"])
def test_the_mean_over_equal_batches_is_the_loss_of_the_whole_set(weighting):
    records_S = TARGETS_BS.sum(dim=0).double()
    loss = parse_variant({"loss": "poisson", "weighting": weighting}, "v").build(TrainingCounts(6, records_S))
    weights = records_S ** {"uniform": 0.0, "sqrt": 0.5, "records": 1.0}[weighting]
    parts = []
    for part in (slice(0, 2), slice(2, 4), slice(4, 6)):
        pairs = TARGETS_BS[part].nonzero(as_tuple=True)
        parts.append(float(loss(LossBatch(X_BS[part], *pairs, torch.Generator(), FAR_KS))))
    assert sum(parts) / 3 == pytest.approx(slow(X_BS, TARGETS_BS, FAR_KS, weights=weights), rel=1e-12)


def test_the_constant_of_a_species_that_is_least_makes_it_maxent():
    """min over c of (mean exp(x + c) - mean of records - c) = 1 + log mean exp(x) - mean of records."""
    one = TARGETS_BS[:, :1]
    x_BS, far_KS = X_BS[:, :1], FAR_KS[:, :1]
    shift = -torch.logsumexp(far_KS, 0) + math.log(len(far_KS))
    least = poisson(x_BS + shift, one, far_KS + shift)
    softmax = maxent(x_BS, one, far_KS, include_presences=False) - math.log(len(far_KS))
    assert float(least) == pytest.approx(1 + float(softmax), rel=1e-12)
    for step in (-0.1, 0.1):
        assert poisson(x_BS + shift + step, one, far_KS + shift + step) > least


def test_an_intensity_that_is_true_is_found():
    """Records drawn in proportion to an intensity: its logarithm has less loss than others, and slopes of about 0."""
    source = torch.Generator().manual_seed(1)
    sites_N = torch.rand(200_000, generator=source, dtype=torch.float64)
    intensity_N = 2 * sites_N  # of mean 1 on 0..1
    records_N = sites_N[torch.rand(200_000, generator=source, dtype=torch.float64) < intensity_N / 2]
    slope = torch.tensor([1.0, math.log(2.0)], dtype=torch.float64, requires_grad=True)

    def loss(slope):
        near, far = (slope[1] + slope[0] * torch.log(place[:, None]) for place in (records_N, sites_N))
        return poisson(near, torch.ones_like(near), far)

    (gradient,) = torch.autograd.grad(loss(slope), slope)
    assert gradient.abs().max() < 0.01
    for other in ([0.8, math.log(2.0)], [1.2, math.log(2.0)], [1.0, 0.5], [1.0, 0.9]):
        assert loss(torch.tensor(other, dtype=torch.float64)) > loss(slope)


def test_one_bad_site_has_a_bounded_slope():
    far_KS = torch.tensor([[1e4], [0.0]], dtype=torch.float16, requires_grad=True)
    value = poisson(torch.zeros(1, 1), torch.ones(1, 1), far_KS, intensity_cap=8.0)
    (slope,) = torch.autograd.grad(value, far_KS)
    assert value.item() == pytest.approx((math.exp(8) * (1 + 1e4 - 8) + 1) / 2, rel=1e-6)
    assert slope[0].item() == pytest.approx(math.exp(8) / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets_BS": TARGETS_BS * 0.5}, "targets_BS hold 0.5: must be exactly 0 or 1"),
        ({"targets_BS": TARGETS_BS[:2]}, r"targets_BS has shape \(2, 4\)"),
        ({"background_KS": FAR_KS[:, :2]}, "background_KS has shape .*: must have the 4 species"),
        ({"background_KS": FAR_KS[:0]}, r"background_KS has shape \(0, 4\): must have at least one row"),
        ({"species_weights_S": torch.tensor([1.0, -1.0, 0.0, 1.0])}, "species_weights_S hold a negative"),
        ({"species_weights_S": torch.ones(3)}, r"species_weights_S has shape \(3,\): must be \(4,\)"),
        ({"intensity_cap": -1.0}, r"intensity_cap = -1.0: must be in \[0, 30\]"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    arguments = {"logits_BS": X_BS, "targets_BS": TARGETS_BS, "background_KS": FAR_KS} | change
    with pytest.raises(ValueError, match=message):
        poisson(**arguments)


def test_without_records_or_rows_it_is_a_0_that_back_propagates():
    x_BS, far_KS = X_BS.clone().requires_grad_(), FAR_KS.clone().requires_grad_()
    value = poisson(x_BS, torch.zeros_like(TARGETS_BS), far_KS)
    gradients = torch.autograd.grad(value, (x_BS, far_KS))
    assert value == 0
    assert all(gradient.eq(0).all() for gradient in gradients)
    assert poisson(X_BS[:0], TARGETS_BS[:0], FAR_KS) == 0


def test_the_largest_cap_overflows_nothing_in_float32():
    far_KS = torch.tensor([[1e4]], requires_grad=True)
    for recorded in (0.0, 1.0):
        value = poisson(torch.zeros(1, 1), torch.full((1, 1), recorded), far_KS, intensity_cap=30.0)
        (slope,) = torch.autograd.grad(value, far_KS)
        assert value.isfinite()
        assert slope.isfinite()
        assert (value == 0) == (recorded == 0)
