"""How long does Adam remember the start of training? A model with two weights: its formulas against its simulation.

docs/optimizer.md derives the formulas. One species of prevalence pi has two weights, each on a feature that is positive
everywhere, and one is larger where the species lives. The model predicts how small Adam's steps still are, t steps
after all species began at the score one half, relative to a start at the balance of the loss. The simulation draws
batches and takes Adam's steps; it shares with the formulas only the loss and the size of the features, which is that of
an untrained encoder of the default study.

    python benchmarks/adam_memory_model.py               # the table, and docs/figures/adam_memory.png; two minutes
    python benchmarks/adam_memory_model.py --no-write    # print the table only
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from presence_only.losses.balance import balanced_logits
from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.losses.pair_weights import PairWeights
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.optimizers import BETA1
from results import write_results

ROOT = Path(__file__).parents[1]
FIGURE = ROOT / "docs/figures/adam_memory.png"
# The losses of the former study adam_memory, by the name of their variants there.
LOSSES = {
    "bce": {"loss": "bce"},
    "focal": {"loss": "focal"},
    "asl": {"loss": "asl", "gamma_neg": 4.0, "clip": 0.2},
    "an_l64": {"loss": "assume_negative", "pos_lambda": 64.0, "neg_samples": 0},
    "full": {"loss": "an_full"},
}
BETAS = (0.9, 0.95, 0.99, 0.999)
# Steps and learning rate of the former study adam_memory, and of the default study.
STEPS, LEARNING_RATE = 588, 0.005
# Good sites have 1.8 times the mean share of records, bad ones 0.2 times.
CONTRAST = 0.8
# The losses, prevalence and steps of experiments/start.
START_LOSSES = {
    "bce": LOSSES["bce"],
    "focal": LOSSES["focal"],
    "asl": {"loss": "asl", "gamma_neg": 2.0, "clip": 0.0},
    "an_l64": LOSSES["an_l64"],
    "an_full": LOSSES["full"],
}
START_PREVALENCE, START_STEPS = 1 / 300, 600
WARMUP = 100
LOGITS = np.linspace(-30.0, 15.0, 45_001)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What the model knows.

    Args:
        prevalence: Share of training rows that hold the species.
        batch_size: Training rows a step.
        speed: How far a step of Adam moves the logit that all sites share, in nats: the learning rate times the sum of
            the features' means.
        unevenness: Standard deviation of a feature over its mean.
    """

    prevalence: float
    batch_size: int
    speed: float
    unevenness: float


@dataclass(frozen=True)
class Way:
    """How steps are taken.

    Args:
        warmup: Steps over which the learning rate rises in a line.
        rmsprop: No running mean of gradients, and no correction of the mean of squares for its start at 0.
    """

    warmup: int = 0
    rmsprop: bool = False

    def rate(self, step: Array | int) -> Any:
        """The learning rate's share at a step, from 1 on."""
        return np.minimum(1.0, np.asarray(step) / self.warmup) if self.warmup else 1.0


ADAM = Way()
WAYS = {"Adam": ADAM, f"Adam, warm-up of {WARMUP} steps": Way(warmup=WARMUP), "RMSprop": Way(rmsprop=True)}


class Slopes:
    """The slopes of one species' loss, by the logit."""

    def __init__(self, loss: dict[str, Any], prevalence: float) -> None:
        n_rows = 1_000_000
        counts = TrainingCounts(n_rows, torch.tensor([prevalence * n_rows], dtype=torch.float64))
        weights = parse_variant(loss, "loss").expected_weights(counts)
        assert weights is not None
        self.positive = _slope(weights, "positive", weights.penalty)
        self.negative = _slope(weights, "unobserved", weights.penalty)
        self.far = _slope(weights, "background", weights.far_penalty)
        self.balance = float(balanced_logits(weights, counts.prevalence(), torch.ones(1)))

    def mean(self, x: Array, share: Array | float) -> Array:
        """The gradient at sites of logit x of which this share holds the species."""
        return share * _at(self.positive, x) + (1 - share) * _at(self.negative, x) + _at(self.far, x)


def _slope(weights: PairWeights, name: str, penalty: Any) -> Array:
    """Weight times slope of a penalty's curve on the grid of logits."""
    x = torch.from_numpy(LOGITS).requires_grad_()
    curve = penalty.positive if name == "positive" else penalty.negative
    (slope,) = torch.autograd.grad(curve(x).sum(), [x])
    return (float(getattr(weights, name)) * slope).numpy()


