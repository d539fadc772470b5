"""A server of preloaded Pythons, and a project that DVC has run once by it."""

import sys
import tempfile
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from support.fork_server import ForkServer
from support.tiny_project import ENVIRONMENT, Project


@pytest.fixture(scope="session")
def fast_environment():
    """An environment in which `python` and `dvc` start in milliseconds; forking is safe on Linux alone."""
    if sys.platform != "linux":
        yield ENVIRONMENT
        return
    # Not below pytest's folders: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory() as folder:
        server = ForkServer(Path(folder), ENVIRONMENT)
        yield server.environment(ENVIRONMENT)
        server.stop()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A database of MLflow without runs: to make one takes longer than a test."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory, fast_environment):
    project = Project(tmp_path_factory.mktemp("study") / "project", fast_environment)
    project.first_repro = project.repro()
    project.commit("results")
    return project
