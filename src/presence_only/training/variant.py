"""A variant: a loss with the encoder and the training that it goes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch

from presence_only.common.errors import UserError
from presence_only.common.quoting import quoted
from presence_only.common.settings import Settings, SettingsError
from presence_only.losses.base import LossSettings, TrainingCounts, parse_variant
from presence_only.model.settings import EncoderSettings
from presence_only.training.settings import OPTIMIZERS_WITH, TrainingSettings


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

    @property
    def may_use_gpu(self) -> bool:
        """Whether it, or one of its members, is trained on a GPU where there is one."""
        return any(part.training.device != "cpu" for part in self.members or (self,))

    def resolved(self) -> dict[str, Any]:
        """Every setting of the variant, or of each of its members, as plain values."""
        groups = {"encoder": self.encoder.model_dump(mode="json"), "training": self.training.model_dump(mode="json")}
        members = {"members": [member.resolved() for member in self.members]} if self.members else {}
        return self.loss.model_dump(mode="json") | groups | members

    @classmethod
    def parse(
        cls,
        raw: dict[str, Any],
        where: str,
        encoder: EncoderSettings,
        training: TrainingSettings,
        written: Mapping[str, Any] | None = None,
    ) -> Self:
        """Check one variant against the study's encoder and training settings.

        Args:
            raw: Its settings, with those that it takes over from another variant.
            where: Its key in the file, such as ``variants.bce``.
            encoder: The study's.
            training: The study's.
            written: Its settings without those that it takes over: they must have an effect. None: all are its own.

        Raises:
            SettingsError: If a key is unknown or missing, a value breaks its rule, or a setting has no effect.
        """
        groups = {"encoder", "training", "members"}
        own = raw if written is None else written
        loss = parse_variant({key: value for key, value in raw.items() if key not in groups}, where, own)
        own_encoder = replaced(encoder, raw.get("encoder", {}), f"{where}.encoder", own.get("encoder", {}))
        if own_encoder.environment_head != ("environment_head" in loss.heads):
            raise SettingsError(
                f"{where}: loss {loss.loss!r} with encoder.environment_head = {own_encoder.environment_head}: "
                "must be true for a loss that trains this head, and false for any other"
            )
        if "habitat_head" in loss.heads and not own_encoder.habitat_head:
            raise SettingsError(f"{where}: loss {loss.loss!r} trains a habitat head; needs encoder.habitat_head: true")
        own_training = replaced(training, raw.get("training", {}), f"{where}.training", own.get("training", {}))
        sites = own_training.background_batch_size
        if (
            "background_batch_size" in own.get("training", {})
            and sites != TrainingSettings().background_batch_size
            and not may_use_background(loss)
        ):
            raise SettingsError(
                f"{where}.training.background_batch_size = {sites}: must be left out, as "
                f"loss {loss.loss!r} with these settings uses no background sites"
            )
        listed = raw.get("members", [])
        if not isinstance(listed, list) or len(listed) == 1 or not all(isinstance(item, dict) for item in listed):
            raise SettingsError(f"{where}.members = {quoted(listed)}: must be a list of two or more groups of settings")
        shared = {key: value for key, value in raw.items() if key not in groups}
        members = tuple(
            cls.parse(
                shared | item, f"{where}.members[{i}]", own_encoder, own_training, item if "members" in own else {}
            )
            for i, item in enumerate(listed)
        )
        return cls(loss, own_encoder, own_training, members)


def may_use_background(loss: LossSettings) -> bool:
    """Whether a loss asks for background sites; one that cannot be built for three records may do so."""
    try:
        return loss.build(TrainingCounts(3, torch.tensor([2.0, 1.0], dtype=torch.float64))).needs_background
    except UserError:
        return True


G = TypeVar("G", bound=Settings)


def replaced(base: G, changes: Any, where: str, written: Any = None) -> G:
    """``base`` with some settings replaced, checked as a whole.

    Args:
        base: The settings.
        changes: What replaces some of them.
        where: The key of the changes in the file.
        written: Those of the changes that were written there, which must have an effect; None: all.
    """
    if not isinstance(changes, dict):
        raise SettingsError(f"{where} = {quoted(changes)}: must be a mapping of settings")
    # A variant that says its length in one of the two does not inherit the other; nor, with another optimizer, what
    # this one does not have.
    left: set[str] = set()
    if any(changes.get(name) is not None for name in ("epochs", "steps")):
        left |= {"epochs", "steps"}
    if "optimizer" in changes:
        left |= {name for name, owners in OPTIMIZERS_WITH.items() if changes["optimizer"] not in owners}
    inherited = {name: value for name, value in base.model_dump().items() if name not in left}
    return type(base).parse(inherited | changes, where, changes if written is None else written)
