"""Losses and batches to test with, and the contract that every loss of params.yaml keeps."""

import math
from dataclasses import replace

import pytest
import torch

from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.registry import loss_names
from presence_only.losses.scalable import ScalableLoss

N_ROWS, N_SPECIES, N_SITES, WIDTH = 6, 5, 7, 4
COUNTS = TrainingCounts(20, torch.tensor([1.0, 3.0, 8.0, 12.0, 5.0], dtype=torch.float64))
# Every loss with its defaults, and settings that take another way through one.
VARIANTS = (
    *({"loss": name} for name in loss_names()),
    {"loss": "bce", "pos_weight": True, "background_weight": 0.5},
    {"loss": "bce", "label_smoothing": 0.05},
    {"loss": "bce", "logit_adjustment": 1.0, "label_smoothing": 0.1, "background_weight": 1.0},
    {"loss": "focal", "label_smoothing": 0.2, "logit_adjustment": 0.5},
    {"loss": "an_full", "label_smoothing": 0.1, "logit_adjustment": 0.3},
    {"loss": "focal", "alpha": None, "gamma": 0.5, "background_weight": 1.0},
    {"loss": "asl", "clip": 0.0, "background_weight": 2.0},
    {"loss": "assume_negative", "neg_samples": 2},
    {"loss": "assume_negative", "neg_samples": 0, "spatial": "batch", "label_smoothing": 0.1},
    {"loss": "assume_negative", "neg_samples": 0, "label_smoothing": 0.1, "background_weight": 0.3},
    {"loss": "assume_negative", "penalty": "asl", "clip": 0.1, "pos_lambda": 16.0, "background_weight": 1.0},
    {"loss": "an_full", "penalty": "focal", "gamma": 1.0},
    {"loss": "an_slds", "penalty": "asl", "gamma_pos": 1.0},
    {"loss": "full_weighted", "penalty": "entropy"},
    {"loss": "full_weighted", "lambda2": 1.0},
    {"loss": "full_weighted", "penalty": "focal", "lambda2": 0.0},
    {"loss": "gr", "stop_gradients": False},
    {"loss": "gr", "q2": 0.0, "q3": 0.5, "w_end": -3.0, "stop_gradients": False},
    {"loss": "large_loss", "scheme": "reject", "delta_rel": 0.1},
    {"loss": "large_loss", "scheme": "temporary", "delta_rel": 0.1},
    {"loss": "large_loss", "scheme": "permanent", "delta_rel": 0.1},
    {"loss": "apl", "poly_gamma_pos": 0.5, "poly_gamma_neg": 1.0, "poly_eps_pos": 0.5, "poly_eps_neg": 2.0},
    {"loss": "an_full", "penalty": "apl", "poly_clip": 0.0, "poly_eps_pos_pow": 1.0, "poly_eps_neg": 0.5},
    {"loss": "full_weighted", "penalty": "ral", "ral_gamma_neg": 1.5, "ral_clip": 0.0, "ral_lambda": 2.0},
    {"loss": "ral", "ral_gamma_pos": 1.0, "ral_gamma_neg": 2.0, "label_smoothing": 0.1},
    {"loss": "maxent", "include_presences": False, "weighting": "sqrt"},
    {"loss": "maxent", "weighting": "records"},
    {"loss": "nnpu", "prior": 0.3},
    {"loss": "nnpu", "unlabelled": "rows", "prior_factor": 4.0, "beta": 0.1, "gamma": 0.5},
    {"loss": "nnpu", "unlabelled": "background"},
    {"loss": "nnpu", "estimator": "upu"},
    {"loss": "nnpu", "estimator": "upu", "unlabelled": "background", "prior": 0.05},
    {"loss": "ranking", "n_pairs": 3, "sites": "background"},
    {"loss": "ranking", "sites": "both"},
    {"loss": "ranking", "pairs": "community", "n_pairs": 2},
    {"loss": "ranking", "pairs": "both", "sites": "both", "n_pairs": 2},
    {"loss": "ranking", "weights": "warp", "n_pairs": 4},
    {"loss": "ranking", "pairs": "both", "sites": "background", "weights": "warp", "n_pairs": 3},
    {"loss": "hill", "hill_lambda": 2.0, "hill_margin": 0.5, "label_smoothing": 0.1},
    {"loss": "an_full", "penalty": "hill", "logit_adjustment": 1.0},
    {"loss": "poisson", "weighting": "sqrt", "intensity_cap": 2.0},
    {"loss": "softmax", "normalisation": 0.3},
    {"loss": "sigmoid_f1", "beta": 4.0, "eta": 1.0},
    {"loss": "two_way", "pos_temperature": 1.0, "neg_temperature": 2.0},
    {"loss": "multitask", "pos_weight": True, "habitat_weight": 0.3},
    {"loss": "multitask", "species_loss": "an", "neg_samples": 2, "habitat_weight": 0.3},
    {"loss": "multitask", "species_loss": "asl", "env_weight": 0.0},
    {"loss": "multitask", "species_loss": "focal", "focal_alpha": None},
    {"loss": "em", "alpha": 0.3, "background_weight": 1.0, "label_smoothing": 0.1, "logit_adjustment": 0.5},
    {"loss": "em", "pseudo_labels": "asymmetric", "warm_up": 0.0},
    {"loss": "em", "pseudo_labels": "asymmetric", "warm_up": 0.2, "background_weight": 0.5, "logit_adjustment": 1.0},
    {"loss": "epr", "expected_species": 2.5},
    {"loss": "splc", "penalty": "focal_margin"},
    {"loss": "splc", "start": 0, "penalty": "focal_margin"},
    {"loss": "splc", "start": 0, "penalty": "asl", "tau": 0.4, "background_weight": 1.0, "label_smoothing": 0.1},
    {"loss": "splc", "background_weight": 0.5, "logit_adjustment": 0.5},
    {"loss": "an_full", "penalty": "focal_margin", "fm_gamma": 0.5},
)
# Of these, some steps do not follow the slope of the value, by the papers' own algorithms.
TURNED = ({"loss": "nnpu", "unlabelled": "rows", "prior_factor": 4.0, "beta": 0.1, "gamma": 0.5},)


