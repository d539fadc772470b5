"""Settings that are wrong: every outcome is a valid tree or one sentence of bounded length."""

import copy
import itertools
import math
import re
import string
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import tiny
from support.house import ROOT
from support.torture import record_trials, trials

from presence_only.common.errors import UserError
from presence_only.common.quoting import MOST_OF_A_SENTENCE
from presence_only.common.random_streams import numpy_stream
from presence_only.common.settings import SettingsError
from presence_only.common.yaml_files import read_yaml
from presence_only.losses.base import parse_variant
from presence_only.losses.registry import LOSSES
from presence_only.model.settings import EncoderSettings
from presence_only.search.space import check_search
from presence_only.study.params import Params, Tree, load_params
from presence_only.training.fit import fit_variant
from presence_only.training.settings import TrainingSettings
from presence_only.training.variant import Variant

COMMITTED = [ROOT / "params.yaml", *sorted(ROOT.glob("experiments/*/params.yaml"))]
SHARED = ROOT.parent / "shared/cases/robustness/params"
SEED = 21


def nest(brackets, levels):
    return brackets[0] * levels + brackets[1] * levels


def bomb(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


# Texts that are no settings file, each of a kind of its own.
TEXTS = {
    "empty": "",
    "comment": "# nothing",
    "null": "null",
    "list": "- study",
    "text": "study",
    "number": "7",
    "two documents": "study: {}\n---\nstudy: {}",
    "lists 200 deep": "study: " + nest("[]", 200),
    "lists 5,000 deep": nest("[]", 5_000),
    "lists 300,000 deep": "[" * 300_000,
    "dashes 100,000 deep": "- " * 100_000,
    "mappings 3,000 deep": "{a: " * 3_000 + "1" + "}" * 3_000,
    "bomb of aliases": bomb(12),
    "long chain of aliases": "a0: &a0 [1]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 400)),
    "list within itself": "study: &s [*s]",
    "mapping within itself": "study: &s {name: *s}",
    "mapping as its own key": "&s {*s : 1}",
    "merge of itself": "study: &s\n  <<: *s",
    "merge of a number": "study:\n  <<: 3",
    "merge of a list of numbers": "study:\n  <<: [3]",
    "tag of python": "study: !!python/object/apply:os.system ['true']",
    "tag of a name": "study: !study {}",
    "tag of bool": "study: !!bool x",
    "tag of int": "study: !!int x",
    "tag of float": "study: !!float x",
    "tag of a time": "study: !!timestamp x",
    "tag of binary": "study: !!binary '%%'",
    "tag of a set": "study: !!set {a, b}",
    "tag of pairs": "study: !!pairs [a: 1]",
    "13th month": "study: 2020-13-01",
    "a day": "study: 2020-12-01",
    "key twice": "study: 1\nstudy: 2",
    "key that is a list": "{[1, 2]: 3}",
    "key that is a number": "1: 2",
    "key that is a float": ".nan: 2",
    "key that is nothing": "? \n: 1",
    "key that is true": "true: 2",
    "key that is a day": "2020-01-01: 2",
    "5,000 digits": "study: " + "9" * 5_000,
    "500 digits": "study: " + "9" * 500,
    "5,000 hexadecimal digits": "study: 0x" + "f" * 5_000,
    "6,000 octal digits": "study: 0o" + "7" * 6_000,
    "1e400": "study: 1e400",
    "nan": "study: .nan",
    "infinity": "study: -.inf",
    "NUL": "study: \0",
    "bell": "study: \a",
    "tab": "study:\n\tname: x",
    "unclosed quote": 'study: "' + "x" * 100_000,
    "unclosed bracket": "study: [" + "x, " * 10_000,
    "a line of 100,000 characters": "study: " + "x" * 100_000,
    "key of 100,000 characters": "x" * 100_000 + ": 1",
    "20,000 keys": "\n".join(f"key{i}: {i}" for i in range(20_000)),
    "anchor that is not there": "study: *s",
    "YAML of another version": "%YAML 3.0\n---\nstudy: 1",
    "half of a pair of code units": 'study: "\\ud800"',
    "escapes of a terminal": 'study: {"\\e[2J": 1}',
    "right to left": "study: {\u202eabc: 1}",
}
BYTES = {
    "no UTF-8": b"study: \xff",
    "latin-1": "study: \u00e9".encode("latin-1"),
    "UTF-16": "study: 1".encode("utf-16"),
    "UTF-16 without its mark": "study: 1".encode("utf-16-le"),
    "UTF-32": "study: 1".encode("utf-32"),
    "half of UTF-16": "study: 1".encode("utf-16")[:-1],
    "noise": np.random.default_rng(SEED).bytes(5_000),
    "zeros": bytes(5_000),
    "too many bytes": b"#" * 10_000_001,
}


def sentence_of(read, *arguments):
    """What is wrong with an outcome; an empty text if it is valid, or one short sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(*arguments)
    except UserError as error:
        text = str(error)
        if not 10 < len(text) <= MOST_OF_A_SENTENCE:
            return f"a sentence of {len(text)} characters: {text[:200]}"
        return "" if text.isprintable() else f"a sentence with control characters: {text[:200]!r}"
    except (Exception, Warning) as error:
        return f"{type(error).__name__}: {str(error)[:200]!r}"
    return ""


def read_all(path):
    """What the stage ``code`` checks."""
    load_params(path)
    check_search(Tree.parse(read_yaml(path), ""))


@pytest.mark.parametrize("name", [*TEXTS, *BYTES])
def test_a_file_that_is_no_params_yaml_is_one_sentence(name, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(BYTES[name] if name in BYTES else TEXTS[name].encode())
    assert not sentence_of(read_all, path)
    with pytest.raises(SettingsError):
        read_all(path)


@pytest.mark.parametrize("made", ["folder", "absent", "absent folder", "device"])
def test_a_path_that_is_no_file_is_one_sentence(made, tmp_path):
    path = tmp_path / "params.yaml"
    if made == "folder":
        path.mkdir()
    if made == "absent folder":
        path = tmp_path / "nowhere" / "params.yaml"
    if made == "device":
        path = Path("/dev/zero")
    assert not sentence_of(read_all, path)
    with pytest.raises(SettingsError):
        read_all(path)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name if path.parent != ROOT else "root")
def test_committed_settings_are_valid(path):
    read_all(path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared cases")
def test_shared_cases_are_one_sentence():
    for path in sorted(SHARED.glob("*.yaml")):
        assert not sentence_of(read_all, path), path.name


def damaged(content, draws):
    """The bytes of a file with some of them altered, left out, repeated or cut."""
    content = bytearray(content)
    for _ in range(draws.integers(1, 6)):
        place = int(draws.integers(len(content))) if content else 0
        match draws.integers(6):
            case 0:
                content[place : place + 1] = bytes([draws.integers(256)])
            case 1:
                del content[place : place + int(draws.integers(1, 40))]
            case 2:
                content[place:place] = content[place : place + int(draws.integers(1, 400))]
            case 3:
                del content[place:]
            case 4:
                signs = [
                    b"{",
                    b"[",
                    b"&a ",
                    b"*a",
                    b"!!",
                    b"<<: ",
                    b"9" * 6_000,
                    b"\t",
                    b"\n",
                    b"? ",
                    b"'",
                    b'"',
                    b": ",
                ]
                content[place:place] = signs[draws.integers(len(signs))]
            case 5:
                content[place:place] = b"[" * int(10 ** draws.uniform(0, 5))
    return bytes(content)


def test_damaged_files_are_valid_or_one_sentence(tmp_path):
    draws, path, n = numpy_stream(SEED, "damaged settings"), tmp_path / "params.yaml", trials(150, 3_000)
    contents = [path.read_bytes() for path in COMMITTED]
    contents = [content for content in contents if len(content) < 4_000] or contents
    fell = []
    for _ in range(n):
        path.write_bytes(damaged(contents[draws.integers(len(contents))], draws))
        if what := sentence_of(read_all, path):
            fell.append(what)
    record_trials("settings files that are damaged", n, fell)


def huge():
    """Whole numbers and others that no setting needs."""
    digits = st.integers(1, 6_000)
    whole = st.one_of(st.integers(-(10**12), 10**12), digits.map(lambda n: 10**n), digits.map(lambda n: -(10**n) + 1))
    return st.one_of(whole, st.floats(), st.floats(width=16), st.just(math.inf), st.just(1e308), st.just(5e-324))


HOSTILE = st.recursive(
    st.one_of(
        huge(),
        st.none(),
        st.booleans(),
        st.text(max_size=20),
        st.text(string.ascii_lowercase + "_", min_size=1, max_size=12),
        st.integers(0, 200_000).map(lambda n: "x" * n),
        st.binary(max_size=10),
        st.dates(),
        st.sampled_from(["sphere", "bce", "focal", "virtual", "like", "~nosuchuser/x.tif", "exponential", "../x.csv"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8), inner, max_size=4),
        st.lists(inner, min_size=1, max_size=1).map(lambda one: one * 1_000),
        inner.map(lambda one: {"a": {"b": {"c": {"d": {"e": one}}}}}),
    ),
    max_leaves=6,
)


def deep(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def cyclic():
    value = {}
    value["like"] = value
    return value


def places(tree, above=()):
    """Paths of every setting of a tree, groups included."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield (*above, key)
        yield from places(value, (*above, key))


def full_tree():
    """A valid tree in which every group occurs, with every setting of the encoder, of training and of a world."""
    tree = tiny.params()
    tree["encoder"] = EncoderSettings(width=16, depth=1).model_dump(mode="json")
    tree["training"] = {k: v for k, v in TrainingSettings().model_dump(mode="json").items() if v is not None}
    tree["datasets"]["other"] = {"like": "virtual", "seed": 3, "rows": "checklists", "propagation": {"k": 3}}
    tree["datasets"]["rows"] = {"kind": "table", "path": "x.csv", "evaluation": {"kind": "blocks", "degrees": 2.0}}
    tree["variants"] |= {
        "asl": {"loss": "asl", "clip": 0.1, "training": {"steps": 10, "schedule": "exponential", "decay": 0.5}},
        "blend": {"loss": "maxent", "members": [{}, {"encoder": {"width": 8}}]},
        "em": {"like": "blend", "loss": "maxent"},
    }
    tree["search"] = {
        "trials": 4,
        "held_out": {"folds": 3},
        "pruning": {"checks": 2},
        "spaces": {
            "bce": {"training.learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}, "training.beta2": [0.9, 0.99]},
            "an_full": {"like": "bce", "pos_lambda": {"low": 1.0, "high": 9.0}},
        },
    }
    return tree


BASE = full_tree()
PLACES = sorted(places(BASE), key=str)


def changed(place, value, how):
    tree = copy.deepcopy(BASE)
    node = tree
    for key in place[:-1]:
        node = node[key]
    if how == "replace":
        node[place[-1]] = value
    elif how == "add" and isinstance(node[place[-1]], dict):
        node[place[-1]][value if isinstance(value, str) else "unknown"] = value
    elif how == "remove":
        del node[place[-1]]
    elif how == "rename":
        node[value if isinstance(value, str) else str(type(value))] = node.pop(place[-1])
    return tree


def check_tree(tree):
    Params.parse(tree)
    check_search(Tree.parse(tree, ""))


def test_the_tree_that_is_altered_is_valid():
    check_tree(BASE)


def test_altered_trees_are_valid_or_one_sentence():
    fell, tried = [], itertools.count()

    @settings(
        max_examples=trials(300, 10_000),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(PLACES), HOSTILE, st.sampled_from(["replace", "replace", "replace", "add", "remove", "rename"])
    )
    def alter(place, value, how):
        next(tried)
        if what := sentence_of(check_tree, changed(place, value, how)):
            fell.append(f"{'.'.join(place)} {how}: {what}")

    alter()
    record_trials("settings that are wrong", next(tried), fell)


UNWRITABLE = {
    "60 lists": deep(60),
    "3,000 lists": deep(3_000),
    "within itself": cyclic(),
    "5,000 digits": 10**5_000,
    "400 digits": 10**400,
    "a million letters": "x" * 10**6,
}


@pytest.mark.parametrize("value", UNWRITABLE.values(), ids=UNWRITABLE)
def test_values_that_python_cannot_write_are_one_sentence(value):
    for place in PLACES:
        assert not sentence_of(check_tree, changed(place, value, "replace")), place


@pytest.mark.parametrize("group", ["datasets", "variants", "spaces"])
def test_a_long_chain_of_likes_is_one_sentence(group):
    tree = full_tree()
    entries = tree["search"]["spaces"] if group == "spaces" else tree[group]
    last = "virtual" if group == "datasets" else "bce"
    entries |= {f"e{i}": {"like": f"e{i - 1}" if i else last} for i in range(300)}
    assert not sentence_of(check_tree, tree)


NUMBERS = ("width", "depth")
TRAINING_NUMBERS = ("epochs", "steps", "batch_size", "background_batch_size", "sampled_species", "warmup_steps")


@pytest.mark.parametrize("value", [10**9, 10**12, 10**30])
@pytest.mark.parametrize(
    "place",
    [
        *(("encoder", name) for name in NUMBERS),
        *(("training", name) for name in TRAINING_NUMBERS),
        *(("datasets", "virtual", name) for name in ("species", "records", "background_sites", "groups", "noise_km")),
        *(("search", name) for name in ("trials", "parallel")),
        ("search", "held_out", "folds"),
        ("variants", "asl", "training", "steps"),
    ],
    ids=".".join,
)
def test_numbers_of_a_thousand_million_are_refused_with_their_bound(place, value):
    tree = copy.deepcopy(BASE)
    node = tree
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(SettingsError, match=rf"{place[-1]} = .*must be .*(less than or equal to|at most)"):
        check_tree(tree)


# A group of settings in which one has no effect, and the sentence's reason.
IDLE = [
    ("training", {"decay": 0.5}, "schedule is 'exponential'"),
    ("training", {"beta2": 0.9, "optimizer": "sgd"}, "which has none"),
    ("training", {"momentum": 0.5}, "which has none"),
    ("training", {"sampled_species": 9}, "loss_computation: sampled"),
    ("encoder", {"kind": "additive", "width": 64}, "kind is 'residual'"),
    ("encoder", {"kind": "additive", "depth": 3}, "kind is 'residual'"),
    ("encoder", {"depth": 0, "dropout": 0.5}, "depth 1 or more"),
    ("encoder", {"expansion": "rank"}, "'covariates' or 'both'"),
    ("encoder", {"input": "covariates", "coordinates": "local"}, "reads none"),
    ("datasets.virtual", {"checklist_resolution": 4}, "rows is 'checklists' or held_out_cells"),
    ("datasets.virtual", {"held_out_resolution": 2}, "held_out_cells is more than 0"),
    ("datasets.rows", {"nearest_km": 5.0}, "sea is 'nearest'"),
    ("datasets.rows", {"background": "x.csv", "background_sites": 9}, "background is no table"),
    ("datasets.rows", {"checklist_resolution": 4}, "rows is 'checklists'"),
    ("datasets.rows", {"cell_degrees": 1.0}, "cell is 'grid'"),
    ("datasets.rows", {"cell_h3_resolution": 4}, "max_per_cell is more than 0"),
    ("datasets.rows", {"cell": "grid"}, "max_per_cell is more than 0"),
    ("datasets.rows", {"cleaning_seed": 4}, "max_per_species is more than 0"),
    ("datasets.rows.evaluation", {"kind": "survey", "path": "x.csv", "layout": "wide", "unlisted": "absent"}, "layout"),
    ("variants.asl", {"loss": "bce", "smoothing": 2.0}, "pos_weight is true"),
    ("variants.asl", {"loss": "ranking", "pairs": "community", "sites": "background"}, "pairs is 'spatial' or 'both'"),
    ("variants.asl", {"loss": "asl", "training": {"background_batch_size": 9}}, "uses no background sites"),
    ("variants.asl", {"loss": "asl", "training": {"decay": 0.5}}, "schedule is 'exponential'"),
    ("variants.asl", {"loss": "bce", "encoder": {"week": "film"}}, "has not"),
    ("search.pruning", {"checks": 1, "startup": 3}, "checks is 2 or more"),
    ("search.spaces.bce", {"training.decay": [0.9, 0.95]}, "schedule is 'exponential'"),
]


@pytest.mark.parametrize(
    ("group", "changes", "reason"), IDLE, ids=lambda value: str(value) if type(value) is str else ""
)
def test_a_setting_without_effect_is_refused(group, changes, reason):
    tree = tiny.params(variants=full_tree()["variants"], datasets=full_tree()["datasets"])
    tree["search"] = {"pruning": {}, "spaces": {"bce": {"training.beta2": [0.9, 0.99]}}}
    tree["study"]["variants"] = ["bce", "asl"]
    *above, last = group.split(".")
    node = tree
    for key in above:
        node = node[key]
    node[last] = changes if group.startswith(("variants", "search.spaces", "datasets.rows.")) else node[last] | changes
    assert not sentence_of(check_tree, tree)
    with pytest.raises(SettingsError, match=re.escape(reason)):
        check_tree(tree)


def test_what_is_taken_over_need_not_have_an_effect():
    tree = full_tree()
    tree["encoder"]["width"] = 64
    tree["variants"]["smooth"] = {"loss": "bce", "encoder": {"kind": "additive", "expansion": "hinge"}}
    tree["variants"]["constant"] = {"like": "asl", "training": {"schedule": "constant"}}
    tree["datasets"]["records"] = {"like": "other", "rows": "records", "propagation": None}
    tree["datasets"]["other"]["checklist_resolution"] = 4
    check_tree(tree)


def test_a_setting_that_matters_beside_some_values_of_another_can_be_searched():
    tree = full_tree()
    tree["search"]["spaces"]["bce"] = {
        "training.schedule": ["cosine", "exponential"],
        "training.decay": {"low": 0.5, "high": 0.9},
    }
    check_tree(tree)


def extreme(field, draws):
    """A value of a setting near an end of its range, or outside; settings of other kinds have their default."""
    if type(field.default) not in (int, float):
        return field.default
    rules = {
        name: getattr(rule, name) for rule in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)
    }
    low, high = rules.get("ge", rules.get("gt", -1e30)), rules.get("le", rules.get("lt", 1e30))
    values = [low, high, low + 1, high - 1, 0, 1, 2, 1e-30, 1e-6, 0.5, 10, 1e3, 1e6, 1e30, -1e30, field.default]
    if draws.random() < 0.98:
        values = [value for value in values if low <= value <= high]
        values = [value for value in values if value not in (rules.get("gt"), rules.get("lt"))]
    return type(field.default)(values[draws.integers(len(values))])


def train_with(loss_raw, encoder_raw, training_raw):
    raw = loss_raw | {"encoder": encoder_raw, "training": training_raw | {"steps": 3}}
    # Whether a setting has an effect is another matter.
    variant = Variant.parse(raw, "variants.x", EncoderSettings(), TrainingSettings(), written={})
    fit_variant(tiny.dataset(rows=40).training, variant, 0)


def test_training_with_extreme_settings_gives_a_model_or_one_sentence():
    draws, n, fell = numpy_stream(SEED, "extreme settings"), trials(60, 1_000), []
    for _ in range(n):
        loss = sorted(LOSSES)[draws.integers(len(LOSSES))]
        own = {} if loss != "multitask" else {"environment_head": True}
        groups = []
        for kind, base, kept in (
            (type(parse_variant({"loss": loss}, "x")), {"loss": loss}, 0.3),
            (EncoderSettings, {"width": 8, "depth": 1, **own}, 0.2),
            (TrainingSettings, {"batch_size": 16, "background_batch_size": 16, "device": "cpu"}, 0.15),
        ):
            free = [name for name in kind.model_fields if name not in {*base, "epochs", "steps", "warmup_steps"}]
            taken = [name for name in free if draws.random() < kept]
            owner, choice = getattr(kind, "owner_of", {}), getattr(kind, "choice", "")
            chosen = kind.model_fields[choice].default if choice else None
            taken = [name for name in taken if owner.get(name, chosen) == chosen]
            changes = {name: extreme(kind.model_fields[name], draws) for name in taken}
            groups.append(base | changes)
        if what := sentence_of(train_with, *groups):
            fell.append(f"{groups}: {what}")
    record_trials("trainings with extreme settings", n, fell)
