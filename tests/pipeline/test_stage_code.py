"""The stage that writes what every other stage depends on."""

import runpy
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support import tiny
from support.search import SEARCH

from presence_only.common.errors import SettingsError
from presence_only.common.registry import resolve
from presence_only.losses.registry import LOSSES
from presence_only.model.settings import EncoderSettings
from presence_only.pipeline import code
from presence_only.pipeline.fingerprint import Fingerprints

ROOT = Path(__file__).parents[2]
new_study = runpy.run_path(str(ROOT / "tools/new_study.py"))


@cache
def fingerprints():
    """Of the package, which is read once for all tests."""
    return Fingerprints(code.PACKAGE, code.LEFT_OUT)


def write(folder, monkeypatch, raw, *arguments):
    """Run the stage in a folder with these settings; returns what it wrote."""
    monkeypatch.setattr(code, "Fingerprints", lambda *_: fingerprints())
    monkeypatch.chdir(folder)
    YAML().dump(raw, folder / "params.yaml")
    monkeypatch.setattr(sys, "argv", ["code", *arguments])
    code.main()
    return YAML(typ="safe").load(folder / "code.yaml")


def test_the_entries_are_those_that_the_pipeline_names(tmp_path, monkeypatch):
    written = write(tmp_path, monkeypatch, tiny.params())
    assert written["settings"] == {
        group: tiny.PARAMS[group] for group in ("datasets", "encoder", "training", "variants")
    }
    stages = {"generate", "train", "evaluate", "compare", "figures", "settings", "report", "publish"}
    assert set(written["code"]) == stages
    assert set(written["code"]["train"]) == {"bce", "an_full"}
    assert written["code"]["train"]["bce"] != written["code"]["train"]["an_full"]


def test_what_is_searched_for_is_checked_and_reruns_nothing(tmp_path, monkeypatch):
    before = write(tmp_path, monkeypatch, tiny.params())
    found = write(tmp_path, monkeypatch, tiny.params(search=SEARCH))
    assert found.pop("checked") != before.pop("checked")
    assert found == before
    with pytest.raises(SettingsError, match="unknown key 'trial' in search"):
        write(tmp_path, monkeypatch, tiny.params(search=SEARCH | {"trial": 3}))


def test_what_the_study_does_not_name_is_left_out_and_what_is_missing_is_empty(tmp_path, monkeypatch):
    raw = tiny.params(study__variants=["bce"])
    del raw["encoder"], raw["training"]
    written = write(tmp_path, monkeypatch, raw)
    assert written["settings"]["encoder"] == written["settings"]["training"] == {}
    assert set(written["settings"]["variants"]) == {"bce"}


def test_a_loss_has_one_entry_whatever_its_parameters_and_a_blend_that_of_all_members(tmp_path, monkeypatch):
    variants = {
        "bce": {"loss": "bce"},
        "weighted": {"loss": "bce", "pos_weight": True},
        "asl": {"loss": "an_full", "penalty": "asl"},
        "an_full": {"loss": "an_full"},
        "blend": {"loss": "bce", "members": [{}, {"loss": "an_full"}]},
    }
    written = write(tmp_path, monkeypatch, tiny.params(variants=variants, study__variants=list(variants)))
    train = written["code"]["train"]
    assert train["bce"] == train["weighted"]
    assert len({train[name] for name in ("bce", "asl", "an_full", "blend")}) == 4


def test_what_the_encoder_reads_is_no_setting_of_the_data():
    """Another input trains and evaluates again, and generates nothing."""
    fingerprints = Fingerprints(code.PACKAGE)
    before = code.of_study(fingerprints, tiny.params())
    for change in (
        {"encoder__input": "both"},
        {"variants__bce": {"loss": "bce", "encoder": {"input": "both", "coordinates": "local"}}},
    ):
        after = code.of_study(fingerprints, tiny.params(**change))
        assert after["code"] == before["code"]
        assert after["settings"] != before["settings"]
        assert after["settings"]["datasets"] == before["settings"]["datasets"]
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    for stage, reads in (("train", True), ("generate", False)):
        for group in ("encoder", "variants"):
            assert (f"settings.{group}" in str(stages[stage]["params"])) == reads


def test_an_expansion_counts_where_it_is_trained_with(tmp_path):
    variants = {
        "none": {"loss": "bce"},
        "rank": {"loss": "bce", "encoder": {"expansion": "rank"}},
        "blend": {"loss": "bce", "members": [{}, {"encoder": {"expansion": "rank"}}]},
    }
    package = tmp_path / code.PACKAGE.name
    shutil.copytree(code.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))

    def entries():
        """As the stage makes those of training; the package is read anew."""
        fingerprints, stage = Fingerprints(package), "presence_only.pipeline.train"
        return {name: fingerprints.of(stage, code._training(variants[name], {})) for name in variants}

    before = entries()
    table, ranks = package / "model/settings.py", package / "model/expansions/rank.py"
    line = '"bands": "presence_only.model.expansions.bands:Bands",'
    table.write_text(table.read_text().replace("EXPANSIONS = {", "EXPANSIONS = {\n    " + line, 1))
    (package / "model/expansions/bands.py").write_text(
        (package / "model/expansions/hinge.py").read_text().replace("Hinges", "Bands")
    )
    assert line in table.read_text()
    assert entries() == before
    ranks.write_text(ranks.read_text().replace("QUANTILES = 1001", "QUANTILES = 501"))
    after = entries()
    assert {name for name in after if after[name] != before[name]} == {"rank", "blend"}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_variant_that_names_no_penalty_is_covered_by_the_one_that_its_loss_takes(loss):
    """The stage reads no defaults: with another default than this the fingerprint would look at the wrong penalty."""
    field = resolve(LOSSES[loss]).model_fields.get("penalty")
    assert code._training({"loss": loss}, {})[code.PENALTIES] == ["bce" if field is None else field.default]