def _at(values: Array, x: Array) -> Array:
    """Values of the grid at logits."""
    return np.interp(x, LOGITS, values)


@dataclass(frozen=True)
class Prediction:
    """The formulas of docs/optimizer.md.

    Args:
        balance: Logit at which the loss is least.
        first: Gradient of the shared logit at the start, G(0).
        useful: Gradient that tells sites apart, at the balance.
        settled: Second moment of a weight's gradient at the balance, v.
        remembered: Sum over the first steps of the squared gradient of the shared logit, Q.
    """

    balance: float
    first: float
    useful: float
    settled: float
    remembered: float

    @classmethod
    def of(
        cls, slopes: Slopes, setting: Setting, way: Way = ADAM, beta2: float = 1.0, start: float = 0.0
    ) -> Prediction:
        """Predict one loss from a logit at the start; ``beta2`` matters for RMSprop's first steps alone."""
        pi, c = setting.prevalence, setting.unevenness
        at = np.array(slopes.balance)
        present, absent = float(_at(slopes.positive, at)), float(_at(slopes.negative, at))
        useful = c * pi * CONTRAST * abs(present - absent)
        noise = (1 + c**2) * (pi * present**2 + (1 - pi) * absent**2) / setting.batch_size
        return cls(
            slopes.balance,
            float(slopes.mean(np.array(start), pi)),
            useful,
            noise + useful**2,
            remembered(lambda x: float(slopes.mean(np.array(x), pi)), setting.speed, noise, way, beta2, start),
        )

    def excess(self, beta2: float) -> float:
        """q: what is remembered of the start over what three settled gradients are, where all memory is one step's."""
        return (1 - beta2) * self.remembered / (3 * self.settled)

    def steps_to_half(self, beta2: float) -> float:
        """T: steps until Adam's steps have half of the size that they have without memory of the start."""
        return math.log1p(self.excess(beta2)) / -math.log(beta2)

    def step_size(self, beta2: float, steps: Array) -> Array:
        """f(t): Adam's steps, relative to those without memory of the start."""
        faded = beta2**steps
        return 1 / np.sqrt(1 + 3 * self.excess(beta2) * faded / (1 - faded))


def remembered(
    gradient: Callable[[float], float],
    speed: float,
    noise: float,
    way: Way = ADAM,
    beta2: float = 1.0,
    start: float = 0.0,
) -> float:
    """Q: the sum of squared gradients on the way from the start to the balance.

    A step goes speed * g / sqrt(mean of g^2 so far + noise), as Adam's do as long as it forgets nothing. RMSprop has
    the sum times 1 - beta2 in place of the mean.
    """
    x, total = start, 0.0
    for step in range(1, 20_001):
        g = gradient(x)
        total += g**2
        square = (1 - beta2) * (total + step * noise) if way.rmsprop else total / step + noise
        x -= speed * float(way.rate(step)) * g / math.sqrt(square)
    return total


