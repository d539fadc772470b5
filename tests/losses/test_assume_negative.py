"""AssumeNegativeLoss: the formula by loops, and a sampler that is unbiased with the stated variance."""

import itertools
import math

import pytest
import torch
from support.losses_reference import loop_bce

from presence_only.losses import AssumeNegativeLoss, an_full
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.penalties import Asymmetric, CrossEntropy


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch():
    source = generator(1)
    logits = torch.randn(5, 12, generator=source, dtype=torch.float64) * 2
    targets = (torch.rand(5, 12, generator=source) < 0.2).int()
    targets[3] = 0
    targets[4] = 1
    return logits, targets


def loop_loss(logits, targets, pos_lambda, smoothing=0.0):
    n_rows, n_species = logits.shape
    total = 0.0
    for i in range(n_rows):
        for s in range(n_species):
            x, y = float(logits[i, s]), int(targets[i, s])
            soft = (1 - smoothing) * loop_bce(x, y) + smoothing * loop_bce(x, 1 - y)
            total += soft * (pos_lambda if y else 1.0)
    return total / n_species / n_rows


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("neg_samples", [0, 12, 1024])
def test_without_sampling_it_is_the_double_loop(batch, neg_samples, smoothing):
    loss = AssumeNegativeLoss(3.0, neg_samples, smoothing)(*batch)
    assert loss.item() == pytest.approx(loop_loss(*batch, 3.0, smoothing), rel=1e-13)


def test_lambda_1_without_sampling_is_the_mean_cross_entropy(batch):
    logits, targets = batch
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.double())
    assert float(AssumeNegativeLoss(1.0, 0)(logits, targets)) == pytest.approx(float(expected), rel=1e-13)


def test_lambda_of_the_other_species_is_weak_assume_negatives(batch):
    """WAN of Cole et al. (2021): absences weigh 1 / (S - 1). Its value is 1 / (S - 1) of this one."""
    logits, targets = batch
    terms = [
        loop_bce(float(logits[i, s]), 1) if targets[i, s] else loop_bce(float(logits[i, s]), 0) / 11
        for i, s in itertools.product(range(5), range(12))
    ]
    expected = math.fsum(terms) / 60
    assert float(AssumeNegativeLoss(11.0, 0)(logits, targets)) / 11 == pytest.approx(expected, rel=1e-13)


def test_constant_negatives_give_the_exact_value_at_every_draw():
    targets = torch.zeros(6, 50, dtype=torch.long)
    targets[torch.arange(6).repeat_interleave(3), torch.randperm(50, generator=generator())[:18]] = 1
    logits = torch.linspace(-2, 2, 6, dtype=torch.float64)[:, None].repeat(1, 50)
    logits[targets == 1] = 50.0
    exact = float(AssumeNegativeLoss(4.0, 0)(logits, targets))
    for seed, m in itertools.product(range(20), (1, 7, 16, 40)):
        drawn = AssumeNegativeLoss(4.0, m)(logits, targets, generator=generator(seed))
        assert float(drawn) == pytest.approx(exact, rel=1e-12)


class RowWeighted(CrossEntropy):
    """Cross-entropy with a weight per row, whose gradient is the row's share of a loss."""

    def __init__(self, n_rows):
        object.__setattr__(self, "weight_B", torch.ones(n_rows, dtype=torch.float64, requires_grad=True))

    def positive(self, logits):
        return super().positive(logits) * self.weight_B  # one positive per row

    def negative(self, logits):
        return super().negative(logits) * self.weight_B[:, None]


