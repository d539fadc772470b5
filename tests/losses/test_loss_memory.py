"""What a loss keeps for its slope: no B x S temporaries beyond what the formula needs."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from presence_only.losses import AssumeNegativeLoss, MultiTaskLoss, asymmetric_loss, focal_loss
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

N_ROWS, N_SPECIES = 64, 100
LOGITS = torch.randn(N_ROWS, N_SPECIES, generator=torch.Generator().manual_seed(0)) * 3
TARGETS = torch.nn.functional.one_hot(torch.arange(N_ROWS), N_SPECIES).float()


def saved_units(loss):
    """Bytes that the graph keeps, in units of the logits; a tensor saved twice counts twice."""
    saved = []

    def keep(tensor):
        saved.append(tensor.numel() * tensor.element_size())
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        value = loss(LOGITS.clone().requires_grad_())
    assert value.requires_grad
    return sum(saved) / (LOGITS.numel() * LOGITS.element_size())


def variant(**raw):
    loss = parse_variant(raw, "v").build(TrainingCounts(N_ROWS, torch.ones(N_SPECIES, dtype=torch.float64)))
    rows = torch.arange(N_ROWS)
    environment = torch.zeros(N_ROWS, 2)
    return lambda x: loss(
        LossBatch(x, rows, rows, torch.Generator(), environment_BC=environment, covariates_BC=environment)
    )


@pytest.mark.parametrize(
    ("loss", "most"),
    [
        (lambda x: focal_loss(x, TARGETS), 3.0),
        (lambda x: focal_loss(x, TARGETS, alpha=None, gamma=0.5), 3.0),
        (lambda x: asymmetric_loss(x, TARGETS), 3.0),
        (lambda x: asymmetric_loss(x, TARGETS, 1.0, 4.0, 0.0), 3.0),
        (lambda x: AssumeNegativeLoss(4.0, 0)(x, TARGETS), 2.2),
        (lambda x: MultiTaskLoss()({"species_logits": x}, {"species": TARGETS}, False)["total"], 3.0),
        (variant(loss="bce"), 2.1),
        (variant(loss="focal"), 2.1),
        (variant(loss="asl"), 2.1),
        (variant(loss="assume_negative", penalty="entropy", neg_samples=0), 2.1),
        (variant(loss="softmax"), 2.1),
        (variant(loss="multitask", pos_weight=True), 3.0),
        (variant(loss="multitask", species_loss="asl"), 3.0),
    ],
)
def test_the_graph_keeps_little_more_than_the_logits(loss, most):
    assert saved_units(loss) <= most
