"""Schedules of the learning rate over a run, and its linear warm-up."""

from __future__ import annotations

import math

from presence_only.training.settings import TrainingSettings


def learning_rate_at(settings: TrainingSettings, step: int, steps: int, epoch: int) -> float:
    """The learning rate at one step of ``steps``, in epoch ``epoch`` (both from 0)."""
    factors = {
        "constant": 1.0,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * step / steps)),
        "exponential": settings.decay**epoch,
    }
    rate = settings.learning_rate * factors[settings.schedule]
    return rate * (step + 1) / settings.warmup_steps if step < settings.warmup_steps else rate
