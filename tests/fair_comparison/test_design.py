"""What a fair comparison runs, and which mistakes of its settings are refused."""

import pytest
from ruamel.yaml import YAML

from presence_only.common.errors import SettingsError
from presence_only.fair_comparison.design import Design

RAW = {
    "study": {"name": "fair", "datasets": ["few", "many", "biased"], "variants": ["bce", "asl"], "seeds": [0]},
    "datasets": {
        "few": {"like": "many", "records": 200},
        "many": {"kind": "virtual", "species": 20, "records": 2000},
        "biased": {"like": "many", "bias": 2.0},
    },
    "training": {"steps": 10},
    "variants": {"bce": {"loss": "bce"}, "asl": {"loss": "asl"}},
    "search": {"trials": 2, "spaces": {"bce": {"training.beta2": [0.9, 0.99]}, "asl": {"like": "bce"}}},
    "fair": {
        "tuning_seed": 9,
        "world_seeds": [1, 2],
        "tuned_in": {"biased": "many"},
        "default_in": ["many"],
        "lengths": [5, 20],
        "lengths_in": "few",
        "variants_in": {"biased": ["asl"]},
        "unseen": {"noise_km": 1.0},
    },
}


def load(folder, **fair):
    raw = RAW | {"fair": RAW["fair"] | fair}
    path = folder / "design.yaml"
    YAML().dump(raw, path)
    return Design.load(path)


def test_every_run_of_a_small_design(tmp_path):
    design = load(tmp_path)
    assert design.searched_scenarios == ("few", "many")
    best = {(s, v): {"training.beta2": b} for s, v, b in [("few", "bce", 0.9), ("few", "asl", 0.9)]}
    best |= {("many", v): {"training.beta2": 0.99} for v in ("bce", "asl")}
    runs = list(design.runs(best))
    names = [run.name for run in runs]
    assert len(set(names)) == len(names)
    # By hand, for each world: tuned in few and many for both variants and in biased for one; default in many.
    for seed in (1, 2):
        expected = {f"few/{seed}/{v}/tuned" for v in ("bce", "asl")}
        expected |= {f"many/{seed}/{v}/{s}" for v in ("bce", "asl") for s in ("tuned", "default")}
        expected |= {f"biased/{seed}/asl/tuned"}
        if seed == 1:
            expected |= {f"few/1/{v}/steps_{n}" for v in ("bce", "asl") for n in (5, 20)}
        assert {name for name in names if name.split("/")[1] == str(seed)} == expected
    changes = {run.name: run.changes for run in runs}
    assert changes["biased/1/asl/tuned"] == {"training.beta2": 0.99}
    assert changes["many/1/asl/default"] == {}
    assert changes["few/1/bce/steps_5"] == {"training.steps": 5}


def test_further_searches_are_made_and_chosen_by_nobody(tmp_path):
    design = load(tmp_path, searched_too={"biased": ["asl"]}, chosen_by="boyce")
    assert design.searches == (("few", "bce"), ("few", "asl"), ("many", "bce"), ("many", "asl"), ("biased", "asl"))
    assert design.source("biased") == "many"
    assert design.criterion == "boyce"


def test_worlds_differ_in_their_seed_and_what_tuning_does_not_see(tmp_path):
    design = load(tmp_path)
    tuning, scoring = design.world("few", 9).settings, design.world("few", 1).settings
    assert (tuning.seed, scoring.seed) == (9, 1)
    assert (tuning.noise_km, scoring.noise_km) == (5.0, 1.0)
    assert scoring.records == 200
    assert design.world("biased", 1).settings.bias == 2.0


@pytest.mark.parametrize(
    ("fair", "sentence"),
    [
        ({"tuning_seed": 1}, "fair.tuning_seed = 1: must not be among fair.world_seeds"),
        ({"tuned_in": {"biased": "fw"}}, "fair.tuned_in names 'fw': must be one of"),
        ({"tuned_in": {"biased": "few", "few": "many"}}, "fair.tuned_in.biased = 'few': must be a scenario"),
        ({"default_in": ["nowhere"]}, "fair.default_in names 'nowhere'"),
        ({"variants_in": {"few": ["focal"]}}, "fair.variants_in.few names 'focal'"),
        ({"searched_too": {"many": ["bce"]}}, "fair.searched_too names 'many', which is searched itself"),
        ({"searched_too": {"biased": ["bse"]}}, "fair.searched_too.biased names 'bse'"),
        ({"unseen": {"nois_km": 1.0}}, "nois_km"),
        ({"world_seeds": [1, 1]}, "without repeated entries"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, fair, sentence):
    with pytest.raises(SettingsError, match=sentence):
        load(tmp_path, **fair)


def test_a_study_without_the_group_says_so(tmp_path):
    path = tmp_path / "design.yaml"
    YAML().dump({key: value for key, value in RAW.items() if key != "fair"}, path)
    with pytest.raises(SettingsError, match="no group 'fair'"):
        Design.load(path)
