"""Losses at infinite logits and saturated probabilities, of other dtypes, without rows, and under torch.func."""

import math

import pytest
import torch

from presence_only.losses import (
    AssumeNegativeLoss,
    BinaryFocalLoss,
    MultiTaskLoss,
    an_full,
    an_full_me,
    an_slds,
    an_slds_me,
    an_ssdl,
    an_ssdl_me,
    asymmetric_loss,
    compute_pos_weights,
    em,
    epr,
    focal_loss,
    full_weighted,
    gr,
    large_loss,
    masked_mse,
    maxent,
    nnpu,
    pairwise_ranking,
    poisson,
    sigmoid_f1,
    species_softmax,
    splc,
    two_way,
)
from presence_only.losses.gr import GeneralizedRobust
from presence_only.losses.penalties import (
    Asymmetric,
    CrossEntropy,
    Focal,
    FocalMargin,
    Hill,
    MaximumEntropy,
    Smoothed,
)
from presence_only.losses.poisson import Intensity
from presence_only.losses.polynomial_penalties import AsymmetricPolynomial, RobustAsymmetric
from presence_only.losses.splc import Corrected

INF = math.inf
GAMMAS = (0.0, 0.3, 1.0, 2.0, 2.7, 20.0)
PENALTIES = [
    CrossEntropy(),
    MaximumEntropy(),
    Hill(),
    Hill(2.0, 0.0, 0.5),
    FocalMargin(),
    Smoothed(CrossEntropy(), 0.1),
    Smoothed(Asymmetric(), 0.0),
    Smoothed(MaximumEntropy(), 0.05),
    Corrected(FocalMargin(), 0.6),
    GeneralizedRobust(),
    GeneralizedRobust(2.0, -2.0, 0.8, 0.5, 0.0, 0.0, stop_gradients=False),
    GeneralizedRobust(q2=0.0, q3=0.5, stop_gradients=False),
    Intensity(),
    RobustAsymmetric(),
    RobustAsymmetric(ral_clip=0.0, ral_gamma_pos=1.0),
    RobustAsymmetric(ral_clip=0.0, ral_gamma_neg=0.5, ral_lambda=2.0),
    AsymmetricPolynomial(),
    AsymmetricPolynomial(poly_clip=0.0, poly_gamma_pos=0.5, poly_eps_neg=1.0, poly_gamma_neg=0.5),
    *(Focal(alpha, gamma) for gamma in GAMMAS for alpha in (None, 0.25, 0.0, 1.0)),
    *(Asymmetric(gamma, gamma, clip) for gamma in GAMMAS for clip in (0.0, 0.05)),
]


def slopes(curve, x):
    """Values and slopes of a curve."""
    x = x.clone().requires_grad_()
    values = curve(x)
    return values.detach(), torch.autograd.grad(values.sum(), x)[0]


class TestInfiniteLogits:
    """A value is its limit, finite or not; a slope is its limit, which is finite."""

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("penalty", PENALTIES, ids=str)
    def test_value_and_slope_of_every_penalty_are_limits(self, penalty, dtype):
        ends = torch.tensor([-INF, INF], dtype=dtype)
        far = torch.tensor([-2e4, 2e4, -4e4, 4e4], dtype=torch.float64)
        for curve in (penalty.positive, penalty.negative):
            values, slope = slopes(curve, ends)
            far_values, far_slope = slopes(curve, far)
            # A value that still moves goes on for ever.
            limit = torch.where(
                (far_values[2:] - far_values[:2]).abs() < 1e-9,
                far_values[2:],
                torch.copysign(torch.tensor(INF, dtype=torch.float64), far_values[2:]),
            )
            torch.testing.assert_close(values.double(), limit, rtol=1e-6, atol=1e-7)
            torch.testing.assert_close(
                slope.double(), far_slope[2:], rtol=5e-3 if slope.itemsize == 2 else 1e-6, atol=1e-7
            )

    @pytest.mark.parametrize("target", [0.0, 0.25, 1.0])
    @pytest.mark.parametrize("penalty", [p for p in PENALTIES if not isinstance(p, Intensity)], ids=str)
    def test_hard_labels_beside_soft_ones(self, penalty, target):
        x = torch.tensor([-INF, INF, 0.5], dtype=torch.float64)
        y = torch.tensor([target, target, 0.5], dtype=torch.float64)
        far = torch.tensor([-4000.0, 4000.0, 0.5], dtype=torch.float64)
        values, slope = slopes(lambda x: penalty(x, y), x)
        _, expected = slopes(lambda x: penalty(x, y), far)
        assert not values.isnan().any()
        torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("penalty", PENALTIES, ids=str)
    def test_nan_is_still_told(self, penalty):
        x = torch.tensor([math.nan])
        assert penalty.positive(x).isnan().all()
        assert penalty.negative(x).isnan().all()


