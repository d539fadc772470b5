"""A new variant in params.yaml, every other character of which stays as it is."""

import difflib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from presence_only.common.settings import SettingsError
from presence_only.search.adopt import adopt
from presence_only.study.params import load_params
from presence_only.study.settings import load_study

ROOT = Path(__file__).parents[2]
SETTINGS = {"training.learning_rate": 0.00342, "training.epochs": 12, "encoder.dropout": 0.1}
TEXT = """# A study.
study:
  name: own   # its name
  datasets: [virtual]
  variants:
    - bce
    - long    # the last one

  # Seeds follow.
  seeds: [0]

datasets:
  virtual: {kind: virtual}
variants:
  # The base
  bce: &base {loss: bce}
  long:
    <<: *base
    training:
      steps: 100   # not epochs

# Nothing belongs to the variants here.
training: {batch_size: 64}
"""


def added(before, path):
    """The lines that a file has more than before; none may be missing."""
    lines = list(difflib.ndiff(before.splitlines(), path.read_text().splitlines()))
    assert not [line for line in lines if line.startswith("- ")]
    return [line[2:] for line in lines if line.startswith("+ ")]


@pytest.mark.parametrize("path", sorted([ROOT / "params.yaml", *ROOT.glob("experiments/*/params.yaml")]), ids=str)
def test_every_study_of_the_repository_takes_a_new_variant(path, tmp_path):
    text, copy = path.read_text(), tmp_path / "params.yaml"
    copy.write_text(text)
    study = load_study(copy)
    before = load_params(path)
    base = next(name for name in study.variants if not before.variant(name).members)
    line = adopt(base, "tuned", SETTINGS, copy)
    params, own = load_params(copy), before.variant(base)
    assert params.study.variants == (*study.variants, "tuned")
    tuned = params.variant("tuned")
    assert tuned.training == own.training.model_copy(update={"learning_rate": 0.00342, "epochs": 12, "steps": None})
    assert tuned.encoder == own.encoder.model_copy(update={"dropout": 0.1})
    assert tuned.loss == own.loss
    assert {name: params.variants[name] for name in before.variants} == before.variants
    # A list in one line changes this line, which then differs by the name alone.
    kept = text.splitlines()
    new = [new_line for new_line in copy.read_text().splitlines() if new_line not in kept]
    assert new[-1] == f"  {line}"
    assert len(new) == 2
    assert new[0] == "    - tuned" or new[0].replace(", tuned]", "]") in kept


def test_comments_and_references_stay_where_they_are(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    adopt("bce", "tuned", SETTINGS, path)
    assert added(TEXT, path) == [
        "    - tuned",
        "  tuned: {like: bce, training: {learning_rate: 0.00342, epochs: 12}, encoder: {dropout: 0.1}}",
    ]
    text = path.read_text()
    assert text.index("# the last one") < text.index("- tuned") < text.index("# Seeds follow.")
    assert text.index("# not epochs") < text.index("tuned: {") < text.index("# Nothing belongs")


def test_steps_of_the_base_give_way_to_epochs(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    line = adopt("long", "tuned", {"training.epochs": 12, "pos_weight": True}, path)
    assert line == "tuned: {like: long, training: {epochs: 12, steps: null}, pos_weight: true}"
    training = load_params(path).variant("tuned").training
    assert (training.epochs, training.steps) == (12, None)


def test_the_last_line_may_lack_its_end(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT[: TEXT.index("\n\n# Nothing")])
    adopt("bce", "tuned", {"training.beta2": 0.9}, path)
    assert path.read_text().endswith("# not epochs\n  tuned: {like: bce, training: {beta2: 0.9}}")


def test_flow_style_stays_flow_style(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(
        "study: {name: own, datasets: [virtual], variants: [bce], seeds: [0]}\n"
        "datasets: {virtual: {kind: virtual}}\nvariants: {bce: {loss: bce}}  # all\n"
    )
    adopt("bce", "tuned", {"training.beta2": 0.9}, path)
    assert path.read_text().splitlines() == [
        "study: {name: own, datasets: [virtual], variants: [bce, tuned], seeds: [0]}",
        "datasets: {virtual: {kind: virtual}}",
        "variants: {bce: {loss: bce}, tuned: {like: bce, training: {beta2: 0.9}}}  # all",
    ]


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("bce", {"training.beta2": 0.9}, "--adopt bce: params.yaml has a variant of this name; choose another"),
        ("Tuned-1", {"training.beta2": 0.9}, "--adopt Tuned-1: must be lower-case letters, digits and underscores"),
        ("tuned", {"training.beta2": 2.0}, "variants.tuned.training.beta2 = 2.0: must be less than 1"),
    ],
)
def test_what_cannot_be_adopted_leaves_the_file_alone(name, settings, sentence, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    with pytest.raises(SettingsError) as caught:
        adopt("bce", name, settings, path)
    assert sentence in str(caught.value)
    assert path.read_text() == TEXT


def test_values_of_every_kind_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    settings = {"training.optimizer": "adamw", "training.learning_rate": 1e-05, "pos_weight": True}
    adopt("bce", "tuned", settings, path)
    written = YAML(typ="safe").load(path)["variants"]["tuned"]
    assert written == {"like": "bce", "training": {"optimizer": "adamw", "learning_rate": 1e-05}, "pos_weight": True}
