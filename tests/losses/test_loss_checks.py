"""Every kind of bad input is refused in one sentence with the argument, its value and the rule."""

import math

import numpy as np
import pytest
import torch

from presence_only.losses import (
    AssumeNegativeLoss,
    BinaryFocalLoss,
    MultiTaskLoss,
    an_full,
    an_slds,
    an_ssdl,
    asymmetric_loss,
    compute_pos_weights,
    focal_loss,
    full_weighted,
    masked_mse,
    maxent,
)
from presence_only.losses.base import LossBatch, TrainingCounts
from presence_only.losses.registry import parse_variant

X, Y = torch.zeros(2, 3), torch.zeros(2, 3)
SPECIES = torch.tensor([0, 2])
TASKS = {"species_logits": X, "env_pred": X}
TRUTHS = {"species": Y, "env_features": Y}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        # gamma
        (lambda: focal_loss(X, Y, gamma=-1.0), ValueError, r"gamma = -1\.0: must be finite and >= 0"),
        (lambda: focal_loss(X, Y, gamma=math.nan), ValueError, r"gamma = nan: must be finite"),
        (lambda: focal_loss(X, Y, gamma=math.inf), ValueError, r"gamma = inf: must be finite"),
        (lambda: asymmetric_loss(X, Y, gamma_pos=-0.5), ValueError, r"gamma_pos = -0\.5"),
        (lambda: asymmetric_loss(X, Y, gamma_neg=math.nan), ValueError, r"gamma_neg = nan"),
        (lambda: BinaryFocalLoss(-1.0), ValueError, r"gamma = -1\.0"),
        (lambda: MultiTaskLoss(focal_gamma=-1.0), ValueError, r"focal_gamma = -1\.0"),
        (lambda: focal_loss(X, Y, gamma="2"), TypeError, r"gamma = '2': must be a real number, not str"),
        (lambda: BinaryFocalLoss(True), TypeError, r"gamma = True: must be a real number, not bool"),
        (lambda: BinaryFocalLoss(2.0, from_logits=1), TypeError, r"from_logits = 1: must be a bool"),
        # clip
        (lambda: asymmetric_loss(X, Y, clip=1.0), ValueError, r"clip = 1\.0: must be in \[0, 1\)"),
        (lambda: asymmetric_loss(X, Y, clip=-0.1), ValueError, r"clip = -0\.1"),
        (lambda: MultiTaskLoss(asl_clip=1.0), ValueError, r"asl_clip = 1\.0"),
        # alpha
        (lambda: focal_loss(X, Y, alpha=1.5), ValueError, r"alpha = 1\.5: must be in \[0, 1\]"),
        (lambda: focal_loss(X, Y, alpha=-0.1), ValueError, r"alpha = -0\.1"),
        (lambda: MultiTaskLoss(focal_alpha=2.0), ValueError, r"focal_alpha = 2\.0"),
        # neg_samples
        (lambda: AssumeNegativeLoss(neg_samples=-1), ValueError, r"neg_samples = -1: must be >= 0"),
        (lambda: AssumeNegativeLoss(neg_samples=2.0), TypeError, r"neg_samples = 2\.0: must be an int, not float"),
        (lambda: AssumeNegativeLoss(neg_samples=True), TypeError, r"neg_samples = True: must be an int, not bool"),
        # pos_lambda
        (lambda: AssumeNegativeLoss(0.0), ValueError, r"pos_lambda = 0\.0: must be finite and > 0"),
        (lambda: AssumeNegativeLoss(-4.0), ValueError, r"pos_lambda = -4\.0"),
        (lambda: AssumeNegativeLoss(math.inf), ValueError, r"pos_lambda = inf"),
        (lambda: AssumeNegativeLoss(math.nan), ValueError, r"pos_lambda = nan"),
        (lambda: an_full(X, SPECIES, X, pos_lambda=0.0), ValueError, r"pos_lambda = 0\.0"),
        # label_smoothing
        (
            lambda: AssumeNegativeLoss(label_smoothing=0.5),
            ValueError,
            r"label_smoothing = 0\.5: must be in \[0, 0\.5\)",
        ),
        (lambda: AssumeNegativeLoss(label_smoothing=-0.1), ValueError, r"label_smoothing = -0\.1"),
        (lambda: AssumeNegativeLoss(spatial="all"), ValueError, r"unknown spatial 'all'; known: none, batch"),
        # task weights
        (lambda: MultiTaskLoss(species_weight=-1.0), ValueError, r"species_weight = -1\.0: must be finite and >= 0"),
        (lambda: MultiTaskLoss(env_weight=math.nan), ValueError, r"env_weight = nan"),
        (lambda: MultiTaskLoss(habitat_weight=-0.1), ValueError, r"habitat_weight = -0\.1"),
        # pos_weight
        (
            lambda: MultiTaskLoss(pos_weight=torch.ones(4))(TASKS, TRUTHS),
            ValueError,
            r"pos_weight has length 4: must be the number of species, 3",
        ),
        (lambda: MultiTaskLoss(pos_weight=-torch.ones(3)), ValueError, r"pos_weight holds a negative"),
        (lambda: MultiTaskLoss(pos_weight=torch.ones(1, 3)), ValueError, r"pos_weight has shape \(1, 3\)"),
        (lambda: MultiTaskLoss(pos_weight=[1.0]), TypeError, r"pos_weight is a list: must be a torch\.Tensor"),
        (lambda: MultiTaskLoss(pos_weight=torch.ones(3), species_loss="asl"), ValueError, r"pos_weight is given"),
        # unknown names
        (
            lambda: MultiTaskLoss(species_loss="mse"),
            ValueError,
            r"unknown species_loss 'mse'; known: bce, focal, asl, an",
        ),
        (lambda: focal_loss(X, Y, reduction="avg"), ValueError, r"unknown reduction 'avg'; known: mean, sum, none"),
        (lambda: MultiTaskLoss(reduction="avg"), ValueError, r"unknown reduction 'avg'; known: mean, sum, none"),
        (lambda: MultiTaskLoss(species_loss="an", reduction="sum"), ValueError, r"reduction = 'sum': must be 'mean'"),
        # shapes: nothing broadcasts
        (
            lambda: focal_loss(X, Y[:1]),
            ValueError,
            r"targets has shape \(1, 3\): must equal the shape \(2, 3\) of logits",
        ),
        (lambda: asymmetric_loss(X, Y[:, :1]), ValueError, r"targets has shape \(2, 1\)"),
        (lambda: BinaryFocalLoss()(X, Y[0]), ValueError, r"targets has shape \(3,\)"),
        (lambda: AssumeNegativeLoss()(X, Y[:1]), ValueError, r"targets has shape \(1, 3\)"),
        (lambda: AssumeNegativeLoss()(X[0], Y[0]), ValueError, r"logits has shape \(3,\): must have 2 dimensions"),
        (
            lambda: AssumeNegativeLoss()(X, Y, background_logits=X[:, :1]),
            ValueError,
            r"background_logits has shape \(2, 1\)",
        ),
        (lambda: masked_mse(X, Y[:1]), ValueError, r"target has shape \(1, 3\)"),
        (lambda: an_full(X, SPECIES[:1], X), ValueError, r"species_B has shape \(1,\): must be \(2,\)"),
        (
            lambda: an_full(X, SPECIES, X[:0]),
            ValueError,
            r"background_BS has shape \(0, 3\): must have at least one row",
        ),
        (lambda: an_ssdl(X, SPECIES, X[:1]), ValueError, r"background_BS has shape \(1, 3\)"),
        (lambda: an_slds(X[:, :1], SPECIES * 0), ValueError, r"SLDS needs at least 2 species"),
        # targets
        (lambda: focal_loss(X, Y + 1.5), ValueError, r"targets span \[1\.5, 1\.5\]: must lie in \[0, 1\]"),
        (lambda: focal_loss(X, Y - 1), ValueError, r"targets span \[-1, -1\]"),
        (lambda: asymmetric_loss(X, Y + math.nan), ValueError, r"targets span \[nan, nan\]"),
        (lambda: BinaryFocalLoss()(X + 2, Y), ValueError, r"pred span \[2, 2\]: must lie in \[0, 1\]"),
        (lambda: AssumeNegativeLoss()(X, Y + 0.5), ValueError, r"targets hold 0\.5: must be exactly 0 or 1"),
        (lambda: AssumeNegativeLoss()(X, Y + math.nan), ValueError, r"targets hold nan: must be exactly 0 or 1"),
        (lambda: an_full(X, SPECIES + 1, X), ValueError, r"species_B span \[1, 3\]: must lie in 0\.\.2"),
        (lambda: an_full(X, SPECIES - 1, X), ValueError, r"species_B span \[-1, 1\]"),
        # types
        (lambda: focal_loss([0.0], Y), TypeError, r"logits is a list: must be a torch\.Tensor"),
        (lambda: focal_loss(X.long(), Y), TypeError, r"logits has dtype torch\.int64: must be a floating-point tensor"),
        (lambda: focal_loss(X, 1.0), TypeError, r"targets is a float: must be a torch\.Tensor"),
        (lambda: an_full(X, SPECIES.float(), X), TypeError, r"species_B has dtype torch\.float32: must be an integer"),
        (lambda: masked_mse(X.long(), Y), TypeError, r"pred has dtype torch\.int64"),
        # missing keys
        (lambda: MultiTaskLoss()({"env_pred": X}, TRUTHS), ValueError, r"predictions has no key 'species_logits'"),
        (lambda: MultiTaskLoss()(TASKS, {"env_features": Y}), ValueError, r"targets has no key 'species'"),
        (lambda: MultiTaskLoss()({"species_logits": X}, TRUTHS), ValueError, r"predictions has no key 'env_pred'"),
        (lambda: MultiTaskLoss()(TASKS, {"species": Y}), ValueError, r"targets has no key 'env_features'"),
        (
            lambda: MultiTaskLoss(habitat_weight=1.0)(TASKS, TRUTHS),
            ValueError,
            r"no key 'habitat_logits': .* weight is 1",
        ),
        # compute_pos_weights
        (lambda: compute_pos_weights(Y[:0]), ValueError, r"species_targets has shape \(0, 3\): .* batch >= 1"),
        (lambda: compute_pos_weights(Y + 2), ValueError, r"species_targets span \[2, 2\]"),
        (lambda: compute_pos_weights(Y, smoothing=-1.0), ValueError, r"smoothing = -1\.0"),
        (lambda: compute_pos_weights([[1]]), TypeError, r"species_targets is a list"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"row_P": torch.tensor([0, 2])}, ValueError, r"row_P span \[0, 2\]: must lie in 0\.\.1"),
        ({"species_P": torch.tensor([0, 3])}, ValueError, r"species_P span \[0, 3\]"),
        ({"species_P": torch.tensor([0])}, ValueError, r"species_P has shape \(1,\): must be \(2,\)"),
        ({"logits_BS": X[0]}, ValueError, r"logits_BS has shape \(3,\)"),
        ({"background_KS": X[:, :2]}, ValueError, r"background_KS has shape \(2, 2\): must have the 3 species"),
        ({"background_mask_KS": X}, TypeError, r"background_mask_KS has dtype torch\.float32: must be a bool tensor"),
        ({"background_mask_KS": X[:1] > 0}, ValueError, r"background_mask_KS has shape \(1, 3\)"),
        ({"background_KS": None, "background_mask_KS": X > 0}, ValueError, r"background_mask_KS is given without"),
    ],
)
def test_a_batch_whose_parts_disagree_is_refused(change, error, message):
    loss = parse_variant({"loss": "an_full"}, "variants.x").build(TrainingCounts(2, torch.ones(3)))
    parts = {"row_P": torch.tensor([0, 1]), "species_P": SPECIES, "logits_BS": X, "background_KS": X} | change
    with pytest.raises(error, match=message):
        loss(LossBatch(generator=torch.Generator(), **parts))


