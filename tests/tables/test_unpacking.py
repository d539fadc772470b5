"""Every bad file is one sentence, and leaves nothing behind."""

import gzip
import io
import struct
import zipfile

import pytest

from presence_only.common.errors import DataError
from presence_only.tables.unpacking import Archive, Limits, first_bytes, is_unsafe, open_text

SMALL = Limits(total_bytes=10**9, ratio=20, always_bytes=1000)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def message(error):
    text = str(error.value)
    assert "\n" not in text
    return text


class TestGzip:
    def test_a_plain_and_a_packed_file_read_alike(self, tmp_path):
        plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
        plain.write_bytes(b"x\ty\n1\t2\n")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        for path in (plain, packed):
            with open_text(path) as stream:
                assert stream.read() == b"x\ty\n1\t2\n"

    def test_two_packed_parts_one_after_the_other_are_one_file(self, tmp_path):
        path = tmp_path / "a.gz"
        path.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))
        with open_text(path) as stream:
            assert stream.read() == b"a\nb\n"

    def test_one_that_is_cut_off(self, tmp_path):
        path = tmp_path / "a.csv.gz"
        path.write_bytes(gzip.compress(bytes(range(256)) * 400)[:-200])
        with open_text(path) as stream, pytest.raises(DataError) as error:
            stream.read()
        assert message(error) == f"{path}: is cut off: the packed data ends too early; download it again"

    def test_one_with_a_wrong_byte(self, tmp_path):
        path = tmp_path / "a.csv.gz"
        content = bytearray(gzip.compress(b"some text that is packed"))
        content[-6] ^= 0xFF
        path.write_bytes(content)
        with open_text(path) as stream, pytest.raises(DataError) as error:
            stream.read()
        assert message(error).startswith(f"{path}: is damaged (CRC check failed")
        assert message(error).endswith("download it again")

    def test_a_bomb_is_stopped_where_the_ratio_is_passed(self, tmp_path):
        path = tmp_path / "bomb.gz"
        path.write_bytes(gzip.compress(bytes(10**7)))
        allowed = 20 * path.stat().st_size
        with open_text(path, SMALL) as stream, pytest.raises(DataError) as error:
            stream.read()
        assert allowed < 10**6
        assert message(error).startswith(f"{path}: unpacks to more than {allowed:,} bytes")

    def test_a_tar_is_named_as_one(self, tmp_path):
        path = tmp_path / "inaturalist.tar.gz"
        path.write_bytes(gzip.compress(b"x"))
        with pytest.raises(DataError, match=r"is a tar archive; unpack it and name the table inside$"):
            open_text(path)


class TestLimits:
    @pytest.mark.parametrize(
        ("packed", "allowed"),
        [(0, 1000), (49, 1000), (51, 1020), (10**8, 10**9)],
        ids=["none", "few", "ratio", "total"],
    )
    def test_what_a_file_may_unpack_to(self, packed, allowed):
        assert SMALL.allowed(packed) == allowed


class TestFirstBytes:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(DataError) as error:
            first_bytes(tmp_path / "none.csv")
        assert message(error) == f"{tmp_path / 'none.csv'}: there is no such file"

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "a.csv").touch()
        with pytest.raises(DataError) as error:
            first_bytes(tmp_path / "a.csv")
        assert message(error) == f"{tmp_path / 'a.csv'}: the file is empty"


class TestArchive:
    def test_its_members(self, tmp_path):
        path = zipped(tmp_path / "a.zip", {"folder/a.csv": b"abcdef", "b.txt": b""})
        with Archive(path) as archive:
            assert archive.names == ("folder/a.csv", "b.txt")
            assert archive.first_bytes("folder/a.csv") == b"abcd"
            with archive.open("folder/a.csv") as stream:
                assert stream.read() == b"abcdef"

    @pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", "x/../../a.csv", "C:/a.csv", "..\\a.csv", "x\\a.csv"])
    def test_a_name_that_leads_out(self, tmp_path, name):
        path = tmp_path / "a.zip"
        member = zipfile.ZipInfo("placeholder")
        member.filename = name
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, b"x")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(DataError) as error:
            Archive(path)
        assert message(error) == f"{path}: member {name!r} leads out of the archive; do not trust this file"
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_link(self, tmp_path):
        path = tmp_path / "a.zip"
        member = zipfile.ZipInfo("a.csv")
        member.external_attr = 0o120777 << 16
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, b"/etc/passwd")
        with pytest.raises(DataError) as error:
            Archive(path)
        assert message(error) == f"{path}: member 'a.csv' is a link; do not trust this file"

    def test_a_bomb_that_says_so(self, tmp_path):
        path = zipped(tmp_path / "a.zip", {"a.csv": bytes(10**7)})
        with Archive(path, SMALL) as archive, pytest.raises(DataError, match="unpacks to more than"):
            archive.open("a.csv")

    def test_a_bomb_that_lies_about_its_size(self, tmp_path):
        path = zipped(tmp_path / "a.zip", {"a.csv": bytes(10**7)})
        # Both of the directory's entries say 900 bytes.
        content = path.read_bytes().replace(struct.pack("<L", 10**7), struct.pack("<L", 900))
        path.write_bytes(content)
        with Archive(path, SMALL) as archive, archive.open("a.csv") as stream, pytest.raises(DataError) as error:
            stream.read()
        assert message(error).startswith(f"{path}/a.csv: is damaged (Bad CRC-32")

    def test_an_encrypted_member(self, tmp_path):
        path = zipped(tmp_path / "a.zip", {"a.csv": b"x"})
        content = bytearray(path.read_bytes())
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(signature) + offset] |= 1
        path.write_bytes(content)
        with Archive(path) as archive, pytest.raises(DataError) as error:
            archive.open("a.csv")
        assert message(error) == f"{path}/a.csv: is encrypted; unpack it with its password first"

    def test_one_that_is_cut_off(self, tmp_path):
        path = zipped(tmp_path / "a.zip", {"a.csv": b"abc" * 100})
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(DataError) as error:
            Archive(path)
        assert message(error) == (f"{path}: is a damaged or incomplete zip (File is not a zip file); download it again")

    def test_a_member_is_unpacked_to_the_path_that_is_asked_for(self, tmp_path):
        path = zipped(tmp_path / "a.zip", {"some/where.csv": b"abc"})
        with Archive(path) as archive:
            target = archive.unpack("some/where.csv", tmp_path / "0")
        assert target.read_bytes() == b"abc"
        assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "a.zip"]

    def test_a_folder_without_room_is_named(self, tmp_path):
        path = zipped(tmp_path / "a.zip", {"a.csv": b"abc"})
        with Archive(path) as archive, pytest.raises(DataError, match=r"cannot be unpacked into .*; set TMPDIR"):
            archive.unpack("a.csv", tmp_path / "missing" / "0")

    def test_no_zip_at_all(self, tmp_path):
        path = tmp_path / "a.zip"
        path.write_bytes(b"PK\x03\x04 and nothing else")
        with pytest.raises(DataError, match="is a damaged or incomplete zip"):
            Archive(path)


def test_which_names_are_unsafe():
    assert not any(is_unsafe(name) for name in ("a.csv", "x/a.csv", "a..b/c", "./a.csv"))
    assert all(is_unsafe(name) for name in ("..", "a/..", "/a", "\\\\host\\a", "c:/x"))


def test_a_stream_of_limited_bytes_can_be_read_in_any_steps(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"0123456789" * 1000))
    with open_text(path) as stream:
        assert b"".join(iter(lambda: stream.read(7), b"")) == b"0123456789" * 1000
    assert isinstance(stream, io.BufferedIOBase)
