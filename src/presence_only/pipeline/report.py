"""Write results/report.html: everything the study found, in one page that opens offline."""

from __future__ import annotations

from presence_only.pipeline.command import importing, run_stage


def main() -> None:
    """Read the results that params.yaml names, and no others; write the page."""
    with importing():
        from presence_only.common.atomic_files import write_text
        from presence_only.reporting.report.collect import page_content
        from presence_only.reporting.report.page import render_page
        from presence_only.study.checksums import note_made
        from presence_only.study.paths import REPORT
        from presence_only.study.results import StudyResults

    content = page_content(StudyResults())
    write_text(REPORT, render_page(content))
    note_made(REPORT)


if __name__ == "__main__":
    run_stage(main, __doc__)
