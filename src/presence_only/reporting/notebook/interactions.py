"""Notebook table of an interaction: whether one setting of a loss changes what a step of another brings.

Shape legend: W data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from presence_only.reporting.notebook.display import Shown, interval, judgement, section, table
from presence_only.reporting.notebook.scores import place_of
from presence_only.statistics.significance import is_significant_across, judged
from presence_only.statistics.world_intervals import mean_over_worlds
from presence_only.study.results import MissingResultsError, StudyResults


@section
def interaction(study: StudyResults, loss: str, first: str, second: str) -> Shown:
    """Whether one setting of a loss changes what another brings, over the widest block of four variants.

    Both steps are rows of results/across_pairs.csv. Their difference is taken in every data set from results/pairs.csv,
    and its interval and test are those of such a row, for this one comparison.

    Args:
        study: A study of three or more data sets.
        loss: Name of the loss.
        first: Name of one setting.
        second: Name of the setting whose step is compared at two values of the first; ``neg_samples`` 0 stands at the
            number of species, as it takes all.
    """
    if not study.over_all:
        raise MissingResultsError(f"{study.name} has too few data sets for the interval of an interaction")
    for family in study.families(study.datasets[0], loss, first, second):
        members = {(x, place_of(study, second, y)): name for (x, y), name in family.items()}
        blocks = complete_blocks(members)
        if blocks:
            break
    else:
        raise MissingResultsError(f"{study.name} has no four variants of {loss} that cross {first} with {second}")
    (x0, x1), (y0, y1) = blocks[0]
    low, high = (members[x0, y1], members[x0, y0]), (members[x1, y1], members[x1, y0])
    steps = [study.pair_across(*low), study.pair_across(*high)]
    excess_W = [study.pair(d, *high).difference - study.pair(d, *low).difference for d in study.datasets]
    excess = mean_over_worlds(np.array(excess_W), [study.study.scenarios.get(d, "") for d in study.datasets])
    significant = is_significant_across({"low": excess.low, "high": excess.high, "p_holm": excess.p})
    step = f"{second} = {y0:g} to {y1:g}"
    return table(
        {
            "step": [f"{step} at {first} = {x0:g}", f"{step} at {first} = {x1:g}", "second minus first step"],
            "change of mAP (95 % interval)": [
                *map(interval, steps),
                f"{excess.mean:+.3f} ({excess.low:+.3f} to {excess.high:+.3f})",
            ],
            "judged": [*map(judgement, steps), judged(significant)],
        }
    )


def complete_blocks(members: Mapping[tuple[Any, ...], str]) -> Sequence[tuple[tuple[Any, Any], tuple[Any, Any]]]:
    """The largest 2 x 2 blocks of a two-parameter family: (lowest and highest x, lowest and highest y).

    The widest block with all four corners comes first; empty where there is none.
    """
    xs, ys = (sorted({value[i] for value in members}) for i in (0, 1))
    found = []
    for i, x0 in enumerate(xs):
        for j, x1 in enumerate(xs[i + 1 :], i + 1):
            for k, y0 in enumerate(ys):
                for m, y1 in enumerate(ys[k + 1 :], k + 1):
                    if all((x, y) in members for x in (x0, x1) for y in (y0, y1)):
                        found.append(((j - i) + (m - k), ((x0, x1), (y0, y1))))
    return [block for _, block in sorted(found, key=lambda item: -item[0])]
