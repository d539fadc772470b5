import numpy as np
import pytest

from presence_only.reporting.figures.search import search_figure


def test_the_best_so_far_is_that_of_finished_trials_over_trials_and_over_cpu_time():
    values, finished = [np.nan, 0.3, 0.9, 0.2, 0.5], [False, True, False, True, True]
    figure = search_figure(values, finished, [30, 60, 30, 120, 60], "boyce", "bce on virtual")
    trials, time = figure.axes
    best = [np.nan, 0.3, 0.3, 0.3, 0.5]
    for axes, places in ((trials, range(5)), (time, [0.5, 1.5, 2.0, 4.0, 5.0])):
        line, done, early = axes.get_lines()
        np.testing.assert_array_equal(line.get_ydata(), best)
        assert line.get_xdata() == pytest.approx(list(places))
        assert list(done.get_ydata()) == [0.3, 0.2, 0.5]
        np.testing.assert_array_equal(early.get_ydata(), [np.nan, 0.9])
    assert time.get_xlabel() == "CPU time of all trials so far (min)"
    assert trials.get_ylabel() == "boyce of held-out records (higher is better)"
