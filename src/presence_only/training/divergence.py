"""Training that diverged, which is no result: how it is seen, and which setting most likely did it.

A loss that is not finite is not the only sign. One that has risen a million times above its start, weights that are not
finite, or a model that gives every site the same score may have a finite loss, and metrics that look like numbers.

Shape legend: B sites at which a run is watched, F features, S species.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from presence_only.common.errors import DivergenceError
from presence_only.common.settings import Settings
from presence_only.losses.base import LossSettings
from presence_only.model.encoder import RangeModel
from presence_only.model.settings import EncoderSettings
from presence_only.training.settings import TrainingSettings

# How many times its size before the first step, or 1 nat, a mean loss may have.
MOST_GROWTH = 1e6
# How many times larger than usual another setting than the learning rate must be to be named as the reason.
NAMED_FROM = 100.0


class DivergenceCheck:
    """Looks at a run, and ends one that has diverged.

    Args:
        loss: What is minimised.
        encoder: Its settings.
        settings: Of training.
    """

    def __init__(self, loss: LossSettings, encoder: EncoderSettings, settings: TrainingSettings) -> None:
        self._loss, self._encoder, self._settings = loss, encoder, settings
        self._first = math.nan

    def begin(self, first_loss: float) -> None:
        """Be told the loss of the first batch, before any step."""
        self._first = first_loss

    def look(self, mean_loss: float, epoch: int, epochs: int) -> None:
        """Look at the mean loss of an epoch, counted from 1.

        Raises:
            DivergenceError: If it is not finite, or far above the loss of the first batch.
        """
        start = abs(self._first) if math.isfinite(self._first) else 0.0
        if not math.isfinite(mean_loss) or abs(mean_loss) > MOST_GROWTH * max(start, 1.0):
            raise DivergenceError(f"the training loss is {mean_loss:.6g} in epoch {epoch} of {epochs}: {self.advice()}")

    @torch.no_grad()
    def end(self, model: RangeModel, features_BF: Tensor) -> None:
        """Look at a model after its last step, in evaluation mode.

        Args:
            model: The model.
            features_BF: Features of some training rows.

        Raises:
            DivergenceError: If a weight or a logit is not finite, or every species has the same logit at all of the
                rows though their features differ.
        """
        for name, parameter in model.named_parameters():
            if not torch.isfinite(parameter).all():
                raise DivergenceError(f"weights of the trained model are not finite ({name}): {self.advice()}")
        logits_BS = model(features_BF).logits_BS
        if not torch.isfinite(logits_BS).all():
            raise DivergenceError(f"scores of the trained model are not finite: {self.advice()}")
        differ = bool((features_BF != features_BF[:1]).any())
        if differ and bool((logits_BS == logits_BS[:1]).all()):
            low = self._settings.learning_rate < TrainingSettings().learning_rate / NAMED_FROM
            advice = (
                f"raise training.learning_rate, which is {self._settings.learning_rate:g}" if low else self.advice()
            )
            raise DivergenceError(
                f"the trained model gives every site the same score, so that its scores say nothing: {advice}"
            )

    def advice(self) -> str:
        """Which setting to lower.

        It is the learning rate, unless another one is more times larger than usual, which is its default or 1: a number
        of the loss, a penalty or the start. Where the first loss was too large already, before any step, it is the
        largest of those.
        """
        before = not math.isfinite(self._first) or abs(self._first) > MOST_GROWTH
        learning_rate = self._settings.learning_rate
        least = 0.0 if before else max(NAMED_FROM, learning_rate / TrainingSettings().learning_rate)
        found = [(size, name, value) for size, name, value in self._suspects(before) if size > max(least, 1.0)]
        _, name, value = max(found, default=(0.0, "training.learning_rate", learning_rate))
        return f"lower {name}, which is {value:g}"

    def _suspects(self, before: bool) -> Iterator[tuple[float, str, float]]:
        """How many times larger than usual a setting is, its name and its value; ``before``: without those of steps."""
        groups: tuple[tuple[str, Settings, Iterable[str]], ...] = (
            ("training.", self._settings, ["species_l1"] + ["weight_decay"] * (not before)),
            ("encoder.", self._encoder, ["head_scale"]),
            ("", self._loss, type(self._loss).model_fields),
        )
        for prefix, group, names in groups:
            for name in names:
                value, default = getattr(group, name), type(group).model_fields[name].default
                if isinstance(value, float):
                    usual = abs(default) if isinstance(default, (int, float)) and default else 1.0
                    yield abs(value) / usual, prefix + name, value