TARGETS = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])
SPECIES = torch.tensor([0, 1, 2])
FAR = ((torch.arange(20) * 7 % 9 - 4) / 2).view(5, 4).double()


def draws():
    return torch.Generator().manual_seed(3)


def over_tasks(species_loss, **settings):
    loss = MultiTaskLoss(species_loss=species_loss, habitat_weight=0.5, neg_samples=0, **settings)

    def total(x, y):
        predictions = {"species_logits": x, "habitat_logits": x, "env_pred": x}
        return loss(predictions, {"species": y, "env_features": torch.zeros_like(x)})["total"]

    return total


# Of every public loss of logits and targets one call, by a name. A background has the dtype of the logits.
OF_TARGETS = {
    "focal_loss": focal_loss,
    "focal_loss 0.5": lambda x, y: focal_loss(x, y, None, 0.5, "sum"),
    "asymmetric_loss": asymmetric_loss,
    "asymmetric_loss no clip": lambda x, y: asymmetric_loss(x, y, 1.0, 0.5, 0.0),
    "BinaryFocalLoss": BinaryFocalLoss(from_logits=True),
    "AssumeNegativeLoss": AssumeNegativeLoss(neg_samples=0, label_smoothing=0.1),
    "AssumeNegativeLoss far": lambda x, y: AssumeNegativeLoss(neg_samples=0)(x, y, background_logits=FAR.to(x)),
    "MultiTaskLoss bce": over_tasks("bce", pos_weight=torch.tensor([1.0, 2.0, 3.0, 4.0])),
    "MultiTaskLoss focal": over_tasks("focal"),
    "MultiTaskLoss asl": over_tasks("asl"),
    "MultiTaskLoss an": over_tasks("an"),
    "em": em,
    "em labels": lambda x, y: em(x, y, pseudo_labels_BS=torch.tensor([[0.0, 1.0, 0.3, math.nan]] * 3)[: len(x)]),
    "epr": lambda x, y: epr(x, y, expected_species=2.0),
    "full_weighted": lambda x, y: full_weighted(x, y, FAR.to(x)),
    "full_weighted far": lambda x, y: full_weighted(x, y, FAR.to(x), lambda2=0.0),
    "gr": gr,
    "large_loss": lambda x, y: large_loss(x, y, share=0.2, scheme="temporary"),
    "poisson": lambda x, y: poisson(x, y, FAR.to(x)),
    "sigmoid_f1": sigmoid_f1,
    "splc": splc,
    "two_way": two_way,
}
# Of these the records are listed, which torch.func.vmap cannot do.
OF_LISTS = {
    "maxent": lambda x, y: maxent(x, y, FAR.to(x)),
    "maxent bare": lambda x, y: maxent(x, y, FAR.to(x), include_presences=False),
    "nnpu": lambda x, y: nnpu(x, y, 0.4, FAR.to(x)),
    "upu": lambda x, y: nnpu(x, y, 0.4, estimator="upu"),
    "pairwise_ranking": lambda x, y: pairwise_ranking(x, y, n_pairs=2, generator=draws()),
    "pairwise_ranking far": lambda x, y: pairwise_ranking(x, y, FAR.to(x), sites="background", generator=draws()),
    "species_softmax": species_softmax,
    "species_softmax z": lambda x, y: species_softmax(x, y, normalisation=0.1),
    "AssumeNegativeLoss batch": lambda x, y: AssumeNegativeLoss(neg_samples=0, spatial="batch")(
        x, y, generator=draws()
    ),
    "an_full": lambda x, y: an_full(x, SPECIES[: len(x)], FAR.to(x)),
    "an_full_me": lambda x, y: an_full_me(x, SPECIES[: len(x)], FAR.to(x)),
    "an_slds": lambda x, y: an_slds(x, SPECIES[: len(x)], generator=draws()),
    "an_slds_me": lambda x, y: an_slds_me(x, SPECIES[: len(x)], generator=draws()),
    "an_ssdl": lambda x, y: an_ssdl(x, SPECIES[: len(x)], x.flip(0)),
    "an_ssdl_me": lambda x, y: an_ssdl_me(x, SPECIES[: len(x)], x.flip(0)),
}
LOSSES = OF_TARGETS | OF_LISTS


