"""Weeks of the year, four a month."""

import numpy as np

from presence_only.data.sites import week_of


def test_a_month_has_four_weeks_of_which_the_last_is_longer():
    days = np.array([1, 7, 8, 14, 15, 21, 22, 28, 31])
    assert week_of(np.full(9, 1), days).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert week_of(np.array([12, 6]), np.array([31, 1])).tolist() == [48, 21]
