import numpy as np
import pytest
from support.report_study import dataset, study

from presence_only.common.shown_names import in_a_figure
from presence_only.evaluation.mapped_species import choose_by_prevalence
from presence_only.reporting.figures.ranges import box_around, choose_by_rank, range_maps_figure


def test_species_are_the_middle_of_each_quarter():
    prevalence = np.array([0.0, 0.8, 0.1, np.nan, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    # Eight are present; two a quarter, of which the upper middle is taken.
    assert choose_by_prevalence(prevalence) == (4, 6, 8, 1)
    assert choose_by_prevalence(prevalence[:3], 4) == (2, 1)
    assert choose_by_prevalence(np.zeros(3)) == ()
    with pytest.raises(ValueError, match="n = 0: must be at least 1"):
        choose_by_prevalence(prevalence, 0)


def test_variants_at_equal_steps():
    assert choose_by_rank("abcdefg", 4) == ("a", "c", "e", "g")
    assert choose_by_rank("abc", 4) == ("a", "b", "c")
    assert choose_by_rank("abc", 1) == ("a",)


def test_box_has_a_margin_and_stays_on_the_globe():
    assert box_around(np.array([[0.0, 0.0], [40.0, 20.0]])) == (-4.0, 44.0, -2.0, 22.0)
    assert box_around(np.array([[10.0, 20.0]])) == (5.0, 15.0, 15.0, 25.0)
    assert box_around(np.array([[-179.0, 88.0]])) == (-180.0, -174.0, 83.0, 90.0)
    assert box_around(np.array([[170.0, -10.0], [-170.0, -10.0]])) == (168.0, 192.0, -15.0, -5.0)
    around = np.column_stack([np.arange(-170.0, 180.0, 10.0), np.zeros(35)])
    assert box_around(around) == (-180.0, 180.0, -5.0, 5.0)
    assert box_around(np.delete(around, 2, axis=0)) == (-180.0, 180.0, -5.0, 5.0)


def test_panels_of_a_species_on_both_sides_of_180_degrees_are_one_map():
    own = study(dataset())
    (one, _) = own.datasets[0].maps
    sites = np.column_stack([np.tile([175.0, -175.0], 25), np.linspace(-20, -10, 50)])
    across = type(one)(**{**vars(one), "sites_P2": sites, "sites_M2": sites, "truth_M": np.arange(50) % 3 % 2})
    records, truth = range_maps_figure([across], own.land_share).axes[:2]
    assert records.get_xlim() == (174.0, 186.0)
    expected = np.where(sites[:, 0] < 0, 185.0, 175.0)
    np.testing.assert_array_equal(records.collections[0].get_offsets()[:, 0], expected)
    np.testing.assert_array_equal(truth.collections[1].get_offsets()[:, 0], expected[across.truth_M == 1])


def test_panels_show_records_truth_and_scores():
    own = study(dataset())
    maps = own.datasets[0].maps
    figure = range_maps_figure(maps, own.land_share)
    panels = figure.axes[:-1]
    assert len(panels) == 2 * (2 + len(maps[0].scores))
    first = panels[: len(panels) // 2]
    assert first[0].get_ylabel() == in_a_figure(maps[0].species)
    np.testing.assert_array_equal(first[0].collections[0].get_offsets(), maps[0].sites_P2)
    west, east, south, north = box_around(np.concatenate([maps[0].sites_P2, maps[0].sites_M2[maps[0].truth_M == 1]]))
    x, y = maps[0].sites_M2.T
    near = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    assert len(first[1].collections[1].get_offsets()) == (near & (maps[0].truth_M == 1)).sum()
    score = maps[0].scores["a"][near]
    np.testing.assert_allclose(first[2].collections[0].get_array(), np.sort(score) / score.max())
    assert "AP 0.50" in first[2].get_title()


def test_a_species_without_presences_in_the_box_and_scores_of_zero():
    own = study(dataset())
    (one, _) = own.datasets[0].maps
    empty = type(one)(**{**vars(one), "truth_M": np.zeros(50), "scores": {"a": np.zeros(50)}, "ap": {"a": 0.0}})
    figure = range_maps_figure([empty], own.land_share)
    assert np.isfinite(figure.axes[2].collections[0].get_array()).all()
