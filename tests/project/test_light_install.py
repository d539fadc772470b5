"""The losses and the metrics with torch, numpy and pydantic alone, and the extras that bring the rest."""

import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from presence_only.pipeline.command import STUDY_MODULES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = {"numpy", "pydantic", "torch"}
(EXAMPLE,) = re.findall(r"```python\n(from presence_only\.losses .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def plain(name):
    return re.sub("[-_.]+", "-", name).lower()


def with_dependencies(names):
    """Names of distributions, with those that they need in turn."""
    found, todo = set(), [plain(name) for name in names]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needed = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:  # of another system
            continue
        todo += [plain(need.name) for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


@cache
def owners():
    """Name of every module that is installed to the distributions that it belongs to."""
    return {module: {plain(name) for name in names} for module, names in packages_distributions().items()}


def modules_of(distributions):
    return {module for module, names in owners().items() if distributions & names}


# An import of a package that none of the three needs fails.
ALONE = """
import sys

REFUSED, KNOWN = {refused!r}, {known!r}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

def loaded():
    return {{name.partition(".")[0] for name in sys.modules}} & KNOWN

sys.meta_path.insert(0, Refuse())
import numpy, torch
from pydantic import BaseModel, Field
before = loaded()
"""


def test_the_package_needs_three_others():
    assert {Requirement(text).name for text in PROJECT["dependencies"]} == CORE


def test_losses_and_metrics_work_with_these_alone():
    program = f"""
import presence_only.losses
added = loaded() - before
rooms = {{name.split(".")[1] for name in sys.modules if name.startswith("presence_only.")}}

logits, targets = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True), torch.tensor([[1.0, 0.0, 0.0]])
{EXAMPLE}
loss.sum().backward()
assert torch.isfinite(logits.grad).all() and logits.grad.any()

from presence_only.evaluation.metrics import auc_roc, average_precision, evaluate

scores_MS, truth_MS = numpy.array([[0.9], [0.8], [0.1], [0.7]]), numpy.array([[1], [0], [0], [1]])
print(sorted(added), sorted(rooms), average_precision(scores_MS, truth_MS), auc_roc(scores_MS, truth_MS))
print(evaluate(scores_MS, truth_MS).summary["species_map"])
try:
    import presence_only.data.training
except ModuleNotFoundError as error:
    print(error.name)
"""
    theirs = modules_of(with_dependencies(CORE)) | {"presence_only"}
    whole = ALONE.format(refused=set(owners()) - theirs, known=set(owners()) | {"presence_only"}) + program
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # By hand: precision 1 at the first presence and 2/3 at the second; 3 of 4 pairs in order. Files need polars.
    expected = ["['presence_only'] ['common', 'losses'] [0.83333333] [0.75]", "0.8333333333333333", "polars"]
    assert done.stdout.splitlines() == expected


def test_the_extra_study_brings_what_commands_are_told_to_miss():
    names = {plain(Requirement(text).name) for text in PROJECT["optional-dependencies"]["study"]}
    assert all(names & owners()[module] for module in STUDY_MODULES)
    # Those without a module that is imported: a package of packages, and compiled parts of another.
    missing = {name for name in names if not modules_of({name}) & STUDY_MODULES}
    assert missing == {"jupyter"}


@pytest.mark.parametrize("extra", ["rasters", "export", "maxent", "browser", "docs", "dev"])
def test_every_other_extra_brings_the_commands_too(extra):
    own = {Requirement(text) for text in PROJECT["optional-dependencies"][extra]}
    assert any(need.name == PROJECT["name"] and "study" in need.extras for need in own)


def test_everything_that_the_package_imports_belongs_to_it_or_to_an_extra():
    named = PROJECT["dependencies"] + [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    allowed = modules_of({plain(Requirement(text).name) for text in named}) | {"presence_only", "elapid", "onnxruntime"}
    # What pydantic and mlflow are made of is there with them.
    allowed |= {"pydantic_core", "ipykernel_launcher"} | sys.stdlib_module_names
    for path in (ROOT / "src").rglob("*.py"):
        for name in re.findall(
            r"^ *(?:from|import) ([A-Za-z_]\w*)[\w.]*(?: import .*|)$", path.read_text(), re.MULTILINE
        ):
            assert name in allowed, path
