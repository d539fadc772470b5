"""The base of every settings class: frozen, strict, and clear about what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Tag, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from presence_only.common.errors import SettingsError
from presence_only.common.quoting import quoted

__all__ = ["Need", "Settings", "SettingsError", "known_name"]

# Numbers of any setting lie within; a float32, as which torch computes, goes to 3e38 and down to 1e-38.
GREATEST, LEAST = 1e30, 1e-30
# Keys of a group.
MOST_KEYS = 10_000


@dataclass(frozen=True)
class Need:
    """What a setting needs to have an effect.

    Args:
        met: From the group of settings to whether it has one.
        words: When it has one, such as ``schedule is 'exponential'``.
    """

    met: Callable[[Any], bool]
    words: str


class Settings(BaseModel):
    """A frozen, strictly typed group of settings; an unknown key is an error.

    Subclasses declare fields, and in ``needs`` those that have an effect beside some values of others only. Read one
    with :meth:`parse`, which turns the first validation error into a one-sentence :class:`SettingsError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    # Setting to what it needs; a subclass adds its own. A setting that would be ignored is a mistake of the one who
    # wrote it, unless it has its default, as a list of all settings has.
    needs: ClassVar[Mapping[str, Need]] = {}

    @classmethod
    def parse(cls, raw: Any, where: str, written: Collection[str] | None = None) -> Self:
        """Check ``raw`` against this class.

        Args:
            raw: What the YAML file holds at ``where``.
            where: The key of ``raw`` in the file, such as ``variants.asl_m005``.
            written: The settings that were written there, which must have an effect; what was taken over from another
                group need not. None: all.

        Raises:
            SettingsError: If a key is unknown or missing, a value breaks its rule, or a setting has no effect.
        """
        if not isinstance(raw, dict):
            raise SettingsError(f"{where or 'params.yaml'} = {quoted(raw)}: must be a mapping of settings")
        if len(raw) > MOST_KEYS:
            raise SettingsError(f"{where or 'params.yaml'} has {len(raw):,} keys: must have at most {MOST_KEYS:,}")
        try:
            return cls.model_validate(raw, context={cls: frozenset(raw if written is None else written)})
        except ValidationError as error:
            raise SettingsError(_sentence(error.errors()[0], cls, where)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _number_of_a_float32(cls, value: Any) -> Any:
        """A number that no computation can take is refused here, and not where it overflows."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) != math.inf:
            if abs(value) > GREATEST:
                raise ValueError(f"a number of at most {GREATEST:g}")
            if 0 < abs(value) < LEAST:
                raise ValueError(f"0 or a number of at least {LEAST:g}")
        return value

    @model_validator(mode="after")
    def _has_effect(self, info: ValidationInfo) -> Self:
        """Look at what a file says; whoever makes settings in code, or loads them with a model, may say more."""
        if info.context is None:
            return self
        needs = {
            name: need
            for owner in reversed(type(self).__mro__)
            for name, need in owner.__dict__.get("needs", {}).items()
        }
        written = info.context.get(type(self), self.model_fields_set)
        for name in type(self).model_fields:
            if name not in needs or name not in written or needs[name].met(self):
                continue
            value = getattr(self, name)
            default = type(self).model_fields[name].get_default(call_default_factory=True)
            if value != default:
                raise ValueError(
                    f"settings with {name} {quoted(default)}, its default, unless {needs[name].words}, for otherwise "
                    f"{name} changes nothing; it is {quoted(value)}"
                )
        return self


def known_name(name: str, known: Collection[str]) -> str:
    """A name that a table has; in a validator of settings, where a ``Literal`` would have to repeat the table.

    Raises:
        ValueError: If the table does not have it, in the words that a ``Literal`` would have.
    """
    if name not in known:
        *others, last = map(repr, known)
        raise ValueError(f"one of {' or '.join([', '.join(others), last] if others else [last])}")
    return name


def _sentence(error: ErrorDetails, owner: type[BaseModel], where: str) -> str:
    """One sentence for the first validation error: the key, the value and the rule."""
    path, owners = _without_tags([str(part) for part in error["loc"]], owner)
    key = ".".join([where, *path]) if where else ".".join(path)
    if error["type"] == "extra_forbidden":
        known = ", ".join(sorted(owners[len(path) - 1].model_fields))
        parent = ".".join(key.split(".")[:-1]) or "params.yaml"
        return f"unknown key {quoted(path[-1])} in {parent}; known: {known}"
    if error["type"] == "missing":
        return f"missing key {key!r}; it has no default"
    if path and path[-1] == "[key]":
        return f"{'.'.join([where, *path[:-2]]).strip('.')} has the name {quoted(path[-2])}: must be {_rule(error)}"
    if error["type"] == "value_error" and isinstance(error["input"], dict):
        return f"{key}: must be {_rule(error)}"  # of the whole group, whose values the rule names
    return f"{key} = {quoted(error['input'])}: must be {_rule(error)}"


def _rule(error: ErrorDetails) -> str:
    """What the value must be, in words of the settings file and not of Python."""
    bounds = error.get("ctx", {})
    match error["type"]:
        case "string_pattern_mismatch":
            return f"lower-case letters, digits and underscores, as in {bounds['pattern']}"
        case "tuple_type":
            return "a list"
        case "too_short":
            return f"a list of at least {bounds['min_length']}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "a mapping of settings"
        case "literal_error":
            return f"one of {bounds['expected']}"
    return error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")


def _without_tags(location: list[str], owner: type[BaseModel]) -> tuple[list[str], list[type[BaseModel]]]:
    """The keys of the file that lead to an error, and the settings class that each is a key of.

    Where a setting is a choice of classes, the location has the tag of the class behind the key.
    """
    path: list[str] = []
    owners: list[type[BaseModel]] = []
    choices: dict[str, type[BaseModel]] = {}
    for part in location:
        if part in choices:
            owner, choices = choices[part], {}
            continue
        path.append(part)
        owners.append(owner)
        choices = _choices(owner, part)
        owner = _field_type(owner, part)
    return path, owners


def _choices(owner: type[BaseModel], name: str) -> dict[str, type[BaseModel]]:
    """Tag to settings class, of a field that is a choice of classes."""
    field = owner.model_fields.get(name)
    tagged = [] if field is None else [one for one in get_args(field.annotation) if get_args(one)]
    found = [(get_args(one)[0], tag) for one in tagged for tag in get_args(one)[1:] if isinstance(tag, Tag)]
    return {tag.tag: settings for settings, tag in found}


def _field_type(owner: type[BaseModel], name: str) -> type[BaseModel]:
    """The settings class of one nested field."""
    field = owner.model_fields.get(name)
    candidates = [] if field is None else [field.annotation, *get_args(field.annotation)]
    nested = (c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return next(nested, owner)
