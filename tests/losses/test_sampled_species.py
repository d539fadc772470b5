"""Dense losses from sampled species: unbiased in value and gradient, exact with all species."""

import pytest
import torch
from support.losses import describe

from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.losses.chunks import loss_in_chunks
from presence_only.losses.sampled_species import SpeciesSample, loss_from_sample

B, K, S, D = 5, 4, 30, 3
COUNTS = TrainingCounts(50, torch.arange(S, dtype=torch.float64) + 1)
VARIANTS = (
    {"loss": "bce", "pos_weight": True},
    {"loss": "an_full"},
    {"loss": "asl", "background_weight": 0.5},
    {"loss": "full_weighted", "penalty": "focal"},
    {"loss": "assume_negative", "neg_samples": 0, "label_smoothing": 0.1},
)
pytestmark = pytest.mark.usefixtures("way")
every_loss = pytest.mark.parametrize("variant", VARIANTS, ids=describe)


class Case:
    def __init__(self, variant, masked=False):
        source = torch.Generator().manual_seed(0)
        self.loss = parse_variant(variant, "v").build(COUNTS)
        needs = self.loss.needs_background
        self.location_BD, self.species_SD, far_KD = (
            torch.randn(n, D, generator=source, dtype=torch.float64).requires_grad_() for n in (B, S, K)
        )
        self.background_KD = far_KD if needs else None
        self.mask_KS = torch.rand(K, S, generator=source) < 0.6 if needs and masked else None
        self.row_P = torch.tensor([0, 1, 1, 2, 4])
        self.species_P = torch.tensor([29, 3, 4, 0, 3])

    @property
    def leaves(self):
        return [x for x in (self.location_BD, self.species_SD, self.background_KD) if x is not None]

    def _far(self):
        return {"background_KD": self.background_KD, "background_mask_KS": self.mask_KS}

    def exact(self, **more):
        pairs = self.row_P, self.species_P
        return loss_in_chunks(self.loss, self.location_BD, self.species_SD, *pairs, **self._far(), **more)

    def estimate(self, n_sampled, generator, **more):
        sample = SpeciesSample.draw(self.species_P, S, n_sampled, generator)
        rows_JD = self.species_SD[sample.species_J]
        return loss_from_sample(
            self.loss, sample, S, self.location_BD, rows_JD, self.row_P, self.species_P, **self._far(), **more
        )


def flat(value, leaves):
    """Value and all gradients as one vector."""
    gradients = torch.autograd.grad(value, leaves)
    return torch.cat([value.detach().view(1), *(gradient.reshape(-1) for gradient in gradients)])


@every_loss
@pytest.mark.parametrize("masked", [False, True])
def test_loss_and_gradients_are_unbiased(variant, masked):
    case = Case(variant, masked)
    exact = flat(case.exact(), case.leaves)
    source = torch.Generator().manual_seed(1)
    draws = torch.stack([flat(case.estimate(6, source), case.leaves) for _ in range(200)])
    error = draws.std(dim=0) / len(draws) ** 0.5
    away = (draws.mean(dim=0) - exact).abs()
    assert (away <= 5 * error + 1e-12).all()
    # The test has power: being off by one part in three would be seen.
    noisy = error > 1e-12
    assert noisy[0]
    assert (exact.abs() / 3 > 5 * error)[noisy].any()


@every_loss
@pytest.mark.parametrize("n_sampled", [26, 1000])
def test_with_all_species_taken_it_is_the_exact_loss(variant, n_sampled):
    case = Case(variant, masked=True)
    estimate = case.estimate(n_sampled, torch.Generator().manual_seed(0))
    torch.testing.assert_close(flat(estimate, case.leaves), flat(case.exact(), case.leaves), rtol=1e-12, atol=1e-14)


@every_loss
def test_a_start_reaches_the_species_that_were_taken(variant):
    case = Case(variant, masked=True)
    start_S = torch.linspace(-8.0, 2.0, S, dtype=torch.float64)
    estimate = case.estimate(1000, torch.Generator().manual_seed(0), start_S=start_S)
    exact = case.exact(start_S=start_S)
    torch.testing.assert_close(flat(estimate, case.leaves), flat(exact, case.leaves), rtol=1e-12, atol=1e-14)
    source = torch.Generator().manual_seed(1)
    draws = torch.stack([case.estimate(6, source, start_S=start_S).detach() for _ in range(200)])
    assert (draws.mean() - exact).abs() < 5 * draws.std() / len(draws) ** 0.5


def test_a_sample_holds_the_observed_species_and_others_uniformly(way):
    source = torch.Generator().manual_seed(0)
    observed = torch.tensor([7, 2, 7, 5])
    counts = torch.zeros(10)
    n_draws, n_others = 800, 3
    # On a GPU the species that is observed twice makes room for one more.
    n_asked = n_others - (way == "gpu")
    for _ in range(n_draws):
        sample = SpeciesSample.draw(observed, 10, n_asked, source)
        assert len(sample.species_J) == 6
        assert (sample.species_J.diff() > 0).all()
        is_observed = torch.isin(sample.species_J, observed)
        assert sample.species_J[is_observed].tolist() == [2, 5, 7]
        assert sample.factor_J[is_observed].eq(1).all()
        assert sample.factor_J[~is_observed].eq(7 / 3).all()
        counts[sample.species_J] += 1
    others = torch.tensor([0, 1, 3, 4, 6, 8, 9])
    share = counts[others] / n_draws
    error = (3 / 7 * 4 / 7 / n_draws) ** 0.5
    assert ((share - 3 / 7).abs() < 5 * error).all()


def test_a_sample_follows_its_generator():
    observed = torch.tensor([1])
    one, two, other = (
        SpeciesSample.draw(observed, 10**6, 50, torch.Generator().manual_seed(seed)).species_J for seed in (0, 0, 1)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
