"""What the README says must be what the files say."""

import re
from pathlib import Path

import polars as pl
import pytest

from presence_only.statistics.significance import is_significant_across

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FAIR = ROOT / "experiments/fair/results/answers"
needs_fair = pytest.mark.skipif(not FAIR.exists(), reason="the fair comparison has no results in this checkout")
# Columns of the table of all losses, after the mAP and its interval.
FURTHER = (
    "sample_map",
    "species_map_sparse",
    "species_map_dense",
    "effort_correlation",
    "geoscore_list_ratio",
    "calibration_error",
)


def test_links_and_images_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if not link.startswith("http")]
    assert len(local) > 3
    for link in local:
        assert (ROOT / link).exists(), link


def across(name, folder=ROOT):
    """Rows of a table over all data sets of a study."""
    return pl.read_csv(folder / f"results/{name}.csv").filter(pl.col("scenario") == "all")


def means(metric):
    """Mean, low and high over all data sets of every variant of the default study."""
    table = across("across").filter(pl.col("metric") == metric)
    return {row["variant"]: [row["mean"], row["low"], row["high"]] for row in table.iter_rows(named=True)}


def test_the_table_is_the_committed_table_over_all_data_sets():
    """The README shows no number that the default study did not write."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \| (.*) \|$", README, flags=re.MULTILINE)
    expected = means("species_map")
    assert {variant for variant, *_ in rows} == set(expected)
    for variant, *numbers, others in rows:
        assert [float(x) for x in numbers] == pytest.approx(expected[variant], abs=0.00051)
        told = [float(x) for x in others.split(" | ")]
        assert told == pytest.approx([means(metric)[variant][0] for metric in FURTHER], abs=0.00051)
    scores = [float(score) for _, score, *_ in rows]
    assert scores == sorted(scores, reverse=True)


def fair(name):
    """A table of the answers of the fair comparison."""
    return pl.read_csv(FAIR / f"{name}.csv", infer_schema_length=None)


@needs_fair
def test_the_short_table_quotes_the_fair_comparison():
    """A score with its interval, at 100 records per species, stands in the row of the variant that has it."""
    rows = re.findall(r"^\| [^|`]+ \| `(\w+)`.* ([\d.]+) \(([\d.]+) to ([\d.]+)\) \|$", README, flags=re.MULTILINE)
    assert len(rows) == len(re.findall(r"(?<![+\d.-])[\d.]+ \([\d.]+ to [\d.]+\)", README)) >= 4
    table = fair("means").filter((pl.col("metric") == "species_map") & (pl.col("scenario") == "middle"))
    expected = {row["variant"]: [row["mean"], row["low"], row["high"]] for row in table.iter_rows(named=True)}
    for variant, *numbers in rows:
        assert [float(x) for x in numbers] == pytest.approx(expected[variant], abs=0.00051)


@needs_fair
def test_a_difference_in_the_text_is_that_of_the_fair_comparison():
    """It stands before its pair and scenario, of all of them if none is named, and is judged as the rule judges it."""
    number = r"([+-][\d.]+)"
    told = re.findall(
        rf"{number} \({number} to {number}\), (not significant|significant)(, practically equal)? "
        r"\(`(\w+)` - `(\w+)`(?:, `(\w+)`)?",
        " ".join(README.split()),
    )
    assert len(told) == len(re.findall(r"\([+-][\d.]+\s+to", README)) >= 2
    table = fair("pairs").filter(pl.col("metric") == "species_map")
    pairs = {(row["scenario"], row["first"], row["second"]): row for row in table.iter_rows(named=True)}
    for *numbers, word, equal, first, second, scenario in told:
        scenario = scenario or "all"
        sign = 1 if (scenario, first, second) in pairs else -1
        row = pairs[(scenario, *(first, second)[::sign])]
        own = [sign * row[key] for key in ("difference", *("low", "high")[::sign])]
        assert [float(x) for x in numbers] == pytest.approx(own, abs=0.00051)
        assert is_significant_across(row) is (word == "significant")
        assert row["practically_equal"] is bool(equal)


@needs_fair
def test_the_answer_holds_no_other_number():
    """A bare number of three decimals belongs to a variant that its paragraph names, or to a page that it links."""
    answer = README[README.index("## The answer so far") : README.index("## Install and run")]
    table = fair("means")
    found = 0
    for part in re.split(r"\n\n|\n\* ", answer):
        paragraph = " ".join(part.split())
        own = table.filter(pl.col("variant").is_in(re.findall(r"`(\w+)`", paragraph)))["mean"].to_list()
        # Numbers with an interval are those of the tests above, and values of settings stand in code.
        prose = re.sub(r"[+-]?[\d.]+ \([^)]* to [^)]*\)|`[^`]*`", "", paragraph)
        linked = [(ROOT / path).read_text() for path in re.findall(r"\]\(([\w/]+\.md)", paragraph)]
        for text in re.findall(r"\d\.\d{3}\b", prose):
            of_study = any(float(text) == pytest.approx(mean, abs=0.00051) for mean in own)
            assert of_study or any(text in page for page in linked), (text, paragraph)
            found += 1
    assert found


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)", README)):
        assert f"\n{target}:" in makefile, target
    for name in set(re.findall(r"NAME=(\w+)", README)):
        assert any((ROOT / "experiments" / name / file).exists() for file in ("params.yaml", "design.yaml"))
