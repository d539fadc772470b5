"""What every loss that params.yaml can name must do. A new loss is found by its name."""

import math
from dataclasses import replace

import pytest
import torch

from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.registry import build_loss, loss_names, parse_variant

N_ROWS, N_SPECIES, N_SITES = 6, 5, 7
MORE_VARIANTS = (
    {"loss": "bce", "pos_weight": True, "background_weight": 0.5},
    {"loss": "focal", "alpha": None, "gamma": 0.5, "background_weight": 1.0},
    {"loss": "asl", "clip": 0.0, "background_weight": 2.0},
    {"loss": "assume_negative", "neg_samples": 2},
    {"loss": "assume_negative", "neg_samples": 0, "spatial": "batch", "label_smoothing": 0.1},
    {"loss": "assume_negative", "penalty": "asl", "clip": 0.1, "pos_lambda": 16.0, "background_weight": 1.0},
    {"loss": "an_full", "penalty": "focal", "gamma": 1.0},
    {"loss": "an_slds", "penalty": "asl", "gamma_pos": 1.0},
    {"loss": "full_weighted", "lambda2": 1.0},
    {"loss": "full_weighted", "penalty": "focal", "lambda2": 0.0},
    {"loss": "maxent", "include_presences": True, "weighting": "sqrt"},
    {"loss": "maxent", "weighting": "records"},
)
VARIANTS = tuple({"loss": name} for name in loss_names()) + MORE_VARIANTS
COUNTS = TrainingCounts(20, torch.tensor([1.0, 3.0, 8.0, 12.0, 5.0], dtype=torch.float64))


def describe(variant):
    return "-".join(str(value) for value in variant.values())


every_loss = pytest.mark.parametrize("variant", VARIANTS, ids=describe)


def build(variant, counts=COUNTS):
    return build_loss(parse_variant(variant, "variants.tested"), counts)


def make_batch(loss, dtype=torch.float64, scale=3.0, n_rows=N_ROWS, masked=False):
    """A batch with lists, single records and a row without any record."""
    source = torch.Generator().manual_seed(0)
    logits = (torch.randn(n_rows, N_SPECIES, generator=source) * scale).to(dtype).requires_grad_()
    far = (torch.randn(N_SITES, N_SPECIES, generator=source) * scale).to(dtype).requires_grad_()
    mask = torch.rand(N_SITES, N_SPECIES, generator=source) < 0.7
    row_P, species_P = torch.tensor([0, 0, 1, 2, 3, 3, 3, 5]), torch.tensor([1, 4, 2, 1, 0, 2, 3, 3])
    kept = row_P < n_rows
    return LossBatch(
        logits,
        row_P[kept],
        species_P[kept],
        torch.Generator().manual_seed(1),
        far if loss.needs_background else None,
        mask if loss.needs_background and masked else None,
    )


def leaves(batch):
    return [tensor for tensor in (batch.logits_BS, batch.background_KS) if tensor is not None]


def reseeded(batch, seed=1):
    return replace(batch, generator=torch.Generator().manual_seed(seed))


@every_loss
@pytest.mark.parametrize("masked", [False, True])
def test_a_finite_scalar_with_finite_gradients_and_untouched_inputs(variant, masked):
    loss = build(variant)
    batch = make_batch(loss, masked=masked)
    before = {name: value.clone() for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    value = loss(batch)
    gradients = torch.autograd.grad(value, leaves(batch))
    assert value.shape == ()
    assert value.dtype == torch.float64
    assert value.isfinite()
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)
    for name, tensor in before.items():
        assert torch.equal(getattr(batch, name), tensor)


@every_loss
def test_the_same_seed_gives_the_same_value(variant):
    loss = build(variant)
    batch = make_batch(loss)
    assert torch.equal(loss(batch), loss(reseeded(batch)))


@every_loss
def test_global_random_state_is_not_touched(variant):
    loss = build(variant)
    before = torch.get_rng_state()
    loss(make_batch(loss))
    assert torch.equal(torch.get_rng_state(), before)


