"""Refusals of bad input: a table of the sentences of every checker, and one of the arguments that are checked."""

import math

import numpy as np
import pytest
import torch

from presence_only.losses import (
    AssumeNegativeLoss,
    BinaryFocalLoss,
    MultiTaskLoss,
    an_full,
    an_full_me,
    an_slds,
    an_ssdl,
    asymmetric_loss,
    compute_pos_weights,
    focal_loss,
    full_weighted,
    masked_mse,
    maxent,
)
from presence_only.losses.argument_checks import (
    check_background,
    check_choice,
    check_count,
    check_floating,
    check_indices,
    check_mask,
    check_number,
    check_presences,
    check_same_shape,
    check_shape,
    check_unit_interval,
)
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

X, Y = torch.zeros(2, 3), torch.zeros(2, 3)
ROWS, SPECIES = torch.tensor([0, 1]), torch.tensor([0, 2])

REFUSED = {
    check_number: [
        (("g", -1.0, 0.0), ValueError, "g = -1.0: must be finite and >= 0"),
        (("g", math.nan, 0.0), ValueError, "g = nan: must be finite and >= 0"),
        (("g", math.inf, 0.0), ValueError, "g = inf: must be finite and >= 0"),
        (("g", 1.5, 0.0, 1.0), ValueError, "g = 1.5: must be in [0, 1]"),
        (("g", "2", 0.0), TypeError, "g = '2': must be a real number, not str"),
        (("g", True, 0.0), TypeError, "g = True: must be a real number, not bool"),
        (("g", np.True_, 0.0), TypeError, f"g = {np.True_!r}: must be a real number, not bool"),
        (("g", 1j, 0.0), TypeError, "g = 1j: must be a real number, not complex"),
    ],
    check_count: [
        (("m", -1), ValueError, "m = -1: must be >= 0"),
        (("m", 2.0), TypeError, "m = 2.0: must be an int, not float"),
        (("m", True), TypeError, "m = True: must be an int, not bool"),
        (("m", np.float64(2.0)), TypeError, f"m = {np.float64(2.0)!r}: must be an int, not float64"),
    ],
    check_choice: [(("way", "all", ("none", "batch")), ValueError, "unknown way 'all'; known: none, batch")],
    check_floating: [
        (("x", [0.0]), TypeError, "x is a list: must be a torch.Tensor"),
        (("x", X.long()), TypeError, "x has dtype torch.int64: must be a floating-point tensor"),
        (("x", X.cfloat()), TypeError, "x has dtype torch.complex64: must be a floating-point tensor"),
        (("x", X[0], 2), ValueError, "x has shape (3,): must have 2 dimensions"),
    ],
    check_same_shape: [
        (("y", Y[:1], "x", X), ValueError, "y has shape (1, 3): must equal the shape (2, 3) of x"),
        (("y", Y[0], "x", X), ValueError, "y has shape (3,): must equal the shape (2, 3) of x"),
        (("y", 1.0, "x", X), TypeError, "y is a float: must be a torch.Tensor"),
    ],
    check_shape: [
        (("y", Y, (2, 4)), ValueError, "y has shape (2, 3): must be (2, 4)"),
        (("y", None, (2,)), TypeError, "y is a NoneType: must be a torch.Tensor"),
    ],
    check_unit_interval: [
        (("y", Y + 1.5), ValueError, "y span [1.5, 1.5]: must lie in [0, 1]"),
        (("y", torch.tensor([0, -1])), ValueError, "y span [-1, 0]: must lie in [0, 1]"),
        (("y", torch.tensor([0.5, math.nan])), ValueError, "y span [nan, nan]: must lie in [0, 1]"),
    ],
    check_presences: [
        (("y", torch.tensor([1, 0.5])), ValueError, "y hold 0.5: must be exactly 0 or 1"),
        (("y", torch.tensor([math.nan])), ValueError, "y hold nan: must be exactly 0 or 1"),
    ],
    check_indices: [
        (("s", SPECIES + 1, (2,), 3), ValueError, "s span [1, 3]: must lie in 0..2"),
        (("s", SPECIES - 1, (2,), 3), ValueError, "s span [-1, 1]: must lie in 0..2"),
        (("s", SPECIES, (3,), 3), ValueError, "s has shape (2,): must be (3,)"),
        (("s", SPECIES.float(), (2,), 3), TypeError, "s has dtype torch.float32: must be an integer tensor"),
        (("s", SPECIES.bool(), (2,), 3), TypeError, "s has dtype torch.bool: must be an integer tensor"),
    ],
    check_mask: [
        (("m", X, (2, 3)), TypeError, "m has dtype torch.float32: must be a bool tensor"),
        (("m", X[:1] > 0, (2, 3)), ValueError, "m has shape (1, 3): must be (2, 3)"),
    ],
    check_background: [
        ((X[:, :2], None, X), ValueError, "background_KS has shape (2, 2): must have the 3 species of the logits"),
        ((X[0], None, X), ValueError, "background_KS has shape (3,): must have 2 dimensions"),
        ((None, X > 0, X), ValueError, "background_mask_KS is given without background logits: both or none"),
        ((X, X, X), TypeError, "background_mask_KS has dtype torch.float32: must be a bool tensor"),
    ],
}


