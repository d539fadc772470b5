import datetime

import pytest

from presence_only.common.quoting import MOST_OF_A_SENTENCE, one_sentence, quoted, shortened

DAY = datetime.date(2020, 1, 2)
CYCLE = [1]
CYCLE.append(CYCLE)


class Silent:
    def __repr__(self):
        raise RecursionError


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -7, 1.5, 10**39, "bce", "it's", b"x", [], {}, (), (1,), [1, "a"], {"a": [1, {}]}, {1}, set(), DAY],
    ids=repr,
)
def test_a_short_value_is_quoted_as_python_writes_it(value):
    assert quoted(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10**5_000, "a whole number of about 5,000 digits"),
        (-(10**400), "a whole number of about 400 digits"),
        (CYCLE, "[1, [1, [1, [1, [...]]]]]"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]"),
        (Silent(), "a Silent"),
        ("x" * 10**6, "'" + "x" * 57 + " ... " + "x" * 56 + "'"),
    ],
    ids=["5,000 digits", "400 digits", "a cycle", "a list", "an object", "a text"],
)
def test_a_long_value_is_cut(value, text):
    assert quoted(value) == text


def test_a_sentence_is_short_and_on_one_line():
    assert one_sentence("a\nb\x1b[2J\u202ec") == "a\\nb\\x1b[2J\\u202ec"
    assert len(one_sentence("key = " + "\n" * 10**6 + ": must be 1")) == MOST_OF_A_SENTENCE
    assert one_sentence("key = " + "x" * 10**6 + ": must be 1").endswith(": must be 1")
    assert shortened("abcdefghij", 9) == "ab ... ij"
