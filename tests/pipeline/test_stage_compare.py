"""The tables over all data sets by the stage that writes them, and what figures, terminal and reader make of them."""

import polars as pl
import pytest
from scipy import stats
from support import tiny
from support.tiny_results import write_study

from presence_only.common.settings import SettingsError
from presence_only.evaluation.metrics import METRICS
from presence_only.pipeline import compare, mlflow_mirror, show
from presence_only.reporting import study_figures
from presence_only.statistics.significance import is_significant_across
from presence_only.study.params import Params
from presence_only.study.paths import ACROSS, ACROSS_PAIRS, COMPARISON
from presence_only.study.results import StudyResults


def settings(n, **study):
    names = [f"world_{i}" for i in range(n)]
    kinds = {name: {"kind": "virtual", "seed": i} for i, name in enumerate(names)}
    return tiny.params(datasets=kinds, study__datasets=names, **study)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The tables of a study of some data sets, written by the stage."""

    def write(n, **study):
        write_study(tmp_path, settings(n, **study), level={"an_full": 0.6})
        (tmp_path / ACROSS).unlink()
        (tmp_path / ACROSS_PAIRS).unlink()
        monkeypatch.chdir(tmp_path)
        compare.main()
        return StudyResults()

    return write


def test_the_tables_are_over_the_means_of_the_data_sets(written):
    study = written(4)
    assert set(study.across["metric"]) == set(METRICS)
    for row in study.across.filter(metric="species_map").iter_rows(named=True):
        mean_W = pl.read_csv(COMPARISON).filter(metric="species_map", variant=row["variant"])["mean"].to_numpy()
        interval = stats.ttest_1samp(mean_W, 0).confidence_interval(0.95)
        assert len(mean_W) == row["n_worlds"] == 4
        assert [row["mean"], row["low"], row["high"]] == pytest.approx([mean_W.mean(), *interval], abs=1e-5)
    (pair,) = study.pairs_across()
    assert (pair.first, pair.second, pair.significant, pair.share_of_worlds) == ("an_full", "bce", True, 1)
    assert pair.difference == pytest.approx(sum(study.pair(d, "an_full", "bce").difference for d in study.datasets) / 4)
    for row in pl.read_csv(ACROSS_PAIRS).iter_rows(named=True):
        assert is_significant_across(row) is row["significant"]


def test_two_data_sets_are_too_few_and_have_tables_all_the_same(written):
    study = written(2)
    assert not study.over_all
    assert study.pairs_across() == ()
    assert len(study.across) == 0
    assert ACROSS.read_text() == "metric,scenario,variant,mean,sd,low,high,new_low,new_high,n_worlds,rank\n"
    assert ACROSS_PAIRS.read_text().count("\n") == 1


def test_scenarios_of_the_settings_are_strata(written):
    study = written(4, study__scenarios={f"world_{i}": "few" if i < 2 else "many" for i in range(4)})
    assert set(study.across["scenario"]) == {"all", "few", "many"}
    (whole,), (few,) = study.pairs_across(), study.pairs_across(scenario="few")
    assert (whole.n_worlds, few.n_worlds) == (4, 2)


@pytest.mark.parametrize(
    ("scenarios", "sentence"),
    [
        ({"world_0": "few"}, "must be a mapping of every entry of study.datasets, and of no other"),
        ({"world_0": "all", "world_1": "all"}, "must be names of scenarios other than 'all'"),
        (["few", "many"], "must be a mapping"),
    ],
)
def test_scenarios_name_every_data_set(scenarios, sentence):
    with pytest.raises(SettingsError, match=rf"^study\.scenarios.*: {sentence}"):
        Params.parse(settings(2, study__scenarios=scenarios))


def test_scenarios_are_among_the_written_settings_where_there_are_any():
    scenarios = {"world_0": "few", "world_1": "many"}
    assert Params.parse(settings(2, study__scenarios=scenarios)).resolved()["study"]["scenarios"] == scenarios
    assert "scenarios" not in Params.parse(settings(2)).resolved()["study"]


def test_the_terminal_shows_one_table_more(written, monkeypatch, capsys):
    monkeypatch.setattr(mlflow_mirror, "repository_root", lambda folder: folder)
    written(3)
    show.main()
    said = capsys.readouterr().out
    assert said.index("world_2: mean of") < said.index("over all data sets: 3 data sets")
    (line,) = [line for line in said.splitlines() if "3 of 3" in line]
    assert "bce" in line
    assert line.rstrip(" │").endswith("significant")
    written(2)
    show.main()
    assert "over all data sets" not in capsys.readouterr().out


@pytest.mark.parametrize(("n", "figures"), [(2, set()), (3, {"across.png"})])
def test_three_data_sets_have_a_figure_of_all(written, tmp_path, monkeypatch, n, figures):
    study = written(n)
    monkeypatch.setattr(study_figures, "draw_maps", lambda *_: None)
    (tmp_path / "main").mkdir()
    (tmp_path / "more").mkdir()
    study_figures.draw_study(study, tmp_path / "main", tmp_path / "more")
    assert {path.name for path in (tmp_path / "main").iterdir()} == figures | {
        f"species_map_world_{i}.png" for i in range(n)
    }
