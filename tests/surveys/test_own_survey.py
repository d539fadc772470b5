"""A user's own survey: wide and long tables against a double loop, and training that never sees it."""

import gzip
import zipfile

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.sites import sites_of
from presence_only.data.summary import explain
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors
from presence_only.occurrences.assemble import assemble
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.records import RecordTable, places
from presence_only.surveys.assembly import survey_of_rows
from presence_only.surveys.own_survey import SurveyEvaluation, read_own_survey
from presence_only.surveys.values import presence_code

KNOWN = {
    "Parus major": "Aves",
    "Parus ater": "Aves",
    "Corvus corax": "Aves",
    "Quercus robur": "Plantae",
    "Ilex aquifolium": "Plantae",
    "Abies alba": "Plantae",
}


def truth_of(path, weeks=False, visits="keep", **settings):
    """Truth of a file over the species of KNOWN, in their order, and everything that was made."""
    rows = read_own_survey(SurveyEvaluation(kind="survey", path=str(path), **settings), KNOWN, weeks=weeks)
    made = survey_of_rows(rows, tuple(KNOWN), weeks=weeks, repeated_visits=visits)
    return made.survey.truth.matrix().tolist(), made


def written(tmp_path, text, name="survey.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


WORDS = {
    1: ["1", "TRUE", "present", "x", "7", "2.0", "yes", "T"],
    0: ["0", "FALSE", "absent", "0.0", "no"],
    -1: ["", "NA"],
}
WIDE = "site,lon,lat,observer,Parus.major,parus_ater,Corvus corax,Quercus robur L.,Great tit,Salix caprea\n"


def random_truth(seed, n=40):
    rng = np.random.default_rng(seed)
    truth = rng.choice([1, 0, -1], (n, 4), p=[0.3, 0.4, 0.3] if seed % 2 else [0.3, 0.6, 0.1])
    sites = np.column_stack([rng.uniform(-20, 20, n).round(4), rng.uniform(30, 60, n).round(4)])
    return rng, truth, sites


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("form", ["csv", "semicolon", "tab", "gz", "parquet"])
def test_a_wide_table_in_every_form(seed, form, tmp_path):
    rng, truth, sites = random_truth(seed)
    lines = []
    for i, (site, row) in enumerate(zip(sites, truth, strict=True)):
        cells = [str(rng.choice(WORDS[value])) for value in row]
        lines.append([f"s{i}", *map(str, site), "Ann", *cells, "many", "1"])
    table = [WIDE.strip().split(","), *lines]
    path = tmp_path / "survey.csv"
    if form == "parquet":
        frame = pl.DataFrame(lines, WIDE.strip().split(","), orient="row")
        frame.with_columns(pl.col("lon", "lat").cast(pl.Float64)).write_parquet(path)
    else:
        separator = {"semicolon": ";", "tab": "\t"}.get(form, ",")
        text = "".join(separator.join(row) + "\n" for row in table)
        path.write_bytes(gzip.compress(text.encode()) if form == "gz" else text.encode())
    found, made = truth_of(path)
    kept = (truth >= 0).any(axis=1)
    assert_array_equal(np.array(found)[:, :4], truth[kept])
    assert_array_equal(np.array(found)[:, 4:], -1)
    assert_array_equal(made.survey.sites_M2, sites[kept])
    assert made.facts["survey_columns_of_no_species"] == 2
    assert made.facts["survey_species_unknown_to_training"] == 1
    assert made.notes[0] == "Columns of the survey that were taken for no species (2): 'observer', 'Great tit'."


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("unlisted", [None, "absent"])
@pytest.mark.parametrize("lists_absences", [True, False])
def test_a_long_table_with_and_without_absences(seed, unlisted, lists_absences, tmp_path):
    rng, truth, sites = random_truth(seed)
    names, rows = list(KNOWN)[:4], []
    for i in range(40):
        rows.append([f"s{i}", *sites[i], "", ""])
        for s in range(4):
            if truth[i, s] == 1 or (lists_absences and truth[i, s] == 0):
                rows.append([f"s{i}", *sites[i], names[s].upper() if s == 2 else names[s], str(truth[i, s])])
    order = rng.permutation(len(rows))
    lines = [",".join(map(str, rows[i])) for i in order]
    path = written(tmp_path, "surveyId,longitude,latitude,species,present\n" + "\n".join(lines) + "\n")
    found, made = truth_of(path, **({} if unlisted is None else {"unlisted": unlisted}))
    expected = truth.copy()
    if unlisted == "absent" or not lists_absences:
        expected[expected == -1] = 0
    # Surveys come in the order in which the file first names them.
    first = list(dict.fromkeys(int(rows[i][0][1:]) for i in order))
    expected = expected[first]
    kept = (expected >= 0).any(axis=1)
    assert_array_equal(np.array(found)[:, :4], expected[kept])
    assert_array_equal(made.survey.sites_M2, sites[first][kept])
    assert made.facts["survey_rows_read"] == len(rows)
    assert made.facts["survey_rows_without_species"] == 40
    assert any("lists absences" in note for note in made.notes) == (lists_absences and unlisted is None)


def test_without_a_column_present_every_row_is_a_presence_and_the_place_may_tell_surveys_apart(tmp_path):
    path = written(
        tmp_path, "x;y;scientificName\n1.5;2;Parus major\n1.5;2;Abies alba Mill.\n3;4;Abies alba\n5;6;Salix sp.\n"
    )
    found, made = truth_of(path)
    # The fir is in two of three surveys, the tit in one.
    assert [row[0] for row in found] == [1, 0, 0]
    assert [row[5] for row in found] == [1, 1, 0]
    assert made.facts["survey_species"] == 3


def test_groups_of_a_wide_table_say_which_species_were_looked_for(tmp_path):
    text = (
        "plot,longitude,latitude,group,Parus major,Corvus corax,Quercus robur,Abies alba\n"
        "a,1,1,Aves,1,0,0,0\nb,2,2,aves,0,1,0,0\nc,3,3,trees,1,0,1,0\nd,4,4,trees,0,0,0,1\n"
        "e,5,5,Aves;trees,0,0,0,0\nf,6,6,,0,,0,0\n"
    )
    found, _ = truth_of(written(tmp_path, text))
    # The tit that was noted on a visit for trees is a presence, and makes no bird absent on such visits.
    assert [[row[s] for s in (0, 2, 3, 5)] for row in found] == [
        [1, 0, -1, -1],
        [0, 1, -1, -1],
        [1, -1, 1, 0],
        [-1, -1, 0, 1],
        [0, 0, 0, 0],
        [0, -1, 0, 0],
    ]


@pytest.mark.parametrize("of", ["species", "survey"])
def test_groups_of_a_long_table(of, tmp_path):
    lines = ["surveyId,species,longitude,latitude,group"]
    seen = {
        "a": ["Parus major"],
        "b": ["Parus ater"],
        "c": ["Abies alba"],
        "d": ["Quercus robur"],
        "e": ["Corvus corax", "Abies alba"],
    }
    group_of = {"a": "birds", "b": "birds", "c": "trees", "d": "trees", "e": "birds"}
    for place, (survey, names) in enumerate(seen.items(), 1):
        for name in names:
            group = ("birds" if KNOWN[name] == "Aves" else "trees") if of == "species" else group_of[survey]
            lines.append(f"{survey},{name},{place},{place},{group}")
    found, _ = truth_of(written(tmp_path, "\n".join(lines) + "\n"))
    birds = [[1, 0, 0], [0, 1, 0], [-1, -1, -1], [-1, -1, -1], [0, 0, 1]]
    assert [row[:3] for row in found] == birds
    # As groups of surveys, the fir was found on a visit for birds, so that it was looked for on these too.
    fir = [-1, -1, 1, 0, 1] if of == "species" else [0, 0, 1, 0, 1]
    assert [row[5] for row in found] == fir
    oak = [-1, -1, 0, 1, 0] if of == "species" else [-1, -1, 0, 1, -1]
    assert [row[3] for row in found] == oak


def test_weeks_come_from_dates_or_weeks(tmp_path):
    head = "survey,longitude,latitude,date,Parus major\n"
    text = head + "a,1,1,2020-05-03,1\na,1,1,2021-05-06,0\nb,1,1,30.12.2020,0\nc,2,2,someday,1\nd,2,2,,0\n"
    _, made = truth_of(written(tmp_path, text), weeks=True, visits="merge")
    assert made.survey.week_M.tolist() == [17, 48]
    assert [row[0] for row in made.survey.truth.matrix()] == [1, 0]
    assert ("week known - not understood: 'someday' (1)", 3) in made.filters
    head = "survey,longitude,latitude,month,day,species\n"
    text = head + "a,1,1,5,3,Parus major\na,1,1,Dec,31,Abies alba\nb,2,2,2,30,Abies alba\n"
    _, made = truth_of(written(tmp_path, text), weeks=True)
    assert made.survey.week_M.tolist() == [17, 48]
    assert ("week known - not understood: '2-30' (1)", 2) in made.filters
    numbers = written(tmp_path, "survey,lon,lat,week,Parus major\na,1,1,3,1\nb,2,2,48.0,0\nc,3,3,1.5,0\n")
    _, made = truth_of(numbers, weeks=True, week_numbers="four_a_month")
    assert made.survey.week_M.tolist() == [3, 48]
    assert ("week known - not understood: '1.5' (1)", 2) in made.filters
    with pytest.raises(DataError, match=r"has surveys with the number of a week, such as 48, .*week_numbers: iso"):
        truth_of(numbers, weeks=True)
    with pytest.raises(DataError, match=r"has week 52, and evaluation.week_numbers = 'four_a_month' .* weeks 1\.\.48"):
        truth_of(
            written(tmp_path, "survey,lon,lat,week,Parus major\na,1,1,3,1\nb,2,2,52,0\n"),
            weeks=True,
            week_numbers="four_a_month",
        )
    with pytest.raises(DataError, match="weeks: true: the survey has no weeks nor dates"):
        truth_of(written(tmp_path, "survey,lon,lat,Parus major\na,1,1,1\nb,2,2,0\n"), weeks=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "a,lon,lat,Parus major\n1,1,1,maybe\n2,2,2,maybe\n",
            r"column 'Parus major' has 'maybe' \(2\) .* neither a presence",
        ),
        ("a,lon,lat,Parus major\n1,1,1,-9999\n2,2,2,0\n", r"column 'Parus major' has '-9999' \(1\)"),
        ("surveyId,species,lon,lat,pa\n1,Parus major,1,1,?\n", r"column 'pa' has '\?' \(1\)"),
        (
            "surveyId,species,lon,lat\nq,Parus major,1,1\nq,Abies alba,1,2.5\n",
            "the survey 'q' has the latitudes 1 and 2.5",
        ),
        ("surveyId,species,lon,lat,Parus major\n1,3,1,1,0\n", "set evaluation.layout to wide"),
        ("surveyId,lon,lat,robin\n1,3,1,1\n", "no column is named 'species'"),
        ("surveyId,lon,Parus major\n1,3,1\n", "no column 'latitude'"),
        ("surveyId,lon,lat,Parus major,Parus major\n1,3,1,1,0\n", "2 columns are named 'Parus major'"),
        ("surveyId,lon,lat,Parus major\n1,200,1,1\n2,300,1,0\n", "set evaluation.longitudes: 0..360"),
        ('surveyId,lon,lat,Parus major\n1,"3,5","1,5",1\n', "one says 'longitude 3,5, latitude 1,5'"),
        ("surveyId,species,lon,lat\n1,Salix alba,1,1\n", "none of the 1 species of the survey"),
        ("surveyId,lon,lat,Parus major\n", "has columns but no rows"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence) as error:
        truth_of(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_settings_say_what_the_file_does_not(tmp_path):
    path = written(tmp_path, "surveyId,species,lon,lat,Parus major\n1,3,200,1,0\n2,3,300,1,1\n")
    found, made = truth_of(path, layout="wide", longitudes="0..360")
    assert [row[0] for row in found] == [0, 1]
    assert made.survey.sites_M2[:, 0].tolist() == [-160, -60]
    with pytest.raises(DataError, match="unlisted = 'absent': is for long tables"):
        truth_of(path, layout="wide", unlisted="absent")


def test_two_columns_of_one_species_and_rows_that_contradict_each_other(tmp_path):
    head = "plot,lon,lat,Parus major,Parus major newtoni,Abies alba\n"
    found, made = truth_of(written(tmp_path, head + "a,1,1,0,1,1\nb,2,2,,0,0\nc,3,3,0,,\n"))
    assert [row[0] for row in found] == [1, 0, 0]
    assert made.facts["survey_columns_of_one_species"] == 1
    head = "survey,lon,lat,species,present\n"
    text = head + "a,1,1,Parus major,0\na,1,1,Parus major,1\nb,2,2,Parus major,0\n,3,3,Parus major,0\n"
    found, made = truth_of(written(tmp_path, text))
    assert [row[0] for row in found] == [1, 0]
    assert made.facts["survey_pairs_present_and_absent"] == 1
    assert made.facts["survey_rows_without_survey"] == 1


def test_blank_values_of_a_long_table_are_not_looked_for(tmp_path):
    head = "survey,lon,lat,species,count\n"
    text = head + "a,1,1,Parus major,3\na,1,1,Abies alba,\nb,2,2,Abies alba,5\nc,3,3,Parus major,NA\n"
    found, made = truth_of(written(tmp_path, text))
    assert [[row[0], row[5]] for row in found] == [[1, -1], [0, 1], [-1, 0]]
    assert made.facts["survey_rows_without_value"] == 2


def test_columns_of_other_types_than_text(tmp_path):
    nan = float("nan")
    wide = {"Parus major": [True, False, None], "Abies alba": [nan, 2.0, 0.0], "Quercus robur": [0, 1, None]}
    path = tmp_path / "wide.parquet"
    pl.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1, 2, 3]} | wide).write_parquet(path)
    found, _ = truth_of(path)
    assert [[row[s] for s in (0, 5, 3)] for row in found] == [[1, -1, 0], [0, 1, 1], [-1, 0, -1]]
    long = {"surveyId": [1.0, 2.0, 3.0], "species": ["Parus major", "Abies alba", None], "occurs": [1, 1, None]}
    path = tmp_path / "long.parquet"
    pl.DataFrame({"lon": [1.0, 2.0, 3.0], "lat": [1, 2, 3]} | long).write_parquet(path)
    found, _ = truth_of(path)
    assert [[row[0], row[5]] for row in found] == [[1, 0], [0, 1], [0, 0]]


