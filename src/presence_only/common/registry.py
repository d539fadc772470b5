"""References to code by name, as the tables of losses, data sets and evaluations hold them.

A table is a top-level dictionary from a name of params.yaml to ``package.module`` or ``package.module:attribute``.
Nothing is imported before it is asked for, and the fingerprint of the code (``fingerprint.py``) follows the entries
that a study names and no others.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def resolve(reference: str) -> Any:
    """The module or the attribute that a reference names, imported now.

    Args:
        reference: ``package.module``, or ``package.module:attribute``.
    """
    module, _, attribute = reference.partition(":")
    loaded = import_module(module)
    return getattr(loaded, attribute) if attribute else loaded
