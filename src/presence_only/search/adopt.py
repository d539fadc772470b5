"""The best settings of a search as a new variant of params.yaml, every other character of which stays as it is."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, SequenceNode

from presence_only.common.atomic_files import write_text
from presence_only.common.errors import SettingsError
from presence_only.common.yaml_files import read_yaml
from presence_only.search.space import nested
from presence_only.study.params import Params
from presence_only.study.settings import NAME, PARAMS


def adopt(variant: str, name: str, settings: Mapping[str, Any], path: Path = PARAMS) -> str:
    """Write a variant that is like another but for some settings, and have the study run it.

    The new line goes below those of the other variants, and the name to the end of ``study.variants``. The file is
    written whole or not at all.

    Args:
        variant: The variant that was searched.
        name: Of the new one.
        settings: What the search found, as ``training.beta2`` to its value.
        path: The study's params.yaml.

    Returns:
        The line that was written.

    Raises:
        SettingsError: If the name is taken or is none, or the new variant breaks a rule.
    """
    raw = read_yaml(path)
    if not re.fullmatch(NAME, name):
        raise SettingsError(f"--adopt {name}: must be lower-case letters, digits and underscores")
    if name in raw["variants"]:
        raise SettingsError(f"--adopt {name}: params.yaml has a variant of this name; choose another")
    entry = {"like": variant} | nested(settings)
    # `steps: null` is needed only where the other variant has steps.
    training = entry.get("training", {})
    for length in ("epochs", "steps"):
        if training.get(length, 0) is None and not _says(raw["variants"], variant, length):
            del training[length]
    line = f"{name}: {in_one_line(entry)}"
    text = path.read_text()
    top = YAML().compose(text)
    variants, listed = _child(top, "variants"), _child(_child(top, "study"), "variants")
    for node, item in sorted(((variants, line), (listed, name)), key=lambda pair: -pair[0].start_mark.index):
        text = _appended(text, node, item)
    wanted = dict(raw)
    wanted["variants"] = {**raw["variants"], name: entry}
    wanted["study"] = {**raw["study"], "variants": [*raw["study"]["variants"], name]}
    if YAML(typ="safe").load(text) != wanted:
        raise SettingsError(f"--adopt {name}: params.yaml is laid out in a way that cannot be added to; write {line!r}")
    Params.parse(wanted)
    write_text(path, text)
    return line


def _says(variants: Mapping[str, Any], name: str, length: str) -> bool:
    """Whether a variant, or one that it is like, says its length so."""
    written = variants[name]
    own = (written.get("training") or {}).get(length) is not None
    return own or ("like" in written and _says(variants, written["like"], length))


def in_one_line(entry: Mapping[str, Any]) -> str:
    """A mapping in YAML's flow style."""
    writer = YAML()
    writer.default_flow_style = True
    writer.width = 2**16
    buffer = io.StringIO()
    writer.dump(dict(entry), buffer)
    return buffer.getvalue().strip()


def _child(node: Any, key: str) -> CollectionNode:
    """The mapping or list at a key of a mapping."""
    (found,) = (value for name, value in node.value if name.value == key)
    child: CollectionNode = found
    return child


def _appended(text: str, node: CollectionNode, item: str) -> str:
    """The text with one more entry at the end of a mapping or of a list."""
    is_list = isinstance(node, SequenceNode)
    if node.flow_style:
        end = node.end_mark.index - 1
        return f"{text[:end].rstrip()}, {item}{text[end:]}"
    line_end = text.find("\n", _end_of(node))
    line_end = len(text) if line_end < 0 else line_end
    indent = " " * (node.start_mark.column)
    return f"{text[:line_end]}\n{indent}{'- ' * is_list}{item}{text[line_end:]}"


def _end_of(node: Node) -> int:
    """Where the last character of a node is, without the comments below it."""
    if not isinstance(node, (MappingNode, SequenceNode)) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    # What stands behind a key may be a reference to a place further up.
    return max(last[0].end_mark.index, _end_of(last[1])) if isinstance(node, MappingNode) else _end_of(last)
