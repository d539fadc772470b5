import tracemalloc
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from presence_only.statistics.comparison_table import CellResult, by_seed, compare
from presence_only.statistics.differences import compare_two


def cell(values_VS, dataset="virtual", variant="an_full", sites_VM=None, seeds=None, metric="species_map"):
    values_VS = np.asarray(values_VS, dtype=np.float64)
    sites_VM = np.zeros((len(values_VS), 1)) if sites_VM is None else sites_VM
    return CellResult(
        dataset=dataset,
        variant=variant,
        seeds=tuple(range(len(values_VS))) if seeds is None else seeds,
        per_species={metric: values_VS},
        per_site={"sample_map": sites_VM},
        n_species=values_VS.shape[1],
        n_sites=sites_VM.shape[1],
    )


def row(table, **wanted):
    return table.filter(**wanted).row(0, named=True)


def slow_interval(values_VU, resamples, rng):
    """The interval by loops: seeds, their deviations widened, and units drawn one at a time."""
    n_seeds, n_units = len(values_VU), len(values_VU[0])
    means = [sum(values) / n_units for values in values_VU]
    mean, widen = sum(means) / n_seeds, (n_seeds / (n_seeds - 1)) ** 0.5
    values_VU = [
        [value + (widen - 1) * (own - mean) for value in values] for values, own in zip(values_VU, means, strict=True)
    ]
    found = []
    for _ in range(resamples):
        seeds = [int(rng.integers(n_seeds)) for _ in range(n_seeds)]
        units = [int(rng.integers(n_units)) for _ in range(n_units)]
        found.append(float(np.mean([values_VU[v][u] for v in seeds for u in units])))
    return np.quantile(found, [0.025, 0.975])


