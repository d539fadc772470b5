"""params.yaml as a frozen, typed tree: the only reader of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from ruamel.yaml import YAML

from presence_only.common.atomic_files import write_stream
from presence_only.common.quoting import quoted
from presence_only.common.settings import Settings, SettingsError
from presence_only.common.yaml_files import read_yaml
from presence_only.data.dataset import DatasetKind
from presence_only.model.settings import EncoderSettings
from presence_only.study.dataset_settings import inherited_dataset
from presence_only.study.inheritance import inherit_one
from presence_only.study.settings import PARAMS, Name, StudySettings
from presence_only.training.settings import TrainingSettings
from presence_only.training.variant import Variant

T = TypeVar("T")


class Tree(Settings):
    """The top level of params.yaml, its open-ended parts still raw.

    Args:
        study: What is run.
        datasets: Name to settings.
        encoder: Of every variant that does not replace them.
        training: Of every variant that does not replace them.
        variants: Name to settings.
        search: How settings are searched for; no stage of the study depends on it.
    """

    study: StudySettings
    datasets: dict[Name, dict[str, Any]]
    encoder: EncoderSettings = EncoderSettings()
    training: TrainingSettings = TrainingSettings()
    variants: dict[Name, dict[str, Any]]
    search: dict[str, Any] | None = None

    def variant(self, name: str) -> Variant:
        """One variant, with what it takes over from others and from the study's encoder and training."""
        raw = inherit_one(self.variants, "variants", name)
        return Variant.parse(raw, f"variants.{name}", self.encoder, self.training, self.variants[name])


@dataclass(frozen=True)
class Params:
    """Every setting of one study.

    ``datasets`` and ``variants`` may hold more than the study names; all of them are checked.
    """

    study: StudySettings
    datasets: Mapping[str, DatasetKind]
    encoder: EncoderSettings
    training: TrainingSettings
    variants: Mapping[str, Variant]

    @classmethod
    def parse(cls, raw: Any, where: str = "params.yaml") -> Self:
        """Check a whole settings tree.

        Raises:
            SettingsError: If a key is unknown or missing, a value breaks its rule, or the study
                names something that is not defined.
        """
        if not isinstance(raw, dict):
            raise SettingsError(f"{where} holds {quoted(raw)}: must be a mapping of settings")
        tree = Tree.parse(raw, "")
        datasets = {name: inherited_dataset(tree.datasets, name) for name in tree.datasets}
        variants = {name: tree.variant(name) for name in tree.variants}
        for what, named, defined in (
            ("datasets", tree.study.datasets, datasets),
            ("variants", tree.study.variants, variants),
        ):
            for name in named:
                if name not in defined:
                    known = ", ".join(sorted(defined)) or "none"
                    raise SettingsError(
                        f"study.{what} names {quoted(name)}, which {what} does not define; defined: {known}"
                    )
        params = cls(tree.study, datasets, tree.encoder, tree.training, variants)
        params.check_weeks()
        return params

    def check_weeks(self) -> None:
        """Refuse an encoder that modulates by the week where a data set of the study cannot have weeks.

        Raises:
            SettingsError: With the names of both.
        """
        without = [name for name in self.study.datasets if not self.datasets[name].may_have_weeks]
        for name in self.study.variants:
            for part in self.variants[name].members or (self.variants[name],):
                if without and part.encoder.week == "film":
                    raise SettingsError(
                        f"variants.{name}: encoder.week 'film' needs weeks, which datasets.{without[0]} has not; "
                        "use 'features', or give the data set weeks: true if its records have dates"
                    )

    def resolved(self) -> dict[str, Any]:
        """Every setting of what the study names, defaults included, as plain values for a file."""
        return {
            # Where no data set has a scenario there is nothing to tell.
            "study": self.study.model_dump(mode="json", exclude=None if self.study.scenarios else {"scenarios"}),
            "datasets": {name: self.datasets[name].model_dump(mode="json") for name in self.study.datasets},
            "variants": {name: self.variants[name].resolved() for name in self.study.variants},
        }

    def dataset(self, name: str) -> DatasetKind:
        """Settings of one data set of the study."""
        self.study.check("dataset", name)
        return self.datasets[name]

    def variant(self, name: str) -> Variant:
        """One variant of the study."""
        self.study.check("variant", name)
        return self.variants[name]


def save_settings(params: Params, path: Path) -> None:
    """Write every setting of a study as YAML, whole or not at all."""
    writer = YAML()
    writer.indent(mapping=2, sequence=4, offset=2)
    with write_stream(path) as stream:
        writer.dump(params.resolved(), stream)


def load_params(path: Path = PARAMS) -> Params:
    """Read and check ``path``.

    Raises:
        SettingsError: If the file is missing, is not YAML, or holds a wrong setting.
    """
    return Params.parse(read_yaml(path), path.name)


def load_variant(dataset: str, variant: str, path: Path = PARAMS) -> tuple[Variant, tuple[int, ...]]:
    """One variant of a study, read without the others and the data sets, and the study's seeds.

    Args:
        dataset: Name of the data set that the variant is to be trained on.
        variant: Name of the variant.
        path: The study's params.yaml.

    Raises:
        SettingsError: If the file is missing, is not YAML or names no such data set or variant, or a setting that
            the variant is made of is wrong.
    """
    tree = load_tree(dataset, variant, path)
    return tree.variant(variant), tree.study.seeds


def load_tree(dataset: str, variant: str, path: Path = PARAMS) -> Tree:
    """The whole of ``path``, its open-ended parts still raw.

    Args:
        dataset: Name of a data set that the study must have.
        variant: Name of a variant that the study must have.
        path: The study's params.yaml.

    Raises:
        SettingsError: If the file is missing, is not YAML or names no such data set or variant.
    """
    tree = Tree.parse(read_yaml(path), "")
    tree.study.check("dataset", dataset)
    tree.study.check("variant", variant)
    if variant not in tree.variants:
        raise SettingsError(f"study.variants names {variant!r}, which variants does not define")
    return tree
