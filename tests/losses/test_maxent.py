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


def slow(x, targets, far, mask=None, include=True, weights=None):
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


def test_the_presences_are_in_the_sum_unless_told_otherwise():
    expected = slow(X_BS, TARGETS_BS, FAR_KS, include=True)
    assert float(maxent(X_BS, TARGETS_BS, FAR_KS)) == pytest.approx(expected, rel=1e-13)
    assert expected != pytest.approx(slow(X_BS, TARGETS_BS, FAR_KS, include=False), rel=1e-3)
    assert parse_variant({"loss": "maxent"}, "variants.x").include_presences is True


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("mask", [None, MASK_KS])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0])
def test_it_is_the_definition(include, mask, scale):
    got = maxent(X_BS * scale, TARGETS_BS, FAR_KS * scale, background_mask_KS=mask, include_presences=include)
    expected = slow(X_BS * scale, TARGETS_BS, FAR_KS * scale, mask, include)
    assert float(got) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("mask", [None, MASK_KS])
def test_species_weights(include, mask):
    weights = torch.tensor([1.0, 3.0, 5.0, 0.5])
    got = maxent(
        X_BS, TARGETS_BS, FAR_KS, background_mask_KS=mask, include_presences=include, species_weights_S=weights
    )
    expected = slow(X_BS, TARGETS_BS, FAR_KS, mask, include, weights)
    assert float(got) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 100.0, 3000.0])
def test_half_precision_loses_digits_of_the_logits_only(scale, dtype, include):
    x, far = ((logits * scale).to(dtype) for logits in (X_BS, FAR_KS))
    got = maxent(x, TARGETS_BS, far, include_presences=include)
    assert got.dtype == torch.float32
    assert float(got) == pytest.approx(slow(x, TARGETS_BS, far, include=include), rel=5e-6)


BOUND = (math.log(3) + math.log(2) + math.log(1)) / 3  # of the three species of TARGETS_BS with records


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 1.0, 100.0, 1e4])
def test_with_the_presences_in_the_sum_no_logits_are_below_the_bound(level, dtype):
    """Random signs put records above and below their background; the mean of log n_s holds for all of them."""
    source = torch.Generator().manual_seed(1)
    for _ in range(100):
        x, far = (
            ((torch.rand(shape, generator=source) - 0.5).sign() * level + torch.randn(shape, generator=source)).to(
                dtype
            )
            for shape in (X_BS.shape, FAR_KS.shape)
        )
        assert float(maxent(x, TARGETS_BS, far)) >= BOUND - 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_equal_records_far_above_their_background_reach_the_bound(dtype):
    above, below = torch.full((5, 4), 1e4, dtype=dtype), torch.full((6, 4), -1e4, dtype=dtype)
    assert float(maxent(above, TARGETS_BS, below)) == pytest.approx(
        BOUND, rel=1e-6 if dtype != torch.float64 else 1e-13
    )
    assert float(maxent(above, TARGETS_BS, below, include_presences=False)) < -19_000


@pytest.mark.parametrize("start", [-1e4, 0.0, 1e4])
def test_descent_ends_at_the_bound_and_without_the_presences_nowhere(start):
    """Free logits, which fit whatever the loss asks for, by Adam with steps of 100."""
    for include in (True, False):
        x = (X_BS.detach().clone() + start).requires_grad_()
        far = (FAR_KS.detach().clone() - start).requires_grad_()
        optimizer = torch.optim.Adam([x, far], lr=100.0)
        values = []
        for step in range(400):
            # The cosine lets the records become equal, which steps of 100 cannot.
            optimizer.param_groups[0]["lr"] = 50.0 * (1 + math.cos(math.pi * step / 400))
            optimizer.zero_grad()
            loss = maxent(x, TARGETS_BS, far, include_presences=include)
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        if include:
            assert min(values) >= BOUND - 1e-12
            assert values[-1] == pytest.approx(BOUND, rel=0.01)
        else:
            assert values[-1] < values[0] - 10_000


