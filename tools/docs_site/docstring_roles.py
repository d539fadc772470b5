"""Roles of Sphinx in docstrings, such as ``:func:`~package.module.name```, as plain code; mkdocstrings knows none."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`(~?)([\w.]+)`")


def without_roles(text: str) -> str:
    """The text with the name of each role as code, without its path where a ``~`` asks for that."""
    return ROLE.sub(lambda role: f"`{role[2].rpartition('.')[2] if role[1] else role[2]}`", text)


class Roles(griffe.Extension):
    """Rewrites every docstring as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for every object."""
        if obj.docstring is not None:
            obj.docstring.value = without_roles(obj.docstring.value)
