"""The order of the tests, the longest files first, so that other processes work beside them; a project to run."""

import pytest
from support.tiny_project import Project

LONGEST = ("test_pipeline.py", "test_pipeline_edits.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("study") / "project")
    project.first_repro = project.repro()
    project.commit("results")
    return project
