import time

import numpy as np
import pytest

from presence_only.statistics.differences import (
    Pair,
    compare_pairs,
    compare_two,
    pairs_table,
    points,
    study_verdict,
)
from presence_only.statistics.significance import is_significant


def study(gains, seeds=4, species=120, seed=0, noise=0.05):
    """Variants that lie ``gains`` above a common difficulty of each species."""
    rng = np.random.default_rng(seed)
    base_S = rng.uniform(0.2, 0.7, species)
    return {name: base_S + gain + rng.normal(0, noise, (seeds, species)) for name, gain in gains.items()}


def alike(pair, same):
    """The same to all digits but the last, which the order of a matrix product's columns may change."""
    for name, value in vars(pair).items():
        assert getattr(same, name) == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), name


def test_a_clear_gain_is_significant_and_a_null_is_not():
    values = study({"worse": -0.1, "a": 0.1, "b": 0.1})
    pairs = compare_pairs(values, family="all")
    assert [(p.first, p.second) for p in pairs][1:] in (
        [("a", "worse"), ("b", "worse")],
        [("b", "worse"), ("a", "worse")],
    )
    null, *clear = pairs
    assert {null.first, null.second} == {"a", "b"}
    assert not null.significant
    assert null.verdict.startswith("No significant difference between")
    for pair in clear:
        assert pair.significant
        assert pair.low < pair.difference < pair.high
        assert pair.low == pytest.approx(0.2, abs=0.05)
        assert pair.rank_biserial > 0.95
        assert pair.verdict.startswith(f"{pair.first} is above worse: +")
        assert "120 species, 4 seeds" in pair.verdict


def test_pairs_are_the_plain_statistics():
    values = study({"a": 0.0, "b": 0.02}, seeds=3)
    (pair,) = compare_pairs(values)
    difference_S = (values[pair.first] - values[pair.second]).mean(axis=0)
    assert pair.difference == pytest.approx(difference_S.mean())
    assert pair.share_higher == pytest.approx((difference_S > 0).mean())
    assert pair.holm_units == pair.p_units


def test_false_claims_are_rare_when_seeds_differ_much():
    """Two variants alike, whose mean depends on the seed: species alone would find a difference each time."""
    rng = np.random.default_rng(7)
    claims = by_species = 0
    for _ in range(200):
        base_S = rng.uniform(0.2, 0.7, 60)
        values = {name: base_S + rng.normal(0, 0.03, (4, 1)) + rng.normal(0, 0.02, (4, 60)) for name in ("a", "b")}
        (pair,) = compare_pairs(values, resamples=100)
        claims += pair.significant
        by_species += pair.p_units <= 0.05
    assert by_species > 120
    # 5 % of 200 are 10, with a standard deviation of 3.
    assert claims <= 19


def test_a_mean_made_by_few_species_is_not_significant():
    rng = np.random.default_rng(8)
    base_S = rng.uniform(0.3, 0.6, 100)
    better = base_S - 0.001
    better[:30] += 0.3
    noise = rng.normal(0, 1e-4, (4, 100))
    (pair,) = compare_pairs({"a": better + noise, "b": base_S + noise[:, ::-1]})
    assert pair.first == "a"
    assert pair.low > 0
    assert pair.p_seeds < 0.01
    assert pair.share_higher == pytest.approx(0.3)
    assert abs(pair.rank_biserial) < 0.05
    assert not pair.significant
    assert pair.verdict.endswith(
        "4 seeds); the interval leaves out 0, but by Wilcoxon's test over species it may be chance "
        f"(p = {pair.holm_units:.3f} after Holm's correction)."
    )


def test_means_and_ranks_that_contradict_each_other_are_told():
    rng = np.random.default_rng(9)
    base_S = rng.uniform(0.3, 0.6, 100)
    better = base_S - 0.001
    better[:15] += 0.3
    (pair,) = compare_pairs({"a": better + rng.normal(0, 1e-5, (4, 100)), "b": base_S[None].repeat(4, axis=0)})
    assert pair.first == "a"
    assert pair.holm_units < 0.05
    assert not pair.significant
    assert pair.verdict.endswith(f"by ranks the species favour b (rank-biserial correlation {pair.rank_biserial:.2f}).")


def test_two_seeds_are_too_few_for_a_claim_and_the_verdict_says_so():
    values = study({"a": 0.0, "b": 0.2}, seeds=2)
    values["b"][0] += 0.1
    (pair,) = compare_pairs(values)
    assert pair.low > 0.1
    assert not pair.significant
    assert pair.verdict.endswith(
        "2 seeds); the interval leaves out 0, but by the test over seeds and species it may be chance "
        f"(p = {pair.p_seeds:.3f}), which more seeds would tell."
    )


def test_one_seed_says_so():
    (pair,) = compare_pairs(study({"a": 0.0, "b": 0.2}, seeds=1))
    assert pair.significant
    assert "how much another seed would change is not known" in pair.verdict
    assert "120 species, 1 seed)" in pair.verdict