@pytest.mark.parametrize(
    "loss", [focal_loss, asymmetric_loss, BinaryFocalLoss(0.5, True), AssumeNegativeLoss(), masked_mse]
)
def test_an_empty_batch_gives_a_0_that_back_propagates(loss):
    logits = torch.zeros(0, 3, requires_grad=True)
    value = loss(logits, torch.zeros(0, 3))
    value.backward()
    assert value == 0
    assert logits.grad.shape == (0, 3)


def test_an_empty_batch_ends_the_sinr_losses_at_0():
    logits, none = torch.zeros(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.long)
    for value in (an_full(logits, none, X), an_slds(logits, none), an_ssdl(logits, none, X[:0])):
        assert value == 0
        assert torch.autograd.grad(value, logits)[0].shape == (0, 3)


def test_numpy_numbers_are_numbers():
    loss = AssumeNegativeLoss(np.float32(4.0), np.int64(3), np.float64(0.25))
    assert (loss.pos_lambda, loss.neg_samples, loss.label_smoothing) == (4.0, 3, 0.25)
    assert type(loss.neg_samples) is int
    assert focal_loss(X, Y, np.float32(0.5), np.int64(2)).item() == focal_loss(X, Y, 0.5, 2).item()
    for wrong in (np.True_, np.float64(2.0)):
        with pytest.raises(TypeError, match=r"neg_samples = .*: must be an int"):
            AssumeNegativeLoss(neg_samples=wrong)
    with pytest.raises(TypeError, match=r"gamma = .*: must be a real number, not bool"):
        focal_loss(X, Y, gamma=np.True_)


@pytest.mark.parametrize("loss", [full_weighted, maxent])
def test_a_target_between_0_and_1_is_named(loss):
    with pytest.raises(ValueError, match=r"targets_BS hold 0\.25: must be exactly 0 or 1"):
        loss(X, Y + 0.25, X)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nan_logits_propagate(reduction):
    logits = torch.tensor([[math.nan, 0.0, 1.0]])
    for loss in (focal_loss, asymmetric_loss):
        value = loss(logits, torch.zeros(1, 3), reduction=reduction)
        assert value.isnan().any()
        assert value.isnan().sum() == 1
    assert AssumeNegativeLoss(neg_samples=0)(logits, torch.zeros(1, 3)).isnan()
