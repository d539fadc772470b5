"""Recommended settings: the variants that the searches of a fair comparison chose, as lines for a params.yaml."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from presence_only.fair_comparison.answers import chosen
from presence_only.fair_comparison.design import Design
from presence_only.search.adopt import in_one_line
from presence_only.search.criteria import CRITERIA
from presence_only.search.space import nested
from presence_only.study.inheritance import inherit, merged

# Columns of the table of chosen settings that are no setting.
_NO_SETTINGS = ("chosen_by", "scenario", "variant", "search_cpu_seconds", "trials", "trial", *CRITERIA)


def recommended(design: Design, trials: pl.DataFrame) -> str:
    """A YAML file with a group of variants per scenario that was searched for all of them.

    Args:
        design: The design of the comparison.
        trials: The table of its trials.

    Returns:
        Text, whose first lines say where the settings come from. A line of a group can be copied to the group
        ``variants`` of a study.
    """
    return "\n".join(_lines(design, trials)) + "\n"


def _lines(design: Design, trials: pl.DataFrame) -> Iterator[str]:
    """The lines of the file."""
    search, written = design.search, inherit(design.tree.variants, "variants")
    yield f"# The settings that {design.criterion} chose among {search.trials} trials of every variant, in one world of"
    yield "# each scenario, by held-out records alone. A line can be copied to the group `variants` of a params.yaml."
    table = chosen(trials, [design.criterion])
    columns = [name for name in table.columns if name not in _NO_SETTINGS and not name.startswith("truth_")]
    for scenario in design.searched_scenarios:
        yield ""
        yield f"{scenario}:  # {design.titles[scenario]}"
        for row in table.filter(pl.col("scenario") == scenario).iter_rows(named=True):
            settings = nested({name: row[name] for name in columns if row[name] is not None})
            # A length in steps takes the place of epochs by itself.
            settings.get("training", {}).pop("epochs", None)
            yield f"  {row['variant']}: {in_one_line(merged(written[row['variant']], settings))}"
