"""What the penalties of a study's losses ask for, drawn from the package's own penalties."""

from __future__ import annotations

import polars as pl

from presence_only.losses.penalties import Penalty
from presence_only.losses.penalty_curves import absence_slopes, penalty_curves
from presence_only.reporting.figures.losses import penalty_figure
from presence_only.reporting.notebook.display import Shown, code, picture, section, table
from presence_only.study.results import MissingResultsError, StudyResults


@section
def penalties(study: StudyResults) -> Shown:
    """Value and gradient of one element against its logit, for every penalty of the study."""
    found = _penalties(study)
    return picture(
        penalty_figure(pl.DataFrame(penalty_curves(found))),
        f"Value and gradient of {', '.join(found)} against the logit, for a present and for an absent species.",
    )


@section
def pushes(study: StudyResults, *scores: float) -> Shown:
    """How hard an assumed absence is pushed down where its score is p: the gradient, without a unit.

    Args:
        study: The study.
        scores: The scores p, within 0..1, both excluded.
    """
    found = {name: absence_slopes(penalty, scores) for name, penalty in _penalties(study).items()}
    columns = {f"p = {p:g}": [f"{push[i]:.2g}" for push in found.values()] for i, p in enumerate(scores)}
    return table({"penalty of": [code(name) for name in found]} | columns)


def _penalties(study: StudyResults) -> dict[str, Penalty]:
    """Variant to its penalty; of variants that share one, the first."""
    found: dict[str, Penalty] = {}
    for name in study.variants:
        penalty = study.params.variants[name].loss.build_penalty()
        if penalty is not None and penalty not in found.values():
            found[name] = penalty
    if not found:
        raise MissingResultsError(f"{study.name} has no variant whose loss penalises single pairs")
    return found
