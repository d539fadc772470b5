"""Tables and figures of a fair comparison: its answers, its criteria or its truths."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from presence_only.pipeline.command import importing, run_stage

if TYPE_CHECKING:
    import polars as pl

    from presence_only.fair_comparison.design import Design

TABLES, FIGURES = Path("results/answers"), Path("results/figures")
# Among the tables: the settings that the searches chose, as variants.
RECOMMENDED = "recommended.yaml"
MAP = "species_map"
# Metrics of the table of means, those of ranking first.
MEANS = (
    MAP,
    "species_map_rare",
    "species_map_common",
    "species_map_sparse",
    "species_map_dense",
    "sample_map",
    "auc_roc",
    "geoscore",
    "geoscore_f1",
    "geoscore_list_ratio",
    "f1_best",
    "list_ratio_best",
    "calibration_error",
    "total_ratio",
    "brier",
    "effort_correlation",
    "held_out_cells_species_map",
    "held_out_cells_sample_map",
    "held_out_cells_f1_best",
    "cpu_seconds",
)
# Those whose pairs are compared.
PAIRS = (MAP, "species_map_rare", "held_out_cells_species_map")
# What may be called truth: true ranges, held-out records, lists of species, and calibration.
TRUTHS = (
    MAP,
    "sample_map",
    "auc_roc",
    "held_out_cells_species_map",
    "held_out_cells_sample_map",
    "geoscore_f1",
    "f1_best",
    "list_length_agreement",
    "calibration_agreement",
    "geoscore",
)


def main() -> None:
    """Write one group of tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    groups: dict[str, Callable[[Path], None]] = {"answers": answers, "selection": selection, "truths": truths}
    parser.add_argument("group", choices=groups, help="which tables")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the comparison's tables")
    arguments = parser.parse_args()
    groups[arguments.group](arguments.results)


def answers(results: Path) -> None:
    """Means and pairs over worlds, gains of tuning, cost, agreement between scenarios."""
    with importing():
        from presence_only.common.atomic_files import write_text
        from presence_only.fair_comparison.agreement import between_scenarios
        from presence_only.fair_comparison.answers import (
            chosen,
            cost_to_reach,
            costs,
            differences_from,
            means,
            pairs,
            tuning_gains,
        )
        from presence_only.fair_comparison.recommended import recommended
        from presence_only.fair_comparison.tables import read_scores, read_trials
        from presence_only.reporting.figures import fair

    scores, trials = read_scores(results), read_trials(results)
    design = design_of(results)
    known = [metric for metric in MEANS if metric in scores.columns]
    by_mean, curves = means(scores, known), costs(scores, design.main_scenario)
    write("means", by_mean)
    of_pairs = pairs(scores, [metric for metric in PAIRS if metric in scores.columns])
    write("pairs", of_pairs)
    # The first variant of the design is the one that the others are compared with.
    reference = scores["variant"][0]
    from_reference = differences_from(reference, by_mean_of(of_pairs, MAP))
    write("differences", from_reference)
    write("agreement", between_scenarios(scores, MAP))
    write("chosen", chosen(trials))
    write_text(TABLES / RECOMMENDED, recommended(design, trials))

    own = by_mean_of(by_mean, MAP)
    label, main = f"mAP - mAP of {reference}", design.main_scenario
    draw("map_by_scenario", fair.scenarios_figure(from_reference, titles_in(from_reference, design), label, main))
    if design.fair.default_in:
        gains = tuning_gains(scores)
        write("means_default", means(scores, known, settings="default"))
        write("tuning", gains)
        order = main if main in design.fair.default_in else design.fair.default_in[0]
        draw("tuning", fair.tuning_figure(gains, titles_in(gains, design), order))
    if len(curves):
        write("costs", curves)
        write("cost_to_reach", cost_to_reach(curves))
        best_first = own.filter(_is("scenario", main)).sort("mean", descending=True)["variant"].to_list()
        draw("cost", fair.cost_figure(curves, best_first[:14]))
    wide = by_mean.filter(_is("scenario", main)).pivot("metric", index="variant", values="mean")
    if "geoscore_list_ratio" in wide.columns:
        lists = ("geoscore_list_ratio", "species listed per species present, threshold 0.1")
        draw("list_length", fair.scatter_figure(wide, lists, (MAP, "mAP over true ranges"), log_x=True))


