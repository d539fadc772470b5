"""Tables over all data sets: against scipy and loops, in their limits, and what their sentences say."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from presence_only.statistics.across_datasets import (
    PairAcross,
    across_pairs_table,
    means_across,
    means_table,
    pairs_across,
    verdict_across,
)
from presence_only.statistics.comparison_table import CellResult, compare
from presence_only.statistics.differences import compare_pairs
from presence_only.statistics.significance import is_significant_across
from presence_only.statistics.tables import across_tables


def worlds(gains, n=4, sd=0.01, seeds=2, species=30, seed=0):
    """World to variant to values: a difficulty of each world and species, and a gain that differs between worlds."""
    rng = np.random.default_rng(seed)
    found = {}
    for w in range(n):
        base_S = rng.uniform(0.2, 0.7) + rng.normal(0, 0.05, species)
        found[f"world_{w}"] = {
            name: base_S + gain + rng.normal(0, sd) + rng.normal(0, 0.01, (seeds, species))
            for name, gain in gains.items()
        }
    return found


def slow_holm(p):
    """Holm's correction by its definition: the largest of the smaller p values, each times the number not smaller."""
    order = sorted(p)
    steps = [min(1.0, value * (len(p) - i)) for i, value in enumerate(order)]
    return [max(steps[: order.index(value) + 1]) for value in p]


def test_pairs_are_t_tests_over_worlds_with_one_correction():
    values = worlds({"a": 0.0, "b": 0.03, "c": 0.001}, n=5)
    values["world_2"]["a"][1, 3] = np.nan
    pairs = pairs_across(values)
    means = {
        name: np.mean(
            [np.delete(own[name], 3 if w == 2 else [], axis=1).mean() for w, own in enumerate(values.values())]
        )
        for name in "abc"
    }
    order = sorted(means, key=means.get, reverse=True)
    assert [(p.first, p.second) for p in pairs] == list(combinations(order, 2))
    expected_p = []
    for pair in pairs:
        per_world, above = [], []
        for w, own in enumerate(values.values()):
            # A species without a value for one run is left out of every pair of its world.
            keep = [s for s in range(30) if (w, s) != (2, 3)]
            of_species = [sum(own[pair.first][v, s] - own[pair.second][v, s] for v in range(2)) / 2 for s in keep]
            per_world.append(sum(of_species) / len(keep))
            above.append(sum(d > 0 for d in of_species) / len(keep))
        test = stats.ttest_1samp(per_world, 0)
        interval = test.confidence_interval(0.95)
        assert pair.difference == pytest.approx(np.mean(per_world))
        assert (pair.low, pair.high, pair.p) == pytest.approx((interval.low, interval.high, test.pvalue))
        assert pair.effect_size == pytest.approx(np.mean(per_world) / np.std(per_world, ddof=1))
        assert pair.effect_size == pytest.approx(test.statistic / 5**0.5)
        assert pair.share_of_worlds == sum(d > 0 for d in per_world) / 5
        assert pair.share_of_species == pytest.approx(np.mean(above))
        assert (pair.scenario, pair.n_worlds) == ("all", 5)
        expected_p.append(test.pvalue)
    assert [p.p_holm for p in pairs] == pytest.approx(slow_holm(expected_p))


def test_a_world_s_difference_is_that_of_its_own_table_of_pairs():
    values = worlds({"a": 0.0, "b": 0.03}, n=3)
    own = [compare_pairs(of_world, resamples=10)[0].difference for of_world in values.values()]
    assert pairs_across(values)[0].difference == pytest.approx(np.mean(own))


def test_means_are_those_of_the_comparison_table_over_worlds():
    values = worlds({"a": 0.0, "b": 0.03}, n=4)
    values["world_1"]["b"][0, :5] = np.nan
    cells = [
        CellResult(world, variant, (0, 1), {"species_map": values_VU}, {}, 30, 9)
        for world, own in values.items()
        for variant, values_VU in own.items()
    ]
    table = compare(cells, resamples=10)
    found = means_across(values)
    for row in found:
        mean_W = table.filter(variant=row.variant)["mean"].to_numpy()
        interval = stats.ttest_1samp(mean_W, 0).confidence_interval(0.95)
        assert (row.mean, row.sd) == pytest.approx((mean_W.mean(), mean_W.std(ddof=1)))
        assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
    assert [(row.variant, row.rank, row.n_worlds) for row in found] == [("b", 1, 4), ("a", 2, 4)]


