"""focal_loss, asymmetric_loss, BinaryFocalLoss, compute_pos_weights and their batch forms."""

import math

import pytest
import support.losses_reference as reference
import torch
from presence_only.losses.batch import LossBatch, TrainingCounts

from presence_only.losses import BinaryFocalLoss, asymmetric_loss, compute_pos_weights, focal_loss
from presence_only.losses.registry import build_loss, parse_variant


@pytest.fixture
def batch():
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 7, generator=source, dtype=torch.float64) * 3
    return logits, (torch.rand(4, 7, generator=source) < 0.3).int()


def elements(logits, targets):
    return [(float(x), int(y)) for x, y in zip(logits.flatten(), targets.flatten(), strict=True)]


def test_focal_loss_is_the_formula_summed_element_by_element(batch):
    terms = [float(reference.focal(x, y, 0.25, 2.0)) for x, y in elements(*batch)]
    assert float(focal_loss(*batch)) == pytest.approx(sum(terms) / 28, rel=1e-13)
    assert float(focal_loss(*batch, reduction="sum")) == pytest.approx(sum(terms), rel=1e-13)
    assert focal_loss(*batch, reduction="none").flatten().tolist() == pytest.approx(terms, rel=1e-13)


def test_asymmetric_loss_is_the_formula_summed_element_by_element(batch):
    terms = [float(reference.asl(x, y, 1.0, 3.0, 0.1)) for x, y in elements(*batch)]
    assert float(asymmetric_loss(*batch, 1.0, 3.0, 0.1)) == pytest.approx(sum(terms) / 28, rel=1e-13)
    assert asymmetric_loss(*batch, 1.0, 3.0, 0.1, "none").flatten().tolist() == pytest.approx(terms, rel=1e-13)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_gamma_0_is_cross_entropy_for_any_type_of_target(batch, dtype):
    logits, targets = batch
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.double())
    for loss in (
        focal_loss(logits, targets.to(dtype), alpha=None, gamma=0.0),
        2 * focal_loss(logits, targets.to(dtype), alpha=0.5, gamma=0.0),
        asymmetric_loss(logits, targets.to(dtype), 0.0, 0.0, 0.0),
        BinaryFocalLoss(0.0, from_logits=True)(logits, targets.to(dtype)),
    ):
        assert loss.item() == pytest.approx(float(expected), rel=1e-13)


def test_a_confident_correct_positive_stays_finite_without_margin():
    logits = torch.tensor([[40.0, 1e4]], requires_grad=True)
    loss = asymmetric_loss(logits, torch.ones(1, 2), clip=0.0)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_the_hardest_negative_keeps_its_gradient():
    logits = torch.tensor([[100.0]], requires_grad=True)
    asymmetric_loss(logits, torch.zeros(1, 1), clip=0.0).backward()
    assert float(logits.grad) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_binary_focal_on_probabilities_and_on_logits_agree(batch, gamma):
    logits, targets = batch
    probabilities = torch.sigmoid(logits)
    on_logits = BinaryFocalLoss(gamma, from_logits=True)(logits, targets)
    terms = [float(reference.focal(x, y, None, gamma)) for x, y in elements(logits, targets)]
    assert float(on_logits) == pytest.approx(sum(terms) / 28, rel=1e-13)
    assert float(BinaryFocalLoss(gamma)(probabilities, targets)) == pytest.approx(float(on_logits), rel=1e-10)


def test_binary_focal_pushes_false_positives_down():
    logits = torch.tensor([[-3.0, 0.0, 3.0, 30.0]], dtype=torch.float64, requires_grad=True)
    BinaryFocalLoss(2.0, from_logits=True)(logits, torch.zeros(1, 4)).backward()
    assert (logits.grad > 0).all()
    assert (logits.grad[0, :3].diff() > 0).all()
    assert float(logits.grad[0, 3]) == pytest.approx(1 / 4, rel=1e-6)  # p^2 softplus(x) is a straight line there


