import numpy as np
import pytest

from presence_only.statistics.paired import crossed_test
from presence_only.statistics.power import (
    Components,
    components,
    detectable,
    plan_study,
    power,
    seeds_needed,
    units_needed,
)


def draw(parts, n_seeds, n_units, mean, rng):
    return (
        mean
        + rng.normal(0, parts.seeds**0.5, (n_seeds, 1))
        + rng.normal(0, parts.units**0.5, (1, n_units))
        + rng.normal(0, parts.rest**0.5, (n_seeds, n_units))
    )


def test_components_are_found_again():
    rng = np.random.default_rng(0)
    parts = Components(0.04, 0.09, 0.25)
    found = [components(draw(parts, 30, 40, 0.3, rng)) for _ in range(40)]
    for name in ("seeds", "units", "rest"):
        assert np.mean([getattr(c, name) for c in found]) == pytest.approx(getattr(parts, name), rel=0.15)


def test_components_leave_out_undefined_units_and_know_no_negative_variance():
    x = np.array([[1.0, -1.0, np.nan], [-1.0, 1.0, 0.0]])
    found = components(x)
    assert (found.seeds, found.units) == (0.0, 0.0)
    assert found.rest == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("parts", "n_seeds", "n_units", "difference"),
    [
        (Components(0.0, 0.01, 0.01), 4, 300, 0.018),
        (Components(2e-5, 0.002, 0.01), 4, 500, 0.012),
        (Components(1e-3, 0.01, 0.01), 6, 200, 0.05),
        (Components(1e-3, 0.0, 0.0001), 5, 100, 0.04),
    ],
)
def test_power_by_simulation(parts, n_seeds, n_units, difference):
    rng = np.random.default_rng(1)
    n = 500
    found = 0
    for _ in range(n):
        x = draw(parts, n_seeds, n_units, difference, rng)
        found += crossed_test(x) <= 0.05 and x.mean() > 0
    # The formula takes expected mean squares for the drawn ones; 0.02 is the standard deviation of n draws.
    assert power(parts, n_seeds, n_units, difference) == pytest.approx(found / n, abs=0.09)


def test_power_grows_and_needs_fit_it():
    parts = Components(2e-5, 0.002, 0.01)
    curve = [power(parts, n, 500, 0.005) for n in (2, 4, 8, 16, 32)]
    assert curve == sorted(curve)
    units = units_needed(parts, 12, 0.005)
    assert power(parts, 12, units, 0.005) >= 0.8 > power(parts, 12, units - 1, 0.005)
    seeds = seeds_needed(parts, 3000, 0.005)
    assert power(parts, seeds, 3000, 0.005) >= 0.8 > power(parts, seeds - 1, 3000, 0.005)
    smallest = detectable(parts, 4, 500)
    assert power(parts, 4, 500, smallest) == pytest.approx(0.8, abs=1e-6)


def test_what_no_number_can_tell():
    # 0.5 points against a spread of 10 points between species: more seeds do not help, more species do.
    parts = Components(0.0, 0.01, 0.001)
    assert seeds_needed(parts, 100, 0.005) is None
    assert units_needed(parts, 4, 0.005) is not None
    assert units_needed(Components(0.01, 0.0, 0.0), 4, 0.005) is None


def test_without_variance_every_difference_is_found():
    none = Components(0.0, 0.0, 0.0)
    assert power(none, 2, 2, 0.1) == 1.0
    assert power(none, 2, 2, 0.0) == 0.0
    assert detectable(none, 2, 2) == 0.0


def test_the_plan_of_a_study_is_made_of_its_parts():
    rng = np.random.default_rng(2)
    base = rng.random((3, 40))
    values = {"a": base + draw(Components(0, 0.002, 0.004), 3, 40, 0.02, rng), "b": base, "c": base * 0.5}
    values["c"][1, 7] = np.nan
    plan = plan_study(values, "a", "b", 0.005)
    # A species that one variant has no value of is left out for all.
    parts = components(np.delete(values["a"] - values["b"], 7, axis=1))
    assert (plan.n_seeds, plan.n_units, plan.parts) == (3, 39, parts)
    of_mean = {"seeds": parts.seeds / 3, "units": parts.units / 39, "rest": parts.rest / (3 * 39)}
    assert plan.error == pytest.approx(sum(of_mean.values()) ** 0.5)
    assert plan.shares == pytest.approx({name: part / plan.error**2 for name, part in of_mean.items()})
    assert list(plan.units_needed) == [3, 4, 8, 16, 32]
    for n_seeds, n_units in plan.units_needed.items():
        assert power(parts, n_seeds, n_units, 0.005) >= 0.8 > power(parts, n_seeds, n_units - 1, 0.005)
    assert list(plan.detectable) == [39, 156, 624, 3900]
    for n_units, smallest in plan.detectable.items():
        assert list(smallest) == sorted(smallest, reverse=True)
        assert power(parts, plan.seeds[2], n_units, smallest[2]) == pytest.approx(0.8, abs=1e-6)
    assert plan.detectable_here == plan.detectable[39][0]


def test_a_plan_needs_two_seeds_and_a_difference():
    values = np.random.default_rng(3).random((3, 9))
    assert plan_study({"a": values[:1], "b": values[:1]}, "a", "b", 0.005) is None
    same = plan_study({"a": values, "b": values}, "a", "b", 0.005)
    assert (same.error, set(same.shares.values()), same.detectable_here) == (0, {0}, 0)


PARTS = Components(0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: Components(-1, 0.0, 0.0), "seeds = -1: a variance must be at least 0 and finite"),
        (lambda: Components(0.0, 0.0, float("inf")), "rest = inf: a variance must be at least 0 and finite"),
        (lambda: components(np.zeros((1, 3))), "1 seeds x 3 units: variance components need at least two of each"),
        (lambda: power(PARTS, 1, 5, 0.1), "1 seeds x 5 units: power needs at least two of each"),
        (lambda: detectable(PARTS, 5, 1), "5 seeds x 1 units: power needs at least two of each"),
        (lambda: power(PARTS, 2, 5, 0.1, alpha=0), "alpha = 0: must lie within 0..1, both excluded"),
        (lambda: detectable(PARTS, 2, 5, wanted=0.01), "wanted = 0.01: must lie between alpha = 0.05 and 1"),
    ],
)
def test_wrong_input_is_one_sentence(asked, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        asked()
