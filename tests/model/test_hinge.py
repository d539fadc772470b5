import numpy as np

from presence_only.model.expansions.base import Columns
from presence_only.model.expansions.hinge import KNOTS, Hinges


def columns(standard):
    """One coordinate, and covariates, of which hinges read what is standardised."""
    return Columns(standard[:, :1], np.full_like(standard[:, 1:], np.nan), standard[:, 1:])


def hinges(standard):
    made = Hinges(1, standard.shape[1] - 1)
    made.fit(columns(standard), ())
    return made


def test_hinges_are_the_column_its_square_and_ramps_of_unit_variance():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 2))
    made = hinges(x)
    out = made(columns(x))
    assert out.shape == (500, made.size) == (500, 2 * (2 + KNOTS))
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=1e-12)
    for i, raw in enumerate((x, x**2)):
        np.testing.assert_allclose(out[:, 2 * i : 2 * i + 2], (raw - raw.mean(0)) / raw.std(0), atol=1e-12)
    knots = np.quantile(x, np.linspace(0, 1, KNOTS + 2), axis=0)
    for i in range(KNOTS):
        ramp = np.maximum(x - knots[i + 1], 0)
        expected = (ramp - ramp.mean(axis=0)) / ramp.std(axis=0)
        np.testing.assert_allclose(out[:, 4 + 2 * i : 6 + 2 * i], expected, atol=1e-12)
    # Beyond the range that was seen, nothing changes any more.
    far, end = (made(columns(at)) for at in (np.full((1, 2), 99.0), x.max(axis=0, keepdims=True)))
    np.testing.assert_array_equal(far, end)
    np.testing.assert_array_equal(made(columns(np.array([[0.0, np.nan]]))), made(columns(np.zeros((1, 2)))))


def test_a_constant_column_is_harmless():
    made = hinges(np.zeros((10, 2)))
    assert not made(columns(np.zeros((3, 2)))).any()