def describe(variant):
    """A test's name."""
    return "-".join(str(value) for value in variant.values())


def build(variant, counts=COUNTS):
    """The loss of a variant, as params.yaml would give it."""
    return parse_variant(variant, "variants.tested").build(counts)


def make_batch(loss, dtype=torch.float64, scale=3.0, n_rows=N_ROWS, masked=False):
    """A batch with lists, single records and a row without any record, past the middle of a training."""
    source = torch.Generator().manual_seed(0)
    logits = (torch.randn(n_rows, N_SPECIES, generator=source) * scale).to(dtype).requires_grad_()
    far = (torch.randn(N_SITES, N_SPECIES, generator=source) * scale).to(dtype).requires_grad_()
    mask = torch.rand(N_SITES, N_SPECIES, generator=source) < 0.7
    row_P, species_P = torch.tensor([0, 0, 1, 2, 3, 3, 3, 5]), torch.tensor([1, 4, 2, 1, 0, 2, 3, 3])
    kept = row_P < n_rows
    environment, covariates = torch.randn(2, n_rows, 3, generator=source).to(dtype)
    covariates[::2, 1] = math.nan
    environment = environment.detach().requires_grad_()
    habitat = (torch.randn(n_rows, N_SPECIES, generator=source) * scale).to(dtype).requires_grad_()
    return LossBatch(
        logits,
        row_P[kept],
        species_P[kept],
        torch.Generator().manual_seed(1),
        far if loss.needs_background else None,
        mask if loss.needs_background and masked else None,
        environment,
        habitat,
        covariates,
        progress=0.6,
        epoch=3,
        index_B=torch.arange(10, 10 + n_rows),
    )


def reseeded(batch, seed=1):
    """The same batch with a fresh generator."""
    return replace(batch, generator=torch.Generator().manual_seed(seed))