@pytest.mark.parametrize(("n_species", "m"), [(50, 16), (200, 16), (6, 4)])
def test_the_sampled_loss_has_the_mean_and_the_variance_of_its_formula(n_species, m):
    source = generator(2)
    logits = torch.randn(1, n_species, generator=source, dtype=torch.float64) * 3
    targets = torch.zeros(1, n_species)
    targets[0, 0] = 1
    n, draws = n_species - 1, 4000
    terms = torch.tensor([loop_bce(x, 0) for x in logits[0, 1:].tolist()], dtype=torch.float64)
    variance = n**2 * float(terms.var(correction=0)) / m * (n - m) / (n - 1) / n_species**2
    penalty = RowWeighted(draws)
    loss = AssumeNegativeLoss(4.0, m, penalty=penalty)(
        logits.expand(draws, -1), targets.expand(draws, -1), generator=source
    )
    (share_B,) = torch.autograd.grad(loss, penalty.weight_B)
    loss_B = share_B * draws
    assert abs(float(loss_B.mean()) - loop_loss(logits, targets, 4.0)) < 5 * math.sqrt(variance / draws)
    assert float(loss_B.var()) == pytest.approx(variance, rel=0.15)


def test_1000_calls_average_to_the_exact_loss():
    source = generator(8)
    logits = torch.randn(1, 20, generator=source, dtype=torch.float64) * 3
    targets = torch.zeros(1, 20)
    loss = AssumeNegativeLoss(4.0, 2)  # by rejection, not by keys
    draws = torch.stack([loss(logits, targets, generator=source) for _ in range(1000)])
    assert abs(float(draws.mean()) - loop_loss(logits, targets, 4.0)) < 5 * float(draws.std()) / math.sqrt(1000)


def test_repeated_rows_draw_independently():
    source = generator(3)
    row = torch.randn(1, 30, generator=source, dtype=torch.float64) * 3
    n, m, copies = 30, 5, 64
    terms = torch.tensor([loop_bce(x, 0) for x in row[0].tolist()], dtype=torch.float64)
    one = n**2 * float(terms.var(correction=0)) / m * (n - m) / (n - 1) / 30**2
    loss = AssumeNegativeLoss(4.0, m)
    logits, targets = row.repeat(copies, 1), torch.zeros(copies, 30)
    draws = torch.stack([loss(logits, targets, generator=source) for _ in range(300)])
    assert float(draws.var()) == pytest.approx(one / copies, rel=0.5)  # one shared draw would give 64 times that


def test_all_draws_of_four_species_average_to_the_exact_loss():
    logits = torch.tensor([[9.0, -1.0, 0.5, 2.0]], dtype=torch.float64)
    targets = torch.tensor([[1, 0, 0, 0]])
    terms = [loop_bce(x, 0) for x in (-1.0, 0.5, 2.0)]
    for m in (1, 2):
        possible = {
            round((4.0 * loop_bce(9.0, 1) + 3 / m * sum(subset)) / 4, 9) for subset in itertools.combinations(terms, m)
        }
        loss = AssumeNegativeLoss(4.0, m)
        seen = {round(float(loss(logits, targets, generator=generator(seed))), 9) for seed in range(100)}
        assert seen == possible
        assert sum(possible) / len(possible) == pytest.approx(loop_loss(logits, targets, 4.0), rel=1e-8)


