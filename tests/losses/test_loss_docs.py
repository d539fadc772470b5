"""docs/losses.md shows figures that its script makes, and names variants that exist."""

import importlib.util
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from presence_only.losses.registry import loss_names, parse_variant

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


def test_every_loss_has_its_line():
    for name in loss_names():
        assert f"`{name}`" in TEXT, name


def test_the_variants_of_the_page_can_be_read():
    block = re.search(r"```yaml\n(.+?)```", TEXT, re.DOTALL)
    variants = YAML(typ="safe").load(block.group(1))["variants"]
    assert len(variants) == 4
    for name, raw in variants.items():
        assert parse_variant(raw, f"variants.{name}").loss == raw["loss"]
