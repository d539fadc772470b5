"""Tasks on a Ray cluster of two machines, which here are two nodes of this one; one of them is killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.executors import Contract, Heard

from presence_only.execution.run_tasks import run_tasks
from presence_only.execution.task import Lost, Progressed, Task

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
ray_cluster = pytest.importorskip("presence_only.execution.ray_cluster")

SOURCES = os.pathsep.join(filter(None, sys.path))
RAY = str(Path(sys.executable).with_name("ray"))


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def start_node(environment, *options):
    """Start a node; returns its processes."""
    before = raylets()
    command = [RAY, "start", "--num-cpus=1", "--disable-usage-stats", *options]
    # Ray gives a node 30 seconds to start, which on a busy machine may be too few.
    for _ in range(3):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return raylets() - before
    raise AssertionError(done.stderr[-2000:])


def raylets():
    """Processes of Ray that manage a node."""
    found = set()
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                if Path((path / "cmdline").read_bytes().split(b"\0")[0].decode()).name == "raylet":
                    found.add(int(path.name))
            except OSError:
                continue
    return found


def of_cluster(port):
    """All processes that name a cluster's port on their command line: its store, monitors and agents too."""
    found = set()
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                if re.search(rf"[:=]{port}\b", (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()):
                    found.add(int(path.name))
            except OSError:
                continue
    return found


def children(parents):
    """Processes that others have started."""
    found = set()
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                # Behind the name of the program, which may hold spaces: the state, and the parent.
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in parents:
                found.add(int(path.name))
    return found


@pytest.fixture(scope="module", autouse=True)
def _no_tokens():
    """Ray would write a token into the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a cluster of two nodes, and a function that kills the second."""
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    environment = os.environ | {"PYTHONPATH": SOURCES}
    port = free_port()
    started = start_node(
        environment, "--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--include-dashboard=false"
    )
    address = f"127.0.0.1:{port}"
    # An address of its own, so that whoever connects to the first is not taken for the second's.
    second = start_node(environment, f"--address={address}", "--node-ip-address=127.0.0.2")

    def kill():
        # As a machine ends: its workers could finish what they run without the process that manages the node.
        for pid in second | children(second):
            os.kill(pid, signal.SIGKILL)

    yield address, kill
    for pid in started | second | of_cluster(port):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture(scope="module")
def connected(cluster):
    """An executor on the cluster, for all tests of what every executor must do."""
    with ray_cluster.RayCluster(address=cluster[0]) as executor:
        yield executor


class TestRay(Contract):
    @pytest.fixture
    def executor(self, connected):
        return connected


def node(inputs, output, report):
    """Which node runs this, after a while; the input travels to each."""
    name = ray.get_runtime_context().get_node_id()
    for step in range(20):
        report(step, 20, number_of(name))
        time.sleep(0.05)
    return name, len(inputs["bytes"].read_bytes())


def number_of(name):
    """A number for the name of a node."""
    return float(int(name[:8], 16))


def test_a_killed_machine_loses_what_it_runs_and_nothing_else(cluster, connected, tmp_path):
    kill = cluster[1]
    (tmp_path / "bytes").write_bytes(b"x" * 2**20)
    tasks = [Task(f"task {i}", node, {"bytes": tmp_path / "bytes"}, label=f"task {i}") for i in range(12)]

    class Killer(Heard):
        def hears(self, task, event):
            super().hears(task, event)
            # While the second node runs a task, and has run others.
            elsewhere = isinstance(event, Progressed) and event.number != number_of(here)
            if elsewhere and len(self.begun) >= 6 and kill not in self.kept:
                self.kept.append(kill)
                kill()

    heard, here = Killer(), ray.get_runtime_context().get_node_id()
    assert connected.slots == 2
    values = run_tasks(tasks, connected, watcher=heard)
    assert set(values) == {task.key for task in tasks}
    assert {size for _, size in values.values()} == {2**20}
    # Both nodes worked before the kill, and one task at least was lost with the second and run again.
    assert len({name for name, _ in values.values()}) == 2
    lost = [event.key for event in heard.events if isinstance(event, Lost)]
    assert 1 <= len(lost) <= 2
    assert sorted(heard.begun) == sorted([*values, *lost])


ALONE = (
    "from pathlib import Path\n"
    "import ray\n"
    "from support import works\n"
    "from presence_only.execution.ray_cluster import RayCluster\n"
    "from presence_only.execution.run_tasks import run_tasks\n"
    "with RayCluster(workers=1) as executor:\n"
    "    print(run_tasks([works.of_number(Path({place!r}), 6)], executor)['square 6'][0])\n"
    "print(ray.is_initialized())"
)


def test_a_cluster_of_this_machine_alone_is_made_and_taken_down(tmp_path):
    # In a process of its own: this one is connected to another cluster, which must not be taken.
    environment = os.environ | {"PYTHONPATH": SOURCES}
    command = [sys.executable, "-c", ALONE.format(place=str(tmp_path))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["36", "False"], done.stderr[-2000:]
