"""CONTRIBUTING.md's map of the code names what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
PACKAGE = ROOT / "src/presence_only"
PARTS = sorted(
    path.name if path.suffix else f"{path.name}/"
    for path in PACKAGE.iterdir()
    if not path.name.startswith("_") and (path.suffix == ".py" or path.is_dir())
)


@pytest.mark.parametrize("part", PARTS)
def test_the_map_names_every_module(part):
    assert re.search(rf"(?<![\w/]){re.escape(part)}", TEXT), part


def test_the_map_names_no_module_that_is_gone():
    lines = re.search(r"```\nparams\.yaml(.+?)```", TEXT, re.DOTALL).group(1).split("src/presence_only/\n")[1]
    names = re.findall(r"^  (\w+(?:\.py|/)) ", lines, re.MULTILINE)
    assert len(names) > 20
    for name in names:
        assert (PACKAGE / name).exists(), name


def test_its_commands_and_files_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)", TEXT):
        assert f"\n{target}:" in makefile, target
    # Names in angle brackets, and the files of what is invented, are to be written.
    for path in re.findall(r"`(?:python )?((?:src|tests|tools|docs)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists() or path.endswith(("test_hinge.py", "test_bands.py")), path