class TestCompare:
    def test_columns_and_order(self):
        rng = np.random.default_rng(0)
        cells = [
            cell(rng.random((2, 5)) + bonus, dataset, variant)
            for dataset, variant, bonus in (
                ("b", "low", 0.0),
                ("b", "high", 1.0),
                ("a", "mid", 0.5),
                ("a", "none", np.nan),
            )
        ]
        table = compare(cells, resamples=50)
        assert table.columns == [
            *("dataset", "variant", "metric", "mean", "sd"),
            *("low", "high", "n_seeds", "n_species", "n_sites"),
        ]
        assert table.filter(metric="species_map").select("dataset", "variant").rows() == [
            ("a", "mid"),
            ("a", "none"),
            ("b", "high"),
            ("b", "low"),
        ]
        assert (
            table["metric"].to_list()
            == ["sample_map"] * 2 + ["species_map"] * 2 + ["sample_map"] * 2 + ["species_map"] * 2
        )
        assert compare(cells[::-1], resamples=50).equals(table)

    def test_mean_and_sd_equal_a_loop(self):
        rng = np.random.default_rng(1)
        values_VS = rng.random((4, 9))
        values_VS[:, 3] = np.nan
        values_VS[1, 5] = np.nan
        means = []
        for values_S in values_VS.tolist():
            defined = [value for value in values_S if value == value]
            means.append(sum(defined) / len(defined))
        mean = sum(means) / 4
        sd = (sum((value - mean) ** 2 for value in means) / 3) ** 0.5
        found = row(compare([cell(values_VS)]), metric="species_map")
        assert found["mean"] == pytest.approx(mean, rel=1e-14)
        assert found["sd"] == pytest.approx(sd, rel=1e-12)
        assert found["low"] < mean < found["high"]

    def test_undefined_species_are_left_out_and_counted(self):
        rng = np.random.default_rng(2)
        values_VS = rng.random((3, 8))
        holes_VS = np.insert(values_VS, [0, 4, 8], np.nan, axis=1)
        whole = row(compare([cell(values_VS)]), metric="species_map")
        holes = row(compare([cell(holes_VS)]), metric="species_map")
        assert (whole["n_species"], holes["n_species"]) == (8, 8)
        assert {**whole, "n_species": 0} == {**holes, "n_species": 0}

    def test_a_site_metric_resamples_sites_and_counts_them(self):
        rng = np.random.default_rng(3)
        sites_VM = rng.random((3, 40))
        sites_VM[:, :7] = np.nan
        table = compare([cell(rng.random((3, 5)), sites_VM=sites_VM)])
        found, species = row(table, metric="sample_map"), row(table, metric="species_map")
        assert (found["n_species"], found["n_sites"], found["n_seeds"]) == (5, 33, 3)
        assert (species["n_species"], species["n_sites"]) == (5, 40)
        as_species = row(compare([cell(sites_VM)]), metric="species_map")
        assert (found["low"], found["high"]) == (as_species["low"], as_species["high"])

    def test_interval_agrees_with_a_slow_bootstrap(self):
        rng = np.random.default_rng(4)
        values_VS = rng.random((3, 6)) + rng.random((3, 1)) + rng.random((1, 6))
        found = row(compare([cell(values_VS)], resamples=20_000), metric="species_map")
        slow = slow_interval(values_VS.tolist(), 4_000, np.random.default_rng(5))
        width = slow[1] - slow[0]
        np.testing.assert_allclose([found["low"], found["high"]], slow, rtol=0, atol=0.05 * width)

    def test_interval_covers_the_true_mean(self):
        rng = np.random.default_rng(6)
        covered = 0
        for _ in range(300):
            species, seeds = rng.normal(0, 1, (1, 60)), rng.normal(0, 0.1, (10, 1))
            found = row(
                compare([cell(0.5 + species + seeds + rng.normal(0, 0.3, (10, 60)))], resamples=300),
                metric="species_map",
            )
            covered += found["low"] <= 0.5 <= found["high"]
        # 95 % of 300 is 285 with a standard deviation of 4; a percentile bootstrap of 60 falls a little short.
        assert 270 <= covered <= 297

    def test_one_seed_has_no_sd_and_an_interval_over_species(self):
        values_VS = np.random.default_rng(7).normal(0, 1, (1, 400))
        found = row(compare([cell(values_VS)], resamples=4000), metric="species_map")
        assert np.isnan(found["sd"])
        standard_error = values_VS.std() / 20
        assert found["low"] == pytest.approx(values_VS.mean() - 1.96 * standard_error, abs=0.1 * standard_error)
        assert found["high"] == pytest.approx(values_VS.mean() + 1.96 * standard_error, abs=0.1 * standard_error)

    def test_a_metric_defined_nowhere_is_nan(self):
        found = row(compare([cell(np.full((2, 3), np.nan))]), metric="species_map")
        assert all(np.isnan(found[name]) for name in ("mean", "sd", "low", "high"))
        assert found["n_species"] == 0

    def test_a_seed_without_any_value_is_left_out(self):
        values_VS = np.array([[0.2, 0.4, 0.9], [np.nan] * 3])
        found = row(compare([cell(values_VS)], resamples=400), metric="species_map")
        assert found["mean"] == pytest.approx(0.5)
        assert np.isnan(found["sd"])
        assert 0.2 <= found["low"] < 0.5 < found["high"] <= 0.9
        nothing = compare([cell(np.array([[np.nan], [np.nan], [np.nan], [0.3]]))], resamples=1, seed=2)
        assert row(nothing, metric="species_map")["mean"] == pytest.approx(0.3)

    def test_a_constant_has_an_interval_of_no_width(self):
        found = row(compare([cell(np.full((3, 4), 0.25))]), metric="species_map")
        assert (found["mean"], found["sd"], found["low"], found["high"]) == (0.25, 0.0, 0.25, 0.25)

    def test_other_variants_change_nothing(self):
        rng = np.random.default_rng(8)
        first, second = cell(rng.random((3, 9))), cell(rng.random((3, 9)), variant="asl")
        alone, both = compare([first]), compare([second, first])
        assert both.filter(variant="an_full").equals(alone)

    def test_the_seed_decides_and_the_input_stays(self):
        values_VS = np.random.default_rng(9).random((3, 9))
        before = values_VS.copy()
        first = compare([cell(values_VS)], seed=1)
        assert compare([cell(values_VS)], seed=1).equals(first)
        other = compare([cell(values_VS)], seed=2)
        assert other["mean"].equals(first["mean"])
        assert not other["low"].equals(first["low"])
        np.testing.assert_array_equal(values_VS, before)


