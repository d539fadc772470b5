"""Blocks of variants that cross two settings."""

from presence_only.reporting.notebook.interactions import complete_blocks


def test_the_widest_block_with_four_corners_comes_first():
    grid = {(x, y): f"{x}{y}" for x in (1, 2, 3) for y in (0, 5, 7)}
    assert complete_blocks(grid)[0] == ((1, 3), (0, 7))
    del grid[1, 7], grid[3, 0]
    assert set(complete_blocks(grid)) == {((1, 2), (0, 5)), ((2, 3), (5, 7))}
    for (x0, x1), (y0, y1) in complete_blocks(grid):
        assert {(x0, y0), (x0, y1), (x1, y0), (x1, y1)} <= grid.keys()
    assert complete_blocks({(1, 2): "a", (1, 3): "b", (2, 2): "c"}) == []