def test_a_clear_gain_is_significant_and_a_small_difference_is_equal_for_practical_purposes():
    clear, other, pair = pairs_across(worlds({"a": 0.0, "b": 0.0005, "c": 0.1}, n=6, sd=0.001))
    assert (clear.first, clear.significant, clear.practically_equal) == ("c", True, False)
    assert clear.verdict.startswith(f"c is above {clear.second}: +")
    assert clear.verdict.endswith("above in 6 of 6 data sets and for 100 % of species).")
    assert {pair.first, pair.second} == {"a", "b"}
    assert pair.practically_equal
    assert f"{pair.first} and {pair.second} are equal for practical purposes: " in pair.verdict
    assert pair.verdict.endswith("; the whole interval lies within 1 point of 0.")
    assert other.significant


def test_a_difference_may_be_significant_and_of_no_importance():
    (pair,) = pairs_across(worlds({"a": 0.0, "b": 0.004}, n=6, sd=0.0))
    assert (pair.significant, pair.practically_equal) == (True, True)
    assert pair.verdict.startswith("b is above a, but equal for practical purposes: +0.3 points")
    (strict,) = pairs_across(worlds({"a": 0.0, "b": 0.004}, n=6, sd=0.0), margin=0.001)
    assert not strict.practically_equal
    assert strict.verdict.startswith("b is above a: ")
    assert "within 0.5 points of 0" in pairs_across(worlds({"a": 0.0, "b": 0.0}, n=6, sd=0.0), margin=0.005)[0].verdict


def test_what_differs_much_between_worlds_is_not_significant():
    (pair,) = pairs_across(worlds({"a": 0.0, "b": 0.01}, n=4, sd=0.1))
    assert not pair.significant
    assert not pair.practically_equal
    assert pair.verdict.startswith(f"No significant difference between {pair.first} and {pair.second}: ")
    rule = {"low": 0.01, "high": 0.02, "p_holm": 0.06}
    assert not is_significant_across(rule)
    assert is_significant_across(rule | {"p_holm": 0.05})
    assert is_significant_across({"low": -0.02, "high": -0.01, "p_holm": 0.05})
    assert not is_significant_across({"low": 0.0, "high": 0.01, "p_holm": 0.01})
    assert is_significant_across(rule, level=0.9)


def test_the_correction_is_told_where_it_alone_forbids_the_claim():
    differences = {"b": (0.01, 0.03, 0.02, 0.012), "c": (0.2, -0.3, 0.1, -0.1), "d": (-0.2, 0.3, -0.3, 0.1)}
    values = {
        f"w{w}": {"a": np.zeros((1, 1))} | {name: np.full((1, 1), own[w]) for name, own in differences.items()}
        for w in range(4)
    }
    pair = next(pair for pair in pairs_across(values) if (pair.first, pair.second) == ("b", "a"))
    assert pair.low > 0
    assert pair.p < 0.05 < pair.p_holm
    assert pair.verdict.startswith("No significant difference between b and a: +1.8 points")
    assert pair.verdict.endswith(f"; the interval leaves out 0, but p is {pair.p_holm:.3f} after Holm's correction.")


def test_scenarios_have_rows_of_their_own_and_are_strata_of_the_whole():
    values = worlds({"a": 0.0, "b": 0.03}, n=6)
    for world in ("world_4", "world_5"):
        values[world]["b"] = values[world]["b"] + 0.2
    scenarios = {f"world_{w}": "easy" if w < 4 else "hard" for w in range(6)}
    plain, (pooled, easy, hard) = pairs_across(values)[0], pairs_across(values, scenarios=scenarios)
    assert [pair.scenario for pair in (pooled, easy, hard)] == ["all", "easy", "hard"]
    assert pooled.difference == pytest.approx((easy.difference + hard.difference) / 2)
    assert easy.difference == pytest.approx(pairs_across({w: values[w] for w in list(values)[:4]})[0].difference)
    # A new data set is of one scenario.
    assert np.isnan([pooled.new_low, pooled.new_high]).all()
    assert "one new data set" in easy.verdict
    assert "one new data set" not in pooled.verdict
    # What scenarios differ by is no chance.
    assert pooled.high - pooled.low < (plain.high - plain.low) / 2
    assert "b is above a in hard: " in hard.verdict or "between b and a in hard: " in hard.verdict
    means = means_across(values, scenarios=scenarios)
    assert [(m.scenario, m.n_worlds) for m in means] == [("all", 6)] * 2 + [("easy", 4)] * 2 + [("hard", 2)] * 2
    assert pairs_across(values, scenarios=dict.fromkeys(values, "one")) == pairs_across(values)


