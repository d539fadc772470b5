"""Dense losses by a double loop over their weights, and by every evaluator when a weight or a penalty is edited."""

import math
from dataclasses import replace

import pytest
import torch
from support.losses import COUNTS, N_ROWS, N_SPECIES, VARIANTS, Embeddings, build, describe, make_batch
from support.losses_reference import (
    asl,
    capped_exponential,
    focal,
    hill,
    loop_bce,
    loop_entropy,
    polynomial,
    robust_asymmetric,
)

from presence_only.losses.base import LossBatch, parse_variant
from presence_only.losses.pair_weights import DenseSettings, PairWeights
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

DENSE = [variant for variant in VARIANTS if isinstance(build(variant), PairWeights)]
every_dense_loss = pytest.mark.parametrize("variant", DENSE, ids=describe)


def loop_penalty(penalty, x, present):
    """One pair in Python floats."""
    match penalty:
        case Smoothed(inner, e):
            return (1 - e) * loop_penalty(inner, x, present) + e * loop_penalty(inner, x, not present)
        case Focal(alpha, gamma):
            return float(focal(x, int(present), alpha, gamma))
        case Asymmetric(gamma_pos, gamma_neg, clip):
            return float(asl(x, int(present), gamma_pos, gamma_neg, clip))
        case FocalMargin(margin, gamma):
            return float(focal(x - margin if present else x, int(present), None, gamma))
        case Corrected(inner, tau):
            return loop_penalty(inner, x, present or 1 / (1 + math.exp(-x)) > tau)
        case Hill(height, margin, gamma):
            return float(hill(x, int(present), height, margin, gamma))
        case AsymmetricPolynomial():
            return float(polynomial(x, int(present), *vars(penalty).values()))
        case RobustAsymmetric():
            return float(robust_asymmetric(x, int(present), *vars(penalty).values()))
        case Intensity(cap):
            return -x if present else float(capped_exponential(x, cap))
        case MaximumEntropy():
            return loop_bce(x, 1) if present else -loop_entropy(x)
    assert penalty == CrossEntropy()
    return loop_bce(x, present)


def loop_loss(weights, batch):
    """The definition, pair by pair."""

    def weight(value, s):
        return float(value[s]) if isinstance(value, torch.Tensor) else value

    shift = [0.0] * batch.logits_BS.shape[1] if weights.shift_S is None else weights.shift_S.tolist()
    recorded = set(zip(batch.row_P.tolist(), batch.species_P.tolist(), strict=True))
    near, far, n_far = 0.0, [], []
    for i, row in enumerate(batch.logits_BS.tolist()):
        for s, x in enumerate(row):
            present = (i, s) in recorded
            near += weight(weights.positive if present else weights.unobserved, s) * loop_penalty(
                weights.penalty, x + shift[s], present
            )
    n_near = batch.logits_BS.numel()
    if batch.background_KS is None:
        return near / n_near
    for s, column in enumerate(batch.background_KS.T.tolist()):
        sites = [x for k, x in enumerate(column) if batch.background_mask_KS is None or batch.background_mask_KS[k, s]]
        penalty = weights.background_penalty or weights.penalty
        far.append(sum(loop_penalty(penalty, x + shift[s], False) for x in sites))
        n_far.append(len(sites))
    if weights.background_as_rows:
        return (near + weights.background * sum(far)) / (n_near + weights.background * sum(n_far))
    means = [weight(weights.background, s) * far[s] / n_far[s] for s in range(len(far)) if n_far[s]]
    return near / n_near + sum(means) / len(far)


@every_dense_loss
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_double_loop_over_its_weights(variant, masked):
    loss = build(variant)
    batch = make_batch(loss, masked=masked)
    if masked and batch.background_mask_KS is not None:
        batch.background_mask_KS[:, 2] = False  # a species that no site counts for
    assert loss(batch).item() == pytest.approx(loop_loss(loss, batch), rel=1e-12)


def edited(weights):
    """Other weights of every kind."""
    return replace(
        weights,
        positive=2.0 * weights.positive,
        unobserved=3.0 * weights.unobserved,
        background=0.5 * weights.background,
    )


