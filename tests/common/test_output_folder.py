"""Folders of a command's files: what else lies there is left alone."""

from pathlib import Path

import pytest

from presence_only.common.output_folder import OutputError, check_folder


@pytest.mark.parametrize("content", ["photo.jpg", "model.onnx"])
def test_a_folder_with_something_else_is_left_alone(tmp_path, content):
    (tmp_path / content).touch()
    (tmp_path / "notes").mkdir()
    with pytest.raises(OutputError, match=r"--out .*: holds 'notes', which this command did not write"):
        check_folder(tmp_path, ["model.onnx", "photo.jpg"])
    with pytest.raises(OutputError, match="is a file; must be a folder to make"):
        check_folder(tmp_path / content, ["model.onnx"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([content, "notes"])


def test_a_new_folder_and_a_former_one_are_taken(tmp_path):
    check_folder(tmp_path / "new", ["a"])
    check_folder(tmp_path, ["a"])
    (tmp_path / "a").touch()
    check_folder(tmp_path, ["a", "b"])


def test_the_folder_one_is_in_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=r"--out \.: is the folder you are in, which cannot be replaced"):
        check_folder(Path(), ["a"])


def test_a_folder_that_cannot_be_made_is_told_at_once_and_trying_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        check_folder(tmp_path / "file/below/out", [])
    check_folder(tmp_path / "made/on/the/way", [])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