def selection(results: Path) -> None:
    """Regret of every criterion."""
    with importing():
        from presence_only.fair_comparison.regret import WITHIN, regrets, summary
        from presence_only.fair_comparison.tables import read_trials
        from presence_only.reporting.figures import fair

    table = regrets(read_trials(results))
    summarised = summary(table)
    write("regrets", table)
    write("regret", summarised)
    panels = {"all": "all scenarios"} | titles_in(summarised, design_of(results))
    draw("regret", fair.regret_figure(summarised.filter(_is("chosen_from", WITHIN)), panels))


def truths(results: Path) -> None:
    """Agreement of the order of losses between what may be called truth, and the effect of label propagation."""
    with importing():
        from presence_only.fair_comparison.agreement import between_metrics
        from presence_only.fair_comparison.answers import means, scenario_gains
        from presence_only.fair_comparison.tables import read_scores
        from presence_only.reporting.figures import fair

    scores = with_agreements(read_scores(results))
    known = [metric for metric in TRUTHS if metric in scores.columns]
    write("agreement", between_metrics(scores, known))
    by_mean = means(scores, known)
    write("means", by_mean)
    design = design_of(results)
    for base, other in design.fair.gains.items():
        write(f"{base}_to_{other}", scenario_gains(scores, base, other, known))
    wide = by_mean.filter(_is("scenario", design.main_scenario)).pivot("metric", index="variant", values="mean")
    if "held_out_cells_species_map" not in wide.columns:
        return
    held_out = ("held_out_cells_species_map", "mAP over held-out cells of records")
    draw("truths", fair.scatter_figure(wide, held_out, (MAP, "mAP over true ranges"), log_x=False))


def design_of(results: Path) -> Design:
    """The design of a comparison, which lies beside its folder of results."""
    from presence_only.fair_comparison.design import DESIGN, Design

    return Design.load(results.resolve().parent / DESIGN)


def titles_in(table: pl.DataFrame, design: Design) -> dict[str, str]:
    """Title of every scenario that a table has, in the order of the design."""
    have = set(table["scenario"])
    return {name: title for name, title in design.titles.items() if name in have}


def with_agreements(scores: pl.DataFrame) -> pl.DataFrame:
    """The scores with two metrics more, higher is better: how close list length and total score are to the truth.

    ``list_length_agreement`` is min(r, 1 / r) of the list ratio r, and ``calibration_agreement`` is 1 - the expected
    calibration error.
    """
    import polars as pl

    ratio = pl.col("geoscore_list_ratio")
    return scores.with_columns(
        pl.when(ratio > 0).then(pl.min_horizontal(ratio, 1 / ratio)).otherwise(0.0).alias("list_length_agreement"),
        (1 - pl.col("calibration_error")).alias("calibration_agreement"),
    )


def by_mean_of(table: pl.DataFrame, metric: str) -> pl.DataFrame:
    """The rows of one metric."""
    return table.filter(_is("metric", metric))


def _is(column: str, value: str) -> pl.Expr:
    """Rows whose column has a value."""
    import polars as pl

    return pl.col(column) == value


def write(name: str, table: pl.DataFrame) -> None:
    """Write a table of the answers."""
    from presence_only.fair_comparison.tables import write_table

    write_table(table, TABLES / f"{name}.csv")


def draw(name: str, figure: object) -> None:
    """Write a figure."""
    from matplotlib.figure import Figure

    from presence_only.reporting.figures.style import save_figure

    assert isinstance(figure, Figure)
    save_figure(figure, FIGURES / f"{name}.png")


if __name__ == "__main__":
    run_stage(main)
