"""What a study runs: the lists under ``study`` in params.yaml.

Collecting results takes these lists and no other setting; reading the others imports torch, which takes seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from presence_only.common.quoting import quoted
from presence_only.common.settings import Settings, SettingsError
from presence_only.common.yaml_files import read_yaml
from presence_only.statistics.world_intervals import ALL

PARAMS = Path("params.yaml")
# DVC builds stage names and file paths from these names; a dot or a dash would break them.
NAME = r"^[a-z][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class StudySettings(Settings):
    """What is run: every data set under every variant with every seed.

    Args:
        name: Of the study, in reports and in MLflow.
        datasets: Names of entries of ``datasets``.
        variants: Names of entries of ``variants``.
        seeds: Of training; each trains a model of its own.
        scenarios: Data set to its scenario, of all data sets or of none: data sets that differ by chance alone share
            one. Tables over all data sets then speak of all data sets of the same scenarios.
    """

    name: Name
    datasets: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    variants: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=10_000)]
    scenarios: dict[Name, Name] = Field(default_factory=dict)

    @field_validator("datasets", "variants", "seeds")
    @classmethod
    def _unique(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) != len(values):
            raise ValueError("a list without repeated entries")
        return values

    @field_validator("scenarios")
    @classmethod
    def _of_every_dataset(cls, values: dict[str, str], others: ValidationInfo) -> dict[str, str]:
        if values and set(values) != set(others.data.get("datasets", values)):
            raise ValueError("a mapping of every entry of study.datasets, and of no other, to the name of its scenario")
        if ALL in values.values():
            raise ValueError(f"names of scenarios other than {ALL!r}, which stands for all data sets")
        return values

    def check(self, what: str, name: str) -> None:
        """Refuse a name that is not in the study.

        Args:
            what: ``dataset`` or ``variant``.
            name: As given on the command line.

        Raises:
            SettingsError: If the study does not have it.
        """
        names: tuple[str, ...] = getattr(self, f"{what}s")
        if name not in names:
            raise SettingsError(f"unknown {what} {quoted(name)}; the study has: {', '.join(names)}")


def load_study(path: Path = PARAMS) -> StudySettings:
    """Read and check the lists of ``path``.

    Raises:
        SettingsError: If the file is missing, is not YAML, or a list breaks its rule.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise SettingsError(f"{path.name} holds {quoted(raw)}: must be a mapping of settings")
    if "study" not in raw:
        raise SettingsError("missing key 'study'; it has no default")
    return StudySettings.parse(raw["study"], "study")
