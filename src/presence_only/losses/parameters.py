"""Parameters of penalties, declared once: the penalty checks them, and settings take name, default and range over."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from pydantic import (
    SerializerFunctionWrapHandler,
    ValidationInfo,
    create_model,
    field_validator,
    model_serializer,
)
from pydantic.fields import Field

from presence_only.common.settings import Settings
from presence_only.losses.argument_checks import check_number

# Whole numbers up to it are the same as a float.
EXACT = 2**53


class HasParameters(Protocol):
    """A dataclass whose fields are parameters."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


P = TypeVar("P", bound=HasParameters)
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Range:
    """What a parameter may be; see :func:`~presence_only.losses.argument_checks.check_number`."""

    low: float
    high: float
    open_ends: str
    optional: bool

    def check(self, name: str, value: object) -> None:
        """Refuse a value outside; ``name`` is how the caller calls it."""
        if not (self.optional and value is None):
            check_number(name, value, self.low, self.high, open_ends=self.open_ends)

    def rules(self) -> dict[str, float]:
        """The same for a field of settings."""
        above = {"gt" if self.open_ends in ("low", "both") else "ge": self.low}
        below = {"lt" if self.open_ends in ("high", "both") else "le": self.high}
        return above | (below if math.isfinite(self.high) else {})


def parameter(
    default: float | None, *, low: float, high: float = math.inf, open_ends: str = "", optional: bool = False
) -> Any:
    """A field of a penalty: a number with its default and its range, or None where ``optional``."""
    return field(default=default, metadata={"range": Range(low, high, open_ends, optional)})


def check_parameters(owner: HasParameters) -> None:
    """Refuse a penalty with a parameter outside of its range.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """
    for part in fields(owner):
        if "range" in part.metadata:
            value = getattr(owner, part.name)
            part.metadata["range"].check(part.name, value)
            if value is not None and type(value) is not float and not (type(value) is int and abs(value) <= EXACT):
                # NumPy's numbers and fractions do not go with every operation of torch.
                object.__setattr__(owner, part.name, float(value))


def parameters_of(owner: type[HasParameters], prefix: str = "") -> tuple[str, ...]:
    """Names of the parameters, as settings with this prefix have them."""
    return tuple(prefix + part.name for part in fields(owner) if "range" in part.metadata)


def from_parameters(owner: type[P], values: Mapping[str, Any], prefix: str = "") -> P:
    """An object from values whose names have a prefix, which an error keeps.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """
    for part in fields(owner):
        part.metadata["range"].check(prefix + part.name, values[prefix + part.name])
    return owner(**{part.name: values[prefix + part.name] for part in fields(owner)})


class ParametersOfChoice(Settings):
    """Settings some of which belong to one choice, such as a penalty, and are refused and left out with another.

    A subclass says which setting chooses, and declares it before those that belong to a choice:

        choice: Name of the setting that chooses.
        owner_of: Of every setting that belongs to a choice, which one.
    """

    choice: ClassVar[str]
    owner_of: ClassVar[Mapping[str, str]]

    @field_validator("*")
    @classmethod
    def _belongs_to_the_choice(cls, value: Any, info: ValidationInfo) -> Any:
        """A parameter that would be ignored is a mistake of the one who wrote it."""
        chosen, owner = info.data.get(cls.choice), cls.owner_of.get(str(info.field_name))
        if chosen is not None and owner is not None and owner != chosen:
            raise ValueError(f"left out with {cls.choice} {chosen!r}; it belongs to {cls.choice} {owner!r}")
        return value

    @model_serializer(mode="wrap")
    def _without_other_choices(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Parameters of what is not chosen are no settings of this object."""
        chosen = getattr(self, self.choice)
        return {name: value for name, value in dump(self).items() if self.owner_of.get(name, chosen) == chosen}


def with_parameters(*owners: type[HasParameters], prefix: str = "", **defaults: Any) -> Callable[[type[S]], type[S]]:
    """Give a settings class the parameters of some penalties, behind its own fields.

    Args:
        owners: The penalties.
        prefix: What the settings' names have in front.
        defaults: Defaults that differ from the penalty's.
    """

    def add(settings: type[S]) -> type[S]:
        added: dict[str, Any] = {}
        for owner in owners:
            hints = get_type_hints(owner)
            for part in fields(owner):
                default = defaults.get(part.name, part.default)
                rules = part.metadata["range"].rules()
                added[prefix + part.name] = (hints[part.name], Field(default=default, **rules))
        made: type[S] = create_model(
            settings.__name__, __base__=settings, __module__=settings.__module__, __doc__=settings.__doc__, **added
        )
        return made

    return add
