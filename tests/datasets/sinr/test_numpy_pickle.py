"""Pickles that are let in come back as numpy reads them; all others are refused, and nothing of them runs."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from presence_only.common.errors import DataError
from presence_only.datasets.sinr.numpy_pickle import load_pickled_dict


def npy(pickled):
    """A file as np.save would write it around any pickle."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    return file.getvalue() + pickled


class Touch:
    """Unpickled by pickle or numpy, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class Forged:
    """Pickled, an array whose values do not fit its shape."""

    def __init__(self, shape, code, values):
        self.state = (1, shape, np.dtype(code), False, values)

    def __reduce__(self):
        rebuild, arguments, _ = np.empty(0).__reduce__()
        return rebuild, arguments, self.state


@pytest.mark.parametrize("protocol", [3, 4])
def test_dictionaries_of_arrays_come_back(tmp_path, protocol):
    stored = {
        "ints": np.array([3, 5]),
        "lists": [np.array([0, 1]), [2]],
        "ragged": np.array([[1, 0], [0.5]], dtype=object),
        "sites": np.asfortranarray(np.arange(6, dtype="f4").reshape(3, 2)),
        "swapped": np.array([1, 2], dtype=">i4"),
        "texts": np.array(["a", "bcd"]),
        "truth": np.array([True, False]),
        "scalar": np.int64(3),
        "plain": (1, 2.5, "x", b"y", None, True, {4}, frozenset({5})),
        7: np.empty((0, 2)),
    }
    (tmp_path / "a.npy").write_bytes(npy(pickle.dumps(np.array(stored, dtype=object), protocol)))
    loaded = load_pickled_dict(tmp_path / "a.npy")
    assert list(loaded) == list(stored)
    assert loaded["plain"] == stored["plain"]
    assert loaded["scalar"] == 3
    assert loaded["ragged"].tolist() == stored["ragged"].tolist()
    for key in ("ints", "sites", "swapped", "texts", "truth", 7):
        # In the machine's own byte order, whatever the file's.
        assert loaded[key].dtype == stored[key].dtype.newbyteorder("=")
        np.testing.assert_array_equal(loaded[key], stored[key])


def test_what_numpy_saves_today_comes_back(tmp_path):
    np.save(tmp_path / "a.npy", {"taxa": np.array([1, 2])})
    assert load_pickled_dict(tmp_path / "a.npy")["taxa"].tolist() == [1, 2]


def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path):
    victim, file = tmp_path / "victim", tmp_path / "a.npy"
    np.save(file, {"taxa": Touch(victim)})
    with pytest.raises(DataError, match=r"a\.npy: cannot be read as a pickled dictionary: it asks for pathlib"):
        load_pickled_dict(file)
    assert not victim.exists()
    # It would have run: numpy's own reader falls for it.
    np.load(file, allow_pickle=True)
    assert victim.exists()


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"cos\nsystem\n(S'touch x'\ntR.", "it asks for os.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "it asks for builtins.eval"),
        (b"cbuiltins\ngetattr\n.", "it asks for builtins.getattr"),
        (b"cnumpy\nload\n(S'x'\ntR.", "it asks for numpy.load"),
        (b"cnumpy\nndarray.tofile\n.", "it asks for numpy.ndarray.tofile"),
        # Raw bytes as pointers to objects.
        (b"cnumpy\nndarray\n((I1\ntS'O'\nS'AAAAAAAA'\ntR.", "not callable"),
        (b"cnumpy\ndtype\n(S'V8'\ntR.", "values of type 'V8'"),
        (b"cnumpy\ndtype\n((ltR.", "expected string or bytes-like"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(S'x'\n(I0\ntS'b'\ntR.", "an array of something that is no array"),
        (b"", "Ran out of input"),
        (b"\x80\x04K", "pickle data was truncated"),
    ],
)
def test_other_bad_pickles_are_one_sentence(tmp_path, pickled, message):
    (tmp_path / "a.npy").write_bytes(npy(pickled))
    with pytest.raises(DataError, match=message):
        load_pickled_dict(tmp_path / "a.npy")


def test_arrays_must_come_with_all_their_values(tmp_path):
    for shape, code, values in (
        ((2,), "O8", [1]),
        ((3,), "i8", b"12345678"),
        ((1,), "O8", b"12345678"),
        ((-1, -1), "i8", b"12345678"),
    ):
        (tmp_path / "a.npy").write_bytes(npy(pickle.dumps(Forged(shape, code, values), 4)))
        with pytest.raises(DataError, match="does not come with its"):
            load_pickled_dict(tmp_path / "a.npy")


def test_a_file_of_numbers_or_of_a_list_is_refused(tmp_path):
    np.save(tmp_path / "numbers.npy", np.arange(3))
    np.save(tmp_path / "list.npy", np.array([{1: 2}, 3], dtype=object))
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "bare.npy").write_bytes(npy(pickle.dumps({1: 2})))
    for name, message in (
        ("numbers", "it holds numbers of type <i8, no Python objects"),
        ("list", "holds no dictionary"),
        ("bare", "holds no dictionary"),
        ("text", "cannot be read as a pickled dictionary"),
        ("absent", "cannot be read"),
    ):
        with pytest.raises(DataError, match=message):
            load_pickled_dict(tmp_path / f"{name}.npy")