def leaves(loss, batch):
    """The predictions that a loss pulls at, by the name of their part of the batch."""
    names = ("logits_BS", "background_KS", "environment_BC", "habitat_BS")
    given = {name: getattr(batch, name) for name in names if getattr(batch, name) is not None}
    slopes = torch.autograd.grad(loss(reseeded(batch)), tuple(given.values()), allow_unused=True)
    pulled = {name: tensor for (name, tensor), slope in zip(given.items(), slopes, strict=True) if slope is not None}
    assert set(pulled) >= {"logits_BS"} | ({"background_KS"} if loss.needs_background else set())
    return pulled


class LossContract:
    """What a loss of params.yaml must do. A subclass says which, by its fixture ``variant``."""

    @pytest.mark.parametrize("masked", [False, True])
    def test_a_finite_scalar_with_finite_gradients_and_untouched_inputs(self, variant, masked):
        loss = build(variant)
        batch = make_batch(loss, masked=masked)
        before = {name: value.clone() for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
        value = loss(batch)
        gradients = torch.autograd.grad(value, tuple(leaves(loss, batch).values()))
        assert value.shape == ()
        assert value.dtype == torch.float64
        assert value.isfinite()
        assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)
        for name, tensor in before.items():
            torch.testing.assert_close(getattr(batch, name), tensor, rtol=0, atol=0, equal_nan=True)

    def test_draws_come_from_the_batch_and_nowhere_else(self, variant):
        loss = build(variant)
        batch = make_batch(loss)
        before = torch.get_rng_state()
        assert torch.equal(loss(batch), loss(reseeded(batch)))
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_order_of_rows_and_species_does_not_matter(self, variant):
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
            batch.environment_BC[rows],
            batch.habitat_BS[rows][:, species],
            batch.covariates_BC[rows],
            progress=batch.progress,
            epoch=batch.epoch,
            index_B=batch.index_B[rows],
        )
        moved_loss = build(variant, TrainingCounts(COUNTS.n_rows, COUNTS.records_per_species_S[species]))
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

    def test_without_rows_it_is_a_0_that_back_propagates(self, variant):
        loss = build(variant)
        batch = make_batch(loss, n_rows=0)
        value = loss(batch)
        gradients = torch.autograd.grad(value, tuple(leaves(loss, batch).values()))
        assert value == 0
        assert all(gradient.eq(0).all() for gradient in gradients)

    def test_without_records_it_is_finite(self, variant):
        loss = build(variant)
        none = torch.zeros(0, dtype=torch.long)
        batch = replace(make_batch(loss), row_P=none, species_P=none)
        value = loss(batch)
        assert value.isfinite()
        for gradient in torch.autograd.grad(value, tuple(leaves(loss, batch).values())):
            assert gradient.isfinite().all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_extreme_logits_stay_finite_in_any_precision(self, variant, dtype):
        loss = build(variant)
        for scale in (30.0, 4000.0):
            batch = make_batch(loss, dtype, scale)
            value = loss(batch)
            assert value.dtype == torch.float32
            assert value.isfinite()
            for gradient in torch.autograd.grad(value, tuple(leaves(loss, batch).values())):
                assert gradient.isfinite().all()
                assert gradient.dtype == dtype

    def test_float32_agrees_with_float64(self, variant):
        loss = build(variant)
        narrow = make_batch(loss, torch.float32)
        floats = {n: v.detach().double() for n, v in vars(narrow).items() if getattr(v, "dtype", None) == torch.float32}
        wide = replace(make_batch(loss), **floats)
        torch.testing.assert_close(loss(narrow).double().detach(), loss(wide), rtol=5e-6, atol=0)

    def test_the_first_two_derivatives(self, variant):
        loss = build(variant)
        if getattr(loss, "stops_gradients", False):
            return  # its slope is by definition not that of its value
        batch = make_batch(loss, scale=1.0, masked=True)
        used = leaves(loss, batch)

        def seeded(*predictions):
            return loss(replace(reseeded(batch), **dict(zip(used, predictions, strict=True))))

        if variant not in TURNED:
            assert torch.autograd.gradcheck(seeded, tuple(used.values()), fast_mode=True)
        assert torch.autograd.gradgradcheck(seeded, tuple(used.values()), fast_mode=True)

    def test_nan_at_a_record_is_not_swallowed(self, variant):
        loss = build(variant)
        batch = make_batch(loss)
        with torch.no_grad():
            batch.logits_BS[2, 1] = math.nan
        assert loss(batch).isnan()

    def test_it_runs_under_autocast(self, variant):
        loss = build(variant)
        batch = make_batch(loss, torch.float32)
        used = leaves(loss, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layers = {name: torch.nn.Linear(tensor.shape[1], tensor.shape[1]) for name, tensor in used.items()}
            narrow = {name: layers[name](tensor) for name, tensor in used.items()}
            value = loss(replace(batch, **narrow))
        assert {tensor.dtype for tensor in narrow.values()} == {torch.bfloat16}
        value.backward()
        assert all(layer.weight.grad.isfinite().all() for layer in layers.values())
        wide = {name: tensor.float() for name, tensor in narrow.items()}
        expected = loss(replace(reseeded(batch), **wide))
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected, rtol=0, atol=0)

    def test_background_is_given_if_and_only_if_needed(self, variant):
        loss = build(variant)
        batch = make_batch(loss)
        wrong = None if loss.needs_background else torch.zeros(2, N_SPECIES)
        rule = "must be given" if loss.needs_background else "must be None"
        with pytest.raises(ValueError, match=f"background_KS is .*: {rule}"):
            loss(replace(batch, background_KS=wrong, background_mask_KS=None))

    @pytest.mark.parametrize("masked", [False, True])
    def test_it_is_the_same_however_it_is_computed(self, variant, masked):
        loss = build(variant)
        if isinstance(loss, ScalableLoss):
            case = Embeddings(loss, masked)
            first, *others = (case.gradients(value) for value in case.values().values())
            for other in others:
                torch.testing.assert_close(other, first, rtol=1e-11, atol=1e-14)