def logits(seed=0, shape=(3, 4)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("end", [-INF, INF])
def test_one_infinite_logit_has_the_slopes_of_a_very_large_one(name, place, end):
    x, far = logits(), logits()
    x[place], far[place] = end, math.copysign(1e30, end)
    value, slope = slopes(lambda x: LOSSES[name](x, TARGETS), x)
    _, expected = slopes(lambda x: LOSSES[name](x, TARGETS), far)
    assert not value.isnan()
    assert slope.isfinite().all()
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_all_logits_infinite_and_still_no_nan_in_a_slope(name, dtype):
    for sign in (TARGETS * 2 - 1, 1 - TARGETS * 2, torch.ones_like(TARGETS), -torch.ones_like(TARGETS)):
        value, slope = slopes(lambda x: LOSSES[name](x, TARGETS), sign.to(dtype) * INF)
        assert not value.isnan()
        # The slope of z^2 is 2 z, which half precision cannot hold.
        assert not slope.isnan().any() if name == "species_softmax z" else slope.isfinite().all()
        assert slope.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_saturated_probabilities_cost_infinitely_much_and_pull_back(gamma, dtype):
    loss = BinaryFocalLoss(gamma)
    p = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=dtype, requires_grad=True)
    value = loss(p, torch.tensor([1, 0, 0, 1]))
    (slope,) = torch.autograd.grad(value, p)
    assert value == INF
    assert slope.isfinite().all()
    assert slope[0] < 0 < slope[1]
    # On the right side it costs nothing; with gamma 0 it has the slopes of cross-entropy, -1 / p and 1 / (1 - p).
    expected = [-0.25 / torch.finfo(dtype).tiny, 0.5 / torch.finfo(dtype).eps, 0.25, -0.25]
    if gamma == 0:
        torch.testing.assert_close(slope.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-2, atol=0)
    assert loss(p[2:], torch.tensor([0, 1])) == 0


def test_a_sigmoid_that_saturated_gives_no_nan_to_what_lies_before_it():
    x = torch.tensor([-200.0, 200.0, 0.3], requires_grad=True)
    (slope,) = torch.autograd.grad(BinaryFocalLoss()(x.sigmoid(), torch.tensor([1.0, 0.0, 1.0])), x)
    assert slope.isfinite().all()
    assert slope[2] < 0


def test_probabilities_too_small_for_a_normal_number_keep_their_digits():
    p = torch.tensor([1e-40, 1e-30, 0.25])
    cost = -torch.log(p.double())
    got = torch.stack([BinaryFocalLoss(0.0)(one, torch.ones(1)) for one in p[:, None]])
    torch.testing.assert_close(got.double(), cost, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64])
def test_targets_of_any_dtype_mean_the_same(name, dtype):
    expected = slopes(lambda x: LOSSES[name](x, TARGETS), logits())
    targets = TARGETS.to(dtype)
    before = targets.clone()
    for got, value in zip(slopes(lambda x: LOSSES[name](x, targets), logits()), expected, strict=True):
        torch.testing.assert_close(got, value, rtol=1e-13, atol=0)
    assert torch.equal(targets, before)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32_and_get_their_slopes_back(name, dtype):
    x = logits().to(dtype)
    (value, slope), (expected, wide) = (slopes(lambda x: LOSSES[name](x, TARGETS), y) for y in (x, x.float()))
    assert value.dtype == torch.float32
    assert slope.dtype == dtype
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(slope.float(), wide, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_without_rows_every_loss_is_a_0_that_back_propagates(name):
    value, slope = slopes(lambda x: LOSSES[name](x, TARGETS[:0]), torch.zeros(0, 4))
    assert value == 0
    assert slope.shape == (0, 4)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["strided", "read as a view"])
def test_memory_order_does_not_matter_and_inputs_are_left(name, kind):
    x = logits()
    other = x.T.contiguous().T if kind == "strided" else torch.stack([x, x], dim=2)[..., 0]
    before = other.clone()
    for got, value in zip(
        slopes(lambda x: LOSSES[name](x, TARGETS), other), slopes(lambda x: LOSSES[name](x, TARGETS), x), strict=True
    ):
        torch.testing.assert_close(got, value, rtol=1e-13, atol=1e-15)
    assert torch.equal(other, before)


# These draw from a generator of their own, of which vmap knows nothing.
DRAWN = {name for name in LOSSES if name.startswith(("an_slds", "pairwise")) or name == "AssumeNegativeLoss batch"}
NO_TARGETS = {"an_full", "an_full_me", "an_slds", "an_slds_me", "an_ssdl", "an_ssdl_me"}


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in NO_TARGETS])
@pytest.mark.parametrize(
    "wrong",
    [TARGETS[:1], TARGETS[0], TARGETS[..., None], TARGETS.T, TARGETS[:, :1], 1.0, TARGETS.tolist(), TARGETS.cfloat()],
    ids=lambda wrong: str(getattr(wrong, "shape", type(wrong).__name__)) + str(getattr(wrong, "dtype", "")),
)
def test_nothing_broadcasts_and_the_sentence_names_the_targets(name, wrong):
    with pytest.raises((TypeError, ValueError), match="targets") as caught:
        LOSSES[name](logits(), wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in NO_TARGETS])
def test_tensors_on_two_devices_are_told(name):
    with pytest.raises(ValueError, match=r"targets\S* lies on meta: must lie on cpu, as "):
        LOSSES[name](logits(), TARGETS.to("meta"))


