"""Print the losses and penalties that params.yaml can name, with descriptions, parameters and defaults."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from typing import get_args

import torch

from presence_only.common.registry import resolve
from presence_only.losses.base import PENALTY_OF, LossSettings, PenaltySettings, TrainingCounts
from presence_only.losses.pair_weights import DenseSettings
from presence_only.losses.registry import LOSSES, PENALTIES
from presence_only.losses.scalable import ScalableLoss


def main() -> None:
    """Print both tables."""
    print("\n".join(lines()))


def lines() -> Iterator[str]:
    """What is printed, line by line."""
    yield "Losses (variants.*.loss in params.yaml), with parameters and defaults."
    yield "A dense loss can be computed from all logits, in chunks or from sampled species (training.loss_computation);"
    yield "another one only from all logits, unless its line says that it can be computed in every way."
    for name in sorted(LOSSES):
        settings: type[LossSettings] = resolve(LOSSES[name])
        yield from _entry(name, _description(settings), [_kind(settings), *_loss_parameters(settings)])
    yield ""
    yield "Penalties (variants.*.penalty), with parameters and defaults."
    for name, reference in PENALTIES.items():
        penalty = resolve(reference)
        yield from _entry(name, _description(penalty), [f"{part.name} {part.default}" for part in fields(penalty)])


def _description(owner: type) -> str:
    """The first line of a docstring."""
    return inspect.cleandoc(owner.__doc__ or "").split("\n")[0]


def _kind(settings: type[LossSettings]) -> str:
    """Whether the loss is dense: always, with some settings, or never; and then if it is computed in every way too."""
    if not issubclass(settings, DenseSettings):
        (name,) = get_args(settings.model_fields["loss"].annotation)
        built = settings(loss=name).build(TrainingCounts(2, torch.ones(2, dtype=torch.float64)))
        return "not dense, computed in every way" if isinstance(built, ScalableLoss) else "not dense"
    return "dense" if settings.build is DenseSettings.build else "dense with some settings"


def _loss_parameters(settings: type[LossSettings]) -> list[str]:
    """Parameters with their defaults; those of the penalties stand with the penalties."""
    hidden = {"loss", *(PENALTY_OF if issubclass(settings, PenaltySettings) else ())}
    return [f"{key} {field.default}" for key, field in settings.model_fields.items() if key not in hidden]


def _entry(name: str, description: str, parameters: list[str]) -> Iterator[str]:
    """One loss or penalty: its description, and below it the parameters."""
    yield f"\n  {name}: {description}"
    if parameters:
        yield textwrap.fill("; ".join(parameters), 120, initial_indent=" " * 6, subsequent_indent=" " * 6)


if __name__ == "__main__":
    main()
