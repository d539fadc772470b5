"""docs/losses.md shows figures that its script makes, and names variants that exist; the guide's loss is one."""

import importlib.util
import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from ruamel.yaml import YAML
from support.losses import LossContract

import presence_only.losses
from presence_only.losses import registry
from presence_only.losses.base import parse_variant
from presence_only.losses.registry import LOSSES, PENALTIES, loss_names

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "losses.md").read_text()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("make_loss_plots", DOCS / "make_loss_plots.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.draw_all(tmp_path_factory.mktemp("figures") / "new")


def test_the_script_makes_every_figure_of_the_page_and_no_other(drawn):
    shown = re.findall(r"!\[.+?\]\(figures/(.+?)\)", TEXT)
    assert sorted(path.name for path in drawn) == sorted(shown)
    for path in drawn:
        assert 10_000 < path.stat().st_size < 100_000
        assert path.read_bytes().startswith(b"\x89PNG")
        assert (DOCS / "figures" / path.name).exists()


@pytest.mark.parametrize(("heading", "known"), [("How one pair is", PENALTIES), ("Which pairs count", LOSSES)])
def test_the_tables_of_the_page_name_what_exists(heading, known):
    section = re.search(rf"^## {heading}.+?(?=^## )", TEXT, re.DOTALL | re.MULTILINE).group()
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) >= 4
    assert names <= set(known)


def test_the_variants_of_the_page_can_be_read():
    block = re.search(r"```yaml\n(.+?)```", TEXT, re.DOTALL)
    variants = YAML(typ="safe").load(block.group(1))["variants"]
    assert len(variants) == 4
    for name, raw in variants.items():
        assert parse_variant(raw, f"variants.{name}").loss == raw["loss"]


@pytest.fixture
def guide(tmp_path, monkeypatch):
    """The recipe of CONTRIBUTING.md, its module in the package; returns the variant of its last step."""
    text = (DOCS.parent / "CONTRIBUTING.md").read_text().split("## To add a loss")[1].split("\n## ")[0]
    name = re.search(r"here `(\w+)\.py`", text).group(1)
    code = dedent(re.search(r"```python\n(.+?)```", text, re.DOTALL).group(1))
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setattr(presence_only.losses, "__path__", [*presence_only.losses.__path__, str(tmp_path)])
    entry, reference = re.search(r'`"(\w+)": "(.+?)"`', text).groups()
    monkeypatch.setitem(registry.LOSSES, entry, reference)
    yield YAML(typ="safe").load(re.search(r"`(\w+: \{loss: .+?\})`", text).group(1))[name]
    sys.modules.pop(f"presence_only.losses.{name}", None)
    vars(presence_only.losses).pop(name, None)


class TestTheLossOfTheGuide(LossContract):
    """It keeps the contract of all losses."""

    @pytest.fixture
    def variant(self, guide):
        assert guide["loss"] in loss_names()
        return guide
