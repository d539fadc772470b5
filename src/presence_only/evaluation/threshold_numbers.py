"""Names and meanings of the numbers of binary ranges and species lists: one per rule and measure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from presence_only.evaluation.binary_ranges import RANGE_MEASURES
from presence_only.evaluation.presence_thresholds import THRESHOLD_RULES
from presence_only.evaluation.record_quarters import QUARTERS
from presence_only.evaluation.skill_measures import SKILL_MEASURES

# Length of the list of the species with the highest scores.
TOP = 10
# Rule of a species list to how tables for readers call it.
LIST_RULES: Mapping[str, str] = MappingProxyType(
    {name: rule.title for name, rule in THRESHOLD_RULES.items()}
    | {f"top{TOP}": f"top {TOP}", "expected_f1": "expected F1"}
)
# What lists are judged by, and what each number means.
LIST_MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "f1": "F1 of the list; higher is better",
        "ratio": "number of species listed over that present; best at 1",
    }
)
# What is listed by a rule that is no threshold.
_LISTED = {
    f"top{TOP}": f"the {TOP} species with the highest scores",
    "expected_f1": "the species list with the highest expected F1 by calibrated scores",
}


def threshold_number(rule: str, measure: str) -> str:
    """The name of a number of binary ranges, and of its values per species."""
    return f"threshold_{rule}_{measure}"


def list_number(rule: str, measure: str) -> str:
    """The name of a number of species lists."""
    return f"list_{rule}_{measure}"


# Numbers that are means over species, and those that a run has one of, with their meanings.
THRESHOLD_NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        threshold_number(name, measure): f"mean over species of the {meaning}, by {rule.meaning}"
        for name, rule in THRESHOLD_RULES.items()
        for measure, meaning in RANGE_MEASURES.items()
    }
)
LIST_NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        list_number(name, measure): f"mean over sites of the {meaning}, of "
        + (_LISTED[name] if name in _LISTED else f"all species that reach {THRESHOLD_RULES[name].meaning}")
        for name in LIST_RULES
        for measure, meaning in LIST_MEASURES.items()
    }
)
# Every number of the study's own survey, beside METRICS, that has a value per species.
SPECIES_NUMBERS = (*QUARTERS, *SKILL_MEASURES, *THRESHOLD_NUMBERS)