class TestTransforms:
    """torch.func: the same numbers as one call after the other, and as autograd."""

    @pytest.mark.parametrize("name", LOSSES)
    def test_grad_is_that_of_autograd(self, name):
        _, expected = slopes(lambda x: LOSSES[name](x, TARGETS), logits())
        got = torch.func.grad(lambda x: LOSSES[name](x, TARGETS))(logits())
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-15)

    @pytest.mark.parametrize("name", sorted(set(LOSSES) - DRAWN))
    def test_vmap_over_logits_is_a_loop(self, name):
        many = logits(1, (3, 3, 4))
        expected = torch.stack([LOSSES[name](x, TARGETS) for x in many])
        got = torch.func.vmap(lambda x: LOSSES[name](x, TARGETS))(many)
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)
        slope = torch.stack([slopes(lambda x: LOSSES[name](x, TARGETS), x)[1] for x in many])
        got = torch.func.vmap(torch.func.grad(lambda x: LOSSES[name](x, TARGETS)))(many)
        torch.testing.assert_close(got, slope, rtol=1e-11, atol=1e-14)

    @pytest.mark.parametrize("name", OF_TARGETS)
    def test_vmap_over_logits_and_targets_is_a_loop(self, name):
        many, targets = logits(1, (3, 3, 4)), torch.stack([TARGETS, TARGETS.flip(0), torch.zeros_like(TARGETS)])
        pairs = list(zip(many, targets, strict=True))
        expected = torch.stack([LOSSES[name](x, y) for x, y in pairs])
        got = torch.func.vmap(LOSSES[name])(many, targets)
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)
        slope = torch.stack([slopes(lambda x, y=y: LOSSES[name](x, y), x)[1] for x, y in pairs])
        got = torch.func.vmap(torch.func.grad(LOSSES[name]))(many, targets)
        torch.testing.assert_close(got, slope, rtol=1e-11, atol=1e-14)

    @pytest.mark.parametrize("name", [name for name in OF_LISTS if name not in NO_TARGETS])
    def test_what_vmap_cannot_do_is_told(self, name):
        sentence = r"targets\w* are mapped over by torch.func.vmap: must be the same for all in this loss"
        with pytest.raises(ValueError, match=sentence):
            torch.func.vmap(LOSSES[name])(logits(1, (2, 3, 4)), torch.stack([TARGETS, TARGETS]))

    def test_vmap_over_other_public_functions(self):
        x, y = logits(1, (2, 3, 4)), torch.stack([TARGETS, 1 - TARGETS])
        probabilities, loss = x.sigmoid(), BinaryFocalLoss()
        torch.testing.assert_close(torch.func.vmap(loss)(probabilities, y), torch.stack([*map(loss, probabilities, y)]))
        known = torch.where(y == 1, x.flip(0), math.nan)
        torch.testing.assert_close(torch.func.vmap(masked_mse)(x, known), torch.stack([*map(masked_mse, x, known)]))
        weights = torch.stack([*map(compute_pos_weights, y)])
        torch.testing.assert_close(torch.func.vmap(compute_pos_weights)(y), weights)

    def test_vmap_over_the_species_of_a_row(self):
        many, species = logits(1, (3, 3, 4)), torch.tensor([[0, 1, 2], [3, 3, 3], [2, 0, 1]])
        for loss in (an_full, an_full_me):
            expected = torch.stack([loss(x, s, FAR) for x, s in zip(many, species, strict=True)])
            torch.testing.assert_close(torch.func.vmap(lambda x, s, f=loss: f(x, s, FAR))(many, species), expected)

    def test_vmap_can_draw_the_absences_of_every_call(self):
        many, targets, loss = logits(1, (200, 3, 4)), TARGETS.expand(200, 3, 4), AssumeNegativeLoss(neg_samples=1)
        same = logits().expand(200, 3, 4)
        drawn = torch.func.vmap(loss, randomness="different")(same, targets)
        exact = AssumeNegativeLoss(neg_samples=0)(logits(), TARGETS)
        assert drawn.std() > 0
        assert (drawn.mean() - exact).abs() < 5 * drawn.std() / 200**0.5
        assert torch.func.vmap(loss, randomness="same")(many, targets).isfinite().all()

    @pytest.mark.filterwarnings("ignore:There is a performance drop")
    @pytest.mark.parametrize("name", ["focal_loss", "asymmetric_loss", "two_way", "species_softmax", "maxent", "em"])
    def test_jacobians_by_rows(self, name):
        x = logits()
        got = torch.func.jacrev(torch.func.grad(lambda x: LOSSES[name](x, TARGETS)))(x)
        expected = torch.autograd.functional.hessian(lambda x: LOSSES[name](x, TARGETS), x)
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-13)
