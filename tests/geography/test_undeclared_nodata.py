"""Undeclared nodata: which constants stand alone, in every type."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from presence_only.geography.undeclared_nodata import undeclared_fill, undefined

KINDS = ["float32", "float64", "int16", "int32", "int64", "uint16", "uint32"]


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_are_measured_stay(kind):
    rng = np.random.default_rng(0)
    cells = rng.integers(0 if kind.startswith("u") else -5000, 30_000, 5000).astype(kind)
    before = cells.copy()
    fill = undeclared_fill("a", cells)
    assert fill.notes == ()
    assert not undefined(cells, fill.values).any()
    assert_array_equal(cells, before)


@pytest.mark.parametrize("kind", ["float32", "int16", "int32"])
def test_several_constants_may_stand_side_by_side(kind):
    cells = np.array([5, 7, -9999, 11, -32768, -9999, 12], dtype=kind)
    fill = undeclared_fill("a", cells)
    assert_array_equal(undefined(cells, fill.values), [False, False, True, False, True, True, False])
    assert ["-32768" in note for note in fill.notes] == [True, False]


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_a_layer_may_hold_nothing_else(shape):
    cells = np.full(shape, -9999.0)
    assert undefined(cells, undeclared_fill("a", cells).values).all()
    assert undefined(cells, ()).shape == shape


def test_what_is_not_in_the_part_that_was_looked_at_is_found_too():
    fill = undeclared_fill("a", np.arange(100, dtype="uint16"))
    assert fill.notes == ()
    assert_array_equal(undefined(np.array([3, 65535], dtype="uint16"), fill.values), [False, True])


@pytest.mark.parametrize("beside", [-9998.5, -5200.0])
def test_a_constant_with_values_near_it_is_a_measurement(beside):
    cells = np.concatenate([np.linspace(0, 40, 1000), [-9999.0, beside]])
    fill = undeclared_fill("a", cells)
    assert -9999 not in fill.values
    assert fill.notes == ()
    frequent = undeclared_fill("a", np.concatenate([cells, np.full(9, -9999.0)]))
    assert frequent.values == fill.values
    assert "cells of -9999 (0.99% of the cells that were looked at) are taken as a measurement" in frequent.notes[0]


@pytest.mark.parametrize("kind", ["uint8", "int8", "bool"])
def test_of_8_bits_all_values_count(kind):
    cells = np.array([0, 1, 3, 100, 127], dtype=kind)
    assert undeclared_fill("a", cells).values == ()


def test_what_is_not_finite_or_huge_is_undefined():
    cells = np.array([np.nan, np.inf, -np.inf, 1e19, -3.4e38, 9.9e18, 0.0])
    assert_array_equal(undefined(cells, ()), [True, True, True, True, True, False, False])
    assert_array_equal(undefined(np.array([2**63 - 1, 0]), ()), [False, False])