def simulate(
    slopes: Slopes,
    setting: Setting,
    n_steps: int,
    n_species: int,
    seed: int,
    betas: tuple[float, ...] = BETAS,
    way: Way = ADAM,
) -> tuple[Array, Array]:
    """Adam on batches that are drawn, from one half and from the balance, for several independent species.

    Both starts and all betas see the same batches.

    Args:
        slopes: Of the loss.
        setting: What the model knows.
        n_steps: T.
        n_species: Simulated at the same time.
        seed: Of the batches.
        betas: Adam's beta2.
        way: How steps are taken.

    Returns:
        The mean squares that steps are divided by, over species and weights, shape (2 starts, betas, T); and the means
        over species of the difference of the logits of good and bad sites, alike.
    """
    source = np.random.default_rng(seed)
    pi, c, half = setting.prevalence, setting.unevenness, setting.batch_size // 2
    beta2 = np.array(betas)[None, :, None, None]
    start = np.array([0.0, slopes.balance])[:, None, None]
    # A weight moves by the learning rate: both features are as large as it takes to move the shared logit at `speed`.
    rate = setting.speed / 2
    features = np.array([[1 + c, 1 - c], [1 - c, 1 + c]])  # sites x weights
    weights = np.zeros((2, len(betas), n_species, 2))
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    squares, told_apart = np.empty((2, 2, len(betas), n_steps))
    for step in range(1, n_steps + 1):
        logits = start[..., None] + weights @ features.T
        share = source.binomial(half, pi * np.array([1 + CONTRAST, 1 - CONTRAST]), (n_species, 2)) / half
        gradient = slopes.mean(logits, share) @ features / 2
        mean = BETA1 * mean + (1 - BETA1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        corrected = square if way.rmsprop else square / (1 - beta2**step)
        direction = gradient if way.rmsprop else mean / (1 - BETA1**step)
        weights = weights - rate * way.rate(step) * direction / (np.sqrt(corrected) + 1e-12)
        squares[..., step - 1] = corrected.mean(axis=(2, 3))
        told_apart[..., step - 1] = (logits[..., 0] - logits[..., 1]).mean(axis=2)
    return squares, told_apart


def steps_below(step_size: Array, level: float = 0.5) -> int:
    """Steps until a curve is above a level for good."""
    below = np.flatnonzero(step_size < level)
    return 0 if len(below) == 0 else int(below[-1]) + 1


def kept(step_size: Array, n_steps: int = STEPS) -> float:
    """The share of a cosine schedule's movement that is left in the first steps."""
    rates = 0.5 * (1 + np.cos(np.pi * np.arange(n_steps) / n_steps))
    return float((rates * step_size[:n_steps]).sum() / rates.sum())


def encoder_constants(learning_rate: float) -> tuple[float, float]:
    """Speed of the shared logit and unevenness of the features, of an untrained encoder of the default study.

    The mean over five seeds; sites are uniform on the sphere.
    """
    source = np.random.default_rng(0)
    sites = np.column_stack([source.uniform(-180, 180, 5000), np.degrees(np.arcsin(source.uniform(-1, 1, 5000)))])
    settings = EncoderSettings(start="zero")
    speeds, unevenness = [], []
    for seed in range(5):
        torch.manual_seed(seed)
        model = RangeModel(Features(settings, 0), 1)
        embedding = model.embed_sites(sites, np.empty((5000, 0)))
        mean, deviation = embedding.mean(axis=0), embedding.std(axis=0)
        speeds.append(learning_rate * mean.sum())
        unevenness.append(math.sqrt((deviation**2).mean() / (mean**2).mean()))
    return float(np.mean(speeds)), float(np.mean(unevenness))


def measured() -> dict[str, float]:
    """The mAP of every variant of the former study adam_memory, whose folder is in git at commit a15cf88."""
    with (ROOT / "benchmarks/results/adam_memory_study.csv").open() as file:
        return {row["variant"]: float(row["mean"]) for row in csv.DictReader(file)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8000, help="simulated steps")
    parser.add_argument("--simulated", type=int, default=32, help="species simulated at the same time")
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    speed, unevenness = encoder_constants(LEARNING_RATE)
    setting = Setting(1 / 500, 512, speed, unevenness)
    predictions, curves = {}, {}
    for name, loss in LOSSES.items():
        slopes = Slopes(loss, setting.prevalence)
        predictions[name] = Prediction.of(slopes, setting)
        squares, _ = simulate(slopes, setting, arguments.steps, arguments.simulated, seed=0)
        curves[name] = np.sqrt(squares[1] / squares[0])  # betas x steps
    lines = [
        f"Prevalence 1/500, batches of {setting.batch_size}, learning rate {LEARNING_RATE}, speed {speed:.3f} nats a "
        f"step, unevenness {unevenness:.2f}, contrast {CONTRAST}. {arguments.simulated} species simulated for "
        f"{arguments.steps:,} steps. Symbols as in docs/optimizer.md.",
        "",
        *by_loss(predictions),
        "",
        *half_size(predictions, curves),
        "",
        *against_study(predictions, curves),
        "",
        *by_way(setting, arguments.steps, arguments.simulated),
        "",
        *by_size(setting),
        "",
        *for_start(setting),
        "",
        *against_start(setting),
    ]
    print("\n".join(lines))
    if not arguments.no_write:
        write_results(Path(__file__), lines)
        draw(predictions, curves)


def by_loss(predictions: dict[str, Prediction]) -> Iterator[str]:
    """What a loss is to the model."""
    yield "| loss | balance | G(0) | useful u | settled sqrt(v) | G(0) / sqrt(v) | remembered Q | Q / v |"
    yield "|:---|---:|---:|---:|---:|---:|---:|---:|"
    for name, p in predictions.items():
        root = math.sqrt(p.settled)
        yield (
            f"| `{name}` | {p.balance:.2f} | {p.first:.3f} | {p.useful:.5f} | {root:.5f} | {abs(p.first) / root:.1f} "
            f"| {p.remembered:.3f} | {p.remembered / p.settled:,.0f} |"
        )


def half_size(predictions: dict[str, Prediction], curves: dict[str, Array]) -> Iterator[str]:
    """Steps until half of the step size."""
    yield "Steps until Adam's steps have half of their size, predicted / simulated:"
    yield ""
    yield "| loss |" + "".join(f" beta2 {beta2} |" for beta2 in BETAS)
    yield "|:---|" + "---:|" * len(BETAS)
    for name, p in predictions.items():
        cells = (
            f" {p.steps_to_half(beta2):,.0f} / {steps_below(curve):,} |"
            for beta2, curve in zip(BETAS, curves[name], strict=True)
        )
        yield f"| `{name}` |" + "".join(cells)


def against_study(predictions: dict[str, Prediction], curves: dict[str, Array]) -> Iterator[str]:
    """What is left of the movement, beside the gains of a study."""
    yield (
        f"Share of the movement of {STEPS} steps with a cosine schedule that is left, predicted / simulated, and mAP "
        "of the former study adam_memory:"
    )
    yield ""
    yield "| loss | left at 0.999 | left at 0.99 | left at 0.95 | mAP at 0.999 | 0.99 | 0.95 | gain |"
    yield "|:---|---:|---:|---:|---:|---:|---:|---:|"
    scores, steps = measured(), np.arange(1.0, STEPS + 1)
    for name, p in predictions.items():
        left = [
            f"{kept(p.step_size(beta2, steps)):.2f} / {kept(curves[name][BETAS.index(beta2)]):.2f}"
            for beta2 in (0.999, 0.99, 0.95)
        ]
        found = [scores[f"{name}_{suffix}"] for suffix in ("b999", "b99", "b95")]
        cells = [*left, *(f"{value:.3f}" for value in found), f"{found[2] - found[0]:+.3f}"]
        yield f"| `{name}` | " + " | ".join(cells) + " |"


def by_way(setting: Setting, n_steps: int, n_species: int) -> Iterator[str]:
    """Cross-entropy under other optimizers."""
    slopes = Slopes(LOSSES["bce"], setting.prevalence)
    yield "`bce`, steps until half of the step size, predicted / simulated:"
    yield ""
    yield "| optimizer |" + "".join(f" beta2 {beta2} |" for beta2 in BETAS)
    yield "|:---|" + "---:|" * len(BETAS)
    for name, way in WAYS.items():
        squares, _ = simulate(slopes, setting, n_steps, n_species, seed=0, way=way)
        curves = np.sqrt(squares[1] / squares[0])
        predicted = [Prediction.of(slopes, setting, way, beta2).steps_to_half(beta2) for beta2 in BETAS]
        cells = (f" {t:,.0f} / {steps_below(curve):,} |" for t, curve in zip(predicted, curves, strict=True))
        yield f"| {name} |" + "".join(cells)


def for_start(setting: Setting) -> Iterator[str]:
    """What the model predicts for experiments/start; the table was written before the study ran."""
    yield (
        f"Prevalence 1/{1 / START_PREVALENCE:.0f}, share of the movement of {START_STEPS} steps with a cosine "
        "schedule that is left, predicted:"
    )
    yield ""
    yield "| loss | balance | zero, beta2 0.999 | zero, 0.95 | prevalence, 0.999 | prevalence, 0.95 |"
    yield "|:---|---:|---:|---:|---:|---:|"
    for name, loss in START_LOSSES.items():
        slopes = Slopes(loss, START_PREVALENCE)
        left = [
            f"{left_in_start(slopes, setting, start, beta2):.2f}"
            for start in ("zero", "prevalence")
            for beta2 in (0.999, 0.95)
        ]
        yield f"| `{name}` | {slopes.balance:.2f} | " + " | ".join(left) + " |"


def left_in_start(slopes: Slopes, setting: Setting, start: str, beta2: float) -> float:
    """The share of the movement that is left in experiments/start."""
    logit = {"zero": 0.0, "prevalence": math.log(START_PREVALENCE / (1 - START_PREVALENCE))}[start]
    prediction = Prediction.of(slopes, replace(setting, prevalence=START_PREVALENCE), start=logit)
    return kept(prediction.step_size(beta2, np.arange(1.0, START_STEPS + 1)), START_STEPS)


class StartRow(NamedTuple):
    """One combination of experiments/start: the share of movement that is left, and the mAP that it reached.

    Args:
        left: Predicted share of movement that is left; rows are sorted by it.
        loss: Name in START_LOSSES.
        start: Where training began.
        beta2: Adam's beta2.
        found: Mean mAP over the worlds.
        balance: The same from the balance of the loss.
    """

    left: float
    loss: str
    start: str
    beta2: float
    found: float
    balance: float

    @property
    def gain(self) -> float:
        """What a start at the balance brings."""
        return self.balance - self.found


def against_start(setting: Setting) -> Iterator[str]:
    """The share of movement that is left, beside the mAP that a start costs in experiments/start."""
    rows = sorted(start_rows(setting))
    yield "The same shares beside mAP of experiments/start, the mean over three worlds, in the order of the shares:"
    yield ""
    yield "| loss | start | beta2 | left, predicted | mAP | from the balance | gain |"
    yield "|:---|:---|---:|---:|---:|---:|---:|"
    for row in rows:
        yield (
            f"| `{row.loss}` | {row.start} | {row.beta2} | {row.left:.2f} | {row.found:.3f} | {row.balance:.3f} "
            f"| {row.gain:+.3f} |"
        )
    ranks = spearmanr([row.left for row in rows], [row.gain for row in rows]).statistic
    yield ""
    yield f"Rank correlation (Spearman) of share and gain over the {len(rows)} rows: {ranks:.2f}."


def start_rows(setting: Setting) -> Iterator[StartRow]:
    """The combinations that experiments/start has scored."""
    with (ROOT / "experiments/start/results/across.csv").open() as file:
        scores = {row["variant"]: float(row["mean"]) for row in csv.DictReader(file) if row["metric"] == "species_map"}
    for name, loss in START_LOSSES.items():
        slopes = Slopes(loss, START_PREVALENCE)
        for start, beta2 in (("zero", 0.999), ("zero", 0.95), ("prevalence", 0.999)):
            short = f"{name}_adam{str(beta2)[2:]}"
            if f"{short}_{start}" in scores:
                left = left_in_start(slopes, setting, start, beta2)
                yield StartRow(left, name, start, beta2, scores[f"{short}_{start}"], scores[f"{short}_balance"])


def by_size(setting: Setting) -> Iterator[str]:
    """Cross-entropy at other prevalences, batches and speeds."""
    yield "`bce`, steps until half of the step size, predicted, with the speed of the first row and a tenth of it:"
    yield ""
    yield "| prevalence | batch |" + "".join(f" beta2 {beta2} | {beta2}, slow |" for beta2 in BETAS[1:])
    yield "|:---|---:|" + "---:|" * (2 * len(BETAS[1:]))
    for inverse in (20, 100, 500, 5000, 50_000):
        slopes = Slopes(LOSSES["bce"], 1 / inverse)
        for batch_size in (512, 2048):
            both = [
                Prediction.of(slopes, Setting(1 / inverse, batch_size, speed, setting.unevenness))
                for speed in (setting.speed, setting.speed / 10)
            ]
            cells = "".join(f" {p.steps_to_half(beta2):,.0f} |" for beta2 in BETAS[1:] for p in both)
            yield f"| 1/{inverse:,} | {batch_size:,} |" + cells


def draw(predictions: dict[str, Prediction], curves: dict[str, Array]) -> None:
    """Predicted and simulated step size against the step, for two losses."""
    from matplotlib.figure import Figure

    # Okabe and Ito's colours, told apart with any common colour blindness.
    colours = ("#0072B2", "#D55E00", "#009E73", "#000000")
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ("bce", "full"), strict=True):
        for beta2, colour, curve in zip(BETAS, colours, curves[name], strict=True):
            steps = np.arange(1.0, len(curve) + 1)
            axes.plot(steps, curve, color=colour, alpha=0.45, linewidth=3)
            axes.plot(steps, predictions[name].step_size(beta2, steps), "--", color=colour, label=f"beta2 {beta2}")
        axes.axhline(1.0, color="grey", linewidth=0.8)
        axes.axvline(STEPS, color="grey", linewidth=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="step", title=f"{name}, start: zero", ylim=(0, 1.25))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("size of Adam's steps\nrelative to start: balance")
    figure.axes[0].legend(frameon=False, fontsize=8, title="dashed: formula\nbroad: simulation", title_fontsize=8)
    figure.savefig(FIGURE, dpi=110)
    print(f"drawn {FIGURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