def test_equal_variants_and_inputs_stay():
    values = study({"a": 0.0})
    values["b"] = values["a"].copy()
    before = {name: array.copy() for name, array in values.items()}
    (pair,) = compare_pairs(values)
    assert (pair.difference, pair.p_seeds, pair.p_units, pair.rank_biserial, pair.share_higher) == (0, 1, 1, 0, 0.5)
    assert not pair.significant
    for name, array in values.items():
        np.testing.assert_array_equal(array, before[name])


def test_the_order_of_variants_and_the_seed_of_resampling():
    values = study({"a": 0.0, "b": 0.1, "c": 0.05})
    turned = dict(reversed(values.items()))
    for pair, same in zip(compare_pairs(values), compare_pairs(turned), strict=True):
        alike(pair, same)
    assert compare_pairs(values, seed=1) != compare_pairs(values, seed=2)
    assert [p.second for p in compare_pairs(values)] == ["c", "a"]
    assert len(compare_pairs(values, family="all")) == 3


def test_species_without_a_value_are_left_out():
    values = study({"a": 0.0, "b": 0.1}, species=20)
    holes = {name: array.copy() for name, array in values.items()}
    holes["a"][1, 3] = np.nan
    kept = {name: np.delete(array, 3, axis=1) for name, array in values.items()}
    assert compare_pairs(holes) == compare_pairs(kept)


def test_study_verdicts():
    pairs = compare_pairs(study({"worse": -0.1, "a": 0.1, "b": 0.1}))
    near, far = pairs
    assert study_verdict(pairs) == (
        f"{near.first} has the highest mean and is significantly above 1 of 2 others; the smallest of these "
        f"differences is {points(far.difference)} points (worse, interval {points(far.low)} to {points(far.high)}). "
        f"Its differences from {near.second} are not significant."
    )
    assert study_verdict(compare_pairs(study({"a": 0.0, "b": 0.2}))).startswith(
        "b is significantly above every other variant"
    )
    null = compare_pairs(study({"a": 0.0, "b": 0.0}))
    first, second = null[0].first, null[0].second
    assert study_verdict(null) == (
        f"{first} has the highest mean, but its difference from {second} is not significant."
    )
    nulls = study_verdict(compare_pairs(study({"a": 0.0, "b": 0.0, "c": 0.0})))
    assert nulls.endswith("its difference from any of the other 2 variants is not significant.")
    with pytest.raises(ValueError, match="there are no pairs to judge"):
        study_verdict([])


def test_points():
    assert points(0.0123) == "+1.2"
    assert points(-0.0123) == "\N{MINUS SIGN}1.2"


def test_table_and_speed():
    values = study({f"v{i}": i / 100 for i in range(16)}, species=500)
    began = time.perf_counter()
    pairs = compare_pairs(values, family="all", resamples=1000)
    assert time.perf_counter() - began < 10
    table = pairs_table(pairs)
    assert table.shape == (120, len(vars(pairs[0])))
    assert table["first"][0] == "v15"
    assert table.columns[-2:] == ["significant", "verdict"]
    assert [Pair.from_row(row) for row in table.iter_rows(named=True)] == list(pairs)


def test_a_pair_from_the_other_side_says_the_same():
    (pair,) = compare_pairs(study({"a": 0.0, "b": 0.1}))
    turned = pair.turned()
    assert (turned.first, turned.second, turned.significant) == ("a", "b", True)
    assert is_significant(vars(turned))
    assert turned.low < turned.difference == -pair.difference < turned.high < 0
    assert turned.share_higher == pytest.approx(1 - pair.share_higher)
    assert turned.turned() == pair


def test_a_constant_gain_has_no_width():
    values = study({"a": 0.0}, seeds=3, species=9)["a"]
    pair = compare_two("b", values + 0.125, "a", values)
    assert (pair.difference, pair.low, pair.high) == pytest.approx((0.125,) * 3, rel=1e-12)


def test_two_that_no_table_has_are_compared_from_either_side():
    values = study({"a": 0.0, "b": 0.1})
    (pair,) = compare_pairs(values)
    alike(compare_two("b", values["b"], "a", values["a"]), pair)
    alike(compare_two("a", values["a"], "b", values["b"]), pair.turned())
    with pytest.raises(ValueError, match="'a' is given twice; a comparison needs two names"):
        compare_two("a", values["a"], "a", values["b"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.0}, "level = 1.0: must lie within 0..1"),
        ({"resamples": 0}, "resamples = 0, seed = 0: must be at least 1"),
        ({"seed": -1}, "seed = -1: must be at least"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        compare_pairs(study({"a": 0.0, "b": 0.1}), **arguments)


def test_a_table_of_no_pairs_has_its_columns():
    values = np.random.default_rng(0).random((3, 20))
    full, empty = pairs_table(compare_pairs({"a": values, "b": values / 2})), pairs_table([])
    assert (len(full), len(empty)) == (1, 0)
    assert empty.schema == full.schema
