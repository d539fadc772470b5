"""Figures of a study: maps of the records, metrics with their intervals, training loss."""

from __future__ import annotations

from presence_only.pipeline.command import importing, run_stage


def main() -> None:
    """Read the comparison table, the records and the histories; replace both folders of figures."""
    with importing():
        from presence_only.common.atomic_files import write_folder
        from presence_only.reporting.study_figures import draw_study
        from presence_only.study.checksums import note_made
        from presence_only.study.paths import FIGURES, MORE_FIGURES
        from presence_only.study.results import StudyResults

    with write_folder(FIGURES) as main_figures, write_folder(MORE_FIGURES) as more_figures:
        draw_study(StudyResults(), main_figures, more_figures)
    note_made(FIGURES, MORE_FIGURES)


if __name__ == "__main__":
    run_stage(main, __doc__)
