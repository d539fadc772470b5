"""Every number of a run is explained, in the report and in docs/metrics.md."""

import re
from pathlib import Path

from presence_only.evaluation.binary_ranges import RANGE_MEASURES
from presence_only.evaluation.meanings import MEANINGS, meaning_of
from presence_only.evaluation.metrics import METRICS
from presence_only.evaluation.seed_scores import SEED_NUMBERS
from presence_only.evaluation.survey import SCALE
from presence_only.evaluation.threshold_numbers import (
    LIST_MEASURES,
    LIST_NUMBERS,
    LIST_RULES,
    SPECIES_NUMBERS,
    THRESHOLD_NUMBERS,
)

RULES, MEASURES = LIST_RULES, {*RANGE_MEASURES, *LIST_MEASURES}
PAGE = (Path(__file__).parents[2] / "docs/metrics.md").read_text()


def test_every_number_is_explained():
    assert set(MEANINGS) == {*SEED_NUMBERS, *SPECIES_NUMBERS, *SCALE}
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    # Those of binary ranges and of lists are explained by rule and by measure.
    by_rule = {*THRESHOLD_NUMBERS, *LIST_NUMBERS}
    words = {*RULES, *MEASURES}
    assert sorted(set(rows) - words) == sorted({*METRICS, *SEED_NUMBERS, *SPECIES_NUMBERS} - by_rule)
    assert words - set(rows) == {"top10", "expected_f1"}
    for word in ("threshold_<rule>_<measure>", "list_<rule>_<measure>", "top10", "expected_f1"):
        assert f"`{word}`" in PAGE
    for name in (*METRICS, *SCALE):
        assert f"`iucn_{name}`" in PAGE


def test_no_meaning_refers_to_another_number():
    """Tables show them in any order, and a few of them alone."""
    for name, meaning in MEANINGS.items():
        assert not re.search(r"\bat that threshold\b|\bscore at that\b|^the same\b", meaning), name


def test_a_further_surveys_number_means_what_its_ending_does():
    assert meaning_of("f1_best") == meaning_of("iucn_f1_best") == MEANINGS["f1_best"]
    assert meaning_of("iucn_geoscore_f1") == MEANINGS["geoscore_f1"]
    assert meaning_of("geoscore_list_ratio") == MEANINGS["geoscore_list_ratio"]
    assert meaning_of("iucn_species_map") == METRICS["species_map"].meaning
    assert meaning_of("geo_gain") is None
