"""The tables that commands print."""

from dataclasses import replace

import pytest
from support import tiny
from support.tiny_results import two_variants

from presence_only.data.summary import summarise
from presence_only.reporting.console import leaderboard, print_summary


def test_a_data_set_is_told_with_what_every_rule_dropped(capsys):
    filters = (("read", 1000), ("coordinates, uncertainty", 900), ("odd - '[/x]' (1)", 900))
    dataset = replace(tiny.dataset(), filters=filters, notes=("Spatial blocks are no survey.",))
    print_summary("mine", dataset, summarise(dataset), 1.25)
    said = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said if line.startswith("│")]
    assert cells == [
        ["read", "1,000", "-", "-"],
        ["coordinates, uncertainty", "900", "100", "10.00"],
        ["odd - '[/x]' (1)", "900", "0", "0.00"],
    ]
    assert said[-2:] == [
        "note: Spatial blocks are no survey.",
        "mine: 60 records of 5 species, 50 survey sites in 1.2 s",
    ]


def test_a_data_set_that_was_not_cleaned_is_told_in_one_line(capsys):
    print_summary("virtual", tiny.dataset(), summarise(tiny.dataset()), 2.0)
    assert capsys.readouterr().out == "virtual: 60 records of 5 species, 50 survey sites in 2.0 s\n"


@pytest.mark.parametrize(
    ("seeds", "sites", "title"),
    [
        (1, 40, "virtual: mean of 1 seed, 12 species, 40 sites (0 to 1, higher is better)"),
        (5, 1, "virtual: mean of 5 seeds, 12 species, 1 site (0 to 1, higher is better)"),
    ],
)
def test_one_is_no_plural(seeds, sites, title):
    table = leaderboard(two_variants(seeds, sites), "virtual", {"bce": 2.04})
    assert table.title == title
    assert list(table.columns[0].cells) == ["an_full", "bce"]
    assert list(table.columns[3].cells) == ["-" if seeds == 1 else "0.0500"] * 2
    assert list(table.columns[6].cells) == ["-", "2.0"]