def test_limits():
    values = worlds({"a": 0.0, "b": 0.03}, n=1)
    (pair,) = pairs_across(values)
    assert np.isnan([pair.low, pair.high, pair.p, pair.effect_size]).all()
    assert (pair.p_holm, pair.significant, pair.practically_equal) == (1, False, False)
    assert pair.verdict == (
        f"No interval over data sets for b and a: +{100 * pair.difference:.1f} points in 1, which is too few."
    )
    assert np.isnan(means_across(values)[0].low)
    same = {world: {"a": own["a"], "b": own["a"].copy()} for world, own in worlds({"a": 0.0}, n=3).items()}
    (pair,) = pairs_across(same)
    assert (pair.difference, pair.low, pair.high, pair.p, pair.effect_size) == (0, 0, 0, 1, 0)
    assert (pair.share_of_worlds, pair.share_of_species, pair.practically_equal) == (0.5, 0.5, True)
    assert [row.rank for row in means_across(same)] == [1, 1]
    shifted = {world: {"a": np.zeros((1, 2)), "b": np.full((1, 2), 0.25)} for world in "xyz"}
    assert (pairs_across(shifted)[0].effect_size, pairs_across(shifted)[0].p) == (np.inf, 0)
    assert pairs_across(worlds({"a": 0.0})) == ()


def test_numbers_of_seeds_are_a_table_of_one_column():
    rng = np.random.default_rng(3)
    values = {f"w{w}": {name: rng.random((3, 1)) for name in "ab"} for w in range(4)}
    found = {row.variant: row.mean for row in means_across(values)}
    assert found["a"] == pytest.approx(np.mean([own["a"] for own in values.values()]))


def test_a_world_without_values_is_left_out_for_all_variants():
    values = worlds({"a": 0.0, "b": 0.03}, n=4)
    whole = pairs_across({w: own for w, own in values.items() if w != "world_1"})
    values["world_1"]["a"][:] = np.nan
    assert pairs_across(values) == whole
    assert {row.n_worlds for row in means_across(values)} == {3}
    nowhere = {world: {name: np.full((2, 3), np.nan) for name in own} for world, own in values.items()}
    assert pairs_across(nowhere) == means_across(nowhere) == ()


