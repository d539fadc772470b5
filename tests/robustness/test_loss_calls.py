"""Calls of the public losses with arguments of any kind: a value as a double loop has it, or an error that names one.

Nothing of the package is in the loops: they are written from the definitions, one pair of site and species at a time.
"""

import inspect
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.torture import record_trials, trials

import presence_only.losses as losses


def softplus(x):
    return max(x, 0.0) if math.isinf(x) else x + math.log1p(math.exp(-x)) if x >= 0 else math.log1p(math.exp(x))


def sigmoid(x):
    return math.exp(-softplus(-x))


def entropy_term(x):
    """p log p + q log q."""
    p, q = sigmoid(x), sigmoid(-x)
    return 0.0 if math.isinf(x) else -(p * softplus(-x) + q * softplus(x))


def pairs(*tensors):
    """The numbers of tensors of one shape, element by element."""
    return list(zip(*(tensor.detach().double().reshape(-1).tolist() for tensor in tensors), strict=True))


def mean(terms):
    return sum(terms) / max(len(terms), 1)


def reduced(terms, reduction):
    return {"mean": mean(terms), "sum": sum(terms), "none": terms}[reduction]


def focal_loop(logits, targets, alpha=0.25, gamma=2.0, reduction="mean"):
    terms = []
    for x, y in pairs(logits, targets):
        easy = y * sigmoid(-x) + (1 - y) * sigmoid(x)
        weight = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
        terms.append(weight * easy**gamma * (y * softplus(-x) + (1 - y) * softplus(x)))
    return reduced(terms, reduction)


def asymmetric_loop(logits, targets, gamma_pos=0.0, gamma_neg=2.0, clip=0.05, reduction="mean"):
    terms = []
    for x, y in pairs(logits, targets):
        above = max(sigmoid(x) - clip, 0.0)
        present = y * sigmoid(-x) ** gamma_pos * softplus(-x)
        terms.append(present - ((1 - y) * above**gamma_neg * math.log1p(-above) if above else 0.0))
    return reduced(terms, reduction)


def weights_loop(species_targets, smoothing=1.0):
    weights = []
    for s in range(species_targets.shape[1]):
        column = species_targets[:, s].double().tolist()
        absent, present = sum(1 - y for y in column) + smoothing, sum(column) + smoothing
        weights.append(absent / present if present else math.inf)
    return weights


def masked_mse_loop(pred, target):
    known = [(min(max(x, -1e4), 1e4) - y) ** 2 for x, y in pairs(pred, target) if not math.isnan(y)]
    return mean(known)


def full_loop(absent, logits_BS, species_B, background_BS, pos_lambda=2048.0):
    x_BS = logits_BS.double().tolist()
    near = [
        pos_lambda * softplus(-x) if s == species else absent(x)
        for x_S, species in zip(x_BS, species_B.tolist(), strict=True)
        for s, x in enumerate(x_S)
    ]
    return mean(near) + mean([absent(x) for (x,) in pairs(background_BS)]) if near else 0.0


def ssdl_loop(absent, logits_BS, species_B, background_BS):
    here, there = logits_BS.double().tolist(), background_BS.double().tolist()
    return mean([softplus(-here[i][s]) + absent(there[i][s]) for i, s in enumerate(species_B.tolist())])


def em_loop(logits_BS, targets_BS, alpha=0.1, pseudo_labels_BS=None, beta=0.2):
    labels = torch.full_like(logits_BS, math.nan) if pseudo_labels_BS is None else pseudo_labels_BS
    terms = []
    for x, y, f in pairs(logits_BS, targets_BS, labels):
        unsure = alpha * entropy_term(x) if math.isnan(f) else beta * (f * softplus(-x) + (1 - f) * softplus(x))
        terms.append(softplus(-x) if y == 1 else unsure)
    return mean(terms)


def assume_negative_loop(logits, targets, pos_lambda=4.0, label_smoothing=0.0):
    terms = []
    for x, y in pairs(logits, targets):
        soft = y * (1 - label_smoothing) + (1 - y) * label_smoothing
        terms.append((pos_lambda if y else 1.0) * (soft * softplus(-x) + (1 - soft) * softplus(x)))
    return mean(terms)


def assume_negative(logits, targets, pos_lambda=4.0, label_smoothing=0.0):
    return losses.AssumeNegativeLoss(pos_lambda, 0, label_smoothing)(logits, targets)


def drawn_absences(logits, targets, neg_samples=2, spatial="none", background_logits=None, generator=None):
    loss = losses.AssumeNegativeLoss(neg_samples=neg_samples, spatial=spatial)
    return loss(logits, targets, background_logits=background_logits, generator=generator)


