import polars as pl
import pytest

from presence_only.comparison import Difference
from presence_only.notebook.wording import (
    best,
    bullets,
    extremes,
    interaction,
    leader,
    listed,
    markdown_table,
    penalty_name,
    score_table,
    shown,
    signed,
    standing,
    sweep,
    versus,
)

NAN = float("nan")
ROWS = pl.DataFrame(
    {
        "variant": ["a", "b", "c"],
        "mean": [0.2, 0.5, 0.4],
        "low": [0.1, 0.45, NAN],
        "high": [0.3, 0.55, NAN],
    }
)


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (Difference(0.1, 0.05, 0.15), "`a` is 0.100 above `b` in mAP (95 % interval +0.050 to +0.150)"),
        (Difference(-0.1, -0.2, -0.01), "`a` is 0.100 below `b` in mAP (95 % interval -0.200 to -0.010)"),
        (
            Difference(0.1, -0.01, 0.2),
            "no difference in mAP is shown between `a` and `b` (+0.100, 95 % interval -0.010 to +0.200)",
        ),
        (
            Difference(0.0, 0.0, 0.0),
            "no difference in mAP is shown between `a` and `b` (+0.000, 95 % interval +0.000 to +0.000)",
        ),
        (Difference(0.1, NAN, NAN), "no difference in mAP is shown between `a` and `b` (+0.100, no interval)"),
        (Difference(NAN, NAN, NAN), "mAP of `a` and `b` cannot be compared, as no species has both"),
    ],
)
def test_a_verdict_follows_the_interval(difference, sentence):
    assert versus("a", "b", difference) == sentence
    assert shown(difference) == ("is 0.1" in sentence)


def test_the_leader_is_the_highest_mean():
    assert best(ROWS)["variant"] == "b"
    assert leader(ROWS) == "`b` has the highest mAP, 0.500 (0.450 to 0.550), and `a` the lowest, 0.200 (0.100 to 0.300)"
    assert leader(ROWS[2:]) == "`c` alone has results: mAP 0.400"
    equal = ROWS.with_columns(pl.lit(0.3).alias("mean"))
    assert best(equal)["variant"] == "a"


def test_a_mean_that_is_not_defined_never_leads():
    rows = ROWS.with_columns(pl.Series("mean", [NAN, 0.1, 0.2]))
    assert best(rows)["variant"] == "c"
    assert "and `b` the lowest" in leader(rows)


def test_a_sweep_compares_its_best_with_both_ends():
    ends = [Difference(0.3, 0.2, 0.4), Difference(0.1, -0.1, 0.3)]
    text = sweep("m", [1, 2, 4], ROWS, ends)
    assert text.startswith("mAP is highest at m = 2, 0.500 (0.450 to 0.550); `b` is 0.300 above `a`")
    assert "no difference in mAP is shown between `b` and `c`" in text
    at_the_end = sweep("m", [1, 2], ROWS[:2], ends)
    assert at_the_end.count(";") == 1


def test_the_best_is_set_against_all_others():
    apart, level = Difference(0.1, 0.05, 0.2), Difference(0.1, -0.05, 0.2)
    assert standing("a", {"b": apart, "c": apart}) == "`a` differs from each of the other 2"
    assert (
        standing("a", {"b": apart, "c": level}) == "`a` differs from 1 of the other 2; no difference is shown from `c`"
    )
    assert signed(level) == "+0.100 (-0.050 to +0.200)"
    assert signed(Difference(0.1, NAN, NAN)) == "+0.100"


def test_extremes_are_named_only_where_they_differ():
    assert extremes({"a": 0.1, "b": 0.5}, "most", "least") == "most under `b` (0.500) and least under `a` (0.100)"
    assert extremes({"a": 0.1, "b": 0.1}, "most", "least", ".1f") == "the same under `a` and `b` (0.1)"


def test_an_interaction_is_claimed_only_if_its_interval_excludes_zero():
    steps = (Difference(0.01, 0, 0.02), Difference(0.05, 0.04, 0.06))
    block = ((1, 2), (0.0, 0.2))
    text = interaction(("gamma", "clip"), block, steps, Difference(0.04, 0.01, 0.07))
    assert text.startswith("going from clip = 0.0 to 0.2 changes mAP by +0.010 at gamma = 1 and by +0.050 at gamma = 2")
    assert "gamma changes what clip brings" in text
    assert "no interaction of the two is shown" in interaction(("g", "c"), block, steps, Difference(0.04, -0.01, 0.07))


def test_words_are_put_into_markdown():
    assert [listed(list("abc"[:n])) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert bullets(["one", "`two`"]) == "* One.\n* `two`."
    assert markdown_table({"x": ["a|b"], "y": [1]}) == "| x | y |\n| --- | ---: |\n| a\\|b | 1 |"
    assert score_table(ROWS[:1], my_loss=["bce"]).splitlines()[0] == "| variant | mAP (95 % interval) | my loss |"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"penalty": "bce"}, "bce"),
        ({"penalty": "focal", "alpha": None, "gamma": 2.0}, "focal, gamma 2"),
        ({"penalty": "focal", "alpha": 0.25, "gamma": 2.0}, "focal, alpha 0.25, gamma 2"),
        ({"penalty": "asl", "gamma_pos": 0.0, "gamma_neg": 4.0, "clip": 0.05}, "asl, gamma_neg 4, clip 0.05"),
        ({"penalty": "asl", "gamma_pos": 1.0, "gamma_neg": 4.0, "clip": 0.0}, "asl, gamma_pos 1, gamma_neg 4, clip 0"),
    ],
)
def test_a_penalty_is_named_by_its_parameters(settings, name):
    assert penalty_name(settings) == name
