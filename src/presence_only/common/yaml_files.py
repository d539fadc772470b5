"""YAML files read safely: what is no YAML, too deep, too large or nested within itself is said in one sentence."""

from __future__ import annotations

import codecs
from collections.abc import Collection
from pathlib import Path
from typing import Any

from presence_only.common.errors import SettingsError
from presence_only.common.quoting import quoted

# A settings file of a large study has some 10,000 bytes, 5 levels and 1,000 values.
MOST_BYTES, MOST_LEVELS, MOST_VALUES = 10_000_000, 100, 200_000
# Of a whole number; no float has more, and Python writes at most 4,300.
MOST_DIGITS = 400


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        SettingsError: If the file is missing or is no file, is not YAML in UTF-8, or is nested more than
            ``MOST_LEVELS`` deep; if it has more than ``MOST_BYTES`` bytes, or more than ``MOST_VALUES`` values, where
            one that aliases repeat counts each time; or if a key is no text, or a whole number has more than
            ``MOST_DIGITS`` digits.
    """
    # Not at the top: a command that reads no settings need not have ruamel.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    text = _text(path)
    try:
        _check_levels(path, text)
        # YAML 1.2, as DVC reads it: 1e-4 is a number.
        found = YAML(typ="safe").load(text)
    except SettingsError:
        raise
    except YAMLError as error:
        raise SettingsError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from None
    except Exception as error:
        # The parser lets through what Python says of a number of 5,000 digits, of a 13th month, of `!!bool x`.
        reason = " ".join(str(error).split()) or type(error).__name__
        if "integer string conversion" in reason:
            reason = f"a whole number must have at most {MOST_DIGITS:,} digits"
        raise SettingsError(f"{path.name} has a value that cannot be read: {reason}") from None
    _count(path, found, MOST_LEVELS, {})
    return found


def _text(path: Path) -> str:
    """The text of a file, which may begin with a byte order mark."""
    try:
        if path.exists() and not path.is_file():
            raise SettingsError(f"{path.name} is {'a folder' if path.is_dir() else 'no file'}: must be a YAML file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise SettingsError(f"no {path.name} in {path.resolve().parent}; run from a study's folder") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > MOST_BYTES:
        raise SettingsError(f"{path.name} has more than {MOST_BYTES:,} bytes, which no settings need")
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsError(
            f"{path.name} is not a text in UTF-8: see byte {error.start + 1:,}, line {line:,}"
        ) from None


def _check_levels(path: Path, text: str) -> None:
    """Refuse what is nested too deep, or has too many values.

    The reader of YAML itself would crash the process at 50,000 levels.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    levels = values = 0
    for event in YAML(typ="safe").parse(text):
        ends = isinstance(event, CollectionEndEvent)
        levels += isinstance(event, CollectionStartEvent) - ends
        values += not ends
        if values > 2 * MOST_VALUES:  # with the keys
            raise SettingsError(f"{path.name} has more than {MOST_VALUES:,} values")
        if levels > MOST_LEVELS:
            raise _too_deep(path)


def _count(path: Path, value: Any, levels: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Number of values in a value, and its levels, with all that aliases repeat; ``known`` has those of shared ones."""
    parts: Collection[Any]
    match value:
        case dict():
            for key in value:
                if not isinstance(key, str):
                    raise SettingsError(f"{path.name} has the key {quoted(key)}: must be a text")
            parts = value.values()
        case list() | tuple() | set():
            parts = value
        case int() if abs(value) >= 10**MOST_DIGITS:
            raise SettingsError(f"{path.name} has {quoted(value)}: must have at most {MOST_DIGITS:,}")
        case _:
            return 1, 0
    if id(value) in known:
        count, height = known[id(value)]
        if height > levels:
            raise _too_deep(path)
        return count, height
    if levels == 0:
        raise _too_deep(path)
    found = [_count(path, part, levels - 1, known) for part in parts]
    count = 1 + sum(count for count, _ in found)
    height = 1 + max((height for _, height in found), default=0)
    if count > MOST_VALUES:
        raise SettingsError(f"{path.name} has more than {MOST_VALUES:,} values, with all that its aliases repeat")
    known[id(value)] = count, height
    return count, height


def _too_deep(path: Path) -> SettingsError:
    return SettingsError(f"{path.name} is nested more than {MOST_LEVELS} levels deep, or holds itself by an alias")