def test_words_and_numbers_of_presence():
    for words, code in ((WORDS[1], 1), (WORDS[0], 0), (WORDS[-1], -1), (["X", "+", "0.5", "12"], 1)):
        assert {word: presence_code(word) for word in words} == dict.fromkeys(words, code)
    assert {presence_code(word) for word in ("maybe", "-1", "-9999", "inf", "2-5", "-", ".")} == {9}


def made_records(seed=0, n=900):
    rng = np.random.default_rng(seed)
    sites = np.column_stack([rng.uniform(0, 20, n), rng.uniform(40, 60, n)])
    groups = [KNOWN[name] for name in KNOWN]
    return RecordTable.of(sites, rng.integers(0, 6, n), tuple(KNOWN), groups, rng.integers(1, 49, n), (("read", n),))


def made_survey(tmp_path, seed=1, n=30, name="survey.csv"):
    rng = np.random.default_rng(seed)
    sites = np.column_stack([rng.uniform(5, 15, n), rng.uniform(45, 55, n)])
    lines = [",".join(map(str, [i, *site, *rng.integers(0, 2, 6)])) for i, site in enumerate(sites)]
    return sites, written(tmp_path, ",".join(["plot", "lon", "lat", *KNOWN]) + "\n" + "\n".join(lines) + "\n", name)


