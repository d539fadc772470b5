"""Data sets, one module or package per kind; ``KINDS`` is the table of kinds, one line an entry.

A kind's module defines a :class:`~presence_only.data.dataset.DatasetKind`: its settings, and how they build a data set.
"""

from __future__ import annotations

from collections.abc import Collection

from presence_only.common.quoting import quoted
from presence_only.common.registry import resolve
from presence_only.common.settings import SettingsError
from presence_only.data.dataset import Dataset, DatasetKind

# Kind in params.yaml to its settings.
KINDS = {
    "ebird": "presence_only.datasets.ebird.dataset:DatasetSettings",
    "gbif": "presence_only.datasets.gbif:DatasetSettings",
    "gbif_cube": "presence_only.datasets.gbif_cube:DatasetSettings",
    "geomodel": "presence_only.datasets.geomodel.dataset:DatasetSettings",
    "geoplant": "presence_only.datasets.geoplant.dataset:DatasetSettings",
    "inaturalist": "presence_only.datasets.inaturalist:DatasetSettings",
    "inaturalist_export": "presence_only.datasets.inaturalist_export:DatasetSettings",
    "nceas": "presence_only.datasets.nceas:DatasetSettings",
    "sinr": "presence_only.datasets.sinr.dataset:DatasetSettings",
    "table": "presence_only.datasets.table:DatasetSettings",
    "virtual": "presence_only.datasets.virtual:DatasetSettings",
}
# What was a setting of data sets, and is one of the encoder: data need not be made anew for another input.
OF_THE_ENCODER = ("coordinates", "input")


def parse_dataset(raw: object, where: str, written: Collection[str] | None = None) -> DatasetKind:
    """Check the settings of one data set against its kind.

    Args:
        raw: What the YAML file holds at ``where``: a mapping with ``kind``.
        where: The key of ``raw`` in the file, such as ``datasets.virtual``.
        written: Those of its keys that were written there and not taken over from another data set; None: all.

    Raises:
        SettingsError: If the kind is missing or unknown, or a setting breaks its rule or has no effect.
    """
    if not isinstance(raw, dict):
        raise SettingsError(f"{where} = {quoted(raw)}: must be a mapping of settings")
    known = ", ".join(sorted(KINDS))
    if "kind" not in raw:
        raise SettingsError(f"missing key '{where}.kind'; known kinds of data set: {known}")
    if not isinstance(raw["kind"], str) or raw["kind"] not in KINDS:
        raise SettingsError(f"unknown dataset kind {quoted(raw['kind'])} in {where}; known: {known}")
    kind: type[DatasetKind] = resolve(KINDS[raw["kind"]])
    for key in OF_THE_ENCODER:
        if key in raw and key not in kind.model_fields:
            raise SettingsError(
                f"{where}.{key} = {quoted(raw[key])}: is a setting of the encoder; write encoder.{key} instead"
            )
    return kind.parse(raw, where, written)


def build_dataset(settings: DatasetKind) -> Dataset:
    """Build the data set that ``settings``, the result of :func:`parse_dataset`, describes."""
    return settings.build()
