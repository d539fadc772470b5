"""Batch forms of cross-entropy, focal and asymmetric loss."""

import math

import pytest
import support.losses_reference as reference
import torch

from presence_only.losses import asymmetric_loss, focal_loss
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.penalties import Asymmetric

COUNTS = TrainingCounts(10, torch.tensor([1.0, 4, 9], dtype=torch.float64))


def run(variant, **tensors):
    loss = parse_variant(variant, "variants.x").build(COUNTS)
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
def test_the_batch_form_is_the_public_function(name, function):
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 7, generator=source, dtype=torch.float64) * 3
    targets = (torch.rand(4, 7, generator=source) < 0.3).int()
    row_P, species_P = targets.nonzero(as_tuple=True)
    loss = parse_variant({"loss": name}, "v").build(TrainingCounts(4, torch.ones(7)))
    got = loss(LossBatch(logits, row_P, species_P, torch.Generator()))
    assert float(got) == pytest.approx(float(function(logits, targets)), rel=1e-13)


def test_smoothed_labels_and_adjusted_logits_are_those_of_the_formulas():
    source = torch.Generator().manual_seed(3)
    x = torch.randn(8, 4, generator=source, dtype=torch.float64)
    y = (torch.rand(8, 4, generator=source) < 0.4).double()
    records_S = torch.tensor([1.0, 20.0, 0.0, 39.0], dtype=torch.float64)
    settings = parse_variant({"loss": "bce", "logit_adjustment": 0.7, "label_smoothing": 0.1}, "v")
    loss = settings.build(TrainingCounts(40, records_S))
    row_P, species_P = y.nonzero(as_tuple=True)
    got = loss(LossBatch(x, row_P, species_P, torch.Generator()))
    # A species without records counts as half a record.
    share_S = [1 / 40, 20 / 40, 0.5 / 40, 39 / 40]
    shift = torch.tensor([0.7 * math.log(share / (1 - share)) for share in share_S], dtype=torch.float64)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(x + shift, 0.9 * y + 0.1 * (1 - y))
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=0)


def test_the_options_that_are_off_change_nothing():
    counts = TrainingCounts(10, torch.tensor([1.0, 4.0], dtype=torch.float64))
    loss = parse_variant({"loss": "asl", "label_smoothing": 0.0, "logit_adjustment": 0.0}, "v").build(counts)
    assert loss.shift_S is None
    assert loss.penalty == Asymmetric()