def test_binary_focal_at_the_ends_of_the_unit_interval():
    pred = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64, requires_grad=True)
    loss = BinaryFocalLoss(0.5)(pred, torch.tensor([0.0, 1.0, 1.0]))
    loss.backward()
    assert loss.item() == pytest.approx(0.5**0.5 * math.log(2) / 3, rel=1e-14)
    assert pred.grad.isfinite().all()
    assert float(BinaryFocalLoss()(torch.tensor([0.0]), torch.tensor([1.0]))) == math.inf
    assert BinaryFocalLoss()(torch.tensor([math.nan, 0.5]), torch.tensor([1.0, 1.0])).isnan()


def test_binary_focal_config_round_trips():
    config = BinaryFocalLoss(gamma=1.5, from_logits=True).get_config()
    assert config == {"gamma": 1.5, "from_logits": True}
    assert BinaryFocalLoss.from_config(config).get_config() == config


def test_pos_weights_count_in_float64():
    targets = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 0]])
    assert compute_pos_weights(targets).tolist() == [1 / 4, 3 / 2, 4.0]
    assert compute_pos_weights(targets, smoothing=0.0).tolist() == [0.0, 2.0, math.inf]
    # float32 counts stop at 2^24
    many = torch.ones(1, 1).expand(2**24 + 2, 1)
    assert compute_pos_weights(many).item() == 1 / (2**24 + 3)


COUNTS = TrainingCounts(10, torch.tensor([1.0, 4, 9], dtype=torch.float64))


def run(variant, **tensors):
    loss = build_loss(parse_variant(variant, "variants.x"), COUNTS)
    return float(loss(LossBatch(generator=torch.Generator(), **tensors)))


def test_the_batch_form_of_bce_weighs_positives_and_joins_the_background():
    x = torch.tensor([[0.3, -1.0, 2.0], [1.0, 0.5, -0.5]], dtype=torch.float64)
    background = torch.tensor([[0.1, 0.2, 0.3], [-1.0, 3.0, 0.0]], dtype=torch.float64)
    mask = torch.tensor([[True, False, True], [True, True, True]])
    pairs = {"row_P": torch.tensor([0, 1, 1]), "species_P": torch.tensor([2, 0, 1])}
    present = {(0, 2), (1, 0), (1, 1)}
    near = sum(
        reference.loop_bce(float(x[i, s]), int((i, s) in present))
        * ([10 / 2, 7 / 5, 2 / 10][s] if (i, s) in present else 1)
        for i in range(2)
        for s in range(3)
    )
    far = sum(reference.loop_bce(float(background[k, s]), 0) for k in range(2) for s in range(3) if mask[k, s])
    assert run({"loss": "bce", "pos_weight": True}, logits_BS=x, **pairs) == pytest.approx(near / 6, rel=1e-13)
    joined = run(
        {"loss": "bce", "pos_weight": True, "background_weight": 0.5},
        logits_BS=x,
        background_KS=background,
        background_mask_KS=mask,
        **pairs,
    )
    assert joined == pytest.approx((near + 0.5 * far) / (6 + 0.5 * 5), rel=1e-13)


@pytest.mark.parametrize("name", ["bce", "focal", "asl"])
def test_background_of_weight_1_is_further_rows_without_species(name):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pairs = {"row_P": torch.tensor([0, 1]), "species_P": torch.tensor([2, 0])}
    split = run({"loss": name, "background_weight": 1.0}, logits_BS=x[:2], background_KS=x[2:], **pairs)
    assert split == pytest.approx(run({"loss": name}, logits_BS=x, **pairs), rel=1e-13)


@pytest.mark.parametrize(("name", "function"), [("focal", focal_loss), ("asl", asymmetric_loss)])
def test_the_batch_form_is_the_public_function(batch, name, function):
    logits, targets = batch
    row_P, species_P = targets.nonzero(as_tuple=True)
    loss = build_loss(parse_variant({"loss": name}, "v"), TrainingCounts(4, torch.ones(7)))
    got = loss(LossBatch(logits, row_P, species_P, torch.Generator()))
    assert float(got) == pytest.approx(float(function(logits, targets)), rel=1e-13)
