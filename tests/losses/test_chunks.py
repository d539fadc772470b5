"""Dense losses in chunks of species against the same from all logits, over losses and penalties."""

import math

import pytest
import torch
from support.losses import describe
from torch.utils._python_dispatch import TorchDispatchMode

from presence_only import losses
from presence_only.losses import chunks
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.chunks import loss_in_chunks
from presence_only.losses.pair_weights import PairWeights
from presence_only.losses.registry import loss_names

B, K, S, D = 96, 70, 203, 12
COUNTS = TrainingCounts(500, torch.arange(S, dtype=torch.float64) + 1)
MORE_VARIANTS = (
    {"loss": "bce", "pos_weight": True, "background_weight": 0.5},
    {"loss": "focal", "alpha": None, "gamma": 3.0, "background_weight": 1.0},
    {"loss": "focal", "gamma": 0.5},
    {"loss": "asl", "gamma_pos": 1.0, "gamma_neg": 4.0, "clip": 0.2, "background_weight": 2.0},
    {"loss": "asl", "gamma_neg": 1.5},
    {"loss": "asl", "clip": 0.0},
    {"loss": "assume_negative", "neg_samples": 0},
    {"loss": "assume_negative", "neg_samples": 0, "label_smoothing": 0.1, "background_weight": 1.0},
    {"loss": "assume_negative", "neg_samples": 0, "penalty": "asl", "background_weight": 0.3},
    {"loss": "an_full", "penalty": "focal", "gamma": 1.0, "pos_lambda": 16.0},
    {"loss": "an_full", "penalty": "asl"},
    {"loss": "full_weighted", "penalty": "entropy"},
    {"loss": "full_weighted", "lambda2": 1.0},
    {"loss": "full_weighted", "penalty": "focal", "lambda2": 0.0},
)


def build(variant):
    return parse_variant(variant, "variants.tested").build(COUNTS)


# A dense loss that is registered is found by its name.
VARIANTS = (
    tuple(v for v in ({"loss": name} for name in loss_names()) if isinstance(build(v), PairWeights)) + MORE_VARIANTS
)
every_loss = pytest.mark.parametrize("variant", VARIANTS, ids=describe)


pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    """Chunks of 64 species: 203 are three and a rest."""
    for tile in ("TILE", "GPU_TILE"):
        monkeypatch.setattr(chunks, tile, 1)


class Case:
    """Matrices, checklists and a background for one loss."""

    def __init__(self, variant, dtype=torch.float64, scale=1.0, masked=False, rows=B, species=S, sites=K):
        source = torch.Generator().manual_seed(3)
        self.loss = build(variant)
        self.location_BD = self._matrix(rows, scale, dtype, source)
        self.species_SD = self._matrix(species, 1.0, dtype, source)
        self.background_KD = self._matrix(sites, scale, dtype, source) if self.loss.needs_background else None
        self.mask_KS = None
        if masked and self.loss.needs_background:
            self.mask_KS = torch.rand(sites, species, generator=source) < 0.6
            self.mask_KS[:, :2] = False
        # Lists of up to three species, one of them given twice; the last row has none.
        self.row_P = torch.arange(max(rows - 1, 0)).repeat_interleave(3)
        self.species_P = torch.randint(max(species, 1), self.row_P.shape, generator=source)
        self.species_P[1:2] = self.species_P[:1]

    @staticmethod
    def _matrix(rows, scale, dtype, source):
        return (scale * torch.randn(rows, D, generator=source) / D**0.25).to(dtype).requires_grad_()

    @property
    def leaves(self):
        return [x for x in (self.location_BD, self.species_SD, self.background_KD) if x is not None]

    def chunks(self, **more):
        return loss_in_chunks(
            self.loss,
            self.location_BD,
            self.species_SD,
            self.row_P,
            self.species_P,
            background_KD=self.background_KD,
            background_mask_KS=self.mask_KS,
            **more,
        )

    def all_logits(self, double=False):
        near, species, far = (
            None if x is None else (x.double() if double else x)
            for x in (self.location_BD, self.species_SD, self.background_KD)
        )
        far_KS = None if far is None else far @ species.T
        source = torch.Generator()
        return self.loss(LossBatch(near @ species.T, self.row_P, self.species_P, source, far_KS, self.mask_KS))


