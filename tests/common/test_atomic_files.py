"""Files and folders that are written whole or not at all."""

import json
import os

import pytest

from presence_only.common.atomic_files import (
    KnownHashes,
    content_hash,
    json_hash,
    read_json,
    write_folder,
    write_json,
    write_whole,
)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    with write_whole(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    assert path.read_text() == "first"
    with pytest.raises(RuntimeError), write_whole(path) as temporary:  # noqa: PT012
        temporary.write_text("hal")
        raise RuntimeError
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "data"
    with write_folder(folder) as temporary:
        (temporary / "old").write_text("1")
    with pytest.raises(RuntimeError), write_folder(folder) as temporary:  # noqa: PT012
        (temporary / "new").write_text("2")
        raise RuntimeError
    assert [p.name for p in folder.iterdir()] == ["old"]
    with write_folder(folder) as temporary:
        (temporary / "new").write_text("2")
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]


def test_json_holds_no_nan(tmp_path):
    write_json(tmp_path / "x.json", {"a": float("nan"), "b": [1.5, float("inf")], "c": ("x",)})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": [1.5, None], "c": ["x"]}
    assert read_json(tmp_path / "x.json")["b"] == [1.5, None]


def test_content_hash_sees_names_and_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = content_hash(tmp_path / "a")
    assert first == content_hash(tmp_path / "a")
    (tmp_path / "a" / "x").write_text("2")
    second = content_hash(tmp_path / "a")
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert len({first, second, content_hash(tmp_path / "a")}) == 3


def test_a_known_hash_is_taken_again_once_the_time_of_change_is_another(tmp_path):
    path, hashes = tmp_path / "x", KnownHashes()
    path.write_text("1")
    os.utime(path, ns=(0, 0))
    first = hashes.of(path)
    assert first == content_hash(path)
    path.write_text("2")
    os.utime(path, ns=(0, 0))
    assert hashes.of(path) == first
    os.utime(path, ns=(0, 1))
    assert hashes.of(path) == content_hash(path) != first


def test_the_hash_of_json_is_that_of_its_text_with_sorted_keys():
    # echo -n '{"a": 1, "b": [null, 0.5]}' | sha256sum
    assert json_hash({"b": [None, 0.5], "a": 1}) == "a28db635d22482bd"
