"""How many trials a test of tests/robustness makes, and what they found.

CI makes few trials. ``make torture`` names a folder in ``PRESENCE_ONLY_TORTURE``; then they are many, and every test
writes its counts there, from which ``tools/torture_table.py`` makes the table of docs/robustness.md.
"""

import json
import os
from pathlib import Path

FOLDER = "PRESENCE_ONLY_TORTURE"


def trials(short: int, long: int) -> int:
    """How many trials to make: ``long`` under ``make torture``, else ``short``."""
    return long if os.environ.get(FOLDER) else short


def record_trials(what: str, tried: int, fell: list[str]) -> None:
    """Write how many trials of a kind were made, and those that fell, if ``make torture`` runs; fail if one fell.

    Args:
        what: The kind, as a row of the table: "kills of a stage", "settings that are wrong".
        tried: The number of trials.
        fell: One sentence for each trial that did not hold.
    """
    folder = os.environ.get(FOLDER)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Path(folder, what.replace(" ", "_").replace("/", "_") + ".json")
        path.write_text(json.dumps({"what": what, "tried": tried, "fell": fell}, indent=1))
    assert not fell, f"{len(fell)} of {tried} fell: " + "; ".join(fell[:10])
