"""Data sets, one module a kind: the kind ``virtual`` is the module ``presence_only.datasets.virtual``.

A kind's module defines ``DatasetSettings``, a :class:`~presence_only.settings.Settings` with a field
``kind``, and ``build(settings) -> Dataset``; if its covariates are known everywhere, also
``covariate_source(settings)``, for maps. A module without the first is a helper, not a kind. A new
kind needs its module and its test; nothing here.
"""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from presence_only.errors import DataError
from presence_only.nouns import Dataset, Floats
from presence_only.settings import Settings, SettingsError


@cache
def kinds() -> tuple[str, ...]:
    """Every known kind of data set, sorted.

    Reads the modules' source and imports none, so that listing kinds does not load what one of
    them needs.
    """
    return tuple(
        sorted(
            module.name
            for module in pkgutil.iter_modules(__path__)
            if any(_defines_settings(Path(folder) / f"{module.name}.py") for folder in __path__)
        )
    )


def parse_dataset(raw: object, where: str) -> Settings:
    """Check the settings of one data set against its kind.

    Args:
        raw: What the YAML file holds at ``where``: a mapping with ``kind``.
        where: The key of ``raw`` in the file, such as ``datasets.virtual``.

    Raises:
        SettingsError: If the kind is missing or unknown, or a setting breaks its rule.
    """
    if not isinstance(raw, dict):
        raise SettingsError(f"{where} = {raw!r}: must be a mapping of settings")
    known = ", ".join(kinds())
    if "kind" not in raw:
        raise SettingsError(f"missing key '{where}.kind'; known kinds of data set: {known}")
    if raw["kind"] not in kinds():
        raise SettingsError(f"unknown dataset kind {raw['kind']!r} in {where}; known: {known}")
    settings: Settings = _module(raw["kind"]).DatasetSettings.parse(raw, where)
    return settings


def build_dataset(settings: Settings) -> Dataset:
    """Build the data set that ``settings``, the result of :func:`parse_dataset`, describes.

    Raises:
        ValueError: If these are not the settings of a data set.
    """
    kind = getattr(settings, "kind", None)
    if kind not in kinds():
        raise ValueError(f"settings of kind {kind!r} are not those of a data set; known: {', '.join(kinds())}")
    dataset: Dataset = _module(kind).build(settings)
    return dataset


def covariate_source(settings: Settings) -> Callable[[Floats], Floats]:
    """The function from sites (M, 2) to covariates (M, C) of the data set that ``settings`` describes.

    A kind whose environment is known everywhere defines ``covariate_source(settings)`` in its module.

    Raises:
        DataError: If the kind has covariates at its own sites only.
    """
    kind = getattr(settings, "kind", None)
    source = getattr(_module(str(kind)), "covariate_source", None)
    if source is None:
        raise DataError(
            f"a data set of kind {kind!r} has covariates at its own sites only; none can be sampled elsewhere"
        )
    function: Callable[[Floats], Floats] = source(settings)
    return function


def _module(kind: str) -> ModuleType:
    """The module of one kind."""
    return import_module(f"{__name__}.{kind}")


def _defines_settings(file: Path) -> bool:
    """Whether a module's source defines a class ``DatasetSettings`` at its top level."""
    if not file.is_file():
        return False
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.ClassDef) and node.name == "DatasetSettings" for node in body)
