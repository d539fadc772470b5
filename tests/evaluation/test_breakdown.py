import numpy as np
import pytest

from presence_only.evaluation.breakdown import mean_by_class, mean_by_group, quantile_classes, range_extent


def test_quantile_classes():
    classes = quantile_classes(np.array([5.0, 1.0, 2.0, np.nan, 4.0, 3.0, 6.0, 8.0, 7.0]), 4)
    assert classes.index_U.tolist() == [2, 0, 0, -1, 1, 1, 2, 3, 3]
    assert (classes.low, classes.high) == ((1, 3, 5, 7), (2, 4, 6, 8))
    many = np.random.default_rng(0).random(1000)
    assert np.bincount(quantile_classes(many, 4).index_U).tolist() == [250] * 4
    # Ties stay together, and a class that this empties is gone.
    tied = quantile_classes(np.array([0, 0, 0, 0, 0, 1, 2, 3]), 4)
    assert tied.index_U.tolist() == [0, 0, 0, 0, 0, 1, 2, 2]
    assert len(quantile_classes(np.ones(5), 4)) == 1


def test_mean_by_class_by_hand():
    classes = quantile_classes(np.array([1, 2, 3, 4, 5, 6]), 2)
    values = np.array([[0.1, 0.2, 0.3, 0.5, np.nan, 0.9], [0.3, 0.2, 0.1, 0.7, 0.6, 0.5]])
    low, high = mean_by_class({"a": values}, classes).to_dicts()
    assert (low["n"], high["n"]) == (3, 2)
    assert low["mean"] == pytest.approx(0.2)
    assert high["mean"] == pytest.approx((0.7 + 0.6) / 2)
    assert high["sd"] == pytest.approx(np.std([0.7, 0.6], ddof=1))
    assert (high["variant"], high["class"], high["low"], high["high"]) == ("a", 1, 4, 6)


def test_range_extent_of_a_ring():
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([10 * np.cos(angle), 10 * np.sin(angle)], axis=1)
    sites = np.concatenate([ring, [[100.0, 40.0]]])
    truth = np.zeros((41, 3), dtype=np.int8)
    truth[:40, 0] = 1
    truth[40, 1] = 1
    extent = range_extent(sites, truth)
    # Ten degrees of arc, a little less across the meridians.
    assert extent[0] == pytest.approx(10 * np.pi / 180 * 6371.0088, rel=0.01)
    assert extent[1] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(extent[2])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: quantile_classes(np.ones(3), 0), "n_classes = 0: must be at least 1"),
        (lambda: quantile_classes(np.array([np.nan])), "the quantity is unknown for every unit; at least one must be"),
        (
            lambda: mean_by_class({"a": np.zeros((2, 4))}, quantile_classes(np.arange(3))),
            r"a has values of shape \(2, 4\); \(seeds, 3\) expected",
        ),
    ],
)
def test_wrong_input_is_one_sentence(asked, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        asked()


def test_means_of_taxon_groups_by_loops():
    values = np.array([[0.5, np.nan, 0.25, 1.0], [0.25, 0.5, 0.75, 0.5]])
    found = mean_by_group(values, ("b", "a", "a", "c"))
    # A species counts where every seed has a value.
    assert found.rows() == [("a", 1, 0.5), ("b", 1, 0.375), ("c", 1, 0.75)]
    without = mean_by_group(np.full((1, 2), np.nan), ("x", "y"))
    assert without["n"].to_list() == [0, 0]
    assert np.isnan(without["mean"].to_numpy()).all()
    with pytest.raises(ValueError, match=r"^values have shape \(2, 4\); \(seeds, 3\) expected$"):
        mean_by_group(values, ("a", "b", "c"))
