"""Encoders that are cut, altered or forged: one sentence, no code that runs, no memory beyond the file's own size."""

import copy
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from support import tiny
from support.torture import record_trials, trials

from presence_only.common.errors import DataError
from presence_only.model.blend import Blend
from presence_only.model.files import load_model, save_model

HUGE = 10**9


@pytest.fixture(scope="module")
def models():
    """Models of every kind of content: plain, with all heads, additive with hinges, and a blend."""
    data = tiny.dataset()
    plain, others = tiny.model(data), tiny.model(data, environment_head=True, habitat_head=True, seed=1)
    return [plain, others, tiny.model(data, kind="additive", expansion="hinge"), Blend([plain, others]).eval()]


def refusal(path):
    """The sentence by which a file is refused; None if it is read."""
    try:
        load_model(path)
    except DataError as error:
        return str(error)
    return None


def same(first, second):
    """Whether two contents are equal, tensors by their values."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def test_cut_and_altered_encoders_are_refused_or_the_same(models, tmp_path):
    rng, fell, tried = np.random.default_rng(21), [], 0
    path = tmp_path / "encoder.pt"
    for number, model in enumerate(models):
        save_model(model, path)
        whole = path.read_bytes()
        for _ in range(trials(15, 250)):
            kind, content = rng.choice(["cut", "byte", "zeros", "doubled"]), bytearray(whole)
            place = int(rng.integers(len(whole)))
            match kind:
                case "cut":
                    del content[place:]
                case "byte":
                    content[place] ^= int(rng.integers(1, 256))
                case "zeros":
                    content[place : place + 64] = bytes(len(content[place : place + 64]))
                case "doubled":
                    content[place:place] = content[place : place + 1000]
            path.write_bytes(content)
            tried += 1
            try:
                read = load_model(path)
            except DataError as error:
                if not str(error).startswith(f"{path}: cannot be read"):
                    fell.append(f"model {number}, {kind} at {place}: {error}")
            except Exception as error:
                fell.append(f"model {number}, {kind} at {place}: {error!r}")
            else:
                # What archives hold between their parts means nothing.
                if not same(read.content(), model.content()):
                    fell.append(f"model {number}, {kind} at {place}: read as another model")
    record_trials("encoders cut or altered", tried, fell)


class Opens:
    """Runs a function when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def forgeries(content, tmp_path):
    """Contents that are no model, by what is wrong with them."""

    def changed(**parts):
        return {**copy.deepcopy(content), **parts}

    def setting(**settings):
        return changed(settings={**content["settings"], **settings})

    def state(**tensors):
        return changed(state={**content["state"], **tensors})

    first = content["state"]["species_head.weight"]
    for value in (None, "x", 1.5, -1, 0, HUGE, 10**30, True, [1], first):
        yield f"n_species {value!r:.20}", changed(n_species=value)
    for value in (None, "x", 1.5, -1, HUGE, 10**30, False, [1]):
        yield f"n_covariates {value!r:.20}", changed(n_covariates=value)
    for value in (None, "x", 1, [True]):
        yield f"weeks {value!r}", changed(weeks=value)
    for name in ("width", "depth", "dropout", "kind", "expansion", "input", "start", "week", "unknown"):
        for value in (None, "x", [1], {}, -1, HUGE, 10**30, float("nan"), "a" * 10**5, first):
            if name == "width" and content["settings"]["kind"] == "additive" and type(value) is int and value > 0:
                continue  # it has no layers
            yield f"setting {name} {value!r:.20}", setting(**{name: value})
    for name in content:
        yield f"no {name}", {key: value for key, value in content.items() if key != name}
        yield f"{name} is a list", changed(**{name: [1]})
    wide = torch.zeros(()).expand(HUGE, HUGE)
    for name, tensor in content["state"].items():
        yield f"no {name}", changed(state={key: value for key, value in content["state"].items() if key != name})
        for other in (tensor.to(torch.complex64), tensor.to(torch.int8), tensor[None], wide, tensor.to_sparse(), 1.0):
            yield f"{name} {other!r:.30}", state(**{name: other})
    yield "a tensor more", state(more=first)
    yield "a number as a name", changed(state={**content["state"], 3: first})
    for content_of_other_kind in ([], [content], "text", 3, None, first, {}, {"members": []}, {"members": {"a": 1}}):
        yield f"holds {content_of_other_kind!r:.20}", content_of_other_kind
    yield "members and more", {"members": [content], "state": {}}
    yield "a member of another size", {"members": [content, changed(n_species=content["n_species"] + 1)]}
    nested = content
    for _ in range(60):
        nested = {"members": [nested]}
    yield "nested", nested
    many = content
    for _ in range(7):
        many = {"members": [many] * 30}
    yield "the same member 30 ** 7 times", many
    itself = {"members": []}
    itself["members"].append(itself)
    yield "holds itself", itself
    yield "runs a function", changed(weeks=Opens(tmp_path / "ran"))


def test_forged_encoders_are_refused(models, tmp_path):
    fell, tried = [], 0
    path = tmp_path / "encoder.pt"
    for number, model in enumerate(models[: trials(2, 3)]):
        for what, content in forgeries(model.content(), tmp_path):
            torch.save(content, path)
            tried += 1
            try:
                said = refusal(path)
            except Exception as error:
                fell.append(f"model {number}, {what}: {error!r}")
                continue
            if said is None or "cannot be read as an encoder" not in said or "\n" in said:
                fell.append(f"model {number}, {what}: {said}")
    assert not (tmp_path / "ran").exists()
    record_trials("encoders forged", tried, fell)


def other_files(content, tmp_path):
    """Files that are no encoder, by what they are."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    whole = buffer.getvalue()
    yield "empty", b""
    yield "text", b"weights\n" * 100
    yield "zeros", bytes(10_000)
    yield "a pickle", pickle.dumps(content["settings"])
    yield "a pickle that runs a function", pickle.dumps(Opens(tmp_path / "ran"))
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    yield "an older format", buffer.getvalue()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("storages")
        entry.size = len(whole)
        archive.addfile(entry, io.BytesIO(whole))
    yield "a tar", buffer.getvalue()
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            archive.writestr("archive/data.pkl", bytes(10_000_000))
        yield f"a zip with method {compression}", buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    yield "an npz", buffer.getvalue()


def test_other_files_are_refused(models, tmp_path):
    path = tmp_path / "encoder.pt"
    for what, content in other_files(models[0].content(), tmp_path):
        path.write_bytes(content)
        assert "cannot be read as an encoder" in (refusal(path) or ""), what
    assert not (tmp_path / "ran").exists()
    path.unlink()
    path.mkdir()
    assert "`dvc repro` makes it anew" in refusal(path)
    path.rmdir()
    path.symlink_to(path)
    assert "`dvc repro` makes it anew" in refusal(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        load_model(path)


def test_whole_encoders_are_read_as_they_were_saved(models, tmp_path):
    path, again = tmp_path / "encoder.pt", tmp_path / "again.pt"
    for model in models:
        save_model(model, path)
        read = load_model(path)
        assert same(read.content(), model.content())
        save_model(read, again)
        assert again.read_bytes() == path.read_bytes()