def test_the_gradient_of_the_sampled_loss_is_unbiased():
    source = generator(4)
    logits = torch.randn(1, 10, generator=source, dtype=torch.float64, requires_grad=True)
    targets = torch.zeros(1, 10)
    targets[0, 2] = 1
    (exact,) = torch.autograd.grad(AssumeNegativeLoss(4.0, 0)(logits, targets), logits)
    repeated = logits.expand(5_000, 10)
    loss = AssumeNegativeLoss(4.0, 3)(repeated, targets.expand(5_000, 10), generator=source)
    (sampled,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(sampled, exact, rtol=0.1, atol=0)
    assert float(sampled[0, 2]) == pytest.approx(float(exact[0, 2]), rel=1e-12)  # positives are not sampled


def test_spatial_batch_adds_one_other_row_per_observed_pair():
    logits = torch.tensor([[5.0, 1.0, -2.0], [3.0, 0.5, 4.0], [2.0, -1.0, 0.0]], dtype=torch.float64)
    targets = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    plain = loop_loss(logits, targets, 2.0)
    # species 0 is missing from row 2 alone; species 1 from rows 0 and 2
    possible = {round(plain + (2 * loop_bce(2.0, 0) + loop_bce(x, 0)) / 9, 9) for x in (1.0, -1.0)}
    loss = AssumeNegativeLoss(2.0, 0, spatial="batch")
    seen = {round(float(loss(logits, targets, generator=generator(seed))), 9) for seed in range(50)}
    assert seen == possible
    everywhere = torch.ones_like(targets)
    assert float(loss(logits, everywhere)) == pytest.approx(loop_loss(logits, everywhere, 2.0), rel=1e-13)


def test_spatial_none_draws_nothing_and_is_the_plain_class(batch):
    source = generator(5)
    before = source.get_state()
    loss = AssumeNegativeLoss(4.0, 0, spatial="none")(*batch, generator=source)
    assert torch.equal(source.get_state(), before)
    assert loss.item() == pytest.approx(loop_loss(*batch, 4.0), rel=1e-13)


def test_the_background_makes_it_l_an_full(batch):
    logits, _ = batch
    species = torch.tensor([3, 0, 3, 7, 11])
    targets = torch.nn.functional.one_hot(species, 12)
    background = torch.randn(9, 12, generator=generator(6), dtype=torch.float64)
    expected = loop_loss(logits, targets, 2048.0)
    expected += sum(loop_bce(x, 0) for x in background.flatten().tolist()) / background.numel()
    loss = AssumeNegativeLoss(2048.0, 0)(logits, targets, background_logits=background)
    assert loss.item() == pytest.approx(expected, rel=1e-13)
    assert float(an_full(logits, species, background)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("variant", [False, True])
def test_smoothing_leaves_the_spatial_and_the_background_terms_alone(batch, variant):
    logits, _ = batch
    targets = torch.zeros(5, 12)
    targets[:4, 2] = 1  # row 4 alone is without the species: the draw is certain
    background = torch.randn(9, 12, generator=generator(6), dtype=torch.float64)
    expected = loop_loss(logits, targets, 3.0, 0.2) + 4 * loop_bce(float(logits[4, 2]), 0) / 60
    expected += sum(loop_bce(x, 0) for x in background.flatten().tolist()) / background.numel()
    if variant:
        raw = {
            "pos_lambda": 3.0,
            "neg_samples": 0,
            "label_smoothing": 0.2,
            "spatial": "batch",
            "background_weight": 1.0,
        }
        settings = parse_variant({"loss": "assume_negative"} | raw, "variants.x")
        pairs = targets.nonzero(as_tuple=True)
        built = settings.build(TrainingCounts(5, targets.sum(dim=0)))
        loss = built(LossBatch(logits, *pairs, generator(), background))
    else:
        loss = AssumeNegativeLoss(3.0, 0, 0.2, spatial="batch")(logits, targets, background_logits=background)
    assert loss.item() == pytest.approx(expected, rel=1e-13)


def test_another_penalty_takes_the_place_of_cross_entropy(batch):
    logits, targets = batch
    penalty = Asymmetric(0.0, 4.0, 0.05)
    weights = torch.where(targets == 1, 3.0, 1.0)
    expected = (weights * penalty(logits, targets.double())).mean()
    assert float(AssumeNegativeLoss(3.0, 0, penalty=penalty)(logits, targets)) == pytest.approx(
        float(expected), rel=1e-13
    )


def test_it_shows_its_settings():
    assert "pos_lambda=4, neg_samples=8, label_smoothing=0, spatial='batch'" in repr(
        AssumeNegativeLoss(neg_samples=8, spatial="batch")
    )


@pytest.mark.parametrize("neg_samples", [0, 3])
def test_second_derivatives(batch, neg_samples):
    logits, targets = batch
    loss = AssumeNegativeLoss(4.0, neg_samples, 0.1, spatial="batch")

    def seeded(x):
        return loss(x, targets, generator=generator(7), background_logits=x[:2])

    x = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(seeded, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(seeded, (x,), fast_mode=True)
