"""The map of presences that label propagation added: what it shows, and when a study has one."""

from dataclasses import replace

import numpy as np
import pytest
from support.report_files import write_report_files
from support.report_study import dataset as content
from support.report_study import draw_nothing, study

from presence_only.data.added_presences import AddedPresences
from presence_only.data.training import TrainingData
from presence_only.geography.earth import Earth
from presence_only.reporting.figures.maps import added_figure
from presence_only.reporting.report.page import render_page
from presence_only.reporting.study_figures import draw_maps
from presence_only.study.paths import DatasetFiles, added_map

SITES = np.array([[0.0, 50.0], [30.0, 40.0], [60.0, 50.0], [60.01, 50.0]])


def test_it_counts_what_every_place_received():
    figure = added_figure(SITES, np.array([0, 5, 2, 3]), Earth.load().land_share_grid, "mine")
    axes, bar = figure.axes
    points, hexagons = axes.collections[:2]
    np.testing.assert_array_equal(points.get_offsets(), SITES[:1])
    assert sorted(hexagons.get_array()) == [5, 5]
    assert bar.get_ylabel() == "presences added per hexagon (log scale)"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("longitude (degrees)", "latitude (degrees)")
    assert axes.get_title() == "mine: 10 presences added to 3 training rows; grey: the other rows"
    # The coasts of the whole Earth do not widen it.
    assert -10 < axes.get_xlim()[0] < axes.get_xlim()[1] < 70
    figure.canvas.draw()


def test_without_any_it_shows_the_rows():
    figure = added_figure(SITES, np.zeros(4, dtype=int), Earth.load().land_share_grid, "mine")
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_offsets(), SITES)
    figure.canvas.draw()


@pytest.mark.parametrize("propagated", [False, True])
def test_a_study_has_it_where_labels_were_propagated(propagated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, _ = write_report_files()
    records, files = data.training.records, DatasetFiles("virtual")
    if propagated:
        missing = next(s for s in range(5) if s not in records.species_P[records.row_P == 7])
        added = AddedPresences(np.array([7]), np.array([missing]))
        TrainingData(added.joined_to(records), data.training.background).save(files.training)
        added.save(files.survey)
    draw_maps("virtual", tmp_path)
    assert (tmp_path / added_map("virtual").name).exists() == propagated
    assert (tmp_path / files.map.name).exists()


def test_the_page_shows_it_where_it_is_there(monkeypatch):
    draw_nothing(monkeypatch)
    shown = content("one")
    caption = "Presences that label propagation added to the training rows of"
    assert caption not in render_page(study(shown))
    assert render_page(study(replace(shown, added_png=b"a map"))).count(caption) == 1