@pytest.mark.parametrize(
    ("checker", "arguments", "error", "sentence"),
    [(checker, *row) for checker, rows in REFUSED.items() for row in rows],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_checker_refuses_in_one_sentence(checker, arguments, error, sentence):
    with pytest.raises(error) as caught:
        checker(*arguments)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("open_ends", "taken", "rule"),
    [("", [0.0, 1.0], "[0, 1]"), ("low", [1.0], "(0, 1]"), ("high", [0.0], "[0, 1)"), ("both", [], "(0, 1)")],
)
def test_ends_of_a_range_are_taken_or_refused(open_ends, taken, rule):
    for value in (0.0, 1.0):
        if value in taken:
            assert check_number("g", value, 0.0, 1.0, open_ends=open_ends) == value
            continue
        with pytest.raises(ValueError, match="g = ") as caught:
            check_number("g", value, 0.0, 1.0, open_ends=open_ends)
        assert str(caught.value) == f"g = {value}: must be in {rule}"


def test_numpy_numbers_are_numbers():
    loss = AssumeNegativeLoss(np.float32(4.0), np.int64(3), np.float64(0.25))
    assert (loss.pos_lambda, loss.neg_samples, loss.label_smoothing) == (4.0, 3, 0.25)
    assert type(loss.neg_samples) is int
    assert focal_loss(X, Y, np.float32(0.5), np.int64(2)).item() == focal_loss(X, Y, 0.5, 2).item()