def binary_focal(pred, targets, gamma=2.0):
    return losses.BinaryFocalLoss(gamma, from_logits=True)(pred, targets)


def probabilities_focal(pred, targets, gamma=2.0):
    usual = isinstance(pred, torch.Tensor) and pred.dtype in (torch.float32, torch.float64, torch.float16)
    usual = usual and pred.layout == torch.strided and not pred.is_nested
    return losses.BinaryFocalLoss(gamma)(pred.sigmoid() if usual else pred, targets)


def multitask(species_logits, species, env_pred, env_features, pos_weight=None, **settings):
    predictions = {"species_logits": species_logits, "env_pred": env_pred}
    return losses.MultiTaskLoss(pos_weight=pos_weight, **settings)(
        predictions, {"species": species, "env_features": env_features}
    )["total"]


LOOPS = {
    losses.focal_loss: focal_loop,
    losses.asymmetric_loss: asymmetric_loop,
    losses.compute_pos_weights: weights_loop,
    losses.masked_mse: masked_mse_loop,
    losses.an_full: lambda *a, **k: full_loop(softplus, *a, **k),
    losses.an_full_me: lambda *a, **k: full_loop(entropy_term, *a, **k),
    losses.an_ssdl: lambda *a, **k: ssdl_loop(softplus, *a, **k),
    losses.an_ssdl_me: lambda *a, **k: ssdl_loop(entropy_term, *a, **k),
    losses.em: em_loop,
    assume_negative: assume_negative_loop,
    binary_focal: lambda pred, targets, gamma=2.0: focal_loop(pred, targets, None, gamma),
}
OTHERS = (
    *(losses.epr, losses.full_weighted, losses.gr, losses.large_loss, losses.maxent, losses.nnpu, losses.poisson),
    *(losses.pairwise_ranking, losses.sigmoid_f1, losses.species_softmax, losses.splc, losses.two_way),
    *(losses.an_slds, losses.an_slds_me, drawn_absences, probabilities_focal, multitask),
)
# Of a loss, its numbers with a value within their ranges; and its words.
NUMBERS = {
    "alpha": 0.3, "gamma": 1.5, "gamma_pos": 1.0, "gamma_neg": 3.0, "clip": 0.1, "smoothing": 2.0, "pos_lambda": 16.0,
    "beta": 0.4, "label_smoothing": 0.1, "expected_species": 1.0, "lambda1": 2.0, "lambda2": 0.5, "w": 0.1, "b": -1.0,
    "mu": 0.4, "sigma": 1.0, "q2": 0.1, "q3": 0.9, "share": 0.3, "prior": 0.2, "n_pairs": 2, "intensity_cap": 5.0,
    "eta": 0.5, "normalisation": 0.2, "tau": 0.5, "margin": 0.8, "pos_temperature": 2.0, "neg_temperature": 1.5,
    "neg_samples": 2, "species_weight": 1.0, "env_weight": 0.5,
}  # fmt: skip
CHOICES = {
    "reduction": ("mean", "sum", "none"), "scheme": ("reject", "temporary", "permanent"), "estimator": ("nnpu", "upu"),
    "pairs": ("spatial", "community", "both"), "sites": ("batch", "background", "both"), "spatial": ("none", "batch"),
    "weights": ("uniform", "warp"),
}  # fmt: skip
LOGITS = ("logits_BS", "logits", "pred", "species_logits")
TARGETS = ("targets_BS", "targets", "species_targets", "species")
PLACES = ("background_KS", "background_BS", "background_logits")