@every_dense_loss
def test_every_way_of_computing_a_loss_follows_an_edit_of_its_weights(variant, monkeypatch):
    kind = type(parse_variant(variant, "v"))
    before = build(variant)
    own = kind.pair_weights
    monkeypatch.setattr(kind, "pair_weights", lambda self, counts: edited(own(self, counts)))
    case, old = Embeddings(build(variant), masked=True), Embeddings(before, masked=True)
    expected = loop_loss(edited(before), as_batch(case))
    for name, value in case.values().items():
        assert value.item() == pytest.approx(expected, rel=1e-12), name
        assert value.item() != pytest.approx(old.values()[name].item(), rel=1e-3), name


def as_batch(case):
    """The logits of a case."""
    far_KS = None if case.background_KD is None else case.background_KD @ case.species_SD.T
    logits_BS = case.location_BD @ case.species_SD.T
    return LossBatch(logits_BS, case.row_P, case.species_P, torch.Generator(), far_KS, case.mask_KS)


class Quartic(CrossEntropy):
    """A penalty of which only the two readable formulas exist."""

    def positive(self, logits):
        return (logits - 1) ** 4

    def negative(self, logits):
        return (logits + 1) ** 4


@pytest.mark.parametrize("weights", [PairWeights(Quartic(), 2.0, 0.5, 1.5), PairWeights(Quartic(), 2.0, 0.0)])
def test_every_way_of_computing_a_loss_follows_its_penalty(weights):
    case = Embeddings(weights)
    batch = as_batch(case)
    x_BS, present_BS = batch.logits_BS, torch.zeros(N_ROWS, N_SPECIES, dtype=torch.bool)
    present_BS[batch.row_P, batch.species_P] = True
    terms_BS = torch.where(present_BS, 2.0 * (x_BS - 1) ** 4, weights.unobserved * (x_BS + 1) ** 4)
    expected = terms_BS.mean()
    if batch.background_KS is not None:
        expected = expected + 1.5 * ((batch.background_KS + 1) ** 4).mean()
    first = case.gradients(expected)
    for value in case.values().values():
        torch.testing.assert_close(case.gradients(value), first, rtol=1e-12, atol=1e-12)


def test_a_loss_states_its_weights_in_one_place():
    """No dense loss has a formula of its own beside its pair weights."""
    for variant in DENSE:
        settings = parse_variant(variant, "v")
        assert isinstance(settings, DenseSettings)
        assert type(build(variant)) is PairWeights
        assert settings.pair_weights(COUNTS).penalty in (
            settings.build_penalty(),
            Smoothed(settings.build_penalty(), variant.get("label_smoothing", 0.0)),
        )


def test_the_background_mean_with_a_mask_is_a_mean_of_means():
    x_KS = torch.tensor([[0.0, 1.0, 5.0], [2.0, -1.0, 5.0]], dtype=torch.float64)
    mask_KS = torch.tensor([[True, True, False], [True, False, False]])
    softplus = [[math.log1p(math.exp(x)) for x in row] for row in x_KS.tolist()]
    expected = ((softplus[0][0] + softplus[1][0]) / 2 + softplus[0][1]) / 3
    none = torch.zeros(0, dtype=torch.long)

    def background_mean(mask_KS):
        # Far below 0 the rows cost nothing.
        rows = torch.full((2, 3), -1000.0, dtype=torch.float64)
        batch = LossBatch(rows, none, none, torch.Generator(), x_KS, mask_KS)
        return float(PairWeights(CrossEntropy(), background=1.0)(batch))

    assert background_mean(mask_KS) == pytest.approx(expected, rel=1e-14)
    assert background_mean(torch.ones_like(mask_KS)) == pytest.approx(sum(map(sum, softplus)) / 6, rel=1e-14)
    assert background_mean(None) == pytest.approx(sum(map(sum, softplus)) / 6, rel=1e-14)


def test_background_is_needed_where_it_is_weighed():
    for variant, needed in (
        ({"loss": "bce"}, False),
        ({"loss": "bce", "background_weight": 0.1}, True),
        ({"loss": "assume_negative"}, False),
        ({"loss": "assume_negative", "background_weight": 1.0}, True),
        ({"loss": "full_weighted", "lambda2": 1.0}, False),
        ({"loss": "poisson"}, True),
        ({"loss": "an_ssdl"}, True),
        ({"loss": "an_slds"}, False),
    ):
        assert build(variant).needs_background is needed