def relative(got, expected):
    return ((got.double() - expected.double()).norm() / expected.double().norm()).item()


@every_loss
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", [0.1, 1.0, 12.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-7), (torch.float64, 1e-12)])
def test_value_and_gradients_equal_those_from_all_logits(variant, masked, scale, dtype, tolerance):
    case = Case(variant, dtype, scale, masked)
    got, expected = case.chunks(), case.all_logits(double=True)
    assert got.dtype == dtype
    assert relative(got, expected) < tolerance
    for mine, theirs in zip(*(torch.autograd.grad(x, case.leaves) for x in (got, expected)), strict=True):
        assert mine.dtype == dtype
        assert relative(mine, theirs) < tolerance


@every_loss
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_a_start_is_a_further_column_of_ones(variant, dtype, tolerance):
    """Logits plus a number per species, against matrices that hold it as one more dimension."""
    case = Case(variant, dtype, masked=True)
    start_S = (3 * torch.randn(S, generator=torch.Generator().manual_seed(5))).to(dtype)
    wider = Case(variant, torch.float64, masked=True)
    near_BD, species_SD, far_KD = (
        None if x is None else torch.cat([x.double(), column.double()[:, None]], dim=1)
        for x, column in (
            (case.location_BD, torch.ones(B)),
            (case.species_SD, start_S),
            (case.background_KD, torch.ones(K)),
        )
    )
    wider.location_BD, wider.species_SD, wider.background_KD = near_BD, species_SD, far_KD
    got, expected = case.chunks(start_S=start_S), wider.all_logits()
    assert relative(got, expected) < tolerance
    assert relative(case.chunks(), expected) > 100 * tolerance
    for mine, theirs in zip(*(torch.autograd.grad(x, case.leaves) for x in (got, expected)), strict=True):
        assert relative(mine, theirs) < tolerance


@every_loss
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
def test_a_start_has_the_gradient_of_a_bias(variant, dtype, tolerance):
    case = Case(variant, dtype, masked=True)
    start_S = (3 * torch.randn(S, generator=torch.Generator().manual_seed(5))).to(dtype).requires_grad_()
    near, species, far = (
        None if x is None else x.double() for x in (case.location_BD, case.species_SD, case.background_KD)
    )
    near_BS, far_KS = (None if x is None else x @ species.T + start_S for x in (near, far))
    exact = case.loss(LossBatch(near_BS, case.row_P, case.species_P, torch.Generator(), far_KS, case.mask_KS))
    leaves = [*case.leaves, start_S]
    got, expected = (torch.autograd.grad(3 * x, leaves) for x in (case.chunks(start_S=start_S), exact))
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == dtype
        assert relative(mine, theirs) < tolerance


def test_a_start_of_zeros_changes_nothing_and_of_another_length_is_refused():
    case = Case({"loss": "an_full"})
    torch.testing.assert_close(case.chunks(start_S=torch.zeros(S)), case.chunks(), rtol=1e-14, atol=0)
    with pytest.raises(ValueError, match=r"start_S has shape \(4,\)"):
        case.chunks(start_S=torch.zeros(4))