@every_loss
def test_the_order_of_rows_and_species_does_not_matter(variant):
    """Exactly for losses that draw nothing, in the mean over draws for the others."""
    source = torch.Generator().manual_seed(2)
    rows, species, sites = (torch.randperm(n, generator=source) for n in (N_ROWS, N_SPECIES, N_SITES))
    new_row, new_species = rows.argsort(), species.argsort()
    loss = build(variant)
    batch = make_batch(loss, masked=True)
    row_P, species_P = new_row[batch.row_P], new_species[batch.species_P]
    order = row_P.argsort(stable=True)
    moved = LossBatch(
        batch.logits_BS[rows][:, species],
        row_P[order],
        species_P[order],
        batch.generator,
        None if batch.background_KS is None else batch.background_KS[sites][:, species],
        None if batch.background_mask_KS is None else batch.background_mask_KS[sites][:, species],
    )
    moved_loss = build(variant, TrainingCounts(20, COUNTS.records_per_species_S[species]))
    before = batch.generator.get_state()
    first = loss(batch)
    with torch.no_grad():
        if torch.equal(batch.generator.get_state(), before):
            torch.testing.assert_close(moved_loss(moved), first.detach(), rtol=1e-12, atol=0)
            return
        here, there = (
            torch.stack([run(reseeded(data, seed)) for seed in range(300)])
            for run, data in ((loss, batch), (moved_loss, moved))
        )
    assert (here.mean() - there.mean()).abs() < 5 * ((here.var() + there.var()) / 300).sqrt()


@every_loss
@pytest.mark.parametrize("n_rows", [0, N_ROWS])
def test_an_empty_batch_is_a_0_that_back_propagates(variant, n_rows):
    """Without rows; and, for losses that are a mean over records, without records."""
    loss = build(variant)
    batch = make_batch(loss, n_rows=n_rows)
    none = torch.zeros(0, dtype=torch.long)
    value = loss(replace(batch, row_P=none, species_P=none))
    gradients = torch.autograd.grad(value, leaves(batch))
    if n_rows == 0:
        assert value == 0
        assert all(gradient.eq(0).all() for gradient in gradients)
    else:
        assert value.isfinite()
        assert all(gradient.isfinite().all() for gradient in gradients)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_logits_stay_finite_in_any_precision(variant, dtype):
    loss = build(variant)
    for scale in (30.0, 4000.0):
        batch = make_batch(loss, dtype, scale)
        value = loss(batch)
        assert value.dtype == torch.float32
        assert value.isfinite()
        for gradient in torch.autograd.grad(value, leaves(batch)):
            assert gradient.isfinite().all()
            assert gradient.dtype == dtype


@every_loss
def test_float32_agrees_with_float64(variant):
    loss = build(variant)
    narrow = make_batch(loss, torch.float32)
    wide = replace(make_batch(loss), logits_BS=narrow.logits_BS.double().detach())
    if narrow.background_KS is not None:
        wide = replace(wide, background_KS=narrow.background_KS.double().detach())
    torch.testing.assert_close(loss(narrow).double().detach(), loss(wide), rtol=5e-6, atol=0)


@every_loss
def test_the_first_two_derivatives(variant):
    loss = build(variant)
    batch = make_batch(loss, scale=1.0, masked=True)

    def seeded(logits, background=None):
        return loss(replace(reseeded(batch), logits_BS=logits, background_KS=background))

    assert torch.autograd.gradcheck(seeded, leaves(batch), fast_mode=True)
    assert torch.autograd.gradgradcheck(seeded, leaves(batch), fast_mode=True)


@every_loss
def test_nan_at_a_record_is_not_swallowed(variant):
    loss = build(variant)
    batch = make_batch(loss)
    with torch.no_grad():
        batch.logits_BS[2, 1] = math.nan
    assert loss(batch).isnan()


@every_loss
def test_it_runs_under_autocast(variant):
    loss = build(variant)
    batch = make_batch(loss, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(batch)
    torch.testing.assert_close(value, loss(reseeded(batch)), rtol=0, atol=0)


@every_loss
def test_background_is_given_if_and_only_if_needed(variant):
    loss = build(variant)
    batch = make_batch(loss)
    wrong = None if loss.needs_background else torch.zeros(2, N_SPECIES)
    rule = "must be given" if loss.needs_background else "must be None"
    with pytest.raises(ValueError, match=f"background_KS is .*: {rule}"):
        loss(replace(batch, background_KS=wrong, background_mask_KS=None))