def arguments_of(function, rng):
    """Arguments that the loss takes, of a small batch."""
    rows, species, sites = int(rng.integers(1, 5)), int(rng.integers(2, 5)), int(rng.integers(1, 5))
    real = [torch.float32, torch.float64][rng.integers(2)]

    def logits(n):
        return torch.from_numpy(rng.normal(0, 3, (n, species))).to(real)

    present = torch.from_numpy(rng.random((rows, species)) < 0.4)
    present[:, 0] = True
    made = {}
    for name, parameter in inspect.signature(function).parameters.items():
        optional = parameter.default is not inspect.Parameter.empty
        if name in LOGITS:
            made[name] = logits(rows)
        elif name in TARGETS:
            made[name] = present.to([torch.int64, torch.bool, torch.float32, real][rng.integers(4)])
        elif name in PLACES:
            needed = function in (losses.full_weighted, losses.nnpu) or not optional or name == "background_KS"
            made |= {name: logits(rows if "ssdl" in function.__name__ else sites)} if needed else {}
        elif name == "species_B":
            made[name] = torch.from_numpy(rng.integers(0, species, rows))
        elif name in ("target", "env_features", "env_pred"):
            shape = (rows, species) if name == "target" else (rows, 2)
            made[name] = torch.from_numpy(rng.normal(size=shape)).to(real)
        elif name in NUMBERS and (not optional or rng.random() < 0.5):
            made[name] = NUMBERS[name]
        elif name in CHOICES and rng.random() < 0.3:
            made[name] = str(rng.choice(CHOICES[name]))
        elif name == "pseudo_labels_BS" and rng.random() < 0.5:
            made[name] = torch.where(present, math.nan, torch.from_numpy(rng.random((rows, species)))).to(real)
        elif name == "generator":
            made[name] = torch.Generator().manual_seed(int(rng.integers(2**31)))
    if function is losses.pairwise_ranking and (
        made.get("sites", "batch") == "batch" or made.get("pairs") == "community"
    ):
        made.pop("background_KS")
    if function is losses.nnpu:
        made |= {"gamma": 0.5} if "gamma" in made else {}
    return made


class Odd(float):
    """A number whose text cannot be written."""

    def __repr__(self):
        raise RuntimeError("no text")


HUGE = 10**400
SCALARS = (
    HUGE, -HUGE, 10**5000, -(10**5000), Fraction(HUGE), Fraction(1, HUGE), 2**63, -(2**63), 2**31, math.nan, math.inf,
    -math.inf, 1e308, 5e-324, -1.0, 0, 0.0, True, None, "1", "x" * 10_000, b"1", [], [1.0], {}, 1j, object(), Odd(2.0),
    np.float16(0.5), np.float64(0.5), np.int8(1), np.array(0.5), np.array([0.5]), torch.tensor(0.5), torch.zeros(3),
    np.longdouble("1e4000"), torch.zeros(2, device="meta"), type, len, Odd(-1.0), np.bool_(True), range(3),
)  # fmt: skip


def quantized(x):
    return torch.quantize_per_tensor(x.detach().float(), 0.1, 0, torch.quint8)


def nested(x):
    return torch.nested.nested_tensor([x.detach().float(), x.detach().float()])


def jagged(x):
    return torch.nested.nested_tensor([x.detach().float(), x.detach().float()], layout=torch.jagged)


def with_one(value):
    """A change that writes a value into a tensor."""

    def change(x):
        changed = x.detach().clone() if x.is_floating_point() else x.double()
        changed.view(-1)[:1] = value
        return changed

    return change


TENSORS = {
    "sparse": lambda x: x.to_sparse(), "csr": lambda x: x.to_sparse_csr(), "csc": lambda x: x.to_sparse_csc(),
    "meta": lambda x: x.to("meta"), "complex": lambda x: x.to(torch.complex64), "quantized": quantized,
    "complex half": lambda x: x.to(torch.complex32), "nested": nested, "jagged": jagged,
    "mkldnn": lambda x: x.float().to_mkldnn(),
    "with a gradient": lambda x: x.detach().double().requires_grad_(), "int8": lambda x: x.to(torch.int8),
    "uint8": lambda x: x.to(torch.uint8), "uint16": lambda x: x.to(torch.uint16),
    "uint32": lambda x: x.to(torch.uint32),
    "uint64": lambda x: x.to(torch.uint64), "int64": lambda x: x.to(torch.int64), "bool": lambda x: x != 0,
    "half": lambda x: x.half(), "bfloat16": lambda x: x.bfloat16(), "float8": lambda x: x.to(torch.float8_e4m3fn),
    "other float8": lambda x: x.to(torch.float8_e5m2), "no rows": lambda x: x[:0], "no columns": lambda x: x[..., :0],
    "one more": lambda x: torch.cat([x, x[:1]]), "flat": lambda x: x.reshape(-1), "deep": lambda x: x[None],
    "scalar": lambda x: x.reshape(-1)[0], "transposed": lambda x: x.t().contiguous().t() if x.ndim == 2 else x,
    "expanded": lambda x: x[:1].expand(x.shape), "every second": lambda x: x.repeat_interleave(2, 0)[::2],
    "nan": with_one(math.nan), "infinite": with_one(math.inf), "minus infinite": with_one(-math.inf),
    "huge": with_one(1e300), "two": with_one(2.0), "minus one": with_one(-1.0), "a half": with_one(0.5),
    "array": lambda x: x.detach().numpy(), "list": lambda x: x.tolist(), "none": lambda x: None, "text": lambda x: "x",
    "tuple": lambda x: (x,), "parameter": lambda x: torch.nn.Parameter(x.detach().double()),
    "masked": lambda x: np.ma.array(x.numpy(), mask=True), "negative view": lambda x: torch._neg_view(x.double()),
    "conjugated": lambda x: x.to(torch.complex64).conj(), "object": lambda x: object(),
}  # fmt: skip


