"""softmax over species against 60 digits, in all three ways to compute it, and from every part of a batch."""

import math

import mpmath
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from presence_only.losses import softmax_rows, species_softmax
from presence_only.losses.base import BatchTotals, LossBatch, TrainingCounts, parse_variant

X_BS = 3 * torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
# Lists, a single record, a row without any, and one that holds every species.
TARGETS_BS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
B, S, D = 600, 203, 12
DTYPES = [(torch.float32, 5e-7), (torch.float64, 1e-12)]

pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Blocks of 256 rows: 600 are two and a rest."""
    for tile in ("TILE", "GPU_TILE"):
        monkeypatch.setattr(softmax_rows, tile, 1)


def build(n_species=S, normalisation=0.0):
    counts = TrainingCounts(500, torch.arange(n_species, dtype=torch.float64) + 1)
    return parse_variant({"loss": "softmax", "normalisation": normalisation}, "v").build(counts)


def slow(x, targets, normalisation=0.0):
    """The definition at 60 digits, and its slopes, by a double loop."""
    x = x.detach()
    with mpmath.workdps(60):
        value, slopes = mpmath.mpf(0), torch.zeros(*x.shape, dtype=torch.float64)
        rows = [i for i in range(len(x)) if any(targets[i])]
        for i in rows:
            powers = [mpmath.exp(mpmath.mpf(float(v))) for v in x[i]]
            whole, n = mpmath.fsum(powers), sum(map(int, targets[i]))
            z, weight = mpmath.log(whole), mpmath.mpf(normalisation)
            value += weight * z**2 / len(rows)
            for s, power in enumerate(powers):
                if targets[i, s]:
                    value -= mpmath.log(power / whole) / n / len(rows)
                slope = power / whole * (1 + 2 * weight * z) - mpmath.mpf(int(targets[i, s])) / n
                slopes[i, s] = float(slope / len(rows))
        return float(value), slopes


@pytest.mark.parametrize("normalisation", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 3000.0])
def test_value_and_slope_are_the_definition(scale, normalisation):
    x = (X_BS * scale).requires_grad_()
    got = species_softmax(x, TARGETS_BS, normalisation=normalisation)
    expected, slopes = slow(x, TARGETS_BS, normalisation)
    assert got.item() == pytest.approx(expected, rel=1e-13)
    (slope,) = torch.autograd.grad(got, x)
    # Where normalisation pulls against the records, a slope may be a small difference.
    torch.testing.assert_close(slope, slopes, rtol=1e-11, atol=1e-15 if normalisation == 0 else 1e-12 * scale)


def test_by_hand():
    """Three equal logits: log 3 for one record and for two; a record three times as likely as the other: log(4/3)."""
    zeros = torch.zeros(2, 3)
    assert species_softmax(zeros, torch.tensor([[1, 0, 0], [1, 1, 0]])).item() == pytest.approx(math.log(3), rel=1e-6)
    x = torch.tensor([[math.log(3), 0.0]])
    assert species_softmax(x, torch.tensor([[1, 0]])).item() == pytest.approx(math.log(4 / 3), rel=1e-6)
    assert species_softmax(x, torch.tensor([[True, True]])).item() == pytest.approx(
        (math.log(4 / 3) + math.log(4)) / 2, rel=1e-6
    )


def test_one_record_a_row_is_torchs_cross_entropy():
    species_B = torch.tensor([3, 0, 2, 2, 1])
    targets_BS = torch.nn.functional.one_hot(species_B, 4)
    expected = torch.nn.functional.cross_entropy(X_BS, species_B)
    torch.testing.assert_close(species_softmax(X_BS, targets_BS), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("lead", [0.0, 1.0, 10.0, 30.0, 60.0])
@pytest.mark.parametrize("level", [0.0, 5000.0])
def test_a_record_far_above_the_others_keeps_the_digits_of_its_loss(lead, level, dtype):
    """log(1 + 2 exp(-lead)) is 0 for a log-sum-exp less a logit; its slope at the record is no 1 - 1 either."""
    x = torch.tensor([[level + lead, level, level]]).to(dtype).requires_grad_()
    expected, slopes = slow(x, torch.tensor([[1, 0, 0]]))
    loss = species_softmax(x, torch.tensor([[1, 0, 0]]))
    loss.backward()
    tolerance = 1e-13 if dtype == torch.float64 else 5e-7
    assert loss.item() == pytest.approx(expected, rel=tolerance)
    smallest = 1e-7 if dtype == torch.float16 else 0
    torch.testing.assert_close(x.grad.double(), slopes, rtol=max(tolerance, torch.finfo(dtype).eps), atol=smallest)


def test_a_number_added_to_a_row_changes_nothing_and_a_list_costs_at_least_its_length():
    moved = X_BS + torch.tensor([100.0, -7.0, 3e3, 0.0, -1e4])[:, None]
    value = species_softmax(X_BS, TARGETS_BS)
    torch.testing.assert_close(species_softmax(moved, TARGETS_BS), value, rtol=1e-11, atol=0)
    bound = (math.log(2) + math.log(2) + math.log(4)) / 4
    assert value > bound
    best = torch.where(TARGETS_BS > 0, 1e4, -1e4)
    assert species_softmax(best, TARGETS_BS).item() == pytest.approx(bound, rel=1e-6)


def test_ties_share_the_slope():
    x = torch.full((1, 4), 2.5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(species_softmax(x, torch.tensor([[1, 1, 0, 0]])), x)
    torch.testing.assert_close(slope, torch.tensor([[-0.25, -0.25, 0.25, 0.25]], dtype=torch.float64))


def test_first_and_second_derivatives_of_all_kinds_of_rows():
    x = X_BS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: species_softmax(v, TARGETS_BS), (x,))
    assert torch.autograd.gradgradcheck(lambda v: species_softmax(v, TARGETS_BS), (x,))


@pytest.mark.parametrize(
    ("logits", "targets", "kind", "message"),
    [
        (
            X_BS,
            TARGETS_BS[:2],
            ValueError,
            r"targets_BS has shape \(2, 4\): must equal the shape \(5, 4\) of logits_BS",
        ),
        (X_BS, 2 * TARGETS_BS, ValueError, "targets_BS hold 2: must be exactly 0 or 1"),
        (TARGETS_BS, TARGETS_BS, TypeError, "logits_BS has dtype torch.int64: must be a floating-point tensor"),
        (X_BS[0], TARGETS_BS[0], ValueError, r"logits_BS has shape \(4,\): must have 2 dimensions"),
    ],
)
def test_bad_input_is_one_sentence(logits, targets, kind, message):
    with pytest.raises(kind, match=message):
        species_softmax(logits, targets)


@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf])
def test_a_wrong_normalisation_is_one_sentence(wrong):
    with pytest.raises(ValueError, match=f"normalisation = {wrong}: must be finite and >= 0"):
        species_softmax(X_BS, TARGETS_BS, normalisation=wrong)


def test_normalisation_makes_logits_logarithms_of_shares():
    """Free logits by gradient descent, which end where exp(x) adds up to 1."""
    targets_BS = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])
    x_S = torch.tensor([7.0, 3.0], dtype=torch.float64, requires_grad=True)
    for _ in range(400):
        loss = species_softmax(x_S.expand(4, 2), targets_BS, normalisation=0.5)
        (slope_S,) = torch.autograd.grad(loss, x_S)
        x_S = (x_S - slope_S).detach().requires_grad_()
    assert x_S.exp().tolist() == pytest.approx([0.5, 0.5], rel=1e-6)


class Case:
    """Embeddings, single records and lists."""

    def __init__(self, dtype=torch.float64, scale=1.0, rows=B, species=S, normalisation=0.0):
        source = torch.Generator().manual_seed(3)
        self.loss = build(species, normalisation)
        self.location_BD, self.species_SD = (
            (size * torch.randn(n, D, generator=source, dtype=torch.float64) / D**0.25).to(dtype).requires_grad_()
            for n, size in ((rows, scale), (species, 1.0))
        )
        # Lists of up to three, one given twice; single records; the last row has none.
        first = rows // 2
        lists, single = torch.arange(first).repeat_interleave(3), torch.arange(first, max(rows - 1, first))
        self.row_P = torch.cat([lists, single])
        self.species_P = torch.randint(max(species, 1), self.row_P.shape, generator=source)
        self.species_P[1:2] = self.species_P[:1]

    @property
    def leaves(self):
        return [self.location_BD, self.species_SD]

    def chunks(self, **more):
        return self.loss.in_chunks(self.location_BD, self.species_SD, self.row_P, self.species_P, **more)

    def all_logits(self, start_S=None):
        logits_BS = self.location_BD.double() @ self.species_SD.double().T
        logits_BS = logits_BS if start_S is None else logits_BS + start_S.double()
        return self.loss(LossBatch(logits_BS, self.row_P, self.species_P, torch.Generator()))


def relative(got, expected):
    return ((got.double() - expected.double()).norm() / expected.double().norm()).item()


def assert_same(got, expected, leaves, tolerance):
    assert relative(got, expected) < tolerance
    for mine, theirs in zip(*(torch.autograd.grad(x, leaves) for x in (got, expected)), strict=True):
        assert relative(mine, theirs) < tolerance


@pytest.mark.parametrize("scale", [0.1, 1.0, 12.0])
@pytest.mark.parametrize("with_start", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("normalisation", [0.0, 0.2])
def test_chunks_equal_all_logits(scale, with_start, dtype, tolerance, normalisation):
    case = Case(dtype, scale, normalisation=normalisation)
    start_S = torch.linspace(-6, 2, S).to(dtype).requires_grad_() if with_start else None
    got = case.chunks(start_S=start_S)
    assert got.dtype == dtype
    assert_same(got, case.all_logits(start_S), case.leaves + [start_S] * with_start, tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chunks_are_finite_and_right_at_saturated_logits(dtype):
    case = Case(dtype, scale=1e4)
    assert (case.location_BD @ case.species_SD.T).abs().max() > 1e4
    # In float32 a logit is known to a few thousandths only, and so are the shares of two that are close.
    assert_same(case.chunks(), case.all_logits(), case.leaves, 1e-2 if dtype == torch.float32 else 1e-9)


def test_rows_of_all_species_and_of_the_only_one():
    alone = Case(species=1)
    assert alone.chunks() == alone.all_logits() == 0
    whole = Case(rows=4, species=3)
    whole.row_P, whole.species_P = torch.arange(4).repeat_interleave(3), torch.arange(3).repeat(4)
    assert_same(whole.chunks(), whole.all_logits(), whole.leaves, 1e-12)


def test_chunks_scaled_used_twice_and_differentiated_again():
    case = Case()
    expected = torch.autograd.grad(case.all_logits(), case.leaves)
    value = case.chunks()
    both = torch.autograd.grad(0.5 * value + value.square(), case.leaves, retain_graph=True)
    again = torch.autograd.grad(value, case.leaves)
    for first, second, theirs in zip(both, again, expected, strict=True):
        torch.testing.assert_close(first, (0.5 + 2 * value.item()) * theirs, rtol=1e-11, atol=1e-15)
        torch.testing.assert_close(second, theirs, rtol=1e-11, atol=1e-15)
    (slope,) = torch.autograd.grad(case.chunks().square(), [case.location_BD], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("wanted", [(0,), (1,), ()])
def test_only_the_gradients_asked_for(wanted):
    case = Case()
    for index, leaf in enumerate(case.leaves):
        leaf.requires_grad_(index in wanted)
    value = case.chunks()
    torch.testing.assert_close(value.detach(), case.all_logits().detach(), rtol=1e-12, atol=0)
    assert value.requires_grad == bool(wanted)
    if wanted:
        value.backward()
        assert [leaf.grad is not None for leaf in case.leaves] == [index in wanted for index in range(2)]


@pytest.mark.parametrize(("rows", "species"), [(0, S), (B, 0), (B, S)])
def test_an_empty_batch_is_a_0_that_back_propagates(rows, species):
    """Without rows, species or records."""
    case = Case(rows=rows, species=species)
    case.row_P, case.species_P = case.row_P[:0], case.species_P[:0]
    for value in (case.chunks(), case.all_logits()):
        assert value.item() == 0
        assert not any(gradient.any() for gradient in torch.autograd.grad(value, case.leaves))


def test_nan_reaches_the_loss():
    case = Case()
    with torch.no_grad():
        case.location_BD[7] = math.nan
    value = case.chunks()
    assert value.isnan()
    location, species = torch.autograd.grad(value, case.leaves)
    assert location[7].isnan().all()
    assert location[8:].isfinite().all()
    assert species.isnan().all()


def test_rounded_products_are_those_of_autocast():
    case = Case(torch.float32)
    rounded = case.chunks(products=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits_BS = torch.nn.functional.linear(case.location_BD, case.species_SD)
    expected = case.loss(LossBatch(logits_BS, case.row_P, case.species_P, torch.Generator()))
    torch.testing.assert_close(rounded, expected, rtol=1e-6, atol=0)
    exact = torch.autograd.grad(case.chunks(), case.leaves)
    pairs = (torch.autograd.grad(x, case.leaves) for x in (rounded, expected))
    for mine, theirs, close in zip(*pairs, exact, strict=True):
        assert mine.dtype == torch.float32
        # A factor is known to one part in 2^8.
        assert relative(mine, theirs) < 0.01
        assert 1e-6 < relative(mine, close) < 0.02


@pytest.mark.parametrize("how", ["all_logits", "chunks", "sampled"])
def test_the_shares_of_parts_add_up(how):
    """Three parts, the last one without a record; a row without any does not count."""
    case = Case(rows=30)
    totals = BatchTotals(30, 0, n_recorded=29)
    sample = case.loss.draw_species(case.species_P, S, 20, torch.Generator().manual_seed(1))

    def value(part, totals):
        own_P = (case.row_P >= part.start) & (case.row_P < part.stop)
        near_BD, pairs = case.location_BD[part], (case.row_P[own_P] - part.start, case.species_P[own_P])
        if how == "all_logits":
            return case.loss(LossBatch(near_BD @ case.species_SD.T, *pairs, torch.Generator(), totals=totals))
        if how == "chunks":
            return case.loss.in_chunks(near_BD, case.species_SD, *pairs, totals=totals)
        return case.loss.from_sample(sample, S, near_BD, case.species_SD[sample.species_J], *pairs, totals=totals)

    whole = value(slice(0, 30), None)
    parts = sum(value(part, totals) for part in (slice(0, 11), slice(11, 29), slice(29, 30), slice(30, 30)))
    assert_same(parts, whole, case.leaves, 1e-12)


def test_in_training_every_row_has_a_species():
    case = Case(rows=30)
    case.row_P, case.species_P = case.row_P[:-1], case.species_P[:-1]
    with_totals, without = case.chunks(totals=BatchTotals(28, 0)), case.chunks()
    torch.testing.assert_close(with_totals, without, rtol=1e-12, atol=0)


class Made(TorchDispatchMode):
    """Remembers the size of the largest tensor that an operation makes, and how many exponentials were taken."""

    def __init__(self):
        super().__init__()
        self.numel = self.exponentials = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.stride() != (0, 0):
                self.numel = max(self.numel, tensor.numel())
        if function.overloadpacket in (torch.ops.aten.exp, torch.ops.aten.exp_):
            self.exponentials += out.numel()
        return out


def test_nothing_as_large_as_all_pairs_is_made_and_a_logit_costs_one_exponential():
    case = Case()
    with Made() as made:
        case.chunks().backward()
    assert made.numel <= softmax_rows.FEWEST_ROWS * S < B * S
    # Beside the logits, rows and positives have a few of their own.
    assert B * S <= made.exponentials <= B * S + 20 * len(case.row_P)
    with Made() as made:
        case.all_logits().backward()
    assert made.numel >= B * S


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"species_SD": torch.zeros(S, D + 1)}, rf"location_BD has shape \({B}, {D}\): must be \({B}, {D + 1}\)"),
        ({"species_P": torch.full((3 * (B // 2) + B // 2 - 1,), S)}, rf"species_P span \[{S}, {S}\]: must lie in 0"),
    ],
)
def test_bad_matrices_are_one_sentence(change, message):
    case = Case()
    for name, value in change.items():
        setattr(case, name, value)
    with pytest.raises(ValueError, match=message):
        case.chunks()


def test_it_uses_no_background_and_says_so():
    case = Case()
    with pytest.raises(ValueError, match="background_KS is given: must be None"):
        case.chunks(background_KD=torch.zeros(2, D, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"start_S has shape \(4,\)"):
        case.chunks(start_S=torch.zeros(4))


def test_the_balance_is_the_logarithm_of_the_shares_of_records():
    records_S = torch.tensor([50.0, 30.0, 15.0, 5.0], dtype=torch.float64)
    settings = parse_variant({"loss": "softmax"}, "v")
    balance_S = settings.balance(TrainingCounts(100, records_S))
    torch.testing.assert_close(balance_S.exp(), records_S / 100)
    # All batches of an epoch together: there is no slope left.
    species_P = torch.arange(4).repeat_interleave(records_S.long())
    x_S = balance_S.clone().requires_grad_()
    loss = settings.build(TrainingCounts(100, records_S))
    value = loss(LossBatch(x_S.expand(100, 4), torch.arange(100), species_P, torch.Generator()))
    (slope,) = torch.autograd.grad(value, x_S)
    assert slope.abs().max() < 1e-15
    never = settings.balance(TrainingCounts(100, torch.tensor([100.0, 0.0])))
    assert never.isfinite().all()
    assert settings.expected_weights(TrainingCounts(100, records_S)) is None


def test_nan_in_a_row_without_a_species_is_not_swallowed():
    logits_BS = torch.tensor([[1.0, 2.0], [math.nan, 0.0]])
    assert species_softmax(logits_BS, torch.tensor([[1, 0], [0, 0]])).isnan()