def assembled(records, path, **changes):
    evaluation = {"kind": "survey", "path": str(path)} | changes.pop("evaluation", {})
    # A table of background sites gives all of its own.
    drawn = {} if str(changes.get("background")).endswith(".csv") else {"background_sites": 200}
    raw = drawn | {"evaluation": evaluation} | changes
    return assemble(records, RecordsSettings.parse(raw, "datasets.mine"))


def saved(dataset, folder):
    dataset.training.save(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("changes", [{}, {"rows": "checklists", "weeks": False}, {"background": "target_group"}])
def test_training_is_the_same_whatever_the_survey_says(changes, tmp_path):
    _, one = made_survey(tmp_path)
    _, other = made_survey(tmp_path, seed=2, n=7, name="other.csv")
    records = made_records()
    files = [saved(assembled(records, path, **changes), tmp_path / path.stem) for path in (one, other)]
    assert files[0] == files[1]
    dataset = assembled(records, one)
    assert dataset.training.records.n_rows == 900
    assert dataset.filters == (("read", 900),)
    assert explain(dataset)["survey_filters"][0] == {"rule": "surveys", "rows_left": 30}
    assert dataset.facts["survey_species"] == 6
    assert len(dataset.survey.sites_M2) == 30


def test_records_near_the_survey_are_held_out_if_asked_for(tmp_path):
    sites, path = made_survey(tmp_path)
    records = made_records()
    own = sites_of(records.table)
    cosines = np.clip(unit_vectors(own) @ unit_vectors(sites).T, -1, 1)
    near = (EARTH_RADIUS_KM * np.arccos(cosines) <= 50).any(axis=1)
    assert 0.05 < near.mean() < 0.6
    background = written(
        tmp_path, "longitude,latitude\n" + "".join(f"{x},{y}\n" for x, y in own[:300]), "background.csv"
    )
    dataset = assembled(records, path, evaluation={"hold_out_near_km": 50}, background=str(background))
    assert_array_equal(dataset.training.records.sites_N2, own[~near])
    assert_array_equal(
        np.array(dataset.training.records.species)[dataset.training.records.species_P],
        np.array(list(KNOWN))[places(records.table["species"])[~near]],
    )
    assert_array_equal(dataset.training.background.sites_K2, own[:300][~near[:300]])
    assert dataset.filters[-1] == ("farther than 50 km from the survey's sites", (~near).sum())
    assert dataset.facts["held_out_records"] == near.sum()
    assert dataset.facts["background_sites_held_out"] == near[:300].sum()
    # What is held out hangs on the survey's places alone, not on what was found.
    text = path.read_text().splitlines()
    turned = [text[0], *map(_turned, text[1:])]
    other = written(tmp_path, "\n".join(turned) + "\n", "turned.csv")
    again = assembled(records, other, evaluation={"hold_out_near_km": 50}, background=str(background))
    assert saved(again, tmp_path / "a") == saved(dataset, tmp_path / "b")
    assert_array_equal(again.survey.truth.matrix(), 1 - dataset.survey.truth.matrix())
    everywhere = assembled(records, path, background=str(background))
    assert len(everywhere.training.background.sites_K2) == 300
    with pytest.raises(DataError, match=r"no record is left after cleaning: .*farther than 5000 km"):
        assembled(records, path, evaluation={"hold_out_near_km": 5000})


def _turned(line):
    *place, a, b, c, d, e, f = line.split(",")
    return ",".join([*place, *(str(1 - int(value)) for value in (a, b, c, d, e, f))])


def test_all_sites_are_scored_unless_a_number_is_set(tmp_path):
    _, path = made_survey(tmp_path)
    records = made_records()
    assert len(assembled(records, path).survey.sites_M2) == 30
    some = assembled(records, path, evaluation_sites=12)
    assert len(some.survey.sites_M2) == 12
    assert some.facts["evaluation_sites_found"] == 30


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"kind": "survey"}, "missing key 'd.evaluation.path'"),
        (
            {"kind": "survey", "path": "x", "degrees": 3.0},
            "unknown key 'degrees' in d.evaluation; known: hold_out_near_km",
        ),
        (
            {"kind": "survey", "path": "x", "layout": "flat"},
            "d.evaluation.layout = 'flat': must be one of 'wide' or 'long'",
        ),
        ({"kind": "blocks", "path": "x"}, "unknown key 'path' in d.evaluation; known: absences, box, degrees"),
        ({"degrees": 0.0}, "d.evaluation.degrees = 0.0: must be greater than or equal to 0.1"),
        (
            {"kind": "surveys", "path": "x"},
            "d.evaluation.kind = 'surveys': must be one of 'blocks', 'h3', 'region' or 'survey'",
        ),
        (3, "d.evaluation = 3: must be a mapping of settings"),
    ],
)
def test_wrong_settings_are_one_sentence(raw, sentence):
    with pytest.raises(SettingsError) as error:
        RecordsSettings.parse({"evaluation": raw}, "d")
    assert sentence in str(error.value)


