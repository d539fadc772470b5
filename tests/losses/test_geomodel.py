"""Public losses of one prediction and one target tensor, element by element."""

import inspect
import math

import pytest
import support.losses_reference as reference
import torch

from presence_only.losses import (
    AssumeNegativeLoss,
    BinaryFocalLoss,
    MultiTaskLoss,
    asymmetric_loss,
    compute_pos_weights,
    focal_loss,
    masked_mse,
)

SOURCE = torch.Generator().manual_seed(0)
LOGITS = torch.randn(3, 5, generator=SOURCE, dtype=torch.float64)
HABITAT = torch.randn(3, 5, generator=SOURCE, dtype=torch.float64)
SPECIES = (torch.rand(3, 5, generator=SOURCE) < 0.4).int()
ENV_PRED = torch.randn(3, 2, generator=SOURCE, dtype=torch.float64)
ENV = torch.tensor([[1.0, math.nan], [2.0, 3.0], [math.nan, math.nan]])
PREDICTIONS = {"species_logits": LOGITS, "env_pred": ENV_PRED, "habitat_logits": HABITAT}
TARGETS = {"species": SPECIES, "env_features": ENV}
BY_NAME = {
    "bce": lambda x, y: torch.nn.functional.binary_cross_entropy_with_logits(x, y.double()),
    "focal": lambda x, y: focal_loss(x, y, alpha=0.5),
    "asl": lambda x, y: asymmetric_loss(x, y),
    "an": lambda x, y: AssumeNegativeLoss()(x, y),
}


def test_masked_mse_is_the_mean_over_known_elements():
    known = [(0, 0), (1, 0), (1, 1)]
    expected = sum((float(ENV_PRED[i, j]) - float(ENV[i, j])) ** 2 for i, j in known) / 3
    assert float(masked_mse(ENV_PRED, ENV)) == pytest.approx(expected, rel=1e-14)


def test_masked_mse_clamps_runaway_predictions():
    pred = torch.tensor([1e30, -math.inf, 1.0], requires_grad=True)
    loss = masked_mse(pred, torch.tensor([0.0, 0.0, 0.0]))
    loss.backward()
    assert loss.item() == pytest.approx((2e8 + 1) / 3)
    assert pred.grad.tolist() == [0.0, 0.0, pytest.approx(2 / 3)]


def test_masked_mse_of_nothing_known_is_a_0_that_back_propagates():
    pred = torch.tensor([[math.nan, 1.0]], requires_grad=True)
    loss = masked_mse(pred, torch.full((1, 2), math.nan))
    loss.backward()
    assert loss == 0
    assert pred.grad.tolist() == [[0.0, 0.0]]


def test_masked_mse_ignores_unknown_predictions_but_not_known_nan():
    pred = torch.tensor([math.nan, 2.0], requires_grad=True)
    loss = masked_mse(pred, torch.tensor([math.nan, 0.0]))
    loss.backward()
    assert loss.item() == 4.0
    assert pred.grad.tolist() == [0.0, 4.0]
    assert masked_mse(torch.tensor([math.nan]), torch.tensor([0.0])).isnan()
    assert masked_mse(torch.ones(2, dtype=torch.float16), torch.tensor([1, 3])).item() == 2.0


@pytest.mark.parametrize("name", BY_NAME)
def test_total_is_the_weighted_sum_of_unweighted_parts(name):
    loss = MultiTaskLoss(2.0, 0.25, 0.5, species_loss=name)
    parts = loss(PREDICTIONS, TARGETS)
    assert set(parts) == {"species", "env", "habitat", "total"}
    assert float(parts["species"]) == pytest.approx(float(BY_NAME[name](LOGITS, SPECIES)), rel=1e-13)
    assert float(parts["habitat"]) == pytest.approx(float(BY_NAME[name](HABITAT, SPECIES)), rel=1e-13)
    assert float(parts["env"]) == float(masked_mse(ENV_PRED, ENV))
    expected = 2 * float(parts["species"]) + 0.25 * float(parts["env"]) + 0.5 * float(parts["habitat"])
    assert float(parts["total"]) == pytest.approx(expected, rel=1e-14)


