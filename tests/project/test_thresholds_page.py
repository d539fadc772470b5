"""The page on thresholds and lists: its rules and commands exist, and its example runs."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from presence_only.evaluation.presence_thresholds import THRESHOLD_RULES, threshold_rule
from presence_only.pipeline import predict

PAGE = (Path(__file__).parents[2] / "docs/thresholds_and_lists.md").read_text()
COMMANDS = re.findall(r"^python -m presence_only\.predict (.*)$", PAGE, re.MULTILINE)


def test_every_rule_is_named_and_every_named_rule_exists():
    rows = re.findall(r"^\| `([\w.]+)` \|", PAGE.split("## A binary map")[0].split("For one loss")[0], re.MULTILINE)
    assert set(THRESHOLD_RULES) - {"fixed"} <= set(rows)
    for row in rows:
        threshold_rule(row)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["predict", *command.split()])
    arguments = predict._arguments()
    assert arguments.binary or arguments.list in predict.LISTS
    if arguments.threshold is not None:
        threshold_rule(arguments.threshold)


def test_the_example_says_what_it_gives():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    found = {}
    exec(code, found)
    assert found["percentile_presence"](found["places"], 5) == 0.3
    assert found["max_tss_threshold"](found["places"], found["background"]) == 0.9
    assert found["range_measures"](found["scores"], np.array([[1], [0], [1]]), [0.3])["f1"].tolist() == [0.5]
    assert found["best_lengths"](found["falling"][None]).tolist() == [2]
