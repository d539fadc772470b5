"""Surveys made into truth: against a double loop over sites and species, and what is counted on the way."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from presence_only.common.errors import DataError
from presence_only.data import truth as truth_module
from presence_only.surveys.assembly import survey_of_rows
from presence_only.surveys.rows import SurveyRows
from presence_only.surveys.truth import match_names

TRAINED = ("ash", "elm", "oak", "robin", "wren", "yew")
GROUPS = {"tree": ("ash", "elm", "oak", "pine"), "bird": ("robin", "wren", "owl"), "hedge": ("elm", "wren")}


class Layer:
    """Longitude as a covariate, undefined where it is above 40."""

    names = ("east",)
    notes = ()

    def sample(self, sites_N2):
        east = sites_N2[:, :1].astype(np.float32)
        return np.where(east > 40, np.float32(np.nan), east)


def made_rows(seed=0, n=60, places=25):
    """Random surveys, several at one place, with groups, written absences and exceptions."""
    rng = np.random.default_rng(seed)
    where = np.column_stack([rng.uniform(-50, 50, places), rng.uniform(-50, 50, places)])[rng.integers(0, places, n)]
    ids = [f"plot {i}" for i in range(n)]
    names = sorted({name for members in GROUPS.values() for name in members})
    surveys = pl.DataFrame({"survey": ids, "longitude": where[:, 0], "latitude": where[:, 1]})
    surveys = surveys.with_columns(week=pl.Series(rng.integers(1, 4, n), dtype=pl.UInt8))

    def pairs(column, values, count):
        return pl.DataFrame(
            {"survey": [ids[i] for i in rng.integers(0, n, count)], column: list(rng.choice(values, count))}
        )

    return SurveyRows(
        surveys,
        pairs("species", names, 80),
        absences=pairs("species", names, 20),
        visits=pairs("group", list(GROUPS), 70),
        groups=pl.DataFrame(
            [(group, name) for group in GROUPS for name in GROUPS[group]], ["group", "species"], orient="row"
        ),
        not_looked_for=pairs("species", names, 120),
    )


def double_loop(rows, species, key):
    """Sites in the order of the file, and the truth, pair by pair."""
    found, absent, without = (set(table.iter_rows()) for table in (rows.presences, rows.absences, rows.not_looked_for))
    visits = set(rows.visits.iter_rows())
    sites = {}
    for row in rows.surveys.iter_rows(named=True):
        sites.setdefault(key(row), []).append(row["survey"])
    truth = []
    for surveys in sites.values():
        line = []
        for name in species:
            values = []
            for survey in surveys:
                looked = any((survey, group) in visits for group, members in GROUPS.items() if name in members)
                if (survey, name) in found:
                    values.append(1)
                elif (survey, name) in absent or (looked and (survey, name) not in without):
                    values.append(0)
            line.append(max(values, default=-1))
        truth.append(line)
    truth = np.array(truth)
    # A site where nothing that training knows was looked for is left out.
    kept = (truth >= 0).any(axis=1)
    for s in range(len(species)):
        if not (truth[:, s] == 0).any():
            truth[:, s] = -1
    return [site for site, keep in zip(sites, kept, strict=True) if keep], truth[kept], len(sites)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", ["matrix", "lists"])
@pytest.mark.parametrize(("weeks", "visits"), [(False, "merge"), (True, "merge"), (False, "keep"), (True, "keep")])
def test_the_truth_is_that_of_a_double_loop(seed, form, weeks, visits, monkeypatch):
    if form == "lists":
        monkeypatch.setattr(truth_module, "_SMALL", 0)
        monkeypatch.setattr(truth_module, "_LISTED_BYTES", 0)
    rows = made_rows(seed)
    made = survey_of_rows(rows, TRAINED, weeks=weeks, repeated_visits=visits)
    parts = ["survey"] if visits == "keep" else ["longitude", "latitude", *(["week"] if weeks else [])]
    sites, truth, n_read = double_loop(rows, TRAINED, lambda row: tuple(row[name] for name in parts))
    assert_array_equal(made.survey.truth.matrix(), truth)
    assert_array_equal(made.survey.truth.columns(slice(1, 3)), truth[:, 1:3])
    assert (made.survey.week_M is not None) == weeks
    assert made.filters[-1][1] == len(made.survey.sites_M2) == len(sites)
    if visits == "merge":
        assert_array_equal(made.survey.sites_M2, [site[:2] for site in sites])
        assert made.facts["survey_visits_merged"] == 60 - n_read
    assert made.facts["survey_presences"] == (truth == 1).sum()
    assert made.facts["survey_absences"] == (truth == 0).sum()


def complete(**changes):
    surveys = pl.DataFrame(
        {
            "survey": [7, 8, 9, 10],
            "longitude": [10.0, 20.0, 45.0, 10.0],
            "latitude": [1.0, 2.0, 3.0, 1.0],
            "week": [1, 2, None, 30],
        }
        | changes
    )
    presences = pl.DataFrame({"survey": [7, 7, 8, 9, 10], "species": ["ash", "pine", "ASH", "elm", "elm"]})
    return SurveyRows.complete(surveys, presences, ["oak", "robin"])


def test_surveys_that_looked_for_everything():
    made = survey_of_rows(complete(), TRAINED)
    # Species:                                    ash elm oak robin wren yew; the first site was visited twice.
    assert_array_equal(made.survey.truth.matrix(), [[1, 1, 0, 0, -1, -1], [1, 0, 0, 0, -1, -1], [0, 1, 0, 0, -1, -1]])
    assert made.filters == (
        ("surveys", 4),
        ("coordinates given and possible", 4),
        ("coordinates not 0, 0", 4),
        ("one survey per site (visits merged)", 3),
        ("a species of training was looked for", 3),
    )
    assert made.facts == {
        "evaluation_sites_found": 3,
        "survey_visits_merged": 1,
        "survey_species": 6,
        "survey_species_unknown_to_training": 1,
        "survey_species_named_twice": 1,
        "survey_presences": 4,
        "survey_absences": 8,
        "training_species_scored": 2,
        "training_species_not_looked_for": 2,
        "training_species_never_found": 2,
        "species_never_absent": 0,
    }
    assert "scores 2 of the 6 species of training" in made.notes[0]
    assert "'pine'" in made.notes[1]


def test_surveys_without_a_place_or_a_week_are_left_out_and_counted():
    rows = complete(longitude=[10.0, None, 200.0, 20.0])
    made = survey_of_rows(rows, TRAINED)
    told = "coordinates given and possible - no degrees: 'longitude 200.0, latitude 3.0' (1)"
    assert made.filters[:3] == (("surveys", 4), (told, 2), ("coordinates not 0, 0", 2))
    assert_array_equal(rows.sites(), [[10, 1], [20, 1]])
    # What was found wherever it was looked for is not scored.
    rows = complete(longitude=[0.0, 20.0, 30.0, 10.0], latitude=[0.0, 2.0, 3.0, 1.0])
    made = survey_of_rows(rows, TRAINED, weeks=True)
    assert ("coordinates not 0, 0", 3) in made.filters
    assert ("week known", 2) in made.filters
    assert_array_equal(made.survey.week_M, [2, 30])
    rows = complete(longitude=[0.0, 20.0, 200.0, 10.0], latitude=[0.0, 2.0, 3.0, 1.0])
    rows = SurveyRows.complete(rows.surveys, rows.presences.vstack(pl.DataFrame({"survey": [10], "species": ["ash"]})))
    made = survey_of_rows(rows, TRAINED)
    assert_array_equal(made.survey.truth.matrix()[:, :2], [[-1, 0], [-1, 1]])
    assert made.facts["species_never_absent"] == 1


def test_covariates_come_from_layers_or_from_the_surveys():
    made = survey_of_rows(complete(), TRAINED, environment=Layer())
    assert_array_equal(made.survey.covariates_MC, [[10], [20], [np.nan]])
    made = survey_of_rows(complete(), TRAINED, environment=Layer(), drop_undefined=True)
    assert_array_equal(made.survey.covariates_MC, [[10], [20]])
    assert made.filters[-1] == ("all layers defined (sea: drop)", 2)
    own = complete(**{"covariate: soil": [1.0, 2.0, 3.0, 4.0], "covariate: rain": [5.0, 6.0, float("nan"), 5.0]})
    made = survey_of_rows(own, TRAINED, covariate_names=("rain", "soil"))
    # One place with two soils is two sites.
    assert_array_equal(made.survey.covariates_MC, [[5, 1], [6, 2], [np.nan, 3], [5, 4]])
    made = survey_of_rows(own, TRAINED, covariate_names=("rain",), drop_undefined=True)
    assert_array_equal(made.survey.covariates_MC, [[5], [6], [5]])
    with pytest.raises(DataError, match="lack the covariate 'wind'"):
        survey_of_rows(own, TRAINED, covariate_names=("rain", "wind"))
    with pytest.raises(DataError, match="training has 'rain'"):
        survey_of_rows(complete(), TRAINED, covariate_names=("rain",))


def test_places_on_the_antimeridian_are_one_and_so_are_those_within_a_metre():
    rows = complete(longitude=[180.0, -180.0, 10.000001, 10.0], latitude=[5.0, 5.0, 1.0, 1.0])
    made = survey_of_rows(rows, TRAINED)
    assert_array_equal(made.survey.sites_M2, [[180, 5], [10.000001, 1]])


def test_drawn_sites_are_a_part_of_all():
    rows = made_rows(3)
    whole = survey_of_rows(rows, TRAINED).survey
    drawn = survey_of_rows(rows, TRAINED, sites=10, generator=np.random.default_rng(1))
    place = {tuple(site): i for i, site in enumerate(whole.sites_M2)}
    chosen = [place[tuple(site)] for site in drawn.survey.sites_M2]
    assert len(chosen) == 10
    assert chosen == sorted(chosen)
    part = whole.truth.matrix()[chosen]
    never_absent = ~(part == 0).any(axis=0)
    part[:, never_absent] = -1
    assert_array_equal(drawn.survey.truth.matrix(), part)
    assert drawn.facts["evaluation_sites_found"] == len(place)


def test_names_are_found_whatever_their_case():
    trained = ("Quercus robur", "12", "Ficus alba (3)", "Ficus alba (4)", "ABC", "abc")
    found = match_names(["quercus robur", "X12", "12", "Ficus alba", "Abc", "abc", "Xy"], trained)
    assert found == {"quercus robur": 0, "X12": 1, "12": 1, "Ficus alba": -1, "Abc": -1, "abc": 5, "Xy": -1}
    rows = SurveyRows.complete(
        pl.DataFrame({"survey": [1, 2], "longitude": [1.0, 2.0], "latitude": [1.0, 2.0]}),
        pl.DataFrame({"survey": [1, 2], "species": ["12", "Ficus alba"]}),
    )
    assert "several species of the name 'Ficus alba'" in survey_of_rows(rows, trained).notes[-1]


def test_what_is_no_survey_is_refused():
    rows = complete()
    with pytest.raises(DataError, match="none of the 6 species of the survey"):
        survey_of_rows(rows, ("fir", "yew"))
    with pytest.raises(DataError, match="no species of training is present at one site"):
        survey_of_rows(rows, ("oak", "robin"))
    with pytest.raises(DataError, match="weeks: true: the survey has no weeks"):
        survey_of_rows(SurveyRows.complete(rows.surveys.drop("week"), rows.presences), TRAINED, weeks=True)
    with pytest.raises(DataError, match="no survey is left"):
        survey_of_rows(complete(latitude=[91.0, None, -91.0, float("nan")]), TRAINED)
    with pytest.raises(DataError, match="survey 7 stands twice"):
        complete(survey=[7, 7, 9, 10])
    with pytest.raises(DataError, match="speak of the survey 10"):
        complete(survey=[7, 8, 9, 11])
    with pytest.raises(DataError, match="1 rows without a species"):
        SurveyRows(rows.surveys, pl.DataFrame({"survey": [7], "species": [None]}))
    with pytest.raises(DataError, match="need both"):
        SurveyRows(rows.surveys, rows.presences, visits=pl.DataFrame({"survey": [7], "group": ["a"]}))
    with pytest.raises(DataError, match="no column 'latitude'"):
        SurveyRows(rows.surveys.drop("latitude"), rows.presences)


def test_names_of_a_fixed_list_and_numbers_as_ids_give_the_same():
    rows = made_rows(2)
    number = {name: i for i, name in enumerate(rows.surveys["survey"])}
    kinds = pl.Enum(["yew", *rows.species])

    def as_numbers(table):
        table = table.with_columns(pl.col("survey").replace_strict(number, return_dtype=pl.UInt32))
        return table.with_columns(pl.col("species").cast(kinds)) if "species" in table.columns else table

    tables = ("surveys", "presences", "absences", "visits", "not_looked_for")
    same = SurveyRows(**{name: as_numbers(getattr(rows, name)) for name in tables}, groups=rows.groups)
    assert_array_equal(
        survey_of_rows(same, TRAINED).survey.truth.matrix(), survey_of_rows(rows, TRAINED).survey.truth.matrix()
    )
