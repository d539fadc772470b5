"""Balanced logits: where a loss of all pairs, the same logit at every site, is least."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from support.losses import describe

from presence_only.losses.balance import balanced_logits
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.registry import loss_names

# Rows of one species each, common to rare; 4 background sites for 10 rows.
RECORDS_S = torch.tensor([200, 100, 60, 30, 8, 2], dtype=torch.float64)
COUNTS = TrainingCounts(400, RECORDS_S)
N, S, K = 400, len(RECORDS_S), 160
SHARE_S = COUNTS.prevalence()
SITES_S = torch.full((S,), K / N, dtype=torch.float64)
VARIANTS = (
    {"loss": "bce"},
    {"loss": "bce", "pos_weight": True},
    {"loss": "bce", "background_weight": 0.5},
    {"loss": "focal"},
    {"loss": "focal", "gamma": 0.5, "alpha": None},
    {"loss": "asl"},
    {"loss": "asl", "gamma_pos": 1.0, "gamma_neg": 4.0, "clip": 0.2},
    {"loss": "assume_negative", "neg_samples": 0, "pos_lambda": 64.0, "label_smoothing": 0.1},
    {"loss": "assume_negative", "neg_samples": 3},
    {"loss": "assume_negative", "neg_samples": 0, "spatial": "batch", "background_weight": 1.0},
    {"loss": "an_full"},
    {"loss": "an_full_me", "pos_lambda": 3.0},
    {"loss": "full_weighted"},
    {"loss": "hill"},
    {"loss": "apl"},
    {"loss": "ral"},
    {"loss": "poisson"},
    {"loss": "poisson", "weighting": "sqrt"},
    {"loss": "bce", "label_smoothing": 0.05},
    {"loss": "bce", "logit_adjustment": 1.0},
    {"loss": "focal", "label_smoothing": 0.05, "logit_adjustment": 0.5},
    {"loss": "an_slds"},
    {"loss": "an_slds_me"},
    {"loss": "an_ssdl"},
    {"loss": "an_ssdl_me"},
    {"loss": "em", "alpha": 0.3},
    {"loss": "em", "alpha": 0.5, "background_weight": 2.0},
    {"loss": "splc"},
    {"loss": "splc", "penalty": "focal_margin"},
)


def balance(variant):
    settings = parse_variant(variant, "v")
    return balanced_logits(settings.expected_weights(COUNTS), SHARE_S, SITES_S)


def share_of_loss(loss, logit, species, draws):
    """The loss of all rows where one species has a logit and all others a very low one, averaged over draws."""
    species_P = torch.arange(S).repeat_interleave(RECORDS_S.long())
    logits_BS = torch.full((N, S), -1.0, dtype=torch.float64)
    logits_BS[:, species] = logit
    far_KS = torch.full((K, S), -1.0, dtype=torch.float64) if loss.needs_background else None
    if far_KS is not None:
        far_KS[:, species] = logit
    source = torch.Generator().manual_seed(0)
    batch = LossBatch(logits_BS, torch.arange(N), species_P, source, far_KS)
    return np.mean([loss(batch).item() for _ in range(draws)])


@pytest.mark.parametrize("variant", VARIANTS, ids=describe)
def test_no_other_constant_gives_less_loss(variant):
    """Against a search over the loss itself on the whole training set."""
    settings = parse_variant(variant, "v")
    loss = settings.build(COUNTS)
    drawn = variant.get("neg_samples") == 3 or variant.get("spatial") == "batch" or variant["loss"].startswith("an_s")
    for species in (0, 4):
        found = minimize_scalar(
            lambda x, s=species: share_of_loss(loss, x, s, 40 if drawn else 1),
            bounds=(-12.0, 9.0),
            method="bounded",
            options={"xatol": 0.02 if drawn else 1e-6},
        )
        assert balance(variant)[species].item() == pytest.approx(found.x, abs=0.25 if drawn else 1e-4)


def test_closed_forms():
    """Cross-entropy: the log odds of weights. An entropy in place of absences: sigmoid(-x) a = p q x b."""
    p_S = RECORDS_S / N
    torch.testing.assert_close(balance({"loss": "bce"}), torch.logit(p_S), rtol=0, atol=1e-10)
    expected_S = torch.log(2048 * p_S / (1 - p_S + 1))
    torch.testing.assert_close(balance({"loss": "an_full"}), expected_S, rtol=0, atol=1e-10)
    assert balance({"loss": "bce", "logit_adjustment": 1.0}).abs().max() < 1e-10
    assert balance({"loss": "poisson"}).abs().max() < 1e-10
    smooth_S = torch.logit(0.9 * p_S + 0.05)
    torch.testing.assert_close(balance({"loss": "bce", "label_smoothing": 0.05}), smooth_S, rtol=0, atol=1e-10)
    heavier_S = torch.logit(p_S) + torch.log((N - RECORDS_S + 1) / (RECORDS_S + 1))
    torch.testing.assert_close(balance({"loss": "bce", "pos_weight": True}), heavier_S, rtol=0, atol=1e-10)
    assert balance({"loss": "an_ssdl"}).abs().max() < 1e-10
    x_S = balance({"loss": "an_full_me", "pos_lambda": 3.0})
    torch.testing.assert_close(torch.sigmoid(x_S) * x_S * (2 - p_S), 3 * p_S, rtol=1e-9, atol=0)
    # Absences below the margin cost nothing: no species starts below it.
    assert torch.sigmoid(balance({"loss": "asl", "clip": 0.2})).min() > 0.2


def test_extremes_stay_finite_and_sites_that_do_not_count_have_no_weight():
    counts = TrainingCounts(10, torch.tensor([0.0, 10.0]))
    share_S = counts.prevalence()
    assert share_S.tolist() == [0.05, 0.95]
    weights = parse_variant({"loss": "an_full", "pos_lambda": 1.0}, "v").expected_weights(counts)
    some, none = (balanced_logits(weights, share_S, torch.full((2,), n, dtype=torch.float64)) for n in (3.0, 0.0))
    torch.testing.assert_close(none, torch.logit(share_S), rtol=0, atol=1e-10)
    torch.testing.assert_close(some, torch.log(share_S / (2 - share_S)), rtol=0, atol=1e-10)
    only_presences = parse_variant({"loss": "full_weighted", "lambda2": 1.0}, "v")
    always = TrainingCounts(10, torch.tensor([10.0]))
    x_S = balanced_logits(only_presences.expected_weights(always), always.prevalence(), torch.zeros(1).double())
    assert x_S.isfinite().all()


@pytest.mark.parametrize("name", loss_names())
def test_every_loss_has_a_balance_or_says_that_it_has_none(name):
    settings = parse_variant({"loss": name}, "v")
    without = settings.expected_weights(COUNTS) is None and settings.balance(COUNTS) is None
    assert without == (name in ("maxent", "sigmoid_f1", "two_way"))
