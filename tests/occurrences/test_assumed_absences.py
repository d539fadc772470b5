"""Random places as absences: where they lie, how many there are, and what survey they make."""

import numpy as np
import pytest
from scipy import stats

from presence_only.common.errors import DataError
from presence_only.data.truth import ABSENT, PRESENT
from presence_only.geography.earth import Earth
from presence_only.occurrences import assumed_absences
from presence_only.occurrences.assemble import assemble
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.assumed_absences import SITES_A_SITE, assumed_absence_sites
from presence_only.occurrences.held_out_area import Area, blocks_of, within_box
from presence_only.occurrences.records import RecordTable


def within(box):
    return Area("a box", lambda sites_N2: within_box(sites_N2, box))


def test_sites_are_uniform_over_the_area():
    held = np.array([[0.0, 0.0], [30.0, 60.0]] * 600) + np.random.default_rng(0).uniform(0, 1, (1200, 2))
    found = assumed_absence_sites("anywhere", within((0, 0, 30, 60)), held, np.random.default_rng(1), most=5000)
    assert found.shape == (5000, 2)
    assert within_box(found, (0, 0, 30, 60)).all()
    # Areas on the sphere go with the sine of latitude.
    share = np.sin(np.radians(found[:, 1])) / np.sin(np.radians(60))
    assert stats.kstest(share, "uniform").pvalue > 0.001
    assert stats.kstest(found[:, 0] / 30, "uniform").pvalue > 0.001


def test_sites_on_land_across_180_degrees():
    held = np.array([[179.0, -17.0], [-179.0, -18.0], [178.0, -18.0]])
    found = assumed_absence_sites("land", within((170, -20, -170, -10)), held, np.random.default_rng(0), most=1000)
    assert len(found) == SITES_A_SITE * 3
    assert (Earth.load().land_share(found) > 0).all()
    assert (np.abs(found[:, 0]) >= 177).all()


def test_none_are_drawn_for_groups_and_too_few_are_refused(monkeypatch):
    monkeypatch.setattr(assumed_absences, "_MOST_ROUNDS", 3)
    held = np.array([[0.0, 0.0]])
    assert len(assumed_absence_sites("groups", within((0, 0, 1, 1)), held, np.random.default_rng(0), most=9)) == 0
    with pytest.raises(DataError, match=r"^evaluation\.absences = 'anywhere': of 300,000 random places .* only 0 lie"):
        assumed_absence_sites("anywhere", within((90, 0, 91, 1)), held, np.random.default_rng(0), most=9)


@pytest.mark.parametrize("weeks", [False, True])
def test_records_of_one_species_make_a_survey(weeks):
    rng = np.random.default_rng(0)
    sites, week = rng.uniform((0, 45), (20, 55), (200, 2)), rng.integers(10, 13, 200)
    records = RecordTable.of(sites, np.zeros(200, dtype=int), ["Abies alba"], ["Plantae"], week if weeks else None)
    settings = {"background_sites": 100, "weeks": weeks, "evaluation": {"degrees": 2.0}}
    with pytest.raises(DataError, match=r"or set evaluation\.absences: land, which takes random places as absences$"):
        assemble(records, RecordsSettings.parse(settings, "d"))
    settings["evaluation"] = {"degrees": 2.0, "absences": "land"}
    dataset = assemble(records, RecordsSettings.parse(settings, "d"))
    survey = dataset.survey
    truth = survey.truth.matrix()
    n_absent = dataset.facts["evaluation_sites_assumed_absent"]
    assert n_absent == SITES_A_SITE * dataset.facts["held_out_records"]
    assert ((truth == PRESENT).sum(), (truth == ABSENT).sum()) == (n_absent // SITES_A_SITE, n_absent)
    assert len(truth) == len(survey.sites_M2)
    # None of them lies in a block with training records.
    training = np.unique(blocks_of(dataset.training.records.sites_N2, 2.0))
    assert not np.isin(blocks_of(survey.sites_M2, 2.0), training).any()
    if weeks:
        assert set(survey.week_M.tolist()) <= set(week.tolist())