TASKS = {"species_logits": X, "env_pred": X}
TRUTHS = {"species": Y, "env_features": Y}
# How a sentence begins, which names the argument, and calls that lead to it.
CHECKED = {
    "gamma = -1.0: must be finite and >= 0": [lambda: focal_loss(X, Y, gamma=-1.0), lambda: BinaryFocalLoss(-1.0)],
    "focal_gamma = -1.0": [lambda: MultiTaskLoss(focal_gamma=-1.0)],
    "gamma_pos = -0.5": [lambda: asymmetric_loss(X, Y, gamma_pos=-0.5)],
    "gamma_neg = nan": [lambda: asymmetric_loss(X, Y, gamma_neg=math.nan)],
    "asl_gamma_neg = -1": [lambda: MultiTaskLoss(asl_gamma_neg=-1)],
    "clip = 1.0: must be in [0, 1)": [lambda: asymmetric_loss(X, Y, clip=1.0)],
    "asl_clip = 1.0": [lambda: MultiTaskLoss(asl_clip=1.0)],
    "alpha = 1.5: must be in [0, 1]": [lambda: focal_loss(X, Y, alpha=1.5)],
    "focal_alpha = 2.0": [lambda: MultiTaskLoss(focal_alpha=2.0)],
    "from_logits = 1: must be a bool": [lambda: BinaryFocalLoss(2.0, from_logits=1)],
    "neg_samples = -1": [lambda: AssumeNegativeLoss(neg_samples=-1), lambda: MultiTaskLoss(neg_samples=-1)],
    "pos_lambda = 0.0: must be finite and > 0": [
        lambda: AssumeNegativeLoss(0.0),
        lambda: an_full(X, SPECIES, X, pos_lambda=0.0),
        lambda: an_full_me(X, SPECIES, X, pos_lambda=0.0),
    ],
    "label_smoothing = 0.5: must be in [0, 0.5)": [lambda: AssumeNegativeLoss(label_smoothing=0.5)],
    "unknown spatial 'all'": [lambda: AssumeNegativeLoss(spatial="all")],
    "species_weight = -1.0": [lambda: MultiTaskLoss(species_weight=-1.0)],
    "env_weight = nan": [lambda: MultiTaskLoss(env_weight=math.nan)],
    "habitat_weight = -0.1": [lambda: MultiTaskLoss(habitat_weight=-0.1)],
    "pos_weight has length 4: must be the number of species, 3": [
        lambda: MultiTaskLoss(pos_weight=torch.ones(4))(TASKS, TRUTHS)
    ],
    "pos_weight holds a negative": [lambda: MultiTaskLoss(pos_weight=-torch.ones(3))],
    "pos_weight has shape (1, 3)": [lambda: MultiTaskLoss(pos_weight=torch.ones(1, 3))],
    "pos_weight is given": [lambda: MultiTaskLoss(pos_weight=torch.ones(3), species_loss="asl")],
    "unknown species_loss 'mse'; known: bce, focal, asl, an": [lambda: MultiTaskLoss(species_loss="mse")],
    "unknown reduction 'avg'; known: mean, sum, none": [
        lambda: focal_loss(X, Y, reduction="avg"),
        lambda: asymmetric_loss(X, Y, reduction="avg"),
        lambda: MultiTaskLoss(reduction="avg"),
    ],
    "reduction = 'sum': must be 'mean'": [lambda: MultiTaskLoss(species_loss="an", reduction="sum")],
    "targets has shape (1, 3): must equal the shape (2, 3) of logits": [
        lambda: focal_loss(X, Y[:1]),
        lambda: asymmetric_loss(X, Y[:1]),
        lambda: AssumeNegativeLoss()(X, Y[:1]),
    ],
    "targets has shape (3,): must equal the shape (2, 3) of pred": [lambda: BinaryFocalLoss()(X, Y[0])],
    "targets_BS has shape (1, 3)": [lambda: full_weighted(X, Y[:1], X), lambda: maxent(X, Y[:1], X)],
    "target has shape (1, 3)": [lambda: masked_mse(X, Y[:1])],
    "logits has shape (3,): must have 2 dimensions": [lambda: AssumeNegativeLoss()(X[0], Y[0])],
    "background_logits has shape (2, 1)": [lambda: AssumeNegativeLoss()(X, Y, background_logits=X[:, :1])],
    "species_B has shape (1,): must be (2,)": [
        lambda: an_full(X, SPECIES[:1], X),
        lambda: an_slds(X, SPECIES[:1]),
        lambda: an_ssdl(X, SPECIES[:1], X),
    ],
    "background_BS has shape (0, 3): must have at least one row": [lambda: an_full(X, SPECIES, X[:0])],
    "background_BS has shape (1, 3)": [lambda: an_ssdl(X, SPECIES, X[:1])],
    "background_KS has shape (0, 3): must have at least one row": [lambda: maxent(X, Y, X[:0])],
    "logits_BS has shape (2, 1): SLDS needs at least 2 species": [lambda: an_slds(X[:, :1], SPECIES * 0)],
    "targets span [1.5, 1.5]": [lambda: focal_loss(X, Y + 1.5), lambda: asymmetric_loss(X, Y + 1.5)],
    "pred span [2, 2]: must lie in [0, 1]": [lambda: BinaryFocalLoss()(X + 2, Y)],
    "targets hold 0.5: must be exactly 0 or 1": [lambda: AssumeNegativeLoss()(X, Y + 0.5)],
    "targets_BS hold 0.25: must be exactly 0 or 1": [
        lambda: full_weighted(X, Y + 0.25, X),
        lambda: maxent(X, Y + 0.25, X),
    ],
    "species_B span [1, 3]: must lie in 0..2": [lambda: an_full(X, SPECIES + 1, X), lambda: an_slds(X, SPECIES + 1)],
    "logits has dtype torch.int64": [lambda: focal_loss(X.long(), Y), lambda: AssumeNegativeLoss()(X.long(), Y)],
    "pred has dtype torch.int64": [lambda: masked_mse(X.long(), Y), lambda: BinaryFocalLoss()(X.long(), Y)],
    "predictions has no key 'species_logits'": [lambda: MultiTaskLoss()({"env_pred": X}, TRUTHS)],
    "predictions has no key 'env_pred'": [lambda: MultiTaskLoss()({"species_logits": X}, TRUTHS)],
    "targets has no key 'species'": [lambda: MultiTaskLoss()(TASKS, {"env_features": Y})],
    "targets has no key 'env_features'": [lambda: MultiTaskLoss()(TASKS, {"species": Y})],
    "predictions has no key 'habitat_logits': must be given, for its weight is 1": [
        lambda: MultiTaskLoss(habitat_weight=1.0)(TASKS, TRUTHS)
    ],
    "species_targets has shape (0, 3): must be (batch, n_species) with batch >= 1": [
        lambda: compute_pos_weights(Y[:0])
    ],
    "species_targets span [2, 2]": [lambda: compute_pos_weights(Y + 2)],
    "species_targets is a list": [lambda: compute_pos_weights([[1]])],
    "smoothing = -1.0": [lambda: compute_pos_weights(Y, smoothing=-1.0)],
    "lambda1 = 0.0: must be finite and > 0": [lambda: full_weighted(X, Y, X, lambda1=0.0)],
    "lambda2 = 1.5: must be in [0, 1]": [lambda: full_weighted(X, Y, X, lambda2=1.5)],
    "background_KS has no rows: lambda2 = 0.5 < 1 needs at least one": [
        lambda: full_weighted(X, Y),
        lambda: full_weighted(X, Y, X[:0]),
    ],
    "n_sites = None: records_S and n_sites must be given together": [
        lambda: full_weighted(X, Y, X, records_S=torch.ones(3))
    ],
    "records_S has shape (2,)": [lambda: full_weighted(X, Y, X, records_S=torch.ones(2), n_sites=4)],
    "records_S is 0 for a species present in targets_BS": [
        lambda: full_weighted(X, Y + 1, X, records_S=torch.tensor([0, 1, 4]), n_sites=4)
    ],
    "records_S reach 5: must not exceed n_sites = 4": [
        lambda: full_weighted(X, Y, X, records_S=torch.tensor([2, 1, 5]), n_sites=4)
    ],
    "species_weights_S hold a negative": [lambda: maxent(X, Y, X, species_weights_S=torch.tensor([1.0, -1, 0]))],
    "species_weights_S has shape (2,)": [lambda: maxent(X, Y, X, species_weights_S=torch.ones(2))],
    "background_mask_KS has shape (1, 3)": [
        lambda: maxent(X, Y, X, background_mask_KS=X[:1] > 0),
        lambda: full_weighted(X, Y, X, background_mask_KS=X[:1] > 0),
    ],
}


