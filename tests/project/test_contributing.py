"""CONTRIBUTING.md says what there is: its table of rooms and modules, its commands and its files."""

import re
from pathlib import Path

import pytest
from support.house import PACKAGE, rooms

from presence_only.datasets import KINDS
from presence_only.losses.registry import LOSSES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("room", rooms())
def test_the_table_of_rooms_names_every_module(room):
    entries = (PACKAGE / room).iterdir()
    modules = {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").exists()}
    modules = {name for name in modules if not name.startswith("__")}
    # A new loss or kind of data set has its line in a table of the code; the map need not name it too.
    tables = {reference.split(":")[0].split(".")[2] for table in (KINDS, LOSSES) for reference in table.values()}
    assert rooms()[room] == sorted(rooms()[room])
    assert modules - tables <= set(rooms()[room]) <= modules


def test_its_commands_and_files_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)", TEXT):
        assert f"\n{target}:" in makefile, target
    # Names in angle brackets, and the files of what is invented, are to be written.
    for path in re.findall(r"`(?:python )?((?:src|tests|tools|docs)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists() or path.endswith(("test_hinge.py", "test_bands.py")), path