def test_the_public_functions_are_the_same_losses():
    """One species a row, as they take it; targets as a matrix."""
    source = torch.Generator().manual_seed(0)
    near_BD, species_SD, far_KD = (torch.randn(n, D, generator=source, dtype=torch.float64) for n in (B, S, K))
    species_B = torch.randint(S, (B,), generator=source)
    targets_BS = torch.nn.functional.one_hot(species_B, S)
    logits_BS, far_KS = near_BD @ species_SD.T, far_KD @ species_SD.T
    counts = {"records_S": COUNTS.records_per_species_S, "n_sites": COUNTS.n_rows}
    pairs = (
        ({"loss": "an_full"}, losses.an_full(logits_BS, species_B, far_KS)),
        ({"loss": "an_full_me"}, losses.an_full_me(logits_BS, species_B, far_KS)),
        ({"loss": "focal"}, losses.focal_loss(logits_BS, targets_BS)),
        ({"loss": "asl"}, losses.asymmetric_loss(logits_BS, targets_BS)),
        ({"loss": "assume_negative", "neg_samples": 0}, losses.AssumeNegativeLoss(4.0, 0)(logits_BS, targets_BS)),
        ({"loss": "full_weighted"}, losses.full_weighted(logits_BS, targets_BS, far_KS, **counts)),
    )
    for variant, expected in pairs:
        loss = build(variant)
        far = far_KD if loss.needs_background else None
        got = loss_in_chunks(loss, near_BD, species_SD, torch.arange(B), species_B, background_KD=far)
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_and_equal_at_saturated_logits(variant, dtype):
    case = Case(variant, dtype, scale=1e4)
    assert (case.location_BD @ case.species_SD.T).abs().max() > 1e4
    got, expected = case.chunks(), case.all_logits(double=True)
    assert relative(got, expected) < 1e-6
    for mine, theirs in zip(*(torch.autograd.grad(x, case.leaves) for x in (got, expected)), strict=True):
        assert mine.isfinite().all()
        # In float32 one logit in thousands sits near 0 and is known to a few thousandths only.
        assert relative(mine, theirs) < (1e-2 if dtype == torch.float32 else 1e-9)


@every_loss
def test_scaled_used_twice_and_differentiated_again(variant):
    case = Case(variant)
    expected = torch.autograd.grad(case.all_logits(), case.leaves)
    value = case.chunks()
    once = torch.autograd.grad(3.0 * value, case.leaves, retain_graph=True)
    for mine, theirs in zip(once, expected, strict=True):
        torch.testing.assert_close(mine, 3.0 * theirs, rtol=1e-11, atol=1e-15)
    both = torch.autograd.grad(0.5 * value + value.square(), case.leaves, retain_graph=True)
    for mine, theirs in zip(both, expected, strict=True):
        torch.testing.assert_close(mine, (0.5 + 2 * value.item()) * theirs, rtol=1e-11, atol=1e-15)
    again = torch.autograd.grad(value, case.leaves)
    for mine, theirs in zip(again, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-15)


@every_loss
def test_steps_that_accumulate_leave_the_gradients_of_others_alone(variant):
    case = Case(variant)
    case.chunks().backward()
    first = [leaf.grad.clone() for leaf in case.leaves]
    case.chunks().backward()
    for leaf, once in zip(case.leaves, first, strict=True):
        torch.testing.assert_close(leaf.grad, 2 * once, rtol=1e-12, atol=0)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), ()])
def test_only_the_gradients_asked_for(wanted):
    case = Case({"loss": "an_full"})
    for index, leaf in enumerate(case.leaves):
        leaf.requires_grad_(index in wanted)
    value = case.chunks()
    torch.testing.assert_close(value.detach(), case.all_logits().detach(), rtol=1e-12, atol=0)
    assert value.requires_grad == bool(wanted)
    if not wanted:
        return
    value.backward()
    got = [leaf.grad for leaf in case.leaves]
    assert [gradient is not None for gradient in got] == [index in wanted for index in range(3)]
    expected = torch.autograd.grad(case.all_logits(), [case.leaves[index] for index in wanted])
    for mine, theirs in zip((got[index] for index in wanted), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-15)


@every_loss
@pytest.mark.parametrize(("rows", "species"), [(0, S), (B, 0)])
def test_an_empty_batch_is_a_0_that_back_propagates(variant, rows, species):
    case = Case(variant, rows=rows, species=0 if species == 0 else S)
    if species == 0:
        case.row_P, case.species_P = case.row_P[:0], case.species_P[:0]
        case.loss = parse_variant(variant, "v").build(TrainingCounts(500, torch.zeros(0, dtype=torch.float64)))
    value = case.chunks()
    assert value.item() == 0
    for gradient in torch.autograd.grad(value, case.leaves):
        assert not gradient.any()


def test_a_batch_without_positives_and_one_without_background_sites():
    for variant, sites in (({"loss": "an_full"}, K), ({"loss": "bce", "background_weight": 1.0}, 0)):
        case = Case(variant, sites=sites)
        if sites:
            case.row_P, case.species_P = case.row_P[:0], case.species_P[:0]
        torch.testing.assert_close(case.chunks(), case.all_logits(), rtol=1e-12, atol=0)
        both = (torch.autograd.grad(x, case.leaves) for x in (case.chunks(), case.all_logits()))
        for mine, theirs in zip(*both, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-15)


