"""Spaces of settings: what a search may try, checked against the variant before anything runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np
from pydantic import model_validator

from presence_only.common.quoting import quoted
from presence_only.common.random_streams import numpy_stream
from presence_only.common.settings import Settings, SettingsError
from presence_only.common.similar_names import suggestions
from presence_only.losses.registry import LOSSES
from presence_only.model.settings import EncoderSettings
from presence_only.search.settings import SearchSettings
from presence_only.study.inheritance import inherit, inherit_one, merged
from presence_only.study.params import Tree
from presence_only.training.settings import TrainingSettings
from presence_only.training.variant import Variant

# Combinations of the ends of all ranges, and of all choices, that are checked at most.
MOST_CORNERS = 256
# Significant digits of a number that is drawn, so that people can read the file with it.
DIGITS = 3
# Two ways to say how long training is: a variant that says one of them gives up the other.
LENGTHS = {"epochs": "steps", "steps": "epochs"}


class RangeSettings(Settings):
    """A range as params.yaml has it.

    Args:
        low: The least value.
        high: The greatest value.
        log: Draw evenly on a logarithmic scale.
    """

    low: float | int
    high: float | int
    log: bool = False

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"settings with low less than high: {quoted(self.low)} and {quoted(self.high)}")
        if self.log and self.low <= 0:
            raise ValueError(f"settings with low greater than 0 if log is true: {quoted(self.low)}")
        return self


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones if the setting takes no others."""

    low: float | int
    high: float | int
    log: bool
    whole: bool

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to check."""
        return self.low, self.high

    def holds(self, value: Any) -> bool:
        """Whether a value lies within."""
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high

    def rounded(self, value: Any) -> Any:
        """A value that was drawn, with few digits, and still within."""
        if self.whole or value == 0:
            return value
        short = round(float(value), DIGITS - 1 - math.floor(math.log10(abs(value))))
        return float(min(max(short, self.low), self.high))


@dataclass(frozen=True)
class Choices:
    """Values of any kind, in no order."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to check."""
        return self.values

    def holds(self, value: Any) -> bool:
        """Whether it is one of the values; 1 and true are two."""
        return any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in self.values)

    def rounded(self, value: Any) -> Any:
        """The value as it is."""
        return value


Dimension = Range | Choices
# Setting to its dimension, in the order of the file.
Dimensions = Mapping[str, Dimension]