def hostile(value, rng):
    """Another value in the place of one, and what was done."""
    if isinstance(value, torch.Tensor) and rng.random() < 0.9:
        for name in rng.permutation(list(TENSORS)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return TENSORS[name](value), str(name)
            except (RuntimeError, TypeError, NotImplementedError, IndexError, ValueError):
                continue  # torch makes no such tensor
    scalar = SCALARS[rng.integers(len(SCALARS))]
    return scalar, type(scalar).__name__


def numbers_of(value):
    return value.detach().double().reshape(-1).tolist()


def agree(got, expected, coarse):
    """Whether two lists of numbers are alike; both may be infinite or no numbers."""
    tolerance = 0.05 if coarse else 1e-4
    return len(got) == len(expected) and all(
        a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
        for a, b in zip(got, expected, strict=True)
    )


def trial(function, rng):
    """One call; a sentence if it does not hold."""
    arguments, changed, what = arguments_of(function, rng), "", "as it should be"
    if rng.random() < 0.8:
        changed = str(rng.choice([name for name in inspect.signature(function).parameters if name != "settings"]))
        arguments[changed], what = hostile(arguments.get(changed, NUMBERS.get(changed)), rng)
    where = f"{function.__name__}, {changed or 'all'} {what}"
    try:
        value = function(**arguments)
    except (ValueError, TypeError) as error:
        said = str(error)
        if not changed:
            return f"{where}: refused: {said}"
        if not any(name in said for name in inspect.signature(function).parameters):
            return f"{where}: {type(error).__name__} names no argument: {said[:200]}"
        return f"{where}: a sentence of {len(said)} characters" if len(said) > 600 else ""
    except BaseException as error:
        return f"{where}: {type(error).__name__}: {str(error)[:200]}"
    if not isinstance(value, torch.Tensor) or value.is_meta:
        return f"{where}: gives {value!r}"
    tensors = [given for given in arguments.values() if isinstance(given, torch.Tensor)]
    usual = all(abs(x) < 30 or math.isnan(x) for given in tensors for x in numbers_of(given))
    if (
        function in LOOPS
        and usual
        and all(isinstance(n, (float, int, type(None), str, *ALSO)) for n in arguments.values())
    ):
        expected = LOOPS[function](**{name: plain(given) for name, given in arguments.items()})
        wanted = expected if isinstance(expected, list) else [expected]
        coarse = any(given.element_size() < 4 and given.is_floating_point() for given in tensors)
        if all(map(math.isfinite, wanted)) and not agree(numbers_of(value), wanted, coarse):
            return f"{where}: {numbers_of(value)[:4]}, by a loop {wanted[:4]}"
    return ""


ALSO = (torch.Tensor, np.floating, np.integer, Fraction)


def plain(given):
    """An argument as the loops take it."""
    return float(given) if isinstance(given, (np.floating, np.integer, Fraction)) else given


@pytest.mark.filterwarnings("ignore")
def test_calls_of_every_loss():
    rng = np.random.default_rng(2121)
    functions = [*LOOPS, *OTHERS]
    n = trials(1500, 10_000)
    fell = []
    for i in range(n):
        sentence = trial(functions[i % len(functions)], rng)
        if sentence:
            fell.append(sentence)
    record_trials("calls of losses", n, fell)


@pytest.mark.parametrize(
    "value",
    [10**400, -(10**400), 10**5000, Fraction(10**400), np.longdouble("1e4000")],
    # Python writes no integer of 5,000 digits, of which pytest would make a name.
    ids=["huge", "minus huge", "longer than text", "fraction", "long double"],
)
def test_numbers_that_no_float_holds_are_refused_by_name(value):
    x, y = torch.zeros(2, 3), torch.zeros(2, 3)
    for call in (
        lambda: losses.focal_loss(x, y, gamma=value),
        lambda: losses.AssumeNegativeLoss(pos_lambda=value),
        lambda: losses.BinaryFocalLoss(gamma=value),
        lambda: losses.MultiTaskLoss(asl_gamma_neg=value),
        lambda: losses.an_full(x, torch.zeros(2, dtype=torch.int64), x, pos_lambda=value),
    ):
        with pytest.raises(ValueError, match=r"gamma|pos_lambda") as caught:
            call()
        assert len(str(caught.value)) < 300
