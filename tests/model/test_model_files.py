"""A model's file gives the model again, in the same bytes for equal models."""

import json

import numpy as np
import pytest
import torch
from support import tiny

from presence_only.common.errors import DataError
from presence_only.model.blend import Blend
from presence_only.model.encoder import RangeModel
from presence_only.model.files import load_model, save_model

DATA = tiny.dataset()
HEADS = {"environment_head": True, "habitat_head": True}
START_S = torch.linspace(-6.0, 1.0, 5)
WEEK = np.full(50, 7)


def blend():
    return Blend([tiny.model(DATA, seed=0), Blend([tiny.model(DATA, seed=1, expansion="rank"), tiny.model(DATA)])])


MODELS = {
    "coordinates": lambda: tiny.model(DATA, input="coordinates"),
    "local covariates by rank": lambda: tiny.model(DATA, coordinates="local", expansion="rank"),
    "additive hinges": lambda: tiny.model(DATA, kind="additive", expansion="hinge"),
    "heads": lambda: tiny.model(DATA, **HEADS),
    "weeks": lambda: tiny.model(DATA, weeks=True),
    "film": lambda: tiny.model(DATA, weeks=True, week="film"),
    "start": lambda: tiny.model(DATA, start_S=START_S, **HEADS),
    "learned start": lambda: tiny.model(DATA, start_S=START_S, learn_start=True, **HEADS),
    "learned start from zero": lambda: tiny.model(DATA, learn_start=True, head_scale=0.1),
    "blend": blend,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_is_the_saved_one(tmp_path, name):
    model = MODELS[name]()
    one, other, again = (tmp_path / f"{file}.pt" for file in ("one", "other", "again"))
    save_model(model, one)
    save_model(MODELS[name](), other)
    loaded = load_model(one)
    save_model(loaded, again)
    assert one.read_bytes() == other.read_bytes() == again.read_bytes()
    assert not loaded.training
    given = DATA.survey.sites_M2, DATA.survey.covariates_MC, WEEK if model.weeks else None
    np.testing.assert_array_equal(loaded.predict(*given), model.predict(*given))
    for attribute in ("n_species", "n_covariates", "reads_covariates", "weeks", "n_hidden"):
        assert getattr(loaded, attribute) == getattr(model, attribute)


def test_settings_that_are_written_out_give_the_bytes_of_the_defaults(tmp_path):
    # Of equal strings, as a file of settings has them, and not of the package's own.
    defaults = {"coordinates": "sphere", "expansion": "none", "kind": "residual", "input": "coordinates"}
    written = json.loads(json.dumps(defaults))
    assert written["input"] is not defaults["input"]
    save_model(tiny.model(DATA, input="coordinates"), tmp_path / "default.pt")
    save_model(tiny.model(DATA, **written), tmp_path / "written.pt")
    assert (tmp_path / "default.pt").read_bytes() == (tmp_path / "written.pt").read_bytes()


def test_a_start_at_zero_leaves_no_trace_in_the_file_as_before_there_was_another():
    model = tiny.model(DATA, start="zero")
    content = model.content()
    assert "start" not in content["settings"]
    assert "start_S" not in content["state"]
    assert RangeModel.of(content).settings.start == "zero"
    begun = tiny.model(DATA, start_S=START_S).content()
    assert begun["settings"]["start"] == "balance"
    assert torch.equal(RangeModel.of(begun).start_S, START_S)


def test_settings_of_before_leave_no_trace_and_a_learned_start_is_a_weight():
    plain, learned = tiny.model(DATA, start_S=START_S), tiny.model(DATA, start_S=START_S, learn_start=True)
    assert not {"learn_start", "head_scale"} & set(plain.content()["settings"])
    assert learned.content()["settings"]["learn_start"] is True
    assert "start_S" in dict(learned.named_parameters())
    assert "start_S" not in dict(plain.named_parameters())
    with torch.no_grad():
        learned.start_S += 1
    assert torch.equal(RangeModel.of(learned.content()).start_S, START_S + 1)
    assert tiny.model(DATA, learn_start=True).start_S.tolist() == [0.0] * 5


def content():
    return tiny.model(DATA).content()


BROKEN = {
    "nothing": b"",
    "junk": b"junk\n",
    "a list": [1, 2],
    "a part too few": {"members": [{"n_species": 3}]},
    # As before what the encoder reads was one of its settings.
    "a part too many": content() | {"input": "coordinates"},
    "an unknown setting": content() | {"settings": content()["settings"] | {"height": 3}},
    "a start that is missing": content() | {"settings": content()["settings"] | {"start": "balance"}},
    "a learned start that is missing": content() | {"settings": content()["settings"] | {"learn_start": True}},
    "weights of another shape": content() | {"n_species": 6},
    "covariates that are not there": content() | {"n_covariates": 0},
}


@pytest.mark.parametrize("name", [*BROKEN, "cut off"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, name):
    path = tmp_path / "encoder.pt"
    save_model(tiny.model(DATA), path)
    if name == "cut off":
        path.write_bytes(path.read_bytes()[:1000])
    elif isinstance(BROKEN[name], bytes):
        path.write_bytes(BROKEN[name])
    else:
        torch.save(BROKEN[name], path)
    with pytest.raises(DataError, match=r"encoder\.pt: cannot be read as an encoder of this version; `dvc repro`"):
        load_model(path)