LONG = "surveyId,species,lon,lat,{}\na,Parus major,8.5,47,{}\nb,Parus major,8.6,47,{}\nc,Corvus corax,8.7,47,{}\n"
NAMES = "status pres_abs pb value n seen observed found presAbs Detected is_present count individuals occupied"


@pytest.mark.parametrize("header", NAMES.split())
@pytest.mark.parametrize("words", [("1", "0", "1"), ("present", "absent", "present"), ("TRUE", "FALSE", "TRUE")])
def test_usual_names_of_the_column_of_presences(header, words, tmp_path):
    found, _ = truth_of(written(tmp_path, LONG.format(header, *words) + f"b,Corvus corax,8.6,47,{words[1]}\n"))
    assert [[row[0], row[2]] for row in found] == [[1, -1], [0, 0], [-1, 1]]


@pytest.mark.parametrize("words", [("0", "1", "0"), ("no", "yes", ""), ("False", "True", "NA"), ("x", "0", "x")])
def test_a_column_of_presences_by_another_name_is_refused(words, tmp_path):
    with pytest.raises(DataError, match=r"'absent' has nothing but values .* rename it to 'present' .* or drop it"):
        truth_of(written(tmp_path, LONG.format("absent", *words)))


@pytest.mark.parametrize("words", [("1", "1", "1"), ("0", "12", "1"), ("Ann", "no", "yes"), ("", "", "")])
def test_other_columns_of_a_long_table_are_named(words, tmp_path):
    found, made = truth_of(written(tmp_path, LONG.format("whatever", *words)))
    assert [[row[0], row[2]] for row in found] == [[1, 0], [1, 0], [0, 1]]
    assert "Columns of the survey that were not read (1): 'whatever'." in made.notes


