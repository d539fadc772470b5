"""What each number of a run means, in one line, for the report; docs/metrics.md has ranges, sources and directions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from presence_only.evaluation.metrics import METRICS
from presence_only.evaluation.skill_measures import SKILL_MEASURES
from presence_only.evaluation.threshold_numbers import LIST_NUMBERS, THRESHOLD_NUMBERS

# The numbers beside METRICS. A further survey's number has the name of the survey before it.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "geoscore": "weighted mean of GeoScore's parts, each brought to 0..1; higher is better",
        "geoscore_f1": "F1 of all pairs of site and species, present where the score is above 0.1; higher is better",
        "geoscore_list_ratio": "mean over sites with presences of the number of species that score above 0.1 over that "
        "present; best at 1",
        "geoscore_density_ratio": "sample mAP of the quarter of sites with the least effort over that of the quarter "
        "with the most; best at 1",
        "geoscore_density_correlation": "correlation over sites of observer effort with the number of species that "
        "score above 0.1; best at 0",
        "effort_correlation": "mean over species of the rank correlation of score and observer effort; best at that "
        "of the truth",
        "effort_correlation_of_truth": "mean over species of the rank correlation of presence and observer effort, "
        "a fact of the data set",
        "species_map_sparse": "mAP over the quarter of sites with the least observer effort; higher is better",
        "species_map_dense": "mAP over the quarter of sites with the most observer effort; higher is better",
        "species_map_rare": "mAP over the quarter of species with the fewest training records; higher is better",
        "species_map_common": "mAP over the quarter of species with the most training records; higher is better",
        "f1_best": "F1 of all pairs at the common threshold that is best against the survey, an upper bound; higher is "
        "better",
        "threshold_best": "the common threshold that is best against the survey, as a score; it is found by the "
        "truth, and nothing to predict by",
        "list_ratio_best": "mean over sites with presences of the number of species predicted over that present, at "
        "the common threshold that is best against the survey; best at 1",
        "list_ratio": "mean over sites with presences of the number of species that score above 0.1 over that present; "
        "best at 1",
        "calibration_error": "expected calibration error of the scores, 15 bins; lower is better",
        "total_ratio": "sum of all scores over the number of presences; best at 1",
        "brier": "mean squared difference of score and presence over all pairs; lower is better",
    }
    | {name: measure.meaning for name, measure in SKILL_MEASURES.items()}
    | dict(THRESHOLD_NUMBERS)
    | dict(LIST_NUMBERS)
)


def meaning_of(name: str) -> str | None:
    """One line about a number of a run; None of one that is not known.

    Args:
        name: As in ``results/comparison.csv``. ``iucn_f1_best`` means what ``f1_best`` does, against that survey.
    """
    known = {metric: entry.meaning for metric, entry in METRICS.items()} | dict(MEANINGS)
    # One name may end with another.
    ends = [own for own in known if name == own or name.endswith(f"_{own}")]
    return known[max(ends, key=len)] if ends else None
