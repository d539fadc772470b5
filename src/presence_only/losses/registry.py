"""The losses that a variant of params.yaml can name.

A module of this package that defines a :class:`LossSettings` with ``loss: Literal["name"]`` adds that
name: nothing else has to be edited.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from types import MappingProxyType
from typing import get_args

import presence_only.losses
from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.variant import BatchLoss, LossSettings
from presence_only.settings import SettingsError

__all__ = [
    "BatchLoss",
    "LossBatch",
    "LossSettings",
    "TrainingCounts",
    "build_loss",
    "loss_names",
    "parse_variant",
]


def parse_variant(raw: object, where: str) -> LossSettings:
    """Check one variant of params.yaml.

    Args:
        raw: What the file holds: a mapping with the key ``loss`` and that loss's parameters.
        where: Its key in the file, such as ``variants.asl_m005``.

    Raises:
        SettingsError: If the loss is unknown, or a parameter is unknown or breaks its rule.
    """
    if not isinstance(raw, dict):
        raise SettingsError(f"{where} = {raw!r}: must be a mapping of settings")
    if "loss" not in raw:
        raise SettingsError(f"missing key {where + '.loss'!r}; it has no default")
    settings = _settings_by_name().get(raw["loss"]) if isinstance(raw["loss"], str) else None
    if settings is None:
        raise SettingsError(f"unknown loss {raw['loss']!r} in {where}; known: {', '.join(loss_names())}")
    return settings.parse(raw, where)


def loss_names() -> tuple[str, ...]:
    """Every name that a variant may give, sorted."""
    return tuple(sorted(_settings_by_name()))


def build_loss(settings: LossSettings, counts: TrainingCounts) -> BatchLoss:
    """The loss of a checked variant, given what it may know of the training set."""
    return settings.build(counts)


@cache
def _settings_by_name() -> MappingProxyType[str, type[LossSettings]]:
    """Name to settings class, from every module of this package."""
    found: dict[str, type[LossSettings]] = {}
    for module in iter_modules(presence_only.losses.__path__):
        if module.name == "registry":
            continue
        for value in vars(import_module(f"presence_only.losses.{module.name}")).values():
            if not (isinstance(value, type) and issubclass(value, LossSettings)) or isabstract(value):
                continue
            for name in get_args(value.model_fields["loss"].annotation):
                if found.setdefault(name, value) is not value:
                    raise TypeError(f"loss {name!r} is registered twice: {found[name].__name__}, {value.__name__}")
    return MappingProxyType(found)