def test_a_batch_is_never_below_its_bound():
    records = TARGETS_BS.sum(dim=0).double() * 7
    for weighting, power in (("uniform", 0.0), ("sqrt", 0.5), ("records", 1.0)):
        loss = parse_variant({"loss": "maxent", "weighting": weighting}, "variants.x").build(
            TrainingCounts(40, records)
        )
        pairs = TARGETS_BS.nonzero(as_tuple=True)
        above, below = torch.full((5, 4), 1e4, dtype=torch.float64), torch.full((6, 4), -1e4, dtype=torch.float64)
        weights = [n**power for n in records.tolist() if n]
        terms = [
            n ** (power - 1) * taken * math.log(taken)
            for n, taken in zip(records.tolist(), TARGETS_BS.sum(dim=0).tolist(), strict=True)
            if taken
        ]
        bound = 40 / 5 * sum(terms) / sum(weights)
        assert loss(LossBatch(above, *pairs, torch.Generator(), below)) == pytest.approx(bound, rel=1e-12)
        for scale in (1.0, 10.0, 1e4):
            assert loss(LossBatch(X_BS * scale, *pairs, torch.Generator(), FAR_KS * scale)) >= bound


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
    for include in (False, True):
        plain = maxent(X_BS, TARGETS_BS, FAR_KS, include_presences=include)
        moved = maxent(X_BS + shift, TARGETS_BS, FAR_KS + shift, include_presences=include)
        assert float(moved) == pytest.approx(float(plain), rel=1e-12)


def whole_set(weighting, include):
    """The loss whose training set is all rows at hand, and the value that its definition has there."""
    records = TARGETS_BS.sum(dim=0).double()
    settings = {"loss": "maxent", "weighting": weighting, "include_presences": include}
    power = {"uniform": 0.0, "sqrt": 0.5, "records": 1.0}[weighting]
    expected = slow(X_BS, TARGETS_BS, FAR_KS, include=include, weights=records**power)
    return parse_variant(settings, "variants.x").build(TrainingCounts(5, records)), expected


@pytest.mark.parametrize("weighting", ["uniform", "sqrt", "records"])
@pytest.mark.parametrize("include", [False, True])
def test_a_batch_of_all_rows_is_the_loss_of_the_training_set_with_the_named_weights(include, weighting):
    loss, expected = whole_set(weighting, include)
    batch = LossBatch(X_BS, *TARGETS_BS.nonzero(as_tuple=True), torch.Generator(), FAR_KS)
    assert float(loss(batch)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighting", ["uniform", "sqrt", "records"])
def test_without_the_presences_batches_average_to_the_training_set(weighting):
    loss, expected = whole_set(weighting, include=False)
    rows = [
        loss(LossBatch(X_BS[i : i + 1], *TARGETS_BS[i : i + 1].nonzero(as_tuple=True), torch.Generator(), FAR_KS))
        for i in range(5)
    ]
    assert float(sum(rows)) / 5 == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_weighs_its_own_records_by_the_counts_of_the_training_set(masked):
    """A loop over the records of a batch, each among the background and the batch's records of its species."""
    n_rows, records = 30, [9, 4, 0, 6]
    loss = parse_variant({"loss": "maxent", "weighting": "sqrt"}, "variants.x").build(
        TrainingCounts(n_rows, torch.tensor(records, dtype=torch.float64))
    )
    pairs, mask = TARGETS_BS.nonzero(as_tuple=True), MASK_KS if masked else None
    total_weight = math.fsum(math.sqrt(n) for n in records)
    terms = []
    for i, s in zip(*(part.tolist() for part in pairs), strict=True):
        sites = [FAR_KS[k, s].item() for k in range(6) if mask is None or mask[k, s]]
        if sites:
            sites += [X_BS[j, s].item() for j in range(5) if TARGETS_BS[j, s]]
            surprise = math.log(math.fsum(map(math.exp, sites))) - X_BS[i, s].item()
            terms.append(math.sqrt(records[s]) / records[s] * surprise)
    expected = n_rows / 5 * math.fsum(terms) / total_weight
    assert len(terms) == (5 if masked else 6)
    got = loss(LossBatch(X_BS, *pairs, torch.Generator(), FAR_KS, mask))
    assert float(got) == pytest.approx(expected, rel=1e-13)


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
