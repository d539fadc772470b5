"""Scores that theory expects of a loss, against its minimum on a grid."""

import pytest
import torch

from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.expected_scores import expected_score, level_weights
from presence_only.losses.penalties import CrossEntropy


@pytest.mark.parametrize(("share", "weight", "background"), [(0.01, 16, 0.0), (0.3, 1, 0.0), (0.002, 2048, 1.0)])
def test_the_expected_score_is_where_the_loss_is_least(share, weight, background):
    x = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
    penalty = CrossEntropy()
    loss = weight * share * penalty.positive(x) + (1 - share + background) * penalty.negative(x)
    least = torch.sigmoid(x[loss.argmin()]).item()
    assert expected_score(share, weight, background) == pytest.approx(least, rel=1e-3)


@pytest.mark.parametrize(
    ("variant", "weights"),
    [
        ({"loss": "bce"}, (1.0, 0.0)),
        ({"loss": "bce", "background_weight": 1.0}, (1.0, 0.5)),
        ({"loss": "an_full"}, (2048.0, 1.0)),
        ({"loss": "assume_negative", "pos_lambda": 16.0, "background_weight": 0.5}, (16.0, 0.5)),
        ({"loss": "assume_negative", "neg_samples": 0}, (4.0, 0.0)),
        # Other penalties, weights that differ between species, other sums, and losses that are no sum over pairs.
        ({"loss": "focal"}, None),
        ({"loss": "an_full", "penalty": "asl"}, None),
        ({"loss": "an_full_me"}, None),
        ({"loss": "assume_negative", "label_smoothing": 0.1}, None),
        ({"loss": "assume_negative", "spatial": "batch"}, None),
        ({"loss": "bce", "pos_weight": True}, None),
        ({"loss": "full_weighted"}, None),
        ({"loss": "an_slds"}, None),
        ({"loss": "maxent"}, None),
    ],
)
def test_theory_holds_for_cross_entropy_with_weights_that_are_alike_for_all_species(variant, weights):
    assert level_weights(parse_variant(variant, "v"), 0.5) == weights


@pytest.mark.parametrize("variant", [{"loss": "bce", "background_weight": 1.0}, {"loss": "an_full", "pos_lambda": 3.0}])
def test_at_the_expected_score_a_species_that_is_alike_everywhere_has_no_slope(variant):
    loss = parse_variant(variant, "v")
    logit = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    share = 1 / 8
    score = expected_score(share, *level_weights(loss, 4 / 8))
    x = logit + torch.logit(torch.tensor(score, dtype=torch.float64))
    batch = LossBatch(x.expand(8, 1), torch.tensor([0]), torch.tensor([0]), torch.Generator(), x.expand(4, 1))
    loss.build(TrainingCounts(8, torch.ones(1, dtype=torch.float64)))(batch).backward()
    assert logit.grad.item() == pytest.approx(0.0, abs=1e-12)
