"""Tables of predictors joined by ids, against dictionaries."""

import math
import random

import numpy as np
import polars as pl
import pytest

from presence_only.common.errors import DataError
from presence_only.occurrences.predictor_tables import PredictorTable, join_predictors
from presence_only.tables import batches


def write(path, rows):
    """A table of text, row by row."""
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


def table(folder, records, surveys, name="theme"):
    """The two tables of a theme."""
    return PredictorTable(name, write(folder / f"{name}_PO.csv", records), write(folder / f"{name}_PA.csv", surveys))


def join(tables, records=(1, 2, 3), surveys=(1, 2)):
    return join_predictors(tables, pl.Series(records, dtype=pl.Int64), pl.Series(surveys, dtype=pl.Int64))


def values(predictors, *visits):
    """Rows of values, None where unknown."""
    found = predictors.of(pl.DataFrame({"visit": pl.Series(visits, dtype=pl.Int64)}))
    return [[None if math.isnan(value) else value for value in row] for row in found.tolist()]


SURVEYS = [["surveyId", "a"], [1, 10], [2, 20]]


@pytest.mark.parametrize("rows_a_batch", [1, 3, 1000])
def test_values_are_those_of_the_ids_whatever_their_order_and_batches(tmp_path, monkeypatch, rows_a_batch):
    monkeypatch.setattr(batches, "ROWS_A_BATCH", rows_a_batch)
    rng = random.Random(0)
    said = {i: (float(rng.randint(0, 99)), rng.random()) for i in range(50)}
    rows = [[f"{i}.0" if i % 3 else i, *of] for i, of in said.items()]
    rng.shuffle(rows)
    first = [["surveyId", "a", "b"], *rows]
    asked = [7, 7, None, 49, 0, 200, 31]
    made, _ = join([table(tmp_path, first, first)], asked, [1])
    found = made.of(pl.DataFrame({"visit": pl.Series(asked, dtype=pl.Int64)}))
    for visit, row in zip(asked, found.tolist(), strict=True):
        expected = said.get(visit, (math.nan, math.nan))
        np.testing.assert_array_equal(row, np.float32(expected))
    present = made.found(pl.DataFrame({"visit": pl.Series(asked, dtype=pl.Int64)}))
    assert present.tolist() == [True, True, False, True, True, False, True]


def test_columns_are_those_that_both_sides_have_and_no_ids_or_coordinates(tmp_path):
    records = [["", "surveyId", "lon", "lat", "speciesId", "Bio_1", "only_here"], [0, 1, 5, 50, 17, 3.5, 1]]
    surveys = [["surveyId", "bio1", "only_there", "Unnamed: 0"], [1, 4.5, 2, 0]]
    made, other = join([table(tmp_path, records, surveys)], [1], [1])
    assert made.names == other.names == ("Bio_1",)
    assert values(made, 1) == [[3.5]]
    assert values(other, 1) == [[4.5]]
    assert made.facts["predictor_columns_left_out"] == 2
    assert made.notes[:2] == (
        "Predictors that are in theme_PO.csv alone are left out: only_here.",
        "Predictors that are in theme_PA.csv alone are left out: only_there.",
    )


def test_an_id_that_stands_twice_counts_once_or_is_an_error(tmp_path, monkeypatch):
    records = [["surveyId", "a", "b"], [1, 5, ""], [2, 6, 1], [1, 5.0, "NA"], [3, 7, 1], ["x", 9, 9], ["", 9, 9]]
    surveys = [["surveyId", "a", "b"], [1, 5, 1]]
    for rows_a_batch in (1000, 1):
        monkeypatch.setattr(batches, "ROWS_A_BATCH", rows_a_batch)
        made, _ = join([table(tmp_path, records, surveys)], surveys=[1])
        assert values(made, 1, 2, 3) == [[5, None], [6, 1], [7, 1]]
        assert (made.facts["predictor_rows_repeated"], made.facts["predictor_rows_without_id"]) == (1, 2)
        with pytest.raises(
            DataError, match=r"theme_PO\.csv: the id 2 stands twice, with b 1 and 8; an id must have one"
        ):
            join([table(tmp_path, [*records, [2, 6, 8]], surveys)], surveys=[1])


