"""Write results/report.html: everything the study found, in one page that opens offline."""

from __future__ import annotations

from presence_only.pipeline.command import importing, run_stage


def main() -> None:
    """Read the results that params.yaml names, and no others; write the page."""
    with importing():
        from presence_only.common.atomic_files import write_whole
        from presence_only.reporting.report.collect import page_content
        from presence_only.reporting.report.page import render_page
        from presence_only.study.paths import REPORT
        from presence_only.study.results import StudyResults

    content = page_content(StudyResults())
    with write_whole(REPORT) as temporary:
        temporary.write_text(render_page(content))


if __name__ == "__main__":
    run_stage(main, __doc__)
