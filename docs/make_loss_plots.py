"""Draw the figures of docs/losses.md.

Run ``python docs/make_loss_plots.py`` after a change to a loss; another folder may be given. Values come
from the losses themselves, gradients from automatic differentiation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from presence_only.losses import AssumeNegativeLoss
from presence_only.losses.penalties import (
    Asymmetric,
    CrossEntropy,
    Focal,
    FocalMargin,
    Hill,
    MaximumEntropy,
    Penalty,
    Smoothed,
)
from presence_only.losses.polynomial_penalties import AsymmetricPolynomial, RobustAsymmetric

FOLDER = Path(__file__).parent / "figures"
# Okabe and Ito's colours, told apart with any common colour blindness; line styles repeat the message.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
LOGITS = torch.linspace(-8, 8, 401, dtype=torch.float64)
Curve = Callable[[Tensor], Tensor]


def draw_all(folder: Path) -> list[Path]:
    """Write every figure into ``folder`` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        drawn = {
            "penalties": _penalties,
            "further": _further,
            "gamma": _gamma,
            "margin": _margin,
            "lambda": _lambda,
        }
        for name, draw in drawn.items():
            path = folder / f"loss_{name}.png"
            draw().savefig(path, dpi=90)
            paths.append(path)
    return paths


def _penalties() -> Figure:
    """Value and gradient of every penalty, for a present and for an absent species."""
    penalties: dict[str, Penalty] = {
        "cross-entropy": CrossEntropy(),
        "focal, alpha 0.5, gamma 2": Focal(0.5, 2.0),
        "asymmetric, gamma 0 / 2, clip 0.05": Asymmetric(),
        "maximum entropy": MaximumEntropy(),
        "Hill": Hill(),
        "cross-entropy, labels smoothed by 0.05": Smoothed(CrossEntropy(), 0.05),
    }
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    for column, (label, half) in enumerate((("present", "positive"), ("assumed absent", "negative"))):
        curves = {name: getattr(penalty, half) for name, penalty in penalties.items()}
        _draw_pair(axes[0, column], axes[1, column], curves)
        axes[0, column].set_title(f"species {label}")
    axes[0, 0].legend(fontsize=8)
    return figure


def _further() -> Figure:
    """Penalties for labels that may be wrong."""
    penalties: dict[str, Penalty] = {
        "cross-entropy": CrossEntropy(),
        "asymmetric": Asymmetric(),
        "Hill": Hill(),
        "focal with a margin": FocalMargin(),
        "APL": AsymmetricPolynomial(),
        "RAL": RobustAsymmetric(),
    }
    curves = {name: penalty.negative for name, penalty in penalties.items()}
    return _side_by_side(curves, "an assumed absence under penalties with their default settings")


def _gamma() -> Figure:
    """The focusing exponent."""
    curves = {f"gamma = {gamma:g}": Focal(None, gamma).negative for gamma in (0.0, 0.5, 1.0, 2.0, 4.0)}
    return _side_by_side(curves, "focal loss of an assumed absence, without alpha")


def _margin() -> Figure:
    """The probability margin."""
    curves = {f"clip = {clip:g}": Asymmetric(0.0, 2.0, clip).negative for clip in (0.0, 0.05, 0.2, 0.5)}
    return _side_by_side(curves, "asymmetric loss of an assumed absence, gamma_neg = 2")


def _lambda() -> Figure:
    """Where one record among S species pulls a logit, and how sampling spreads the loss."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    n_species = 1000
    share = torch.logspace(-4, 0, 200, dtype=torch.float64)
    for i, pos_lambda in enumerate((1.0, 4.0, 16.0, 256.0, 2048.0)):
        # lambda f softplus(-x) + (1 - f) softplus(x) is least where p = lambda f / (lambda f + 1 - f)
        best = pos_lambda * share / (pos_lambda * share + 1 - share)
        left.plot(share, best, color=COLOURS[i], linestyle=STYLES[i], label=f"lambda = {pos_lambda:g}")
    left.set(xscale="log", xlabel="share of rows with a record", ylabel="sigmoid of the logit that is learned")
    left.set_title("pos_lambda moves the level, not the order")
    left.legend(fontsize=8)

    source = torch.Generator().manual_seed(0)
    logits = torch.randn(1, n_species, generator=source, dtype=torch.float64) * 2 - 3
    targets = torch.zeros(1, n_species)
    targets[0, 0] = 1
    exact = AssumeNegativeLoss(4.0, 0)(logits, targets).item()
    samples = (4, 16, 64, 256, 1000)
    spread = []
    for neg_samples in samples:
        loss = AssumeNegativeLoss(4.0, neg_samples)
        draws = torch.stack([loss(logits, targets, generator=source) for _ in range(100)])
        spread.append([draws.mean().item() / exact, draws.std().item() / exact])
    mean, deviation = torch.tensor(spread).T
    right.errorbar(samples, mean, yerr=deviation, color=COLOURS[0], marker="o", capsize=3, label="mean and deviation")
    right.axhline(1, color=COLOURS[5], linewidth=0.8, label="exact")
    right.set(xscale="log", xlabel="neg_samples (species per row)", ylabel="sampled loss / exact loss (1)")
    right.set_title(f"sampling is unbiased: 100 draws, S = {n_species}")
    right.legend(fontsize=8)
    return figure


def _side_by_side(curves: dict[str, Curve], title: str) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_pair(left, right, curves)
    left.set_xlabel("logit (nats)")
    left.legend(fontsize=8)
    figure.suptitle(title)
    return figure


def _draw_pair(value_axes: Axes, slope_axes: Axes, curves: dict[str, Curve]) -> None:
    """Values on one axes, slopes on another."""
    for i, (name, curve) in enumerate(curves.items()):
        x = LOGITS.clone().requires_grad_()
        values = curve(x)
        (slopes,) = torch.autograd.grad(values.sum(), x)
        value_axes.plot(LOGITS, values.detach(), color=COLOURS[i], linestyle=STYLES[i], label=name)
        slope_axes.plot(LOGITS, slopes, color=COLOURS[i], linestyle=STYLES[i], label=name)
    value_axes.set_ylabel("penalty (nats)")
    slope_axes.set(xlabel="logit (nats)", ylabel="gradient (1)")
    for axes in (value_axes, slope_axes):
        axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)


if __name__ == "__main__":
    for written in draw_all(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(written)
