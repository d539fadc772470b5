"""Every metric by the contract that all keep, and the known ones against scikit-learn."""

import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from support.matrices import Parts, TruthParts

from presence_only.evaluation import metrics
from presence_only.evaluation import ranks_of_presences as ranking
from presence_only.evaluation.metrics import (
    METRICS,
    auc_roc,
    average_precision,
    evaluate,
    in_tables,
    sample_average_precision,
)
from presence_only.evaluation.ranks_of_presences import matrices

REFERENCES = {
    "species_map": average_precision_score,
    "sample_map": average_precision_score,
    "auc_roc": roc_auc_score,
}


def reference(metric, scores_MS, truth_MS):
    """scikit-learn, one unit after the other, over what was surveyed."""
    if METRICS[metric].unit == "site":
        scores_MS, truth_MS = scores_MS.T, truth_MS.T
    function = REFERENCES[metric]
    values = []
    for scores_M, truth_M in zip(scores_MS.T, truth_MS.T, strict=True):
        truth_M, scores_M = truth_M[truth_M >= 0], scores_M[truth_M >= 0]
        without = not truth_M.any() or (function is roc_auc_score and truth_M.all())
        values.append(np.nan if without else function(truth_M, scores_M))
    return np.array(values)


def example(rng, n_sites=60, n_species=90, prevalence=0.2, unsurveyed=0.3):
    """Scores that know something, and a truth with presences, absences and holes."""
    truth_MS = (rng.random((n_sites, n_species)) < prevalence).astype(np.int8)
    scores_MS = rng.standard_normal((n_sites, n_species)) + truth_MS
    truth_MS[rng.random(truth_MS.shape) < unsurveyed] = -1
    return scores_MS, truth_MS


@pytest.mark.parametrize("metric", METRICS)
class TestEveryMetric:
    """What holds for any entry of the table; a metric that somebody adds is found."""

    def test_values_lie_within_0_and_1_and_good_scores_have_higher_ones(self, metric):
        scores_MS, truth_MS = example(np.random.default_rng(0))
        good, poor = (METRICS[metric].function(scores_MS + gain * truth_MS, truth_MS) for gain in (3, -3))
        for values in (good, poor):
            assert values.dtype == np.float64
            assert np.count_nonzero(~np.isnan(values)) > 50
            assert 0 <= np.nanmin(values) <= np.nanmax(values) <= 1
        assert np.nanmean(good) > np.nanmean(poor) + 0.1

    def test_the_order_of_sites_and_species_changes_nothing(self, metric):
        rng = np.random.default_rng(1)
        scores_MS, truth_MS = example(rng)
        scores_MS = scores_MS.round(1)
        sites, species = rng.permutation(60), rng.permutation(90)
        values = METRICS[metric].function(scores_MS, truth_MS)
        permuted = METRICS[metric].function(scores_MS[sites][:, species], truth_MS[sites][:, species])
        order = species if METRICS[metric].unit == "species" else sites
        np.testing.assert_allclose(permuted, values[order], rtol=0, atol=1e-14)

    @pytest.mark.parametrize("at_unsurveyed", [1e30, -1e30, np.inf, np.nan])
    def test_what_was_not_surveyed_has_no_influence(self, metric, at_unsurveyed):
        scores_MS, truth_MS = example(np.random.default_rng(4))
        function = METRICS[metric].function
        changed_MS = np.where(truth_MS < 0, at_unsurveyed, scores_MS)
        np.testing.assert_array_equal(function(changed_MS, truth_MS), function(scores_MS, truth_MS))

    def test_reads_any_memory_order_and_leaves_its_input(self, metric):
        scores_MS, truth_MS = example(np.random.default_rng(6))
        before = scores_MS.copy(), truth_MS.copy()
        function = METRICS[metric].function
        values = function(scores_MS, truth_MS)
        np.testing.assert_array_equal(function(np.asfortranarray(scores_MS), np.asfortranarray(truth_MS)), values)
        wide_MS = np.repeat(scores_MS, 2, axis=1)
        np.testing.assert_array_equal(function(wide_MS[:, ::2], truth_MS), values)
        scores_MS.flags.writeable = truth_MS.flags.writeable = False
        np.testing.assert_array_equal(function(scores_MS, truth_MS), values)
        np.testing.assert_array_equal(scores_MS, before[0])
        np.testing.assert_array_equal(truth_MS, before[1])

    def test_undefined_units_are_nan(self, metric):
        scores_MS, truth_MS = example(np.random.default_rng(7), 20, 20)
        truth_MS[:, 3], truth_MS[4] = 0, 0
        truth_MS[:, 5], truth_MS[6] = -1, -1
        values = METRICS[metric].function(scores_MS, truth_MS)
        undefined = (3, 5) if METRICS[metric].unit == "species" else (4, 6)
        assert np.isnan(values[list(undefined)]).all()
        assert not np.isnan(values).all()

    def test_no_sites_or_no_species_give_nan_or_nothing(self, metric):
        by_species = METRICS[metric].unit == "species"
        for shape in ((0, 4), (4, 0)):
            values = METRICS[metric].function(np.zeros(shape), np.zeros(shape, dtype=np.int8))
            assert values.shape == (shape[1] if by_species else shape[0],)
            assert np.isnan(values).all()

    def test_a_nan_is_told_by_the_place_of_its_unit(self, metric):
        scores_MS, truth_MS = example(np.random.default_rng(8), 10, 70)
        truth_MS[2, 66] = 0
        scores_MS[2, 66] = np.nan
        place = "species 66" if METRICS[metric].unit == "species" else "site 2"
        with pytest.raises(ValueError, match=f"^scores hold NaN at {place}: every surveyed score must"):
            METRICS[metric].function(scores_MS, truth_MS)


