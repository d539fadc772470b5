"""Studies that a notebook reads: the one that it stands in, and those of experiments/ beside it."""

from __future__ import annotations

from pathlib import Path

from presence_only.study.results import MissingResultsError, StudyResults


def here() -> StudyResults:
    """The study of the working folder or of the nearest folder above it that has a params.yaml.

    Raises:
        MissingResultsError: If there is none.
    """
    folder = Path.cwd()
    for candidate in (folder, *folder.parents):
        if (candidate / "params.yaml").is_file():
            return StudyResults(candidate)
    raise MissingResultsError(f"no params.yaml in {folder} or above it; run from a study's folder")


def beside(study: StudyResults, name: str) -> StudyResults:
    """A study of experiments/, by what is committed of it: the page is the same for those who did not run it."""
    return StudyResults(study.folder / "experiments" / name, committed=True)