@dataclass(frozen=True)
class Searched:
    """A variant whose settings are searched for.

    Args:
        name: Of the variant.
        written: What params.yaml says of it, with what it takes over from other variants.
        encoder: The study's, which it takes over.
        training: The study's, which it takes over.
        variant: All that together.
        space: Name of its space below ``search.spaces``.
        dimensions: What is tried.
    """

    name: str
    written: Mapping[str, Any]
    encoder: EncoderSettings
    training: TrainingSettings
    variant: Variant
    space: str
    dimensions: Dimensions

    @classmethod
    def of(cls, tree: Tree, settings: SearchSettings, name: str) -> Self:
        """Find the space of a variant, and check it.

        Raises:
            SettingsError: If there is no space for it, or the space names an unknown setting, is empty, or has a
                value that the variant refuses.
        """
        spaces = inherit(settings.spaces, "search.spaces")
        variant = tree.variant(name)
        space = name if name in spaces else variant.loss.loss
        if space not in spaces:
            known = ", ".join(spaces) or "none"
            raise SettingsError(
                f"search.spaces has no space for the variant {name!r}, neither by its name nor by that of its loss, "
                f"{variant.loss.loss!r}; there are: {known}"
            )
        where = f"search.spaces.{space}"
        dimensions = _dimensions(spaces[space], where, variant)
        written = inherit_one(tree.variants, "variants", name)
        searched = cls(name, written, tree.encoder, tree.training, variant, space, dimensions)
        corners = list(_corners(dimensions))
        for corner in corners:
            searched.with_settings(corner)
        for name_tried in dimensions:
            searched.check_effect(name_tried, corners)
        for name_tried, dimension in dimensions.items():
            variants = [searched.with_settings({name_tried: end}) for end in dimension.ends]
            if all(one.members and one.members == variants[0].members for one in variants):
                raise SettingsError(
                    f"{where} names {name_tried!r}, which changes nothing: each member of the variant {name!r} sets it "
                    "itself"
                )
        return searched

    def with_settings(self, settings: Mapping[str, Any]) -> Variant:
        """The variant with other values of some settings; beside the others a setting may be without effect.

        Raises:
            SettingsError: If one of them, or all together, break a rule.
        """
        return self._parsed(settings, {})

    def check_effect(self, name: str, corners: Sequence[Mapping[str, Any]]) -> None:
        """Refuse a setting that has no effect beside any of some values of all.

        Raises:
            SettingsError: With what it needs to have one.
        """
        without: SettingsError | None = None
        for corner in corners:
            try:
                self._parsed(corner, nested({name: corner[name]}))
                return
            except SettingsError as error:
                without = error
        if without is not None:
            raise without

    def _parsed(self, settings: Mapping[str, Any], written: Mapping[str, Any]) -> Variant:
        """The variant with other values of some settings, of which those that are written must have an effect."""
        where = f"search.spaces.{self.space}"
        return Variant.parse(self._changed(settings), where, self.encoder, self.training, written)

    def tried(self) -> list[dict[str, Any]]:
        """The variant as params.yaml has it, and as it would be with each end and each choice of one setting."""
        changes = [{name: end} for name, dimension in self.dimensions.items() for end in dimension.ends]
        return [self._changed(change) for change in [{}, *changes]]

    def _changed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What params.yaml says of the variant, with other values; what says the same in another way is given up."""
        written = merged(self.written, nested(settings))
        rivals: Mapping[str, tuple[str, ...]] = getattr(self.variant.loss, "rivals", {})
        for name in settings:
            for rival in rivals.get(name, ()):
                written.pop(rival, None)
        return written

    @property
    def present(self) -> dict[str, Any] | None:
        """The variant's own values of what is searched for; None if one of them is outside of the space."""
        groups = self.variant.resolved()
        values = {}
        for name, dimension in self.dimensions.items():
            group, _, key = name.rpartition(".")
            value = (groups[group] if group else groups).get(key)
            if not dimension.holds(value):
                return None
            values[name] = value
        return values


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a variant has them in params.yaml: ``training.beta2`` in the group ``training``."""
    written: dict[str, Any] = {}
    for name, value in settings.items():
        group, _, key = name.rpartition(".")
        place = written.setdefault(group, {}) if group else written
        place[key] = value
        if group == "training" and key in LENGTHS:
            place[LENGTHS[key]] = None
    return written


def check_search(tree: Tree) -> SearchSettings | None:
    """Check the whole group ``search``, with the space of every variant that has one.

    Returns:
        The settings; None if the file has no such group.

    Raises:
        SettingsError: If something is wrong with it.
    """
    if tree.search is None:
        return None
    settings = SearchSettings.parse(tree.search, "search")
    losses = {name: tree.variant(name).loss.loss for name in tree.variants}
    for space in settings.spaces:
        if space not in tree.variants and space not in LOSSES:
            near = suggestions(space, [*tree.variants, *LOSSES])
            meant = f"; did you mean {', '.join(near)}?" if near else ""
            raise SettingsError(f"search.spaces names {quoted(space)}, which is neither a variant nor a loss{meant}")
    for name, loss in losses.items():
        if name in settings.spaces or loss in settings.spaces:
            Searched.of(tree, settings, name)
    return settings


def _dimensions(raw: Any, where: str, variant: Variant) -> Dimensions:
    """The dimensions of a space, its settings known to the variant."""
    if not isinstance(raw, dict) or not raw:
        raise SettingsError(f"{where} = {quoted(raw)}: must be a mapping from settings to what is tried, one at least")
    known = _known(variant)
    dimensions: dict[str, Dimension] = {}
    for name, tried in raw.items():
        if name not in known:
            near = suggestions(str(name), sorted(known))
            nearest = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(sorted(known))}"
            raise SettingsError(
                f"{where} names {quoted(name)}, which is no setting of a variant of this loss; {nearest}"
            )
        dimensions[name] = _dimension(tried, f"{where}.{name}", known[name])
    lengths = [f"training.{name}" for name in LENGTHS if f"training.{name}" in dimensions]
    if len(lengths) == len(LENGTHS):
        raise SettingsError(f"{where} names both {' and '.join(lengths)}: must be one of them")
    return dimensions


def _dimension(raw: Any, where: str, annotation: Any) -> Dimension:
    """What is tried of one setting, whose type is ``annotation``."""
    if isinstance(raw, dict):
        tried = RangeSettings.parse(raw, where)
        whole = _takes_whole_numbers_alone(annotation)
        if whole and not (isinstance(tried.low, int) and isinstance(tried.high, int)):
            raise SettingsError(f"{where}: must have whole numbers as low and high: {tried.low} and {tried.high}")
        return Range(tried.low, tried.high, tried.log, whole)
    if not isinstance(raw, list) or len(raw) < 2:
        raise SettingsError(
            f"{where} = {quoted(raw)}: must be a range with low and high, or a list of two or more values"
        )
    for i, value in enumerate(raw):
        if isinstance(value, (list, dict)):
            raise SettingsError(f"{where}.{i} = {quoted(value)}: must be a number, a word, true, false or null")
        if Choices(tuple(raw[:i])).holds(value):
            raise SettingsError(f"{where} has {quoted(value)} twice: must be a list without repeated entries")
    return Choices(tuple(raw))


def _known(variant: Variant) -> dict[str, Any]:
    """The settings that can be searched for, with their types."""
    groups: dict[str, type[Settings]] = {
        "": type(variant.loss),
        "encoder.": EncoderSettings,
        "training.": TrainingSettings,
    }
    known = {
        prefix + name: field.annotation for prefix, kind in groups.items() for name, field in kind.model_fields.items()
    }
    # Another loss would be another variant.
    del known["loss"]
    return known


def _takes_whole_numbers_alone(annotation: Any) -> bool:
    """Whether a setting of this type takes whole numbers and no others."""
    parts = [annotation]
    for part in parts:
        parts += get_args(part)
    return int in parts and float not in parts


def _corners(dimensions: Dimensions) -> Iterator[dict[str, Any]]:
    """Combinations of ends and choices: all, or of too many some, in which each occurs."""
    ends = {name: dimension.ends for name, dimension in dimensions.items()}
    if math.prod(map(len, ends.values())) <= MOST_CORNERS:
        for values in itertools.product(*ends.values()):
            yield dict(zip(ends, values, strict=True))
        return
    n_corners = max(MOST_CORNERS, *map(len, ends.values()))
    draws = numpy_stream(0, "corners of a space")
    # Every setting has each of its values about as often, in an order of its own.
    chosen = {name: draws.permutation(np.resize(np.arange(len(values)), n_corners)) for name, values in ends.items()}
    for i in range(n_corners):
        yield {name: values[chosen[name][i]] for name, values in ends.items()}
