"""SINR's six losses against plain loops over all draws."""

import pytest
import torch
from support.losses_reference import loop_bce, loop_entropy

from presence_only.losses import an_full, an_full_me, an_slds, an_slds_me, an_ssdl, an_ssdl_me
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(3, 4, generator=SOURCE, dtype=torch.float64) * 2
FAR_BS = torch.randn(3, 4, generator=SOURCE, dtype=torch.float64) * 2
SPECIES_B = torch.tensor([1, 3, 1])


def absent(x, entropic):
    return -loop_entropy(x) if entropic else loop_bce(x, 0)


@pytest.mark.parametrize(("loss", "entropic"), [(an_full, False), (an_full_me, True)])
def test_full_is_the_triple_sum(loss, entropic):
    total = 0.0
    for i in range(3):
        for j in range(4):
            x = float(X_BS[i, j])
            total += 16.0 * loop_bce(x, 1) if j == SPECIES_B[i] else absent(x, entropic)
            total += absent(float(FAR_BS[i, j]), entropic)
    assert float(loss(X_BS, SPECIES_B, FAR_BS, pos_lambda=16.0)) == pytest.approx(total / 12, rel=1e-13)


def test_the_default_lambda_is_2048():
    assert float(an_full(X_BS, SPECIES_B, FAR_BS)) == float(an_full(X_BS, SPECIES_B, FAR_BS, pos_lambda=2048.0))


@pytest.mark.parametrize(("loss", "entropic"), [(an_slds, False), (an_slds_me, True)])
def test_slds_draws_every_other_species_equally_often(loss, entropic):
    near = sum(loop_bce(float(X_BS[i, c]), 1) for i, c in enumerate(SPECIES_B.tolist())) / 3
    others = [[absent(float(X_BS[i, j]), entropic) for j in range(4) if j != SPECIES_B[i]] for i in range(3)]
    mean = near + sum(sum(row) / 3 for row in others) / 3
    possible = {round(near + (a + b + c) / 3, 9) for a in others[0] for b in others[1] for c in others[2]}
    source = torch.Generator().manual_seed(1)
    draws = [float(loss(X_BS, SPECIES_B, generator=source)) for _ in range(300)]
    assert {round(draw, 9) for draw in draws} <= possible
    standard_error = torch.tensor(draws).std() / len(draws) ** 0.5
    assert abs(sum(draws) / len(draws) - mean) < 5 * float(standard_error)


@pytest.mark.parametrize(("loss", "entropic"), [(an_ssdl, False), (an_ssdl_me, True)])
def test_ssdl_pairs_every_row_with_its_random_site(loss, entropic):
    terms = [
        loop_bce(float(X_BS[i, c]), 1) + absent(float(FAR_BS[i, c]), entropic) for i, c in enumerate(SPECIES_B.tolist())
    ]
    assert float(loss(X_BS, SPECIES_B, FAR_BS)) == pytest.approx(sum(terms) / 3, rel=1e-13)


@pytest.mark.parametrize("public", [an_full_me, an_slds_me, an_ssdl_me, an_full, an_slds, an_ssdl])
def test_derivatives(public):
    def loss(x):
        if public in (an_slds, an_slds_me):
            return public(x, SPECIES_B, generator=torch.Generator().manual_seed(2))
        return public(x, SPECIES_B, FAR_BS)

    x = X_BS.clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (x,))
    assert torch.autograd.gradgradcheck(loss, (x,), fast_mode=True)


def batch_loss(variant, batch):
    loss = parse_variant(variant, "variants.x").build(TrainingCounts(3, torch.ones(4)))
    return float(loss(batch))


@pytest.mark.parametrize(("name", "public"), [("an_full", an_full), ("an_full_me", an_full_me)])
def test_with_one_record_a_row_the_batch_form_is_the_public_one(name, public):
    batch = LossBatch(X_BS, torch.arange(3), SPECIES_B, torch.Generator(), FAR_BS)
    got = batch_loss({"loss": name, "pos_lambda": 16.0}, batch)
    assert got == pytest.approx(float(public(X_BS, SPECIES_B, FAR_BS, pos_lambda=16.0)), rel=1e-13)


def test_the_batch_form_of_slds_is_the_public_one_at_the_same_seed():
    batch = LossBatch(X_BS, torch.arange(3), SPECIES_B, torch.Generator().manual_seed(3))
    public = an_slds(X_BS, SPECIES_B, generator=torch.Generator().manual_seed(3))
    assert batch_loss({"loss": "an_slds"}, batch) == float(public)


def test_in_a_checklist_every_pair_is_a_record_and_none_a_negative():
    x = torch.tensor([[50.0, 50.0, -1.0, -1.0], [0.5, 50.0, 0.5, 0.5]], dtype=torch.float64)
    pairs = (torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    for seed in range(20):
        batch = LossBatch(x, *pairs, torch.Generator().manual_seed(seed))
        expected = (2 * loop_bce(-1.0, 0) + loop_bce(0.5, 0)) / 3
        assert batch_loss({"loss": "an_slds"}, batch) == pytest.approx(expected, rel=1e-12)


def test_batch_ssdl_draws_only_sites_that_count():
    far = torch.tensor([[1.0, 2.0, 3.0, 4.0], [100.0, 2.0, 100.0, 100.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True, False], [False, True, False, False]])
    expected = sum(loop_bce(float(X_BS[i, c]), 1) for i, c in ((0, 0), (1, 1), (2, 3)))
    expected += loop_bce(1.0, 0) + loop_bce(2.0, 0)  # species 3 has no site
    for seed in range(10):
        batch = LossBatch(
            X_BS, torch.arange(3), torch.tensor([0, 1, 3]), torch.Generator().manual_seed(seed), far, mask
        )
        assert batch_loss({"loss": "an_ssdl"}, batch) == pytest.approx(expected / 3, rel=1e-13)
