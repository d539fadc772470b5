"""Edits of the package's code, by kind, and the entries of code.yaml that each of them changes."""

import ast

import numpy as np

NEW_LOSS = """from typing import Literal

from presence_only.losses.pointwise import BceSettings


class NewSettings(BceSettings):
    loss: Literal["new"]
"""
NEW_PENALTY = """from dataclasses import dataclass

from presence_only.losses.parameters import parameter
from presence_only.losses.penalties import CrossEntropy


@dataclass(frozen=True)
class Halved(CrossEntropy):
    factor: float = parameter(0.5, low=0)

    def negative(self, logits):
        return self.factor * super().negative(logits)
"""
TRAINING = {"train.bce", "train.an_full"}
# Files of the package and what happens there: a text and what takes its place; a definition that gets a statement more;
# the text of a new file; or nothing but another packing of the same arrays. Entries are those of support.tiny's study.
EDITS = {
    "a comment": ([("losses/pointwise.py", ("class BceSettings", "# A comment.\nclass BceSettings"))], set()),
    "a docstring": ([("training/fit.py", ("Train one encoder.", "Train an encoder."))], set()),
    "a new loss": (
        [
            ("losses/new.py", NEW_LOSS),
            ("losses/registry.py", ("LOSSES = {", 'LOSSES = {\n    "new": "presence_only.losses.new:NewSettings",')),
        ],
        set(),
    ),
    "a new penalty": (
        [
            ("losses/halved.py", NEW_PENALTY),
            (
                "losses/registry.py",
                ("PENALTIES = {", 'PENALTIES = {\n    "new": "presence_only.losses.halved:Halved",'),
            ),
        ],
        set(),
    ),
    "a penalty of neither loss": ([("losses/penalties.py", "Asymmetric.negative")], set()),
    "a data set of another kind": ([("datasets/gbif.py", "DatasetSettings.build")], set()),
    "a label of a figure": (
        [("reporting/figures/maps.py", ("training rows per hexagon", "rows per hexagon"))],
        {"figures"},
    ),
    "a loss": ([("losses/pointwise.py", "BceSettings.hard_weights")], {"train.bce", "settings"}),
    "a helper of one loss": ([("losses/sinr.py", "full")], {"train.an_full", "settings"}),
    "a helper of both losses": ([("losses/base.py", "check_batch")], TRAINING | {"settings"}),
    "the training loop": ([("training/fit.py", "take_steps")], TRAINING),
    "the number of threads": (
        [("common/one_thread.py", ("torch.set_num_threads(1)", "assert True\n    torch.set_num_threads(1)"))],
        TRAINING | {"evaluate"},
    ),
    "the command that trains": ([("pipeline/train.py", "main")], TRAINING),
    "how a variant is read": ([("study/params.py", "load_variant")], TRAINING),
    "the words of progress, errors and arguments": (
        [
            ("pipeline/progress.py", "words_of_training"),
            ("pipeline/progress.py", "Display._update"),
            ("pipeline/workers.py", "run_side_by_side"),
            ("pipeline/command.py", "run_stage"),
            ("pipeline/command.py", "parse_arguments"),
            ("common/settings.py", "_sentence"),
            ("reporting/console.py", "print_summary"),
        ],
        set(),
    ),
    "how settings are searched for": (
        [
            ("search/criteria.py", "boyce"),
            ("search/settings.py", "HeldOutSettings.effort_cells"),
            ("search/objective.py", "run_trial"),
            ("pipeline/search.py", "main"),
        ],
        set(),
    ),
    "the encoder": ([("model/encoder.py", "ResidualBlock.forward")], TRAINING | {"evaluate"}),
    "a metric": (
        [("evaluation/metrics.py", "average_precision_of_ranks")],
        {"evaluate", "compare", "figures", "report"},
    ),
    "the data set": ([("datasets/virtual/dataset.py", "build")], {"generate.virtual", "settings"}),
    "the grid of the Earth": (
        [("geography/earth_grid/earth_1deg.npz", None)],
        {"generate.virtual", "settings", "figures", "report"},
    ),
}


def make_edit(package, kind):
    """Edit a copy of the package, as a person would; results stay as they are."""
    for file, change in EDITS[kind][0]:
        path = package / file
        if change is None:
            with np.load(path) as stored:
                arrays = dict(stored)
            np.savez(path, **arrays)
        elif isinstance(change, tuple):
            text = path.read_text()
            assert change[0] in text
            path.write_text(text.replace(*change, 1))
        elif path.exists():
            path.write_text(with_a_statement_more(path.read_text(), change))
        else:
            path.write_text(change)


def with_a_statement_more(text, definition):
    """A module's text with a statement in ``Class.method`` or ``function`` that changes its code, and no result."""
    found = ast.parse(text)
    for name in definition.split("."):
        (found,) = [node for node in found.body if getattr(node, "name", "") == name]
    first = next(node for node in found.body if not isinstance(node, ast.Expr))
    lines = text.splitlines()
    lines.insert(first.lineno - 1, " " * first.col_offset + "assert True")
    return "\n".join(lines) + "\n"
