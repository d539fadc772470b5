import numpy as np
import polars as pl
import pytest
import torch

from presence_only.diagnostics.findings import (
    calibration_error,
    complete_blocks,
    expected_score,
    mean_curve,
    penalty_of,
    pooled_calibration,
    recovered,
    thirds,
)
from presence_only.losses.elementwise import Asymmetric, CrossEntropy, Focal


def test_penalties_are_those_of_the_settings():
    assert penalty_of({"loss": "bce", "pos_weight": True}) == CrossEntropy()
    assert penalty_of({"loss": "focal", "alpha": None, "gamma": 3.0}) == Focal(None, 3.0)
    assert penalty_of({"loss": "asl", "gamma_pos": 1.0, "gamma_neg": 4.0, "clip": 0.2}) == Asymmetric(1.0, 4.0, 0.2)
    with pytest.raises(ValueError, match="loss 'an_full' is none of bce, focal, asl"):
        penalty_of({"loss": "an_full"})


def test_a_difference_from_two_intervals_covers_what_it_should():
    """Against simulation: two independent normal means, whose 95 % intervals are +- 1.96 standard errors."""
    rng = np.random.default_rng(0)
    errors = np.array([0.02, 0.05])
    means = np.array([0.6, 0.5]) + rng.normal(0, errors, (4000, 2))
    hits = 0
    for pair in means:
        rows = [{"mean": m, "low": m - 1.96 * e, "high": m + 1.96 * e} for m, e in zip(pair, errors, strict=True)]
        found = recovered([(1.0, rows[0]), (-1.0, rows[1])])
        hits += found.low <= 0.1 <= found.high
    assert hits / len(means) == pytest.approx(0.95, abs=0.01)


def test_a_recovered_interval_turns_round_with_the_difference():
    a, b = {"mean": 0.5, "low": 0.4, "high": 0.7}, {"mean": 0.3, "low": 0.25, "high": 0.31}
    there, back = recovered([(1, a), (-1, b)]), recovered([(1, b), (-1, a)])
    assert there.mean == pytest.approx(0.2)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low == pytest.approx(0.2 - np.hypot(0.1, 0.01))
    assert there.high == pytest.approx(0.2 + np.hypot(0.2, 0.05))


def test_curves_are_averaged_over_seeds_at_each_recall():
    curve = pl.DataFrame({"seed": [0, 0, 1, 1], "x": [0.1, 0.5, 0.5, 0.1], "y": [1.0, 0.4, 0.6, 0.8], "n": [9] * 4})
    assert mean_curve(curve).rows() == [(0.1, 0.9), (0.5, 0.5)]


def test_calibration_is_pooled_as_if_all_pairs_were_one_seed():
    rng = np.random.default_rng(1)
    logit = rng.normal(-2, 2, 4000)
    score, present = 1 / (1 + np.exp(-logit)), rng.random(4000) < 0.3
    points = []
    for seed in range(4):
        for place in np.unique(np.floor(logit[seed::4] / 0.5)):
            held = np.floor(logit[seed::4] / 0.5) == place
            points.append((seed, score[seed::4][held].mean(), present[seed::4][held].mean(), int(held.sum())))
    pooled = pooled_calibration(pl.DataFrame(points, schema=["seed", "x", "y", "n"], orient="row"))
    assert pooled["n"].sum() == 4000
    for (x, y, n), place in zip(pooled.rows(), np.unique(np.floor(logit / 0.5)), strict=True):
        held = np.floor(logit / 0.5) == place
        assert (x, y, n) == pytest.approx((score[held].mean(), present[held].mean(), held.sum()))
    assert calibration_error(pooled)[1] == pytest.approx(score.mean() - present.mean())
    assert calibration_error(pooled)[0] >= abs(calibration_error(pooled)[1])


@pytest.mark.parametrize(("share", "weight", "background"), [(0.01, 16, 0.0), (0.3, 1, 0.0), (0.002, 2048, 1.0)])
def test_the_expected_score_is_where_the_loss_is_least(share, weight, background):
    x = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
    penalty = CrossEntropy()
    loss = weight * share * penalty.positive(x) + (1 - share + background) * penalty.negative(x)
    least = torch.sigmoid(x[loss.argmin()]).item()
    assert expected_score(share, weight, background) == pytest.approx(least, rel=1e-3)


def test_thirds_divide_all_species_and_keep_ties_together():
    values = np.array([5, 1, 1, 3, 9, 9, 2, 1, 4])
    masks = thirds(values)
    assert np.sum(masks, axis=0).tolist() == [1] * 9
    for value in np.unique(values):
        assert sum(bool(mask[values == value].any()) for mask in masks) == 1
    assert [values[mask].tolist() for mask in masks] == [[1, 1, 1], [3, 2, 4], [5, 9, 9]]


def test_the_widest_block_with_four_corners_comes_first():
    grid = {(x, y): f"{x}{y}" for x in (1, 2, 3) for y in (0, 5, 7)}
    assert complete_blocks(grid)[0] == ((1, 3), (0, 7))
    del grid[1, 7], grid[3, 0]
    assert set(complete_blocks(grid)) == {((1, 2), (0, 5)), ((2, 3), (5, 7))}
    for (x0, x1), (y0, y1) in complete_blocks(grid):
        assert {(x0, y0), (x0, y1), (x1, y0), (x1, y1)} <= grid.keys()
    assert complete_blocks({(1, 2): "a", (1, 3): "b", (2, 2): "c"}) == []
