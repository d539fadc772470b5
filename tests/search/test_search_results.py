"""Tables of a search, read back by polars and YAML."""

import math

import polars as pl
import pytest
from ruamel.yaml import YAML
from support.search import searched

from presence_only.common.settings import SettingsError
from presence_only.search.criteria import CRITERIA
from presence_only.search.objective import DIVERGED, FINISHED, PRUNED, Outcome
from presence_only.search.results import read_best, variant_digest, write_best, write_trials
from presence_only.search.trials import Trial

VALUES = {name: 0.1 * i for i, name in enumerate(CRITERIA, 1)}
TRIALS = [
    Trial(0, {"a.b": 0.00123, "c": "x"}, Outcome(DIVERGED, {}, {}, 0.1, 0.5), None),
    Trial(1, {"a.b": 1.0, "c": None}, Outcome(FINISHED, {1: 0.1}, VALUES | {"boyce": math.nan}, 1.0, 2.123), 0.1),
    Trial(2, {"a.b": 0.5, "c": True}, Outcome(PRUNED, {1: 0.9}, VALUES, 1 / 3, 1.0), 0.9),
]


def test_the_table_has_a_row_per_trial(tmp_path):
    write_trials(tmp_path / "trials.csv", TRIALS, ["a.b", "c"])
    table = pl.read_csv(tmp_path / "trials.csv")
    assert table.columns == ["trial", "state", "value", "best", "cpu_seconds", "share", *CRITERIA, "a.b", "c"]
    assert table["trial"].to_list() == [0, 1, 2]
    assert table["state"].to_list() == [DIVERGED, FINISHED, PRUNED]
    assert table["value"].to_list() == [None, 0.1, 0.9]
    # A pruned trial is not the best, whatever its last score.
    assert table["best"].to_list() == [None, 0.1, 0.1]
    assert table["ap_uniform_effort"].to_list() == [None, 0.2, 0.2]
    assert table["boyce"].to_list()[:2] == [None, None]
    assert table["a.b"].to_list() == [0.00123, 1.0, 0.5]
    assert table["c"].to_list() == ["x", None, "True"]


def test_the_best_settings_are_those_of_the_best_finished_trial(tmp_path):
    variant, path = searched().variant, tmp_path / "best.yaml"
    write_best(path, TRIALS[:1], {})
    assert not path.exists()
    with pytest.raises(SettingsError, match=r"best\.yaml is missing: no trial of this search has finished"):
        read_best(path, variant)
    write_best(path, TRIALS, {"variant": "bce", "variant_settings": variant_digest(variant)})
    best = read_best(path, variant)
    assert best == YAML(typ="safe").load(path)
    assert (best["trials"], best["best_trial"], best["value"], best["cpu_seconds"]) == (3, 1, 0.1, 3.6)
    assert best["settings"] == {"a.b": 1.0, "c": None}
    assert best["criteria"]["boyce"] is None
    with pytest.raises(SettingsError, match="the variant 'bce' has other settings now than when"):
        read_best(path, searched(training__batch_size=7).variant)
