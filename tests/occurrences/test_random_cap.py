"""At most so many records of a group, against SINR's loop, and drawn alike."""

import numpy as np
import pytest

from presence_only.occurrences.random_cap import at_most


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_first_records_of_one_random_order_stay(limit):
    group_N = np.random.default_rng(1).choice([7, 3, 11, 20], 50, p=[0.6, 0.2, 0.1, 0.1])
    expected, seen = [], {}
    for row in np.random.default_rng(9472).permutation(50):
        seen[group_N[row]] = seen.get(group_N[row], 0) + 1
        if seen[group_N[row]] <= limit:
            expected.append(row)
    kept_N = at_most(group_N, limit, np.random.default_rng(9472))
    assert np.flatnonzero(kept_N).tolist() == sorted(expected)


def test_a_random_part_of_the_abundant_stays_and_all_of_the_rare():
    group_N = np.repeat([0, 1, 2], [2, 500, 40])
    kept = [at_most(group_N, 10, np.random.default_rng(seed)) for seed in range(400)]
    assert all(np.bincount(group_N[k]).tolist() == [2, 10, 10] for k in kept)
    # Every record of a group is as likely to stay: 10 of 500, within 5 standard errors over 400 draws.
    share = np.mean(kept, axis=0)[group_N == 1]
    assert np.abs(share - 0.02).max() < 5 * (0.02 * 0.98 / 400) ** 0.5


def test_no_record_is_no_record():
    assert at_most(np.empty(0, dtype=np.int64), 5, np.random.default_rng(0)).shape == (0,)
