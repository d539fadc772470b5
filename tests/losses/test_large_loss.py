"""large_loss: its schemes and schedule on paper, and its memory against a set in plain Python."""

import math
import re
from dataclasses import replace

import pytest
import torch
from support.losses import make_batch
from support.losses_reference import loop_bce

from presence_only.losses import large_loss
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

LOG_2 = math.log(2)
# Two rows, three species; (0, 0) and (1, 2) are recorded. Odds are whole numbers, and losses logarithms of fractions.
ODDS_BS = torch.tensor([[3.0, 7.0, 1.0], [15.0, 1.0, 1.0]], dtype=torch.float64)
PAIRS = (torch.tensor([0, 1]), torch.tensor([0, 2]))
# -log p of the records, and -log q of the others by falling odds: 15, 7, 1, 1.
RECORDED = math.log(4 / 3) + LOG_2
FALLING = [math.log(16), math.log(8), LOG_2, LOG_2]
# -log p of the two of largest odds.
CORRECTED = [math.log(16 / 15), math.log(8 / 7)]


def build(**settings):
    return parse_variant({"loss": "large_loss", **settings}, "v").build(TrainingCounts(9, torch.ones(3)))


def batch_of(logits_BS, epoch, index_B=None, pairs=PAIRS):
    index_B = torch.arange(len(logits_BS)) if index_B is None else index_B
    return LossBatch(logits_BS, *pairs, torch.Generator(), epoch=epoch, index_B=index_B)


# A sixth of the six pairs an epoch: none, one, two. A share that is no whole number of pairs is rounded up.
@pytest.mark.parametrize("delta_rel", [1 / 6, 0.15, 0.166])
@pytest.mark.parametrize(
    ("scheme", "by_epoch"),
    [
        ("reject", [FALLING, FALLING[1:], FALLING[2:]]),
        ("temporary", [FALLING, [*FALLING[1:], CORRECTED[0]], [*FALLING[2:], *CORRECTED]]),
        # One pair in every epoch but the first; that of epoch 1 is a record in epoch 2.
        ("permanent", [FALLING, [*FALLING[1:], CORRECTED[0]], [*FALLING[2:], *CORRECTED]]),
    ],
)
def test_epochs_0_to_2_on_paper(scheme, by_epoch, delta_rel):
    loss = build(scheme=scheme, delta_rel=delta_rel)
    for epoch, unobserved in enumerate(by_epoch):
        expected = (RECORDED + sum(unobserved)) / 6
        for _ in range(2):
            assert loss(batch_of(ODDS_BS.log(), epoch)).item() == pytest.approx(expected, rel=1e-14)


def test_slopes_on_paper():
    """A rejected pair has none, a corrected one is pulled up: (p - 1) or p over the six pairs."""
    for scheme, chosen in (("reject", 0.0), ("temporary", -1 / 16), ("permanent", -1 / 16)):
        x_BS = ODDS_BS.log().requires_grad_()
        (slope_BS,) = torch.autograd.grad(build(scheme=scheme, delta_rel=1 / 6)(batch_of(x_BS, 1)), x_BS)
        expected_BS = torch.tensor([[-1 / 4, 7 / 8, 1 / 2], [chosen, 1 / 2, -1 / 2]], dtype=torch.float64) / 6
        torch.testing.assert_close(slope_BS, expected_BS, rtol=1e-14, atol=0)


def slow(x_BS, recorded, share, scheme):
    """The definition in Python floats, and the pairs that it chooses."""
    pairs = [(i, s) for i in range(len(x_BS)) for s in range(x_BS.shape[1])]
    free = sorted((pair for pair in pairs if pair not in recorded), key=lambda pair: x_BS[pair].item(), reverse=True)
    chosen = set(free[: math.ceil(round(len(pairs) * share, 6))])
    terms = []
    for pair in pairs:
        if pair in chosen and scheme == "reject":
            continue
        terms.append(loop_bce(x_BS[pair].item(), int(pair in recorded or pair in chosen)))
    return math.fsum(terms) / len(pairs), chosen


@pytest.mark.parametrize("scheme", ["reject", "temporary", "permanent"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.55, 0.8, 1.0])
def test_the_public_function_is_the_definition(scheme, share):
    source = torch.Generator().manual_seed(0)
    for _ in range(5):
        x_BS = torch.randn(7, 6, generator=source, dtype=torch.float64) * 4
        targets_BS = torch.rand(7, 6, generator=source) < 0.2
        recorded = set(map(tuple, targets_BS.nonzero().tolist()))
        expected, _ = slow(x_BS, recorded, share, scheme)
        assert large_loss(x_BS, targets_BS, share=share, scheme=scheme).item() == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("delta_rel", [0.01, 0.1, 0.6])
