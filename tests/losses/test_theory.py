import pytest
import torch
from presence_only.losses.elementwise import Asymmetric, CrossEntropy, Focal

from presence_only.losses.theory import (
    complete_blocks,
    expected_score,
    penalty_of,
)


def test_penalties_are_those_of_the_settings():
    assert penalty_of({"loss": "bce", "pos_weight": True}) == CrossEntropy()
    assert penalty_of({"loss": "focal", "alpha": None, "gamma": 3.0}) == Focal(None, 3.0)
    assert penalty_of({"loss": "asl", "gamma_pos": 1.0, "gamma_neg": 4.0, "clip": 0.2}) == Asymmetric(1.0, 4.0, 0.2)
    with pytest.raises(ValueError, match="loss 'an_full' is none of bce, focal, asl"):
        penalty_of({"loss": "an_full"})


@pytest.mark.parametrize(("share", "weight", "background"), [(0.01, 16, 0.0), (0.3, 1, 0.0), (0.002, 2048, 1.0)])
def test_the_expected_score_is_where_the_loss_is_least(share, weight, background):
    x = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
    penalty = CrossEntropy()
    loss = weight * share * penalty.positive(x) + (1 - share + background) * penalty.negative(x)
    least = torch.sigmoid(x[loss.argmin()]).item()
    assert expected_score(share, weight, background) == pytest.approx(least, rel=1e-3)


def test_the_widest_block_with_four_corners_comes_first():
    grid = {(x, y): f"{x}{y}" for x in (1, 2, 3) for y in (0, 5, 7)}
    assert complete_blocks(grid)[0] == ((1, 3), (0, 7))
    del grid[1, 7], grid[3, 0]
    assert set(complete_blocks(grid)) == {((1, 2), (0, 5)), ((2, 3), (5, 7))}
    for (x0, x1), (y0, y1) in complete_blocks(grid):
        assert {(x0, y0), (x0, y1), (x1, y0), (x1, y1)} <= grid.keys()
    assert complete_blocks({(1, 2): "a", (1, 3): "b", (2, 2): "c"}) == []
