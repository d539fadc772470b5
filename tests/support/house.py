"""The rooms of the package as CONTRIBUTING.md lists them: their order, and the modules that it names in each."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/presence_only"


def rooms():
    """Room to its modules, in the order of the table, from the top."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (table,) = re.findall(r"^\| room \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    found = {}
    for row in table.splitlines():
        name, _, modules = row.strip("| ").split(" | ")
        found[name.strip("`")] = re.findall(r"`(\w+)`", modules)
    return found
