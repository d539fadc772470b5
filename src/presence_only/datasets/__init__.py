"""Data sets, one module a kind; ``KINDS`` is the table of kinds, one line an entry.

A kind's module defines ``DatasetSettings``, a :class:`~presence_only.common.settings.Settings` with a field
``kind``, and ``build(settings) -> Dataset``; if its covariates are known everywhere, also
``covariate_source(settings)``, for maps. The other modules here are helpers.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.registry import resolve
from presence_only.common.settings import Settings, SettingsError
from presence_only.data.dataset import Dataset

# Kind in params.yaml to its module.
KINDS = {
    "gbif": "presence_only.datasets.gbif",
    "inaturalist": "presence_only.datasets.inaturalist",
    "nceas": "presence_only.datasets.nceas",
    "sinr": "presence_only.datasets.sinr.dataset",
    "virtual": "presence_only.datasets.virtual",
}
# What was a setting of data sets, and is one of the encoder: data need not be made anew for another input.
OF_THE_ENCODER = ("coordinates", "input")


def kinds() -> tuple[str, ...]:
    """Every known kind of data set, sorted."""
    return tuple(sorted(KINDS))


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
    if not isinstance(raw["kind"], str) or raw["kind"] not in KINDS:
        raise SettingsError(f"unknown dataset kind {raw['kind']!r} in {where}; known: {known}")
    own: type[Settings] = _module(raw["kind"]).DatasetSettings
    for key in OF_THE_ENCODER:
        if key in raw and key not in own.model_fields:
            raise SettingsError(
                f"{where}.{key} = {raw[key]!r}: is a setting of the encoder; write encoder.{key} instead"
            )
    return own.parse(raw, where)


def build_dataset(settings: Settings) -> Dataset:
    """Build the data set that ``settings``, the result of :func:`parse_dataset`, describes.

    Raises:
        ValueError: If these are not the settings of a data set.
    """
    kind = getattr(settings, "kind", None)
    if kind not in KINDS:
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
    source = getattr(_module(kind), "covariate_source", None) if kind in KINDS else None
    if source is None:
        raise DataError(
            f"a data set of kind {kind!r} has covariates at its own sites only; none can be sampled elsewhere"
        )
    function: Callable[[Floats], Floats] = source(settings)
    return function


def _module(kind: str) -> ModuleType:
    """The module of one kind."""
    module: ModuleType = resolve(KINDS[kind])
    return module
