"""params.yaml as a frozen, typed tree: the only reader of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator
from ruamel.yaml import YAML

from presence_only.datasets import parse_dataset
from presence_only.files import write_whole
from presence_only.inheritance import inherit
from presence_only.losses.registry import LossSettings, parse_variant
from presence_only.settings import Settings, SettingsError
from presence_only.study import PARAMS, Name, StudySettings, read_yaml

T = TypeVar("T")


class EncoderSettings(Settings):
    """The location encoder: a residual network over coordinate and covariate features.

    Defaults are the default study's.

    Args:
        kind: ``residual``, or ``additive``: no network, species are linear in the features; with
            ``expansion: hinge`` a smooth additive response.
        expansion: How columns enter: ``none`` as they are, standardised; ``rank`` covariates by their rank;
            ``hinge`` coordinates and covariates with squares and ramps.
        input_dropout: Share of features silenced while training a ``residual`` encoder.
        width: Units per layer, which is also the length of an embedding.
        depth: Number of residual blocks of two layers each.
        dropout: Share of units silenced inside every block while training.
        environment_head: Also predict the site's standardised covariates; for ``loss: multitask``.
        habitat_head: Also predict species from the predicted environment, mixed with the direct
            logits by a learned gate per species; for ``loss: multitask``.
        week: How the week of the year enters where the data set has weeks: ``features`` beside the
            coordinates, or ``film``, which scales and shifts the units of every block.
    """

    kind: Literal["residual", "additive"] = "residual"
    expansion: Literal["none", "rank", "hinge"] = "none"
    input_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    width: Annotated[int, Field(ge=1)] = 128
    depth: Annotated[int, Field(ge=0)] = 2
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    environment_head: bool = False
    habitat_head: bool = False
    week: Literal["features", "film"] = "features"

    @model_validator(mode="after")
    def _habitat_needs_environment(self) -> Self:
        if self.habitat_head and not self.environment_head:
            raise ValueError("settings with environment_head: true, from which the habitat head predicts")
        return self


class TrainingSettings(Settings):
    """How the encoder is fitted. Defaults are the default study's.

    Args:
        epochs: Passes over the training rows, unless ``steps`` says the length.
        steps: Optimizer steps, whatever the number of rows.
        batch_size: Training rows a step.
        background_batch_size: Background sites a step, for the losses that use any.
        optimizer: ``adam`` or ``adamw``.
        learning_rate: Step size at the start.
        beta2: Decay of Adam's running mean of squared gradients: 0.999 remembers about 1,000 steps, 0.95 about 20.
        weight_decay: Decoupled for ``adamw``, L2 for ``adam``.
        schedule: ``constant``, ``cosine`` (to 0 over the whole run) or ``exponential``
            (SINR's: times ``decay`` after every epoch).
        decay: Factor of the exponential schedule.
        device: ``auto`` takes a GPU where there is one.
        head: How loss and gradients are computed: ``plain`` from the logits of all pairs; ``fused``
            the same, in chunks of species; ``sampled`` an unbiased estimate from the species of the
            batch and ``sampled_species`` others; ``auto`` the one that is first at the same mAP, see
            docs/scaling.md.
        sampled_species: Species drawn a step by the sampled head, 1,024 if left out; with
            ``head: sampled`` only.
        species_l1: Weight of the mean over species of the sum of its head's absolute weights.
    """

    epochs: Annotated[int, Field(ge=1)] | None = 6
    steps: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 512
    background_batch_size: Annotated[int, Field(ge=1)] = 512
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.005
    beta2: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.999
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.98
    device: Literal["auto", "cpu", "cuda"] = "auto"
    head: Literal["auto", "plain", "fused", "sampled"] = "auto"
    sampled_species: Annotated[int, Field(ge=1)] | None = None
    species_l1: Annotated[float, Field(ge=0.0)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _steps_replace_epochs(cls, raw: Any) -> Any:
        """A length in steps takes the place of the default length in epochs."""
        if isinstance(raw, dict) and raw.get("steps") is not None:
            return {"epochs": None} | raw
        return raw

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is None and self.steps is None:
            raise ValueError("settings with either epochs or steps")
        if self.epochs is not None and self.steps is not None:
            raise ValueError(f"settings with either epochs or steps, not both: {self.epochs} and {self.steps}")
        return self

    @model_validator(mode="after")
    def _sampled_fits(self) -> Self:
        if self.head != "sampled" and self.sampled_species is not None:
            raise ValueError(f"settings with head: sampled, as sampled_species is {self.sampled_species}")
        if self.head == "sampled" and not self.leaves_rows_alone:
            raise ValueError(
                "settings with weight_decay and species_l1 0 if head is 'sampled', which leaves most rows alone"
            )
        return self

    @property
    def leaves_rows_alone(self) -> bool:
        """Whether a species without gradient keeps its weights: no decay or penalty moves them."""
        return self.weight_decay == 0 and self.species_l1 == 0


class _Tree(Settings):
    """The top level of params.yaml, its open-ended parts still raw."""

    study: StudySettings
    datasets: dict[Name, dict[str, Any]]
    encoder: EncoderSettings = EncoderSettings()
    training: TrainingSettings = TrainingSettings()
    variants: dict[Name, dict[str, Any]]


@dataclass(frozen=True)
class Variant:
    """One named way to train: a loss, and the encoder and training it goes with.

    In params.yaml a variant holds the loss and its parameters; its optional groups ``encoder`` and
    ``training`` replace single settings of the study's, such as a learning rate tuned for the loss. With
    a list ``members``, whose entries replace settings of the variant in turn, every member is trained
    apart and the model is the mean of their logits; the variant's own groups are then those of all.
    """

    loss: LossSettings
    encoder: EncoderSettings
    training: TrainingSettings
    members: tuple[Self, ...] = ()

    def resolved(self) -> dict[str, Any]:
        """Every setting of the variant, or of each of its members, as plain values."""
        groups = {"encoder": self.encoder.model_dump(mode="json"), "training": self.training.model_dump(mode="json")}
        members = {"members": [member.resolved() for member in self.members]} if self.members else {}
        return self.loss.model_dump(mode="json") | groups | members

    @classmethod
    def parse(cls, raw: dict[str, Any], where: str, encoder: EncoderSettings, training: TrainingSettings) -> Self:
        """Check one variant against the study's encoder and training settings."""
        groups = {"encoder", "training", "members"}
        loss = parse_variant({key: value for key, value in raw.items() if key not in groups}, where)
        own_encoder = _replaced(encoder, raw.get("encoder", {}), f"{where}.encoder")
        if own_encoder.environment_head != ("environment_head" in loss.heads):
            raise SettingsError(
                f"{where}: loss {loss.loss!r} with encoder.environment_head = {own_encoder.environment_head}: "
                "must be true for a loss that trains this head, and false for any other"
            )
        if "habitat_head" in loss.heads and not own_encoder.habitat_head:
            raise SettingsError(f"{where}: loss {loss.loss!r} trains a habitat head; needs encoder.habitat_head: true")
        own_training = _replaced(training, raw.get("training", {}), f"{where}.training")
        listed = raw.get("members", [])
        if not isinstance(listed, list) or len(listed) == 1 or not all(isinstance(item, dict) for item in listed):
            raise SettingsError(f"{where}.members = {listed!r}: must be a list of two or more groups of settings")
        shared = {key: value for key, value in raw.items() if key not in groups}
        members = tuple(
            cls.parse(shared | item, f"{where}.members[{i}]", own_encoder, own_training)
            for i, item in enumerate(listed)
        )
        return cls(loss, own_encoder, own_training, members)


G = TypeVar("G", bound=Settings)


def _replaced(base: G, changes: Any, where: str) -> G:
    """``base`` with some settings replaced, checked as a whole."""
    if not isinstance(changes, dict):
        raise SettingsError(f"{where} = {changes!r}: must be a mapping of settings")
    lengths = {name for name in ("epochs", "steps") if changes.get(name) is not None}
    # A variant that says its length in one of the two does not inherit the other.
    inherited = {
        name: value for name, value in base.model_dump().items() if not lengths or name not in ("epochs", "steps")
    }
    return type(base).parse(inherited | changes, where)


@dataclass(frozen=True)
class Params:
    """Every setting of one study.

    ``datasets`` and ``variants`` may hold more than the study names; all of them are checked.
    """

    study: StudySettings
    datasets: Mapping[str, Settings]
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
            raise SettingsError(f"{where} holds {raw!r}: must be a mapping of settings")
        tree = _Tree.parse(raw, "")
        datasets = {
            name: parse_dataset(item, f"datasets.{name}") for name, item in inherit(tree.datasets, "datasets").items()
        }
        variants = {
            name: Variant.parse(item, f"variants.{name}", tree.encoder, tree.training)
            for name, item in inherit(tree.variants, "variants").items()
        }
        for what, named, defined in (
            ("datasets", tree.study.datasets, datasets),
            ("variants", tree.study.variants, variants),
        ):
            for name in named:
                if name not in defined:
                    known = ", ".join(sorted(defined)) or "none"
                    raise SettingsError(f"study.{what} names {name!r}, which {what} does not define; defined: {known}")
        return cls(tree.study, datasets, tree.encoder, tree.training, variants)

    def resolved(self) -> dict[str, Any]:
        """Every setting of what the study names, defaults included, as plain values for a file."""
        return {
            "study": self.study.model_dump(mode="json"),
            "datasets": {name: self.datasets[name].model_dump(mode="json") for name in self.study.datasets},
            "variants": {name: self.variants[name].resolved() for name in self.study.variants},
        }

    def dataset(self, name: str) -> Settings:
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
    with write_whole(path) as temporary:
        writer.dump(params.resolved(), temporary)


def load_params(path: Path = PARAMS) -> Params:
    """Read and check ``path``.

    Raises:
        SettingsError: If the file is missing, is not YAML, or holds a wrong setting.
    """
    return Params.parse(read_yaml(path), path.name)