@pytest.mark.parametrize(
    ("sentence", "call"), [(sentence, call) for sentence, calls in CHECKED.items() for call in calls]
)
def test_a_public_loss_names_the_argument_that_is_wrong(sentence, call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"row_P": torch.tensor([0, 2])}, "row_P span [0, 2]: must lie in 0..1"),
        ({"species_P": torch.tensor([0, 3])}, "species_P span [0, 3]"),
        ({"species_P": torch.tensor([0])}, "species_P has shape (1,): must be (2,)"),
        ({"logits_BS": X[0]}, "logits_BS has shape (3,)"),
        ({"background_KS": X[:, :2]}, "background_KS has shape (2, 2)"),
        ({"background_mask_KS": X[:1] > 0}, "background_mask_KS has shape (1, 3)"),
        ({"background_KS": None}, "background_KS is missing: must be given, for needs_background is True"),
    ],
)
def test_a_batch_whose_parts_disagree_is_refused(change, sentence):
    loss = parse_variant({"loss": "an_full"}, "variants.x").build(TrainingCounts(2, torch.ones(3)))
    parts = {"row_P": ROWS, "species_P": SPECIES, "logits_BS": X, "background_KS": X} | change
    with pytest.raises((TypeError, ValueError)) as caught:
        loss(LossBatch(generator=torch.Generator(), **parts))
    assert str(caught.value).startswith(sentence)


def test_an_empty_batch_gives_a_0_that_back_propagates():
    logits, none = torch.zeros(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.long)
    pointwise = (focal_loss, asymmetric_loss, BinaryFocalLoss(0.5, True), AssumeNegativeLoss(), masked_mse)
    values = [loss(logits, torch.zeros(0, 3)) for loss in pointwise]
    values += [an_full(logits, none, X), an_slds(logits, none), an_ssdl(logits, none, X[:0])]
    for value in values:
        assert value == 0
        assert torch.autograd.grad(value, logits)[0].shape == (0, 3)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nan_logits_propagate(reduction):
    logits = torch.tensor([[math.nan, 0.0, 1.0]])
    for loss in (focal_loss, asymmetric_loss):
        value = loss(logits, torch.zeros(1, 3), reduction=reduction)
        assert value.isnan().sum() == 1
    assert AssumeNegativeLoss(neg_samples=0)(logits, torch.zeros(1, 3)).isnan()