class Embeddings:
    """Matrices whose products are the logits of a batch, for the three ways to compute a loss."""

    def __init__(self, loss, masked=False, dtype=torch.float64):
        source = torch.Generator().manual_seed(4)
        self.loss, batch = loss, make_batch(loss, masked=masked)
        near, species, far = (torch.randn(n, WIDTH, generator=source).to(dtype) for n in (N_ROWS, N_SPECIES, N_SITES))
        self.location_BD, self.species_SD = near.requires_grad_(), species.requires_grad_()
        self.background_KD = far.requires_grad_() if loss.needs_background else None
        self.row_P, self.species_P, self.mask_KS = batch.row_P, batch.species_P, batch.background_mask_KS

    def values(self):
        """The loss by each way; all species are sampled, so that nothing is left to chance."""
        pairs = (self.row_P, self.species_P)
        far = {"background_KD": self.background_KD, "background_mask_KS": self.mask_KS}
        far_KS = None if self.background_KD is None else self.background_KD @ self.species_SD.T
        logits_BS, generator = self.location_BD @ self.species_SD.T, torch.Generator()
        sample = self.loss.draw_species(self.species_P, N_SPECIES, N_SPECIES, generator)
        rows_JD = self.species_SD[sample.species_J]
        return {
            "all_logits": self.loss(LossBatch(logits_BS, *pairs, generator, far_KS, self.mask_KS)),
            "chunks": self.loss.in_chunks(self.location_BD, self.species_SD, *pairs, **far),
            "sampled": self.loss.from_sample(sample, N_SPECIES, self.location_BD, rows_JD, *pairs, **far),
        }

    def gradients(self, value):
        """The value and its gradients for all matrices, as one vector."""
        matrices = [x for x in (self.location_BD, self.species_SD, self.background_KD) if x is not None]
        parts = torch.autograd.grad(value, matrices)
        return torch.cat([value.detach().view(1), *(part.reshape(-1) for part in parts)])
