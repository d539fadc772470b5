"""Reference of the documentation site: losses, penalties, metrics, kinds of data set, and the other settings.

Functions are left to mkdocstrings, which reads their docstrings. Settings are classes that inherit from several others,
so their tables are made here: names, types and defaults of the fields, with what the docstrings say of them.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args

from docstring_roles import without_roles
from griffe import Docstring, DocstringSectionKind
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import presence_only.losses
import presence_only.metrics
from presence_only.common.registry import resolve
from presence_only.common.settings import Settings
from presence_only.datasets import KINDS
from presence_only.evaluation.metrics import METRICS
from presence_only.losses.base import PENALTY_OF, PenaltySettings
from presence_only.losses.poisson import Intensity
from presence_only.losses.registry import LOSSES, PENALTIES
from presence_only.model.settings import EncoderSettings
from presence_only.search.settings import SearchSettings
from presence_only.study.settings import StudySettings
from presence_only.training.settings import TrainingSettings

# Measures beside those that `presence_only.metrics` exports.
FURTHER_MEASURES = (
    "presence_only.evaluation.skill_measures.skill_measure",
    "presence_only.common.boyce_index.boyce_index",
    "presence_only.evaluation.geoscore.geoscore",
)
GROUPS = {"study": StudySettings, "encoder": EncoderSettings, "training": TrainingSettings, "search": SearchSettings}


def reference_pages() -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Path on the site to the text of every page, and the entries of the navigation."""
    losses = {f"reference/losses/{name}.md": text for name, text in loss_pages()}
    kinds = {f"reference/datasets/{kind}.md": dataset_page(kind) for kind in sorted(KINDS)}
    groups = {f"reference/settings/{name}.md": group_page(name, owner) for name, owner in GROUPS.items()}
    penalties, metrics = {"reference/penalties.md": penalties_page()}, {"reference/metrics.md": metrics_page()}
    entries = [
        {"Losses": [{"Overview": "reference/losses/index.md"}, *entries_of(losses)]},
        {"Penalties": "reference/penalties.md"},
        {"Metrics in code": "reference/metrics.md"},
        {"Data sets": entries_of(kinds)},
        {"Other settings": entries_of(groups)},
    ]
    overview = {"reference/losses/index.md": losses_overview()}
    return overview | losses | penalties | metrics | kinds | groups, entries


def entries_of(pages: dict[str, str]) -> list[dict[str, Any]]:
    """Navigation of pages by their titles."""
    return [{text.split("\n")[0].removeprefix("# ").replace("`", ""): path} for path, text in pages.items()]


def loss_names_of(module: str) -> list[str]:
    """Losses of params.yaml whose settings a module defines."""
    return [name for name, reference in LOSSES.items() if reference.split(":")[0] == module]


def loss_modules() -> dict[str, list[str]]:
    """Every module with a loss to its exported functions and classes, in the order of the names."""
    found: dict[str, list[str]] = {reference.split(":")[0]: [] for reference in LOSSES.values()}
    for name in presence_only.losses.__all__:
        found.setdefault(getattr(presence_only.losses, name).__module__, []).append(name)
    return dict(sorted(found.items()))


def title_of(module: str) -> str:
    """What the first sentence of a module's docstring names."""
    return re.split(r"[:.,]| \(", first_line(importlib.import_module(module)))[0]


def first_line(owner: Any) -> str:
    """The first line of a docstring of a module or a class."""
    return without_roles(inspect.cleandoc(owner.__doc__ or "").split("\n")[0])


def losses_overview() -> str:
    """Table of every name that `variants.*.loss` may be."""
    lines = [
        "# Losses",
        "",
        "Every loss that a variant of `params.yaml` can name.",
        "",
        "| loss | what it is |",
        "|---|---|",
    ]
    for name, reference in LOSSES.items():
        page = reference.split(":")[0].rpartition(".")[2]
        lines.append(f"| [`{name}`]({page}.md) | {cell(first_line(resolve(reference)))} |")
    return "\n".join(lines) + "\n"


def loss_pages() -> Iterator[tuple[str, str]]:
    """Name and text of the page of every module with a loss."""
    for module, exported in loss_modules().items():
        lines = [f"# {title_of(module)}", "", first_line(importlib.import_module(module))]
        for name in loss_names_of(module):
            settings = resolve(LOSSES[name])
            lines += ["", f"## `loss: {name}`", "", first_line(settings), "", *settings_table(settings)]
        if exported:
            lines += ["", "## In your own code"]
            for name in exported:
                lines += ["", f"::: {module}.{name}"]
        yield module.rpartition(".")[2], "\n".join(lines) + "\n"


def penalties_page() -> str:
    """Every penalty of one pair with its parameters."""
    lines = ["# Penalties", "", "What a loss with a setting `penalty` may make one pair of a site and a species cost."]
    for name, reference in PENALTIES.items():
        owner = resolve(reference)
        lines += ["", f"## `penalty: {name}`", "", first_line(owner), "", *parameters_table(owner)]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """The metrics that evaluations report, and the functions to call."""
    lines = ["# Metrics in code", "", "| name in results | title | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {metric.title} | {cell(metric.meaning)} |" for name, metric in METRICS.items()]
    lines += ["", "## In your own code"]
    for name in presence_only.metrics.__all__:
        lines += ["", f"::: {getattr(presence_only.metrics, name).__module__}.{name}"]
    for reference in FURTHER_MEASURES:
        lines += ["", f"::: {reference}"]
    return "\n".join(lines) + "\n"


def dataset_page(kind: str) -> str:
    """Every setting of one kind of data set, those of its groups included."""
    owner = resolve(KINDS[kind])
    lines = [f"# `kind: {kind}`", "", first_line(owner), "", *settings_table(owner)]
    return "\n".join(lines + groups_within(owner)) + "\n"


