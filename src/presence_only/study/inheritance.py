"""Entries of params.yaml that take over the settings of another entry: ``like: <name>``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from presence_only.common.errors import SettingsError
from presence_only.common.quoting import quoted

# Entries of which each is like the next.
MOST_LIKES = 50


def inherit(entries: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Entries of a group, each with what it takes over from the entry that its key ``like`` names.

    An entry replaces single settings of the other; of a setting that is a group in both, single settings in turn.
    Unlike YAML's anchors this survives DVC, which writes a file anew when it changes a setting.

    Args:
        entries: Name to settings as they are in the file; what is no mapping is left for the checks of the group.
        where: The group's key in the file, such as ``datasets``.

    Raises:
        SettingsError: If an entry is like one that does not exist, or like itself in the end, or one after the other
            more than ``MOST_LIKES`` entries are like the next.
    """
    return {name: inherit_one(entries, where, name) for name in entries}


def inherit_one(entries: Mapping[str, Any], where: str, name: str) -> Any:
    """One entry of a group, with what it takes over; arguments and errors as of :func:`inherit`."""

    def taken(name: str, behind: tuple[str, ...]) -> Any:
        entry = entries[name]
        if not isinstance(entry, dict) or "like" not in entry:
            return entry
        other = entry["like"]
        if not isinstance(other, str) or other not in entries:
            raise SettingsError(f"{where}.{name}.like = {quoted(other)}: must be one of {', '.join(map(str, entries))}")
        if other in (*behind, name):
            raise SettingsError(f"{where}.{name}.like = {other!r}: leads back to {other!r} itself")
        if len(behind) == MOST_LIKES:
            raise SettingsError(f"{where}.{name}.like = {quoted(other)}: {MOST_LIKES} entries are like another already")
        own = {key: value for key, value in entry.items() if key != "like"}
        base = taken(other, (*behind, name))
        return merged(base, own) if isinstance(base, dict) else own

    return taken(name, ())


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the settings of ``own``; groups that both have are merged in turn, unless of another kind."""
    both = {**base, **own}
    for key, group in own.items():
        other = base.get(key)
        if isinstance(group, dict) and isinstance(other, dict) and group.get("kind", 0) in (0, other.get("kind")):
            both[key] = merged(other, group)
    return both
