"""The settings of one data set of a study, read without those of its losses, which need torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presence_only.common.errors import SettingsError
from presence_only.common.yaml_files import read_yaml
from presence_only.data.dataset import DatasetKind
from presence_only.datasets import parse_dataset
from presence_only.study.inheritance import inherit_one
from presence_only.study.settings import PARAMS, load_study


def load_dataset(name: str, path: Path = PARAMS) -> DatasetKind:
    """Read and check the settings of one data set.

    Raises:
        SettingsError: If the file is missing, is not YAML or names no such data set, or a setting is wrong.
    """
    load_study(path).check("dataset", name)
    entries = read_yaml(path).get("datasets")
    if not isinstance(entries, dict) or name not in entries:
        raise SettingsError(f"study.datasets names {name!r}, which datasets does not define")
    return inherited_dataset(entries, name)


def inherited_dataset(entries: Mapping[str, Any], name: str) -> DatasetKind:
    """One of the data sets of params.yaml, with what it takes over from others.

    Raises:
        SettingsError: If a setting is wrong.
    """
    raw = inherit_one(entries, "datasets", name)
    return parse_dataset(raw, f"datasets.{name}", entries[name] if isinstance(raw, dict) else None)