def test_an_encoder_that_names_no_expansion_is_covered_by_the_one_that_it_takes():
    assert code._training({"loss": "bce"}, {})[code.EXPANSIONS] == [EncoderSettings().expansion]


def test_scripts_have_entries_of_their_own(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text(
        "from presence_only.evaluation.metrics import average_precision\naverage_precision\n"
    )
    (tmp_path / "two.py").write_text("print(1)\n")
    written = write(tmp_path, monkeypatch, tiny.params(), "--scripts", "one.py", "two.py")
    assert set(written) == {"code"}
    assert set(written["code"]) == {"one", "two"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"variants__bce": {"loss": "bcee"}}, r"unknown loss 'bcee' in variants\.bce; known: an_full"),
        ({"variants__bce": {}}, r"missing key 'variants\.bce\.loss'"),
        ({"variants__bce": 3}, r"variants\.bce = 3"),
        ({"variants__bce": {"loss": "an_full", "penalty": "asll"}}, r"variants\.bce\.penalty = 'asll': must be one of"),
        ({"datasets__virtual": {"kind": "virtul"}}, r"unknown dataset kind 'virtul' in datasets\.virtual"),
        ({"study__variants": ["bce", "nothing"]}, r"study\.variants names 'nothing', which variants does not define"),
        ({"study": {"name": "x"}}, r"missing key 'study\.datasets'"),
        ({"encoder": {"expansion": "ranks"}}, r"encoder\.expansion = 'ranks': must be one of"),
        ({"encoder": [1]}, r"encoder = \[1\]: must be a mapping of settings"),
        (
            {"variants__bce": {"loss": "bce", "encoder": {"expansion": [1]}}},
            r"variants\.bce\.encoder\.expansion = \[1\]",
        ),
        ({"variants__bce": {"like": "nothing"}}, r"variants\.bce\.like = 'nothing': must be one of bce, an_full"),
        ({"variants__an_full__pos_lambda": -1.0}, r"variants\.an_full\.pos_lambda = -1\.0: must be"),
        ({"trainng": {}}, r"unknown key 'trainng' in params\.yaml; known: "),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_runs(tmp_path, monkeypatch, change, sentence):
    with pytest.raises(SettingsError, match=sentence):
        write(tmp_path, monkeypatch, tiny.params(**change))
    assert not (tmp_path / "code.yaml").exists()


def loaded(folder):
    """The slow libraries that the stage loads in a process of its own."""
    program = (
        "import sys; sys.argv = ['code']; from presence_only.pipeline import code; code.main(); "
        "print(sorted({'torch', 'numpy', 'polars', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_it_imports_nothing_that_takes_time_where_no_setting_changed(tmp_path, monkeypatch):
    write(tmp_path, monkeypatch, tiny.params())
    assert loaded(tmp_path) == "[]\n"
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(f"# A comment.\n{text}")
    assert loaded(tmp_path) == "[]\n"


def test_all_settings_are_checked_once_after_a_change_of_a_setting_or_of_what_checks_it(tmp_path, monkeypatch):
    checks, version = [], ["a"]
    monkeypatch.setattr(code, "_check", checks.append)
    monkeypatch.setattr(code, "of_study", lambda *_: {"code": {"settings": version[0]}})
    write(tmp_path, monkeypatch, tiny.params())
    write(tmp_path, monkeypatch, tiny.params())
    assert len(checks) == 1
    # Also one that no stage uses.
    write(tmp_path, monkeypatch, tiny.params(variants__new={"loss": "asl", "clip": 2.0}))
    assert len(checks) == 2
    version[0] = "b"
    write(tmp_path, monkeypatch, tiny.params(variants__new={"loss": "asl", "clip": 2.0}))
    assert len(checks) == 3
    write(tmp_path, monkeypatch, tiny.params(), "--unchecked")
    assert len(checks) == 3


def test_a_new_study_is_settings_a_write_up_and_a_copy_of_the_pipeline(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    folder = new_study["make_study"]("mine", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "dvc.yaml", "params.yaml"]
    assert (folder / "dvc.yaml").read_text() == (ROOT / "dvc.yaml").read_text()
    written = write(folder, monkeypatch, YAML(typ="safe").load(folder / "params.yaml"))
    assert set(written["code"]["train"]) == {"bce", "bce_background"}
    with pytest.raises(FileExistsError, match="experiments/mine is there already"):
        new_study["make_study"]("mine", tmp_path)
    with pytest.raises(ValueError, match="name = 'My study': must be lower-case letters"):
        new_study["make_study"]("My study", tmp_path)


def test_all_studies_get_the_pipeline_of_the_root(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    folders = [new_study["make_study"](name, tmp_path) for name in ("b", "a")]
    (tmp_path / "dvc.yaml").write_text("stages: {x: {cmd: y}}\n")
    assert new_study["refresh"](tmp_path) == ["a", "b"]
    assert [(folder / "dvc.yaml").read_text() for folder in folders] == ["stages: {x: {cmd: y}}\n"] * 2
