"""What of `dvc status` the check of locks takes for a mismatch, in a checkout that has no data."""

import runpy
from pathlib import Path

import pytest

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools/check_lock.py"))
mismatches, not_run = TOOL["mismatches"], TOOL["not_run"]


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ({}, []),
        ({"publish": ["always changed"]}, []),
        ({"train@a": [{"changed deps": {"data/a": "deleted"}}, {"changed outs": {"runs/a": "deleted"}}]}, []),
        ({"train@a": [{"changed outs": {"runs/a": "not in cache"}}]}, []),
        ({"compare": [{"changed deps": {"runs": "modified"}}]}, []),
        (
            {"train@a": [{"changed deps": {"src/x.py": "modified"}}]},
            ["train@a: changed deps: src/x.py is modified"],
        ),
        (
            {"train@a": [{"changed deps": {"params.yaml": {"training.epochs": "modified"}}}]},
            ["train@a: changed deps: params.yaml training.epochs is modified"],
        ),
        (
            {"compare": [{"changed outs": {"results/comparison.csv": "modified"}}]},
            ["compare: changed outs: results/comparison.csv is modified"],
        ),
        (
            {"train@b": [{"changed deps": {"params.yaml": {"variants.b": "new"}}}]},
            ["train@b: changed deps: params.yaml variants.b is new"],
        ),
        (
            {"compare": [{"changed outs": {"results/comparison.csv": "deleted"}}]},
            ["compare: changed outs: results/comparison.csv is deleted"],
        ),
        ({"train@b": ["changed command"]}, ["train@b: changed command"]),
    ],
)
def test_only_what_was_changed_is_a_mismatch(status, found):
    assert mismatches(status, lambda path: path.startswith(("src", "results", "params.yaml"))) == found


def test_a_study_that_is_not_run_yet_needs_no_lock(tmp_path):
    index = "| [a](a/README.md) | Why? | planned |\n| [b](b/README.md) | How? | run |\n"
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    pipeline_of = {name: tmp_path / name / "dvc.yaml" for name in ("a", "b", "c")}
    assert [not_run(pipeline_of[name], index) for name in ("a", "b", "c")] == [True, False, False]
    (tmp_path / "a/dvc.lock").touch()
    assert not not_run(pipeline_of["a"], index)