def test_genus_and_epithet_and_names_as_given_in_a_long_table(tmp_path):
    text = "plot,genus,specific_epithet,lon,lat\na,Parus,major,1,1\nb,Corvus,corax,2,2\n"
    found, _ = truth_of(written(tmp_path, text))
    assert [[row[0], row[2]] for row in found] == [[1, 0], [0, 1]]
    known = {"SP_001": "", "SP_002": ""}
    for text in ("species,lon,lat\nSP_001,1,1\nSP_002,2,2\n", "lon,lat,SP_001,SP_002\n1,1,1,0\n2,2,0,1\n"):
        path = written(tmp_path, text)
        rows = read_own_survey(SurveyEvaluation(kind="survey", path=str(path)), known)
        assert survey_of_rows(rows, tuple(known)).survey.truth.matrix().tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "words", ["absent", "absence", "Absent", "(absent)", "L. absent", "not found", "not detected", "absences n"]
)
@pytest.mark.parametrize("mark", [" ", "_", "."])
def test_columns_of_absences_are_refused(words, mark, tmp_path):
    header = f"Parus major {words}".replace(" ", mark)
    with pytest.raises(DataError, match="says where Parus major is absent; make it a column of presences"):
        truth_of(written(tmp_path, f"lon,lat,Corvus corax,{header}\n1,1,1,1\n2,2,0,0\n"))


