"""Tables in archives: which members are read, in which order, and what is refused."""

import gzip
import io
import tarfile
import zipfile

import polars as pl
import pytest

from presence_only.columns.column_names import Columns
from presence_only.common.errors import DataError
from presence_only.tables.archives import read_tables
from presence_only.tables.unpacking import Limits

WANTED = Columns(("name", "x"))
FIRST, SECOND = b"name\tx\na\t1\nb\t2\n", b"x\tname\ty\n3\tc\t0\n"
OTHER, NOISE = b"name\tx\ttaxon\nd\t4\tt\n", b"read me\n"


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_folder(path, members):
    path.mkdir()
    for name, content in members.items():
        (path / name.replace("/", "-")).write_bytes(content)
    return path


FORMS = {
    "a.zip": write_zip,
    "a.tar": write_tar,
    "a.tar.gz": lambda path, members: write_tar(path, members, "w:gz"),
    "a": write_folder,
}
form = pytest.mark.parametrize("form", FORMS)


def names(path, **given):
    return pl.concat(read_tables(path, WANTED, **given))["name"].to_list()


@form
def test_all_wanted_members_are_read_in_their_order(tmp_path, form):
    members = {"1.txt": FIRST, "2.pdf": NOISE, "3.txt.gz": gzip.compress(SECOND), "4.csv": b"name,x\ne,5\n"}
    assert names(FORMS[form](tmp_path / form, members)) == ["a", "b", "c", "e"]


@form
def test_another_table_of_the_same_archive_is_told_by_a_column(tmp_path, form):
    path = FORMS[form](tmp_path / form, {"1.txt": OTHER, "2.txt": FIRST})
    assert names(path) == ["d", "a", "b"]
    assert names(path, without=("taxon",)) == ["a", "b"]


@pytest.mark.parametrize("form", ["a.zip", "a.tar"])
def test_members_that_operating_systems_add_are_left_out(tmp_path, form):
    members = {"__MACOSX/._1.txt": FIRST, "folder/.x.txt": FIRST, "folder/2.txt": SECOND}
    assert names(FORMS[form](tmp_path / form, members)) == ["c"]


@form
def test_no_wanted_member(tmp_path, form):
    path = FORMS[form](tmp_path / form, {"1.txt": NOISE})
    with pytest.raises(DataError, match=r"holds no table with the columns 'name', 'x'; it holds 1\.txt"):
        names(path)


def test_a_table_alone(tmp_path):
    (tmp_path / "1.txt").write_bytes(FIRST)
    assert names(tmp_path / "1.txt") == ["a", "b"]
    (tmp_path / "1.txt.gz").write_bytes(gzip.compress(OTHER))
    assert names(tmp_path / "1.txt.gz") == ["d"]
    with pytest.raises(DataError, match="has a column 'taxon', and is another table"):
        names(tmp_path / "1.txt.gz", without=("taxon",))
    pl.DataFrame({"name": ["p"], "x": [1]}).write_parquet(tmp_path / "1.parquet")
    assert names(tmp_path / "1.parquet") == ["p"]


def test_links_and_folders_of_a_tar_are_left_out(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("1.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        info = tarfile.TarInfo("../folder/2.txt")
        info.size = len(FIRST)
        archive.addfile(info, io.BytesIO(FIRST))
    assert names(path) == ["a", "b"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("form", ["a.zip", "a.tar.gz"])
def test_a_member_that_unpacks_to_too_much(tmp_path, form):
    path = FORMS[form](tmp_path / form, {"1.txt": b"name\tx\n" + b"a\t1\n" * 300_000})
    with pytest.raises(DataError, match="unpacks to more than"):
        names(path, limits=Limits(total_bytes=2**19, ratio=2, always_bytes=100_000))


@pytest.mark.parametrize("form", ["a.zip", "a.tar", "a.tar.gz"])
def test_an_archive_that_is_cut_off(tmp_path, form):
    rows = b"".join(b"%x\t%d\n" % (i * 7919 % 65537, i) for i in range(20_000))
    path = FORMS[form](tmp_path / form, {"1.txt": b"name\tx\n" + rows})
    path.write_bytes(path.read_bytes()[:60_000])
    with pytest.raises(DataError) as error:
        names(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
