"""How many trials a test of tests/robustness makes, and what they found.

CI makes few trials. ``make torture`` names a folder in ``PRESENCE_ONLY_TORTURE``; then they are many, and every test
writes its counts there, from which ``tools/torture_table.py`` makes docs/robustness.md. The docstring of a test's
module stands there above its table, so it says what is tried and how.
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
    note_trials(what, tried, fell)
    assert not fell, f"{len(fell)} of {tried} fell: " + "; ".join(fell[:10])


def note_trials(what: str, tried: int, fell: list[str]) -> None:
    """Write what :func:`record_trials` writes, while the trials go on: an end before the last keeps the count."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder, what.replace(" ", "_").replace("/", "_") + ".json")
    # "tests/robustness/test_kills.py::test_a_killed_search_goes_on (call)"
    test = os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]
    path.write_text(json.dumps({"test": test, "what": what, "tried": tried, "fell": fell}, indent=1))