@pytest.mark.parametrize(
    "words", ["effort", "Effort hours", "2019", "(2019)", "1", "year", "notes", "count 2019", "Date"]
)
def test_columns_about_a_species_are_no_species(words, tmp_path):
    header = f"Parus major {words}"
    found, made = truth_of(written(tmp_path, f"lon,lat,Corvus corax,{header}\n1,1,1,3\n2,2,0,4\n"))
    assert [[row[0], row[2]] for row in found] == [[-1, 1], [-1, 0]]
    assert made.notes[0] == f"Columns of the survey that were taken for no species (1): {header!r}."


@pytest.mark.parametrize(
    ("words", "named"),
    [
        *(
            (words, True)
            for words in ("count", "Count", "n", "abundance", "pres abs", "newtoni", "subsp. newtoni", "male")
        ),
        *((words, False) for words in ("L.", "Linnaeus, 1758", "(Linnaeus 1758)", "L. 1758")),
    ],
)
def test_columns_of_counts_and_subspecies_are_of_the_species(words, named, tmp_path):
    header = f"Parus major {words}"
    found, made = truth_of(written(tmp_path, f'lon,lat,Corvus corax,"{header}"\n1,1,1,3\n2,2,0,0\n'))
    assert [[row[0], row[2]] for row in found] == [[1, 1], [0, 0]]
    assert any("the species that their first two words name (1)" in note for note in made.notes) == named


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_the_number_of_a_week_counts_where_a_date_is_empty(layout, tmp_path):
    head = "survey,lon,lat,date,week,year,"
    cells = [
        ("2020-05-03", "", ""),
        ("", "20", "2020"),
        ("someday", "53", "2020"),
        ("", "", "2020"),
        ("2020-06", "1", ""),
    ]
    rows = [f"{i},{i},{i},{','.join(cell)}" for i, cell in enumerate(cells, 1)]
    if layout == "wide":
        text = head + "Parus major\n" + "".join(f"{row},{i % 2}\n" for i, row in enumerate(rows))
    else:
        text = (
            head
            + "species\n"
            + "".join(f"{row},{('Parus major', 'Abies alba')[i % 2]}\n" for i, row in enumerate(rows))
        )
    path = written(tmp_path, text)
    _, made = truth_of(path, weeks=True, week_numbers="iso")
    # The Thursdays of the weeks 20 and 53 of 2020 are May 14 and December 31, that of the first week of 2015 January 1.
    assert made.survey.week_M.tolist() == [17, 18, 48, 1]
    with pytest.raises(DataError, match=r"say what the numbers are: evaluation\.week_numbers: four_a_month"):
        truth_of(path, weeks=True)