NOTHING = np.zeros((4, 3), dtype=np.int8)


@pytest.mark.parametrize(
    ("scores_MS", "truth_MS", "message"),
    [
        (
            np.zeros((3, 2)),
            np.zeros((3, 4), dtype=np.int8),
            r"scores have shape \(3, 2\) and truth \(3, 4\): both must be",
        ),
        (
            np.zeros(3),
            np.zeros(3, dtype=np.int8),
            r"scores have shape \(3,\) and truth \(3,\): both must be \(sites, spec",
        ),
        (np.zeros((4, 3)), np.zeros((4, 3)), "truth has dtype float64: it must hold the integers 1, 0 and -1"),
        (np.zeros((4, 3)), NOTHING + 2, "truth holds 2: it must be 1 present, 0 absent or -1 not surveyed"),
        (np.zeros((4, 3)), NOTHING - 2, "truth holds -2: it must be 1 present, 0 absent or -1 not surveyed"),
        (np.full((4, 3), np.nan), NOTHING, "scores hold NaN at species 0: every surveyed score must be a number"),
    ],
)
def test_wrong_scores_and_truths_are_one_sentence(scores_MS, truth_MS, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        evaluate(scores_MS, truth_MS)


def test_the_table_of_metrics_has_a_column_each():
    for unit in ("species", "site"):
        columns = [metric.column for metric in METRICS.values() if metric.unit == unit]
        assert len({*columns, "n_presences", "n_surveyed", "prevalence"}) == len(columns) + 3
    assert set(in_tables()) == set(METRICS)
    units = [metric.unit for metric in in_tables().values()]
    assert units == sorted(units, key=["species", "site"].index)
    assert not [name for name in METRICS if name.startswith("n_")]


@pytest.mark.parametrize("metric", REFERENCES)
class TestKnownMetric:
    def test_a_perfect_ranking_is_one(self, metric):
        _, truth_MS = example(np.random.default_rng(0))
        values = METRICS[metric].function(truth_MS.astype(float), truth_MS)
        defined = values[~np.isnan(values)]
        assert len(defined) > 50
        np.testing.assert_array_equal(defined, 1.0)

    def test_a_monotone_transform_of_the_scores_changes_nothing(self, metric):
        scores_MS, truth_MS = example(np.random.default_rng(2))
        function = METRICS[metric].function
        np.testing.assert_array_equal(function(np.exp(scores_MS), truth_MS), function(scores_MS, truth_MS))

    def test_constant_scores_give_chance(self, metric):
        _, truth_MS = example(np.random.default_rng(3))
        values = METRICS[metric].function(np.full(truth_MS.shape, 0.25), truth_MS)
        axis = 0 if METRICS[metric].unit == "species" else 1
        prevalence = (truth_MS == 1).sum(axis) / (truth_MS >= 0).sum(axis)
        defined = ~np.isnan(values)
        assert defined.sum() > 50
        chance = 0.5 if metric == "auc_roc" else prevalence[defined]
        np.testing.assert_allclose(values[defined], chance, rtol=1e-15)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("decimals", [0, 1, 12])
    @pytest.mark.parametrize("unsurveyed", [0.0, 0.3])
    def test_equals_scikit_learn(self, metric, dtype, decimals, unsurveyed):
        # More species, and more sites, than a chunk.
        scores_MS, truth_MS = example(np.random.default_rng(5), 66, 67, 0.2, unsurveyed)
        self.compare(metric, scores_MS.round(decimals).astype(dtype), truth_MS)

    @pytest.mark.parametrize("shape", [(130, 7), (3, 130), (1, 5)])
    def test_equals_scikit_learn_in_any_shape(self, metric, shape):
        scores_MS, truth_MS = example(np.random.default_rng(5), *shape)
        self.compare(metric, scores_MS.round(1), truth_MS)

    def test_equals_the_same_formula_written_for_one_unit(self, metric):
        """A plain formula beside that of ranks; what it does to the scores that it is given, nobody else notices."""

        def plain(scores_N, present_N):
            assert present_N.dtype == bool
            assert present_N.any()
            value = np.nan if metric == "auc_roc" and present_N.all() else REFERENCES[metric](present_N, scores_N)
            scores_N[:] = np.nan
            return value

        for unsurveyed in (0.0, 0.3):
            scores_MS, truth_MS = example(np.random.default_rng(5), 30, 70, unsurveyed=unsurveyed)
            both = matrices(scores_MS.round(1), truth_MS)
            formulas = [plain, METRICS[metric].formula, plain]
            first, ranked, last = ranking.per_unit(METRICS[metric].unit, *both, formulas)
            np.testing.assert_allclose(first, ranked, rtol=0, atol=1e-12)
            np.testing.assert_array_equal(first, last)

    def compare(self, metric, scores_MS, truth_MS):
        values = METRICS[metric].function(scores_MS, truth_MS)
        np.testing.assert_allclose(values, reference(metric, scores_MS, truth_MS), rtol=0, atol=1e-12)


def test_average_precision_by_hand():
    scores_MS = np.array([[4.0], [3.0], [3.0], [1.0]])
    truth_MS = np.array([[0], [1], [0], [1]], dtype=np.int8)
    # Presences at thresholds 3 (1 of 3) and 1 (2 of 4).
    np.testing.assert_allclose(average_precision(scores_MS, truth_MS), [(1 / 3 + 2 / 4) / 2])


def test_auc_by_hand():
    scores_MS = np.array([[4.0], [3.0], [3.0], [1.0]])
    truth_MS = np.array([[0], [1], [0], [1]], dtype=np.int8)
    # Of four pairs, one is tied and the presence is never ahead.
    np.testing.assert_allclose(auc_roc(scores_MS, truth_MS), [0.5 / 4])


def test_sample_average_precision_is_that_of_the_transpose():
    scores_MS, truth_MS = example(np.random.default_rng(10))
    np.testing.assert_array_equal(
        sample_average_precision(scores_MS, truth_MS), average_precision(scores_MS.T, truth_MS.T)
    )


def test_auc_without_absences_is_nan():
    assert np.isnan(auc_roc(np.arange(3.0)[:, None], np.ones((3, 1), dtype=np.int8))).all()


def test_infinite_scores_rank_first_and_last():
    scores_MS = np.array([[np.inf], [1.0], [-np.inf], [-np.inf]])
    truth_MS = np.array([[1], [0], [1], [0]], dtype=np.int8)
    np.testing.assert_allclose(average_precision(scores_MS, truth_MS), [(1 + 2 / 4) / 2])
    np.testing.assert_allclose(auc_roc(scores_MS, truth_MS), [(2 + 0.5) / 4])


def test_saturated_probabilities_are_ties():
    logits_MS = np.random.default_rng(11).normal(60, 5, (50, 5))
    truth_MS = (np.random.default_rng(12).random((50, 5)) < 0.3).astype(np.int8)
    probabilities_MS = 1 / (1 + np.exp(-logits_MS))
    assert (probabilities_MS == 1).all()
    np.testing.assert_allclose(average_precision(probabilities_MS, truth_MS), truth_MS.mean(axis=0))


def test_booleans_and_integers_are_read_as_truth_and_scores():
    scores_MS, truth_MS = example(np.random.default_rng(13), unsurveyed=0.0)
    counts_MS = (scores_MS * 4).astype(np.int64)
    expected = reference("species_map", counts_MS, truth_MS)
    np.testing.assert_allclose(average_precision(counts_MS, truth_MS == 1), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(average_precision(counts_MS, truth_MS.astype(np.int64)), expected, rtol=0, atol=1e-12)


class TestEvaluate:
    def test_summary_and_tables(self):
        scores_MS, truth_MS = example(np.random.default_rng(14), 40, 12)
        truth_MS[:, 2], truth_MS[:, 3] = 0, -1
        evaluation = evaluate(scores_MS, truth_MS)
        summary, species = evaluation.summary, evaluation.per_species
        for metric in METRICS:
            values = reference(metric, scores_MS, truth_MS)
            np.testing.assert_allclose(evaluation.values(metric), values, rtol=0, atol=1e-12)
            assert summary[metric] == pytest.approx(np.nanmean(values), abs=1e-12)
        assert (summary["n_species"], summary["n_species_without_presences"], summary["n_sites"]) == (12, 2, 40)
        assert set(summary) == {*METRICS, "n_species", "n_species_without_presences", "n_sites"}
        own = {metric.column for metric in METRICS.values() if metric.unit == "species"}
        assert set(species) == {*own, "n_presences", "n_surveyed", "prevalence"}
        for i in range(12):
            surveyed = [value for value in truth_MS[:, i].tolist() if value >= 0]
            assert species["n_presences"][i] == sum(surveyed)
            assert species["n_surveyed"][i] == len(surveyed)
            if surveyed:
                assert species["prevalence"][i] == sum(surveyed) / len(surveyed)
        assert np.isnan(species["prevalence"][3])

    def test_nothing_present_is_nan_without_a_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            summary = evaluate(np.zeros((3, 2)), np.full((3, 2), -1, dtype=np.int8)).summary
        assert all(np.isnan(summary[metric]) for metric in METRICS)
        assert summary["n_species_without_presences"] == 2

    def test_unknown_metric(self):
        evaluation = evaluate(np.zeros((3, 2)), np.zeros((3, 2), dtype=np.int8))
        with pytest.raises(ValueError, match=r"^unknown metric 'mAP'; known: species_map, sample_map, auc_roc$"):
            evaluation.values("mAP")


def made_scores(sites, species):
    """Something without order."""
    return ((sites * 7919 + species * 104729 + sites * species) % 1000).astype(np.float32)


def made_truth(sites, species):
    """About 2 % present, and every seventh species surveyed at every other site."""
    present = ((sites * 31 + species * 17 + sites * species * 3) % 47 == 0).astype(np.int8)
    return np.where((species % 7 == 3) & (sites % 2 == 0), np.int8(-1), present)


class TestParts:
    def test_equals_arrays_bit_by_bit(self, monkeypatch):
        scores, truth = Parts((90, 150), made_scores), TruthParts((90, 150), made_truth)
        expected = evaluate(made_scores(*np.indices((90, 150))), truth.whole())
        for whole in (0, 2**24):
            monkeypatch.setattr(metrics, "WHOLE", whole or 1)
            found = evaluate(scores, truth)
            assert found.summary == expected.summary
            for table in ("per_species", "per_site"):
                for name, values in getattr(expected, table).items():
                    np.testing.assert_array_equal(getattr(found, table)[name], values)
        for metric in METRICS.values():
            np.testing.assert_array_equal(
                metric.function(scores, truth), metric.function(scores.columns(slice(None)), truth.whole())
            )

    def test_chunks_shrink_with_the_number_of_sites(self, monkeypatch):
        scores, truth = Parts((90, 150), made_scores), TruthParts((90, 150), made_truth)
        expected = average_precision(scores, truth)
        assert max(scores.asked) == 90 * 64
        monkeypatch.setattr(ranking, "_CHUNK_SCORES", 300)
        scores.asked.clear()
        np.testing.assert_array_equal(average_precision(scores, truth), expected)
        assert max(scores.asked) <= 300

    def test_memory_stays_far_below_the_matrix(self, monkeypatch):
        """5,000 sites x 2,000 species are 40 MB of scores and 10 MB of truth."""
        monkeypatch.setattr(ranking.os, "cpu_count", lambda: 2)
        monkeypatch.setattr(metrics, "WHOLE", 1)
        shape = n_sites, n_species = 5_000, 2_000
        rng = np.random.default_rng(0)
        scores_M = rng.standard_normal((n_sites, 1), dtype=np.float32)
        offset_S = rng.standard_normal((1, n_species), dtype=np.float32)
        scores = Parts(shape, lambda sites, species: scores_M[sites[:, 0]] * offset_S[:, species[0]])
        truth = TruthParts(shape, lambda sites, species: (((sites & 63) == 5) & (species % 2 == 0)).view(np.int8))
        counts = np.where(np.arange(n_species) % 2 == 0, np.count_nonzero((np.arange(n_sites) & 63) == 5), 0)
        truth.presences_per_species = lambda: counts
        truth.surveyed_per_species = lambda: np.full(n_species, n_sites)
        tracemalloc.start()
        evaluation = evaluate(scores, truth)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert np.count_nonzero(np.isnan(evaluation.values("species_map"))) == n_species / 2
        assert max(scores.asked) <= 64 * n_sites
        # Per thread a chunk of 1.3 MB, its copies, and what the test makes it of.
        assert peak < 0.4 * 4 * n_sites * n_species

    def test_a_grid_of_the_world_has_no_metric_per_site(self, monkeypatch):
        scores_MS, truth_MS = example(np.random.default_rng(15), 40, 12)
        monkeypatch.setattr(metrics, "SITES_LIMIT", 39)
        limited = evaluate(scores_MS, truth_MS)
        monkeypatch.setattr(metrics, "SITES_LIMIT", 40)
        whole = evaluate(scores_MS, truth_MS)
        assert np.isnan(limited.summary["sample_map"])
        assert limited.per_site["ap"].shape == (40,)
        assert np.isnan(limited.per_site["ap"]).all()
        assert limited.summary["species_map"] == whole.summary["species_map"]
        assert whole.summary["sample_map"] > 0

    def test_a_broken_part_stops_the_evaluation(self):
        def broken(sites, species):
            raise RuntimeError("no logits")

        with pytest.raises(RuntimeError, match="no logits"):
            average_precision(Parts((30, 300), broken), TruthParts((30, 300), made_truth))


@pytest.mark.parametrize("advantage", [0.0, 2.0, 6.0])
@pytest.mark.parametrize("prevalence", [0.002, 0.05, 0.6])
@pytest.mark.parametrize("unsurveyed", [0.0, 0.4])
def test_how_good_scores_are_changes_nothing_of_the_value(advantage, prevalence, unsurveyed):
    """What scores below all presences is not sorted: few, most or none of the sites."""
    rng = np.random.default_rng(16)
    truth_MS = (rng.random((3000, 5)) < prevalence).astype(np.int8)
    truth_MS[7] = 1
    scores_MS = (rng.standard_normal((3000, 5)) + advantage * truth_MS).round(2).astype(np.float32)
    truth_MS[rng.random(truth_MS.shape) < unsurveyed] = -1
    for metric in ("species_map", "auc_roc"):
        values = METRICS[metric].function(scores_MS, truth_MS)
        np.testing.assert_allclose(values, reference(metric, scores_MS, truth_MS), rtol=0, atol=1e-12)
