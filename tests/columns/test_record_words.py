"""Words for status and basis, as publishers write them."""

import polars as pl
import pytest

from presence_only.columns.record_words import basis, is_absence, with_answers, with_bases, with_statuses


@pytest.mark.parametrize("word", ["present", "PRESENCE", "observed", "Detected", "1", "true", "rare", "P", "3"])
def test_presences(word):
    assert is_absence(word) is False


@pytest.mark.parametrize("word", ["absent", "ABSENCE", "0", "0.0", "not detected", "not_observed", "Excluded", "false"])
def test_absences(word):
    assert is_absence(word) is True


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("HumanObservation", "humanobservation"),
        ("HUMAN_OBSERVATION", "humanobservation"),
        ("human-observation", "humanobservation"),
        ("Preserved Specimen", "preservedspecimen"),
        ("specimen", "preservedspecimen"),
        ("fossil", "fossilspecimen"),
        ("Literature", "materialcitation"),
        ("whatever", None),
    ],
)
def test_bases(word, known):
    assert basis(word) == known


def test_columns_name_the_words_that_are_not_known():
    batch = pl.DataFrame({"s": ["present", "maybe", None, "absent"], "b": ["Specimen", None, "odd", "mine"]})
    found = with_bases(with_statuses(batch, "s"), "b", frozenset({"mine"}))
    assert found["absent"].to_list() == [False, None, None, True]
    assert found["unread_status"].to_list() == [None, "maybe", None, None]
    assert found["basis"].to_list() == ["preservedspecimen", None, None, "mine"]
    assert found["unread_basis"].to_list() == [None, None, "odd", None]


def test_statuses_that_are_numbers():
    assert with_statuses(pl.DataFrame({"s": [0, 1, 2, None]}), "s")["absent"].to_list() == [True, False, False, None]
    assert with_statuses(pl.DataFrame({"s": [True, False]}), "s")["absent"].to_list() == [False, True]


def test_answers():
    words = ["1", "TRUE", "t", "yes", "0", "False", "n", None, "perhaps"]
    found = with_answers(pl.DataFrame({"complete": words}), "complete", "unread")
    assert found["complete"].to_list() == [True] * 4 + [False] * 3 + [None] * 2
    assert found["unread"].to_list() == [None] * 8 + ["perhaps"]


def test_a_negative_number_is_no_presence():
    found = with_statuses(pl.DataFrame({"s": ["-1", "-9999.0", "-0", "none", "+1", "nan"]}), "s")
    assert found["absent"].to_list() == [True, True, True, True, False, None]
    assert found["unread_status"].to_list() == ["-1", "-9999.0", None, None, None, "nan"]
    answers = with_answers(pl.DataFrame({"s": ["-1", "1"]}), "s", "unread")
    assert answers.rows() == [(None, "-1"), (True, None)]