@every_loss
def test_nan_propagates(variant):
    case = Case(variant)
    with torch.no_grad():
        case.species_SD[100] = math.nan
    value = case.chunks()
    assert value.isnan()
    location, species, *far = torch.autograd.grad(value, case.leaves)
    # Rows where the species is not observed may weigh nothing.
    looked_at = far[0] if variant["loss"] == "poisson" else location
    assert looked_at.isnan().all()
    assert species[100].isnan().all()
    assert species[:100].isfinite().all()


def test_half_precision_is_computed_in_float32():
    case = Case({"loss": "an_full"}, torch.bfloat16)
    value = case.chunks()
    assert value.dtype == torch.float32
    expected = case.all_logits(double=True)
    assert relative(value, expected) < 1e-6
    for mine, theirs in zip(*(torch.autograd.grad(x, case.leaves) for x in (value, expected)), strict=True):
        assert mine.dtype == torch.bfloat16
        assert relative(mine, theirs) < 5e-3


@every_loss
@pytest.mark.parametrize("masked", [False, True])
def test_rounded_products_are_those_of_autocast(variant, masked):
    """The same factors are rounded as in layers under autocast; what is summed then, and where, is not the same."""
    case = Case(variant, torch.float32, masked=masked)
    exact = torch.autograd.grad(case.chunks(), case.leaves)
    rounded = case.chunks(products=torch.bfloat16)
    assert rounded.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        far, pairs = case.background_KD, (case.row_P, case.species_P)
        far_KS = None if far is None else torch.nn.functional.linear(far, case.species_SD)
        near_BS = torch.nn.functional.linear(case.location_BD, case.species_SD)
    expected = case.loss(LossBatch(near_BS, *pairs, torch.Generator(), far_KS, case.mask_KS))
    torch.testing.assert_close(rounded, expected, rtol=1e-6, atol=0)
    mine = torch.autograd.grad(rounded, case.leaves)
    for gradient, theirs, close in zip(mine, torch.autograd.grad(expected, case.leaves), exact, strict=True):
        assert gradient.dtype == torch.float32
        # A factor is known to one part in 2^8.
        assert relative(gradient, theirs) < 0.01
        assert 1e-6 < relative(gradient, close) < 0.02


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that an operation returns."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.stride() != (0, 0):
                self.numel = max(self.numel, tensor.numel())
        return out


@every_loss
def test_nothing_as_large_as_all_pairs_is_ever_made(variant):
    case = Case(variant, rows=400, sites=400)
    with Largest() as largest:
        case.chunks().backward()
    # Three tiles of 64 species live in one buffer.
    assert largest.numel <= 400 * 3 * chunks.NARROWEST < 400 * S
    with Largest() as largest:
        case.all_logits().backward()
    assert largest.numel >= 400 * S


def test_a_second_derivative_is_refused():
    case = Case({"loss": "bce"})
    (gradient,) = torch.autograd.grad(case.chunks().square(), [case.location_BD], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    "variant",
    [
        {"loss": "maxent"},
        {"loss": "an_slds"},
        {"loss": "an_ssdl"},
        {"loss": "multitask"},
        {"loss": "assume_negative"},
        {"loss": "assume_negative", "neg_samples": 0, "spatial": "batch"},
    ],
    ids=describe,
)
def test_losses_that_draw_or_compare_sites_are_not_dense(variant):
    assert not isinstance(build(variant), PairWeights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"background_KD": None}, "background_KS is missing: must be given, for needs_background is True"),
        ({"species_SD": torch.zeros(S, D + 1)}, rf"location_BD has shape \({B}, {D}\): must be \({B}, {D + 1}\)"),
        ({"species_P": torch.full((3 * (B - 1),), S)}, rf"species_P span \[{S}, {S}\]: must lie in 0..{S - 1}"),
        ({"mask_KS": torch.ones(K, S - 1, dtype=torch.bool)}, "background_mask_KS has shape"),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    case = Case({"loss": "an_full"})
    for name, value in change.items():
        setattr(case, name, value)
    with pytest.raises(ValueError, match=message):
        case.chunks()
