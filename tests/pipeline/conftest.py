"""A server of preloaded Pythons, and a project that DVC has run once by it."""

import sys

import pytest
from support.fork_server import ForkServer
from support.tiny_project import ENVIRONMENT, Project


@pytest.fixture(scope="session")
def fast_environment(tmp_path_factory):
    """An environment in which `python` and `dvc` start in milliseconds; forking is safe on Linux alone."""
    if sys.platform != "linux":
        yield ENVIRONMENT
        return
    server = ForkServer(tmp_path_factory.mktemp("server"), ENVIRONMENT)
    yield server.environment(ENVIRONMENT)
    server.stop()


@pytest.fixture(scope="module")
def project(tmp_path_factory, fast_environment):
    project = Project(tmp_path_factory.mktemp("study") / "project", fast_environment)
    project.first_repro = project.repro()
    project.commit("results")
    return project