@pytest.mark.parametrize("column", ["date", "datetime", "observed_at", "timestamp"])
def test_usual_names_of_dates(column, tmp_path):
    text = f"lon,lat,{column},Parus major\n1,1,2020-05-03 10:00:00,1\n2,2,2020-01-03,0\n"
    assert truth_of(written(tmp_path, text), weeks=True)[1].survey.week_M.tolist() == [17, 1]


def test_kept_visits_of_one_plot_are_told_apart_by_their_dates(tmp_path):
    rows = "p,{},Parus major\np,{},Abies alba\np,{},Corvus corax\nq,{},Abies alba\n"
    rows = rows.format("2020-05-03T10:00", "2020-05-03T11:00", "2021-05-04", "2020-05-03")
    rows = rows.replace("p,", "p,1,1,").replace("q,", "q,2,2,")
    for weeks in (False, True):
        for header, expected in (("plot", [[1, 0], [0, 1], [0, 0]]), ("surveyId", [[1, 1], [0, 0]])):
            path = written(tmp_path, f"{header},lon,lat,date,species\n{rows}")
            found, _ = truth_of(path, weeks=weeks, repeated_visits="keep")
            assert [[row[0], row[2]] for row in found] == expected
        path = written(tmp_path, "lon,lat,date,species\n" + rows.replace("p,", "").replace("q,", ""))
        found, _ = truth_of(path, weeks=weeks, repeated_visits="keep")
        assert [[row[0], row[2]] for row in found] == [[1, 0], [0, 1], [0, 0]]
        assert len(truth_of(path, weeks=weeks, visits="merge")[0]) == 2