def test_environment_is_left_out_on_request_and_habitat_without_weight():
    assert set(MultiTaskLoss()(PREDICTIONS, TARGETS)) == {"species", "env", "total"}
    assert set(MultiTaskLoss()(PREDICTIONS, TARGETS, compute_env_loss=False)) == {"species", "total"}
    assert set(MultiTaskLoss()({"species_logits": LOGITS}, {"species": SPECIES}, False)) == {"species", "total"}


def test_a_part_without_weight_cannot_reach_the_total():
    broken = PREDICTIONS | {"env_pred": torch.full_like(ENV_PRED, math.nan)}
    parts = MultiTaskLoss(env_weight=0.0)(broken, TARGETS)
    assert parts["env"].isnan()
    assert parts["total"] == parts["species"]


def test_a_total_without_any_part_that_counts_is_0():
    logits = LOGITS.clone().requires_grad_()
    parts = MultiTaskLoss(0.0, 0.0)({"species_logits": logits}, {"species": SPECIES})
    (slope,) = torch.autograd.grad(parts["total"], logits)
    assert parts["total"] == 0
    assert slope.eq(0).all()


def test_pos_weight_weighs_positives_of_each_species():
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        LOGITS, SPECIES.double(), pos_weight=weight.double()
    )
    loss = MultiTaskLoss(pos_weight=weight)
    assert float(loss(PREDICTIONS, TARGETS)["species"]) == pytest.approx(float(expected), rel=1e-13)
    assert "pos_weight" in loss.state_dict()


def test_reductions():
    per_element = MultiTaskLoss(reduction="none")(PREDICTIONS, TARGETS, False)
    assert per_element["species"].shape == per_element["total"].shape == (3, 5)
    total = MultiTaskLoss(reduction="sum")(PREDICTIONS, TARGETS, False)["total"]
    assert float(per_element["species"].sum()) == pytest.approx(float(total), rel=1e-14)


def test_the_generator_reaches_the_sampler():
    loss = MultiTaskLoss(species_loss="an", neg_samples=1)
    values = {
        seed: [float(loss(PREDICTIONS, TARGETS, generator=torch.Generator().manual_seed(seed))["total"]) for _ in "ab"]
        for seed in (0, 1)
    }
    assert values[0][0] == values[0][1] != values[1][0]


def test_both_default_alphas_are_meant():
    focal = MultiTaskLoss(species_loss="focal")(PREDICTIONS, TARGETS, False)["species"]
    assert float(focal) == pytest.approx(float(focal_loss(LOGITS, SPECIES, alpha=0.5)), rel=1e-14)
    assert float(focal) != pytest.approx(float(focal_loss(LOGITS, SPECIES)), rel=1e-3)


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


# Names, order and defaults are promised; what follows a star may be added to.
PROMISED = {
    focal_loss: "logits, targets, alpha=0.25, gamma=2.0, reduction='mean'",
    asymmetric_loss: "logits, targets, gamma_pos=0.0, gamma_neg=2.0, clip=0.05, reduction='mean'",
    AssumeNegativeLoss: "pos_lambda=4.0, neg_samples=1024, label_smoothing=0.0",
    AssumeNegativeLoss.forward: "self, logits, targets",
    masked_mse: "pred, target",
    compute_pos_weights: "species_targets, smoothing=1.0",
    MultiTaskLoss: "species_weight=1.0, env_weight=0.5, habitat_weight=0.0, pos_weight=None, species_loss='bce', "
    "focal_alpha=0.5, focal_gamma=2.0, pos_lambda=4.0, neg_samples=1024, label_smoothing=0.0, asl_gamma_pos=0.0, "
    "asl_gamma_neg=2.0, asl_clip=0.05, reduction='mean'",
    MultiTaskLoss.forward: "self, predictions, targets, compute_env_loss=True",
    BinaryFocalLoss: "gamma=2.0, from_logits=False",
    BinaryFocalLoss.forward: "self, pred, targets",
}


@pytest.mark.parametrize("public", PROMISED, ids=lambda value: value.__qualname__)
def test_names_order_and_defaults_of_arguments_are_those_promised(public):
    positional = [p for p in inspect.signature(public).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    shown = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in positional]
    assert ", ".join(shown) == PROMISED[public]