def test_what_is_no_number_infinite_or_a_constant_for_none_is_unknown_and_counted(tmp_path):
    header = ["surveyId", "a", "b", "c", "d"]
    records = [
        header,
        [1, "-inf", 285, "1.5", "x"],
        [2, "-1.79e308", 290, "maybe", "y"],
        [3, "", 65535, "-9999", "z"],
        [4, 3, 281, "2.5", "z"],
    ]
    surveys = [header, [1, "inf", 65535, "-9999", "x"], [2, 2, 280, 2, 1]]
    made, other = join([table(tmp_path, records, surveys)], [1, 2, 3, 4])
    assert made.names == ("a", "b", "c")
    assert values(made, 1, 2, 3, 4) == [[None, 285, 1.5], [None, 290, None], [None, None, None], [3, 281, 2.5]]
    assert values(other, 1, 2) == [[None, None, None], [2, 280, 2]]
    facts = made.facts
    assert facts["predictor_values_infinite"] == 2
    assert facts["predictor_values_not_numbers"] == 5
    assert facts["predictor_values_constant_for_none"] == 2
    assert other.facts["survey_predictor_values_constant_for_none"] == 2
    notes = " ".join(made.notes)
    assert "Predictors without any number at the records are left out: d." in notes
    assert "'d z' (2)" in notes
    assert "'c maybe' (1)" in notes
    assert "value 65535 of the predictor 'b' lies far from all others and counts as unknown (records: 1)" in notes


def test_a_depth_of_9999_metres_is_a_depth(tmp_path):
    records = [["surveyId", "depth"], [1, -9999], [2, -8000.5], [3, -10500]]
    made, _ = join([table(tmp_path, records, [["surveyId", "depth"], [1, 5], [2, 6]])])
    assert values(made, 1, 2, 3) == [[-9999], [-8000.5], [-10500]]


@pytest.mark.parametrize(
    ("records", "surveys", "sentence"),
    [
        (
            [["surveyId", "a"], [7, 1]],
            SURVEYS,
            r"theme_PO\.csv: has none of the ids of the records, such as 1; its own",
        ),
        (
            [["surveyId", "b"], [1, 1]],
            SURVEYS,
            r"theme_PA\.csv: no predictor of it is one of theme_PO\.csv, which has 'b'",
        ),
        ([["surveyId", "a"], [1, "x"]], SURVEYS, r"theme_PO\.csv: no column has a number at any of the records"),
        ([["id", "a"], [1, 1]], SURVEYS, r"theme_PO\.csv: no column 'surveyId'"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, records, surveys, sentence):
    with pytest.raises(DataError, match=sentence):
        join([table(tmp_path, records, surveys)])


def test_two_tables_may_not_have_a_column_of_one_name(tmp_path):
    rows = [["surveyId", "a"], [1, 1], [2, 2]]
    tables = [table(tmp_path, rows, rows, "v1"), table(tmp_path, rows, rows, "v2")]
    with pytest.raises(DataError, match="the column 'a' is in 'v1' and in 'v2'; give one of them"):
        join(tables)


def test_parquet_and_packed_tables_and_semicolons(tmp_path):
    records = tmp_path / "PO.parquet"
    said = {"surveyId": [2, 1], "a": [2.5, None], "b": [7, 8], "c": [[1, 2], None], "__index_level_0__": [0, 1]}
    pl.DataFrame(said).write_parquet(records)
    surveys = tmp_path / "PA.csv"
    surveys.write_text('"surveyId";"b";"a";"c"\n1;5;"6";1\n')
    made, other = join([PredictorTable("x", records, surveys)], [1, 2], [1])
    assert made.names == ("a", "b")
    assert any("'c a list' (1)" in note for note in made.notes)
    assert values(made, 1, 2) == [[None, 8], [2.5, 7]]
    assert values(other, 1) == [[6, 5]]
