"""Paths of settings that no system takes, and where they are given."""

import re
from pathlib import Path

import pytest

from presence_only.common.errors import DataError
from presence_only.common.user_paths import user_path
from presence_only.datasets import build_dataset, parse_dataset

LONG = "a" * 300
SENTENCE = re.escape(f"path = '/tmp/{'a' * 75}...': cannot be looked at (File name too long)")


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/none.csv") == tmp_path / "none.csv"
    (tmp_path / "a").write_text("x")
    assert user_path(tmp_path / "a" / "below") == tmp_path / "a" / "below"
    assert user_path("relative") == Path("relative")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (LONG, "File name too long"),
        ("a/" * 4000, "File name too long"),
        ("~nobody-of-this-name/a.csv", "Could not determine home directory"),
        ("a\0b", "embedded null"),
    ],
)
def test_paths_that_no_system_takes(given, reason):
    with pytest.raises(DataError, match=rf"^path = '.*': cannot be looked at \({reason}.*\)$"):
        user_path(given)


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "table", "path": f"/tmp/{LONG}"},
        {"kind": "table", "path": f"/tmp/{LONG}/*.csv"},
        {"kind": "gbif", "path": f"/tmp/{LONG}"},
        {"kind": "gbif_cube", "path": [f"/tmp/{LONG}"]},
        {"kind": "inaturalist", "root": f"/tmp/{LONG}"},
        {"kind": "inaturalist_export", "path": f"/tmp/{LONG}"},
        {"kind": "ebird", "path": f"/tmp/{LONG}"},
        {"kind": "geomodel", "path": f"/tmp/{LONG}"},
        {"kind": "geoplant", "root": f"/tmp/{LONG}"},
        {"kind": "nceas", "root": f"/tmp/{LONG}", "region": "NZ"},
        {"kind": "sinr", "root": f"/tmp/{LONG}"},
    ],
    ids=lambda raw: raw["kind"],
)
def test_every_kind_says_so(raw):
    with pytest.raises(DataError, match=SENTENCE):
        build_dataset(parse_dataset(raw, "datasets.x"))


@pytest.mark.parametrize(
    "given",
    [
        {"centroids": f"/tmp/{LONG}"},
        {"environment": f"/tmp/{LONG}.tif"},
        {"background": f"/tmp/{LONG}.csv"},
        {"background": f"/tmp/{LONG}.tif"},
        {"evaluation": {"kind": "region", "polygon": f"/tmp/{LONG}"}},
        {"evaluation": {"kind": "survey", "path": f"/tmp/{LONG}"}},
    ],
    ids=lambda given: next(iter(given)),
)
def test_every_other_file_too(tmp_path, given):
    rows = "".join(f"Parus major,{i},{47 + i / 10}\n" for i in range(40))
    (tmp_path / "t.csv").write_text("species,lon,lat\n" + rows)
    raw = {"kind": "table", "path": str(tmp_path / "t.csv")}
    if not given.get("background", "").endswith(".csv"):
        raw["background_sites"] = 10  # a table gives all of its own
    with pytest.raises(DataError, match=SENTENCE):
        build_dataset(parse_dataset({**raw, **given}, "datasets.x"))