def test_a_survey_is_one_table(tmp_path):
    path = written(tmp_path, "lon,lat,Parus major\n1,1,1\n2,2,0\n")
    assert len(truth_of(tmp_path / "*.csv")[0]) == 2
    pl.DataFrame({"lon": [1.0, 2.0], "lat": [1, 2], "Parus major": [0, 1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"is a folder with parquet files and 'survey\.csv'"):
        truth_of(tmp_path)
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.write(path, "survey.csv")
        archive.write(tmp_path / "a.parquet", "a.parquet")
    with pytest.raises(DataError, match=r"holds parquet files and 'survey\.csv'"):
        truth_of(tmp_path / "both.zip")
    with pytest.raises(DataError, match="2 files fit this pattern; a survey is one table"):
        truth_of(tmp_path / "[as]*.[cp]*")
    path.unlink()
    (tmp_path / "both.zip").unlink()
    assert [row[0] for row in truth_of(tmp_path)[0]] == [0, 1]
    written(tmp_path, "x", "a.xlsx")
    with pytest.raises(DataError, match=r"is a spreadsheet; save its sheet as CSV"):
        truth_of(tmp_path / "a.xlsx")


@pytest.mark.parametrize("name", ["Parus sp.", "Parus cf. major", "Parus", "parus spp", "Parus major/ater"])
def test_an_open_name_makes_no_species_of_its_genus_absent(name, tmp_path):
    head = "plot,lon,lat,species\na,1,1,Parus major\nb,2,2,{0}\nc,3,3,Corvus corax\nd,4,4,{0}\nd,4,4,Parus ater\n"
    path = written(tmp_path, head.format(name))
    found, made = truth_of(path)
    assert [row[:3] for row in found] == [[1, 0, 0], [-1, -1, 0], [0, 0, 1], [-1, 1, 0]]
    assert made.facts["survey_rows_of_open_names"] == 2
    assert any(note.startswith("Names of the survey that identify no species (1)") for note in made.notes)
    text = path.read_text().replace("species", "genus,specificEpithet").replace("Parus major\n", "Parus,major\n")
    text = text.replace("Corvus corax", "Corvus,corax").replace("Parus ater", "Parus,ater")
    found, _ = truth_of(written(tmp_path, text.replace(f"{name}\n", "Parus,sp.\n")))
    assert [row[:3] for row in found] == [[1, 0, 0], [-1, -1, 0], [0, 0, 1], [-1, 1, 0]]


def test_codes_of_plots_are_no_numbers(tmp_path):
    text = "plot,lon,lat,species\n1E1,1,1,Parus major\n10,2,2,Abies alba\n10.0,2,2,Parus ater\n"
    assert [row[:2] for row in truth_of(written(tmp_path, text))[0]] == [[1, 0], [0, 1]]


def test_a_header_over_several_lines(tmp_path):
    text = 'lon,lat,Corvus corax,"Parus\nmajor",Abies alba\n1,1,1,0,1\n2,2,0,1,0\n'
    found, _ = truth_of(written(tmp_path, text))
    assert [[row[s] for s in (2, 0, 5)] for row in found] == [[1, 0, 1], [0, 1, 0]]
