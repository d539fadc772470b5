"""Which entries of code.yaml an edit of the code changes, and so which stages DVC runs again."""

import ast
import shutil
from functools import cache
from pathlib import Path

import pytest
from support import tiny
from support.code_edits import EDITS, make_edit

import presence_only
from presence_only.pipeline.code import LEFT_OUT, of_study
from presence_only.pipeline.fingerprint import Fingerprints

PACKAGE = Path(presence_only.__file__).parent


def code_entries(package):
    """Hash by stage, and by data set or variant where there is one of each, as in ``train.bce``."""
    entries = {}
    for stage, entry in of_study(Fingerprints(package, LEFT_OUT), tiny.params())["code"].items():
        if isinstance(entry, dict):
            entries |= {f"{stage}.{name}": value for name, value in entry.items()}
        # It runs each time, and reads its entry to know whether anything is new.
        elif stage != "publish":
            entries[stage] = entry
    return entries


@pytest.fixture(scope="module")
def before():
    """The entries without an edit; modules are parsed once for all edits that leave them as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ast, "parse", cache(ast.parse))
        yield code_entries(PACKAGE)


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_changes_the_entries_of_the_stages_that_it_concerns(kind, before, tmp_path):
    copy = shutil.copytree(PACKAGE, tmp_path / "presence_only", ignore=shutil.ignore_patterns("__pycache__"))
    make_edit(copy, kind)
    after = code_entries(copy)
    assert after.keys() == before.keys()
    assert {entry for entry in before if before[entry] != after[entry]} == EDITS[kind][1]


def test_every_entry_changes_by_some_edit(before):
    assert set().union(*(entries for _, entries in EDITS.values())) == set(before)