class TestPerSeed:
    def further(self, values_V, **counts):
        values_VS = np.random.default_rng(13).random((len(values_V), 6))
        return replace(cell(values_VS), per_seed={"geo_gain": np.array(values_V)}, **counts)

    def test_a_number_of_the_run_has_an_interval_over_seeds_and_no_units(self):
        values = [0.1, 0.2, 0.6]
        found = row(compare([self.further(values)], resamples=4000), metric="geo_gain")
        assert found["mean"] == pytest.approx(0.3)
        assert found["sd"] == pytest.approx(np.std(values, ddof=1))
        slow = slow_interval([[value] for value in values], 4000, np.random.default_rng(0))
        np.testing.assert_allclose([found["low"], found["high"]], slow, atol=0.05)
        assert (found["n_seeds"], found["n_species"], found["n_sites"]) == (3, None, None)

    def test_one_seed_has_no_interval(self):
        found = row(compare([self.further([0.1])]), metric="geo_gain")
        assert found["mean"] == 0.1
        assert np.isnan([found["sd"], found["low"], found["high"]]).all()
        undefined = row(compare([self.further([np.nan, 0.2])]), metric="geo_gain")
        assert np.isnan([undefined["low"], undefined["high"]]).all()

    def test_the_other_rows_stay_and_another_survey_counts_its_own_sites(self):
        plain, further = cell(np.random.default_rng(13).random((2, 6))), self.further([0.1, 0.2])
        table = compare([further]).filter(pl.col("metric") != "geo_gain")
        assert table.equals(compare([plain]))
        counted = compare([replace(further, n_sites_of={"species_map": 77})])
        assert row(counted, metric="species_map")["n_sites"] == 77
        assert row(counted, metric="sample_map")["n_sites"] == 1


def test_many_species_are_resampled_in_little_memory():
    values_VS = np.random.default_rng(14).random((4, 50_000))
    tracemalloc.start()
    found = row(compare([cell(values_VS)], resamples=120), metric="species_map")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 100 resamples of 50,000 species would be 40 MB of numbers drawn, and as many of counts.
    assert peak < 90e6
    assert 0.49 < found["low"] < 0.5 < found["high"] < 0.51


def test_the_interval_is_that_of_paired_differences():
    """One bootstrap: the interval of a mean is that of its difference from a variant of zeros."""
    values_VS = np.random.default_rng(15).random((3, 50))
    found = row(compare([cell(values_VS)]), metric="species_map")
    pair = compare_two("a", values_VS, "zero", np.zeros_like(values_VS))
    assert (found["low"], found["high"]) == pytest.approx((pair.low, pair.high), rel=1e-12)


TWO = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            lambda: cell(TWO, seeds=(0,)),
            r".*: species_map has shape \(2, 3\); 1 seeds x 3 species expected",
        ),
        (
            lambda: cell(TWO, seeds=(4, 4)),
            r".* has seeds \(4, 4\): at least one is needed and none twice",
        ),
        (lambda: cell(TWO, sites_VM=TWO, metric="sample_map"), "an_full on virtual: sample_map is given twice"),
        (lambda: replace(cell(TWO), per_seed={"species_map": np.zeros(2)}), "an_full on virtual: species_map is given"),
        (lambda: replace(cell(TWO), per_seed={"gain": np.zeros(3)}), r".*: gain has shape \(3,\); 2 seeds expected"),
        (lambda: cell(TWO).values("mAP"), "an_full on virtual has no metric 'mAP'; known: species_map, sample_map"),
        (lambda: compare([]), "there are no cells to compare; at least one is needed"),
        (lambda: compare([cell(TWO), cell(TWO)]), "an_full on virtual is given twice; every cell must be given once"),
        (lambda: compare([cell(TWO)], resamples=0), "resamples = 0: must be at least 1"),
        (lambda: compare([cell(TWO)], seed=-1), "seed = -1: must be at least 0"),
    ],
)
def test_wrong_input_is_one_sentence(asked, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        asked()


def test_the_table_survives_csv(tmp_path):
    table = compare([cell(np.array([[0.5, 0.75]]))], resamples=20)
    table.write_csv(tmp_path / "comparison.csv")
    assert pl.read_csv(tmp_path / "comparison.csv").equals(table)


def test_a_table_becomes_one_row_of_values_a_seed():
    table = pl.DataFrame({"seed": [7, 7, 3, 3], "ap": [0.1, 0.2, 0.3, 0.4]})
    np.testing.assert_array_equal(by_seed(table, "ap", (3, 7)), [[0.3, 0.4], [0.1, 0.2]])
    for seeds, broken in (((3, 5), table), ((3, 7), table[:3]), ((3, 7), table[:0])):
        with pytest.raises(ValueError, match="all need as many, and at least one"):
            by_seed(broken, "ap", seeds)