def test_inputs_stay_and_the_order_of_worlds_and_variants_does_not_matter():
    values = worlds({"a": 0.0, "b": 0.03, "c": 0.01})
    before = {world: {name: array.copy() for name, array in own.items()} for world, own in values.items()}
    pairs = pairs_across(values)
    for world, own in before.items():
        for name, array in own.items():
            np.testing.assert_array_equal(values[world][name], array)
    turned = {world: dict(reversed(own.items())) for world, own in reversed(values.items())}
    for pair, other in zip(pairs, pairs_across(turned), strict=True):
        assert (pair.first, pair.second) == (other.first, other.second)
        assert (pair.difference, pair.low, pair.p_holm) == pytest.approx((other.difference, other.low, other.p_holm))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda v: pairs_across({}), "there are no data sets; at least one is needed"),
        (lambda v: means_across(v | {"x": {"a": v["world_0"]["a"]}}), r"x has the variants \['a'\]: every data set"),
        (lambda v: pairs_across(v, margin=0.0), "margin = 0.0: must be above 0"),
        (lambda v: pairs_across(v, level=0.0), "level = 0.0: must lie within 0..1"),
        (lambda v: means_across(v, scenarios={"world_0": "x"}), "scenarios name none for world_1, world_2, world_3"),
        (lambda v: means_across(v, scenarios=dict.fromkeys(v, "all")), "a scenario is called 'all'"),
        (
            lambda v: pairs_across(v | {"x": {"a": np.zeros((1, 2)), "b": np.zeros((2, 2))}}),
            "values have shapes .* every variant needs the same",
        ),
        (lambda v: verdict_across([]), "there are no pairs over all worlds to judge"),
    ],
)
def test_wrong_input_is_one_sentence(asked, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        asked(worlds({"a": 0.0, "b": 0.03}))


def test_the_verdict_of_a_study_names_the_beaten_the_alike_and_the_open():
    pairs = pairs_across(worlds({"a": 0.1, "b": 0.0995, "c": 0.0}, n=6, sd=0.001))
    text = verdict_across(pairs)
    assert text.startswith("Over 6 data sets, ")
    assert "significantly above 1 of 2 others; the smallest of these differences is +" in text
    assert f"(c, interval {text.split('interval ')[1].split(',')[0]}, above in 6 of 6 data sets)" in text
    assert "For practical purposes it is equal to " in text
    doubtful = verdict_across(pairs_across(worlds({"a": 0.0, "b": 0.01}, sd=0.1)))
    assert "These data sets do not tell whether it is above " in doubtful


def test_tables_come_back_from_csv(tmp_path):
    values = worlds({"a": 0.0, "b": 0.03, "c": 0.01})
    pairs = pairs_across(values)
    across_pairs_table({"species_map": pairs}).write_csv(tmp_path / "pairs.csv")
    back = pl.read_csv(tmp_path / "pairs.csv")
    assert back.columns == [
        *("metric", "scenario", "first", "second", "difference", "low", "high", "new_low", "new_high"),
        *("p", "p_holm", "effect_size", "share_of_worlds", "share_of_species", "n_worlds"),
        *("significant", "practically_equal", "verdict"),
    ]
    assert tuple(PairAcross.from_row(row) for row in back.iter_rows(named=True)) == pairs
    turned = pairs[0].turned()
    assert (turned.first, turned.difference, turned.low) == (pairs[0].second, -pairs[0].difference, -pairs[0].high)
    assert turned.share_of_worlds == 1 - pairs[0].share_of_worlds
    assert (turned.turned().high, turned.turned().new_low) == (pairs[0].high, pairs[0].new_low)
    assert means_table({"m": means_across(values)}).columns == [
        *("metric", "scenario", "variant", "mean", "sd", "low", "high", "new_low", "new_high", "n_worlds", "rank"),
    ]
    assert across_pairs_table({}).schema == across_pairs_table({"m": pairs}).schema


def cells_of(values, **more):
    """Cells with the values as mAP, the same lower as AUC, and values per site."""
    return [
        CellResult(
            dataset=world,
            variant=variant,
            seeds=(0, 1),
            per_species={"species_map": values_VU, "auc_roc": values_VU - 0.1},
            per_site={"sample_map": values_VU[:, :7]},
            n_species=30,
            n_sites=7,
            per_seed=more.get(world, {}),
        )
        for world, own in values.items()
        for variant, values_VU in own.items()
    ]


def test_a_study_has_means_of_all_metrics_and_pairs_of_the_main_ones():
    values = worlds({"a": 0.0, "b": 0.03})
    gains = {"gain": np.array([0.1, 0.2])}
    means, pairs = across_tables(cells_of(values, world_0=gains, world_1=gains, world_3=gains))
    assert dict(means.group_by("metric").agg(pl.col("n_worlds").first()).iter_rows()) == {
        "species_map": 4,
        "auc_roc": 4,
        "sample_map": 4,
        "gain": 3,
    }
    assert set(pairs["metric"]) == {"species_map", "auc_roc", "sample_map"}
    assert "% of sites)" in pairs.filter(metric="sample_map")["verdict"][0]
    _, grouped = across_tables(cells_of(values), scenarios={w: "x" if w < "world_2" else "y" for w in values})
    assert grouped["scenario"].unique(maintain_order=True).to_list() == ["all", "x", "y"]


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_data_sets_have_tables_without_rows(n):
    means, pairs = across_tables(cells_of(worlds({"a": 0.0, "b": 0.03}, n=n)))
    assert (len(means), len(pairs)) == (0, 0)
    assert means.columns[:3] == ["metric", "scenario", "variant"]
    assert pairs.columns[:4] == ["metric", "scenario", "first", "second"]
