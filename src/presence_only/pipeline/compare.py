"""Bring every cell of the study together: the comparison table and all paired differences."""

from __future__ import annotations

from presence_only.pipeline.command import importing, run_stage


def main() -> None:
    """Read the cells that params.yaml names, and no others; write the tables."""
    with importing():
        from presence_only.common.atomic_files import write_json, write_stream
        from presence_only.statistics.comparison_table import compare
        from presence_only.statistics.tables import across_tables, all_pairs, main_metrics, with_ensembles
        from presence_only.study.checksums import note_made
        from presence_only.study.paths import ACROSS, ACROSS_PAIRS, COMPARISON, METRICS_OF_STUDY, PAIRS
        from presence_only.study.results import StudyResults

    study = StudyResults()
    cells = [study.cell(dataset, variant) for dataset in study.datasets for variant in study.variants]
    table = with_ensembles(compare(cells), study.ensemble)
    with write_stream(COMPARISON) as stream:
        table.write_csv(stream, float_precision=6)
    with write_stream(PAIRS) as stream:
        all_pairs(cells).write_csv(stream, float_precision=6)
    across = across_tables(cells, scenarios=study.study.scenarios or None)
    for path, over_all in zip((ACROSS, ACROSS_PAIRS), across, strict=True):
        with write_stream(path) as stream:
            over_all.write_csv(stream, float_precision=6)
    write_json(METRICS_OF_STUDY, main_metrics(table))
    note_made(COMPARISON, PAIRS, ACROSS, ACROSS_PAIRS, METRICS_OF_STUDY)


if __name__ == "__main__":
    run_stage(main, __doc__)