def test_the_memory_is_that_of_a_set(delta_rel):
    """Four epochs of batches in another order, with logits that change, and a last batch that is smaller."""
    source = torch.Generator().manual_seed(1)
    n_rows, n_species = 11, 4
    targets_NS = torch.rand(n_rows, n_species, generator=source) < 0.3
    loss = parse_variant({"loss": "large_loss", "scheme": "permanent", "delta_rel": delta_rel}, "v").build(
        TrainingCounts(n_rows, torch.ones(n_species))
    )
    recorded = set(map(tuple, targets_NS.nonzero().tolist()))
    for epoch in range(4):
        new = set()
        for row_B in torch.randperm(n_rows, generator=source).split(4):
            x_BS = torch.randn(len(row_B), n_species, generator=source, dtype=torch.float64) * 3
            known = {(i, s) for i, row in enumerate(row_B.tolist()) for s in range(n_species) if (row, s) in recorded}
            expected, chosen = slow(x_BS, known, delta_rel if epoch else 0.0, "permanent")
            batch = batch_of(x_BS, epoch, row_B, targets_NS[row_B].nonzero(as_tuple=True))
            assert loss(batch).item() == pytest.approx(expected, rel=1e-13)
            assert loss(batch).item() == pytest.approx(expected, rel=1e-13)
            new |= {(row_B[i].item(), s) for i, s in chosen}
        recorded |= new
    assert (len(recorded) == n_rows * n_species) == (delta_rel == 0.6)


def test_a_new_fit_remembers_nothing():
    settings = parse_variant({"loss": "large_loss", "scheme": "permanent", "delta_rel": 0.5}, "v")
    first, second = (settings.build(TrainingCounts(9, torch.ones(3))) for _ in range(2))
    for epoch in (1, 2):
        first(batch_of(ODDS_BS.log(), epoch))
    fresh = build(scheme="temporary", delta_rel=0.5)(batch_of(ODDS_BS.log(), 1))
    assert torch.equal(second(batch_of(ODDS_BS.log(), 1)), fresh)


@pytest.mark.parametrize("scheme", ["reject", "temporary", "permanent"])
def test_equal_logits_have_one_value_whichever_is_chosen(scheme):
    x_BS = torch.zeros(3, 4, dtype=torch.float64)
    targets_BS = torch.eye(3, 4)
    value = large_loss(x_BS, targets_BS, share=0.25, scheme=scheme)
    assert value.item() == pytest.approx(LOG_2 * (9 if scheme == "reject" else 12) / 12, rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_pairs_whose_losses_round_to_the_same_number_keep_their_order(dtype):
    """In float32 the losses of -200 and -300 are both 0."""
    x_BS = torch.tensor([[-300.0, -200.0, -1e4]], dtype=dtype, requires_grad=True)
    value = large_loss(x_BS, torch.zeros(1, 3), share=1 / 3, scheme="temporary")
    (slope_BS,) = torch.autograd.grad(value, x_BS)
    assert value.item() == pytest.approx(200 / 3, rel=1e-6)
    assert slope_BS.tolist()[0] == pytest.approx([0, -1 / 3, 0], rel=1e-3, abs=1e-30)


@pytest.mark.parametrize("scheme", ["reject", "temporary", "permanent"])
def test_nan_is_never_chosen_and_reaches_the_result(scheme):
    x_BS = ODDS_BS.log()
    x_BS[0, 1] = math.nan
    assert build(scheme=scheme, delta_rel=0.5)(batch_of(x_BS, 1)).isnan()


def test_it_begins_as_cross_entropy():
    for scheme in ("reject", "temporary", "permanent"):
        settings = parse_variant({"loss": "large_loss", "scheme": scheme}, "v")
        counts = TrainingCounts(9, torch.ones(5))
        loss, plain = settings.build(counts), settings.expected_weights(counts)
        batch = replace(make_batch(loss), epoch=0, progress=0.0)
        torch.testing.assert_close(loss(batch), plain(batch), rtol=1e-14, atol=0)


def test_no_value_is_read_where_a_gpu_would_be_waited_for():
    """On torch's device `meta`, which has shapes and no values, for epochs in which the memory is used."""
    meta = torch.device("meta")
    row_P, species_P, index_B = (torch.zeros(n, dtype=torch.int64, device=meta) for n in (3, 3, 6))
    for scheme in ("reject", "temporary", "permanent"):
        loss = build(scheme=scheme, delta_rel=0.3)
        for epoch in (0, 1, 1, 2, 3):
            x_BS = torch.zeros(6, 3, device=meta, requires_grad=True)
            batch = LossBatch(x_BS, row_P, species_P, torch.Generator(), distinct=True, epoch=epoch, index_B=index_B)
            loss(batch).backward()
            assert x_BS.grad.device == meta


def test_refusals():
    x_BS = torch.zeros(2, 3)
    remembering = build(scheme="permanent")
    for call, sentence in (
        (lambda: large_loss(x_BS, x_BS, share=1.5), "share = 1.5: must be in [0, 1]"),
        (lambda: large_loss(x_BS, x_BS, share=0.1, scheme="drop"), "unknown scheme 'drop'; known: reject, temporary"),
        (lambda: large_loss(x_BS, x_BS + 0.5, share=0.1), "targets_BS hold 0.5: must be exactly 0 or 1"),
        (lambda: large_loss(x_BS, x_BS[:1], share=0.1), "targets_BS has shape (1, 3)"),
        (lambda: large_loss(x_BS[0], x_BS[0], share=0.1), "logits_BS has shape (3,): must have 2 dimensions"),
        (
            lambda: build(scheme="permanent")(replace(batch_of(x_BS, 0), index_B=None)),
            "index_B = None: must say which training rows these are, for scheme = 'permanent'",
        ),
        (lambda: build(scheme="permanent")(batch_of(x_BS, 0, torch.arange(3))), "index_B has shape (3,): must be (2,)"),
        (lambda: [remembering(batch_of(x_BS, epoch)) for epoch in (2, 1)], "epoch = 1: must not be below 2"),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            call()
    assert large_loss(x_BS[:0], x_BS[:0], share=0.5) == 0