def group_page(name: str, owner: type[Settings]) -> str:
    """Every setting of one group of params.yaml."""
    return "\n".join([f"# `{name}`", "", first_line(owner), "", *settings_table(owner), *groups_within(owner)]) + "\n"


def groups_within(owner: type[BaseModel]) -> list[str]:
    """Sections for the settings that are groups themselves, each class once."""
    lines: list[str] = []
    for group in dict.fromkeys(nested(owner)):
        lines += ["", f"## {group.__name__}", "", first_line(group), "", *settings_table(group)]
    return lines


def nested(owner: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Settings classes in the types of the fields, and in those of their fields."""
    for field in owner.model_fields.values():
        for group in classes_of(field.annotation):
            yield group
            yield from nested(group)


def classes_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Settings classes in a type."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from classes_of(part)


def settings_table(owner: type[BaseModel]) -> list[str]:
    """A table of the fields of settings: the name; what it may be, its default and its meaning.

    A loss that takes any penalty takes its parameters too; they stand on the page of penalties.
    """
    meanings = arguments_of(owner)
    any_penalty = issubclass(owner, PenaltySettings)
    lines = ["| setting | value, default and meaning |", "|---|---|"]
    for name in own_first(owner):
        field = owner.model_fields[name]
        if (name in ("loss", "kind") and field.is_required()) or (any_penalty and name in PENALTY_OF):
            continue
        meaning = meanings.get(name) or PENALTY_MEANINGS.get(name) or PENALTY_MEANINGS.get(name.partition("_")[2], "")
        lines.append(f"| `{name}` | *{cell(type_text(field))}; {cell(shown_default(field))}*<br>{cell(meaning)} |")
    if any_penalty:
        lines.append("| | Parameters of the [penalty](../penalties.md) that is chosen. |")
    return lines if len(lines) > 2 else ["It has no settings."]


def own_first(owner: type[BaseModel]) -> list[str]:
    """Names of the fields: those that the class declares itself before those of the classes that it inherits from."""
    declared = [name for ancestor in owner.__mro__ for name in inspect.get_annotations(ancestor)]
    return [name for name in dict.fromkeys([*declared, *owner.model_fields]) if name in owner.model_fields]


def parameters_table(owner: type) -> list[str]:
    """A table of the parameters of a penalty."""
    if not is_dataclass(owner) or not fields(owner):
        return ["It has no parameters."]
    meanings = arguments_of(owner)
    lines = ["| parameter | default and meaning |", "|---|---|"]
    for part in fields(owner):
        default = "required" if part.default is MISSING else f"default `{yaml_text(part.default)}`"
        lines.append(f"| `{part.name}` | *{default}*<br>{cell(meanings.get(part.name, ''))} |")
    return lines


def arguments_of(owner: type) -> dict[str, str]:
    """Name to meaning, of the section Args of a class and of those that it inherits from; the nearest class rules."""
    meanings: dict[str, str] = {}
    for ancestor in reversed(owner.__mro__):
        text = without_roles(inspect.cleandoc(ancestor.__dict__.get("__doc__") or ""))
        for section in Docstring(text).parse("google", warnings=False):
            if section.kind in (DocstringSectionKind.parameters, DocstringSectionKind.attributes):
                meanings |= {argument.name: argument.description for argument in section.value}
    return meanings


def type_text(field: FieldInfo) -> str:
    """The type of a field with its bounds, in the words of the settings file."""
    text = plain_type(field.annotation)
    bounds = [str(rule) for rule in field.metadata if re.match(r"G[te]|L[te]|Ge|Le", type(rule).__name__)]
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [re.fullmatch(r"\w+\((\w+)=(.+)\)", bound) for bound in bounds]
    return ", ".join([text, *(f"{signs[match[1]]} {match[2]}" for match in found if match and match[2] != "-inf")])


def plain_type(annotation: Any) -> str:
    """A type without the names of modules; a choice as its values."""
    if hasattr(annotation, "__metadata__"):  # Annotated
        return plain_type(annotation.__origin__)
    arguments = get_args(annotation)
    origin = getattr(annotation, "__origin__", None)
    name = getattr(origin or annotation, "__name__", "")
    if annotation is type(None):
        return "null"
    if name == "Literal" or (arguments and all(isinstance(value, str | int) for value in arguments)):
        return " or ".join(str(value) for value in arguments)
    if name in ("Union", "UnionType") or type(annotation).__name__ == "UnionType":
        return " or ".join(plain_type(part) for part in arguments)
    if origin in (tuple, list, frozenset, set):
        inner = " or ".join(dict.fromkeys(plain_type(part) for part in arguments if part is not Ellipsis))
        return f"list of {inner}"
    if origin is dict:
        return f"mapping of {plain_type(arguments[0])} to {plain_type(arguments[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return f"[{name}](#{name.lower()})"
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Any": "a value"}
    return words.get(name, name or str(annotation))


def shown_default(field: FieldInfo) -> str:
    """A default as the settings file would have it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "by default as below" if isinstance(value, BaseModel) else f"default `{yaml_text(value)}`"


def yaml_text(value: Any) -> str:
    """A value in YAML's flow style."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, tuple | list | set | frozenset):
        return "[" + ", ".join(map(yaml_text, value)) + "]"
    return str(value)


def cell(text: str) -> str:
    """Text within a cell of a table: one line, without what would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


# What the parameters of penalties mean, wherever a loss takes them over.
PENALTY_MEANINGS = {
    name: meaning
    for owner in (Intensity, *map(resolve, PENALTIES.values()))
    for name, meaning in arguments_of(owner).items()
}
