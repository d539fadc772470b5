import numpy as np
import pytest
from scipy import stats

from presence_only.statistics.average_ranks import groups, nemenyi_difference, rank_variants


def test_ranks_and_friedman_by_scipy():
    rng = np.random.default_rng(0)
    values = {name: rng.normal(gain, 0.5, (2, 30)) for name, gain in {"a": 0.0, "b": 0.3, "c": 0.6}.items()}
    found = rank_variants(values)
    mean_KU = np.stack([v.mean(axis=0) for v in values.values()])
    slow = dict.fromkeys(values, 0.0)
    for u in range(30):
        for name, value in zip(values, mean_KU[:, u], strict=True):
            slow[name] += (1 + sum(other > value for other in mean_KU[:, u])) / 30
    assert dict(zip(found.variants, found.ranks, strict=True)) == pytest.approx(slow)
    assert list(found.ranks) == sorted(found.ranks)
    chi2 = stats.friedmanchisquare(*mean_KU).statistic
    f = 29 * chi2 / (30 * 2 - chi2)
    assert found.p_friedman == pytest.approx(stats.f.sf(f, 2, 58))


def test_ties_share_their_rank():
    found = rank_variants({"a": np.ones((1, 4)), "b": np.ones((1, 4))})
    assert found.ranks == (1.5, 1.5)
    assert found.p_friedman == 1.0
    clear = rank_variants({"a": np.ones((1, 4)), "b": np.zeros((1, 4))})
    assert clear.variants == ("a", "b")
    assert clear.p_friedman == 0.0


def test_critical_difference_is_demsars():
    # Demsar's table 5(a): q_0.05 is 1.960 for 2, 2.343 for 3 and 3.164 for 10 classifiers; his example, 4 on 14.
    for k, q in ((2, 1.960), (3, 2.343), (10, 3.164)):
        assert nemenyi_difference(k, 6) == pytest.approx(q * (k * (k + 1) / 36) ** 0.5, rel=1e-3)
    assert nemenyi_difference(4, 14) == pytest.approx(1.25, abs=0.01)


def test_groups_are_the_largest_runs_without_a_significant_pair():
    def pairs(*names):
        return {frozenset(name) for name in names}

    assert groups("abcd", pairs("ac", "ad", "bd")) == (("a", "b"), ("b", "c"), ("c", "d"))
    assert groups("abcd", pairs("ad")) == (("a", "b", "c"), ("b", "c", "d"))
    assert groups("abcd", set()) == (("a", "b", "c", "d"),)
    assert groups("abc", pairs("ab", "ac", "bc")) == ()
    # A significant pair inside splits a run even where its ends are alike.
    assert groups("abc", pairs("bc")) == (("a", "b"),)


def test_wrong_level():
    with pytest.raises(ValueError, match="level = 0: must lie within"):
        rank_variants({"a": np.zeros((1, 2)), "b": np.zeros((1, 2))}, level=0)
