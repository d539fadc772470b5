"""Commands that are killed: nothing is torn or done twice, and the next run gives the bytes of one without a kill.

A command of the pipeline runs on a small project in which outputs of other runs lie. SIGKILL ends its own process,
all processes of its group, or one of its children, such as a worker that trains. The moment is drawn over the time of
an undisturbed run; or the process is killed right before one of its changes of files, each of them in turn. After the
kill every output must be the old or the new one, and every folder whole. Then the command runs again at once: it must
succeed, its outputs must be byte for byte those of an undisturbed run, and no process and no unfinished file may stay.
MLflow must have every run once, and every file of DVC's cache the content that its name says.
"""

import csv
import os
import random
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.fork_server import EXECUTABLE, ForkServer
from support.kill_driver import (
    TARGETS,
    Killed,
    cache_is_whole,
    count_changes,
    hashes,
    kill_at_a_change,
    kill_at_a_moment,
    lock_is_whole,
    logged_runs,
    run_undisturbed,
    same_runs,
)
from support.search import SEARCH
from support.tiny_project import ENVIRONMENT, Project
from support.torture import FOLDER, note_trials, record_trials, trials

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forking is safe on Linux alone")
torture_alone = pytest.mark.skipif(not os.environ.get(FOLDER), reason="takes too long but for `make torture`")

CELLS = [("--dataset", "virtual", "--variant", variant) for variant in ("bce", "an_full")]
STAGES = [
    ("generate", "--dataset", "virtual"),
    *(("train", *cell) for cell in CELLS),
    *(("evaluate", *cell) for cell in CELLS),
    ("compare",),
    ("figures",),
    ("settings",),
]


def python(stage, *arguments):
    """The command of a stage."""
    return ("python", "-m", f"presence_only.pipeline.{stage}", *arguments)


OUTPUTS = {
    "generate": ("data", "results/datasets"),
    "train": ("runs/virtual/bce",),
    "evaluate": tuple(
        f"results/{name}/virtual/bce.*" for name in ("per_species", "per_site", "curves", "maps", "metrics")
    ),
    "compare": ("results/*.csv", "results/metrics.json"),
    "figures": ("results/figures", "results/more_figures"),
    "report": ("results/report.html",),
    "dvc": ("data", "runs", "results"),
}


class Projects:
    """Copies of projects from which trials start; all of them are made, and tried, at one place.

    Args:
        folder: Where everything lies.
        server: Forks their commands.
    """

    def __init__(self, folder: Path, server: ForkServer) -> None:
        self.kept = folder / "kept"
        for name in ("kept", "tmp"):
            (folder / name).mkdir()
        environment = server.environment(ENVIRONMENT) | {
            # Where DVC keeps what it knows of files, and commands what they work on.
            "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
            "TMPDIR": str(folder / "tmp"),
            "GIT_CEILING_DIRECTORIES": str(folder),
            "PRESENCE_ONLY_WORKERS": "2",
            EXECUTABLE: str(server.commands / "python"),
        }
        self.project = Project(folder / "project", environment)
        # Beside, so that no trial copies it.
        (self.project.folder / "src").rename(folder / "src")
        sources = os.pathsep.join((str(folder / "src"), str(Path(__file__).parents[1])))
        self.project.environment = environment | {"PYTHONPATH": sources}
        self.make("code")
        self.keep("new")

    def make(self, stage: str, *arguments: str) -> None:
        """Run a stage, as DVC would do."""
        done = self.project.stage(stage, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def keep(self, name: str) -> None:
        """Keep a copy of the project as it is now."""
        shutil.copytree(self.project.folder, self.kept / name, symlinks=True)

    def take(self, name: str) -> Path:
        """Put a copy at the place; returns the place."""
        shutil.rmtree(self.project.folder)
        shutil.copytree(self.kept / name, self.project.folder, symlinks=True)
        return self.project.folder

    def with_older(self, name: str, stage: str) -> str:
        """The name of a copy in which the outputs of a stage are older ones: each has another content."""
        older = f"{name}_before_{stage}"
        if not (self.kept / older).exists():
            folder = self.take(name)
            for path in (path for pattern in OUTPUTS[stage] for path in folder.glob(pattern)):
                for file in [path, *path.rglob("*")]:
                    if file.is_file():
                        file.write_bytes(file.read_bytes() + b" ")
            self.keep(older)
        return older

    def killed(self, name: str, command, start: str, **options) -> Killed:
        """Trials of a command that start from a copy."""
        return Killed(name, command, self.kept / start, self.project.folder, self.project.environment, **options)


@pytest.fixture(scope="session")
def projects(tmp_path_factory):
    """Projects with the copies `new`, in which nothing was made, and `done`, in which all was made and published."""
    # Not below pytest's folders: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory() as folder:
        server = ForkServer(Path(folder), ENVIRONMENT)
        made = Projects(tmp_path_factory.mktemp("kills"), server)
        for stage in STAGES:
            made.make(*stage)
        # To publish it is to copy it, and to make it takes longer than all other stages together.
        (made.project.folder / "results/report.html").write_text("a report")
        made.make("publish")
        made.keep("done")
        yield made
        server.stop()


def try_kills(killed, short, long):
    """Kill a command at random moments, and write down what fell."""
    undisturbed = run_undisturbed(killed)
    what, numbers = f"kills of {killed.name} at random moments", range(trials(short, long))
    try_each(what, numbers, lambda number: kill_at_a_moment(killed, undisturbed, number))


def try_changes(killed, short):
    """Kill a command before each of its changes of files, or before a few drawn ones, and write down what fell."""
    undisturbed, changes = run_undisturbed(killed), range(count_changes(killed))
    drawn = random.Random(killed.name).sample(changes, min(trials(short, len(changes)), len(changes)))
    what = f"kills of {killed.name} before a change of a file"
    try_each(what, sorted(drawn), lambda number: kill_at_a_change(killed, undisturbed, number))


def try_each(what, numbers, trial):
    """Make trials by their numbers; each gives a sentence if something fell."""
    fell = []
    for tried, number in enumerate(numbers):
        note_trials(what, tried, fell)
        fell += filter(None, [trial(number)])
    record_trials(what, len(numbers), fell)


@pytest.mark.parametrize(
    ("stage", "targets", "short", "long"),
    [
        (STAGES[0], ("command",), 1, 130),
        (STAGES[1], TARGETS, 3, 250),
        (STAGES[3], TARGETS, 2, 150),
        (("compare",), ("command",), 1, 60),
        (("figures",), ("command",), 1, 60),
        pytest.param(("report",), ("command",), 0, 50, marks=torture_alone),
    ],
    ids=["generate", "train", "evaluate", "compare", "figures", "report"],
)
def test_a_killed_stage_leaves_whole_files_and_runs_again(projects, stage, targets, short, long):
    start = projects.with_older("done", stage[0])
    try_kills(projects.killed(f"the stage {stage[0]}", python(*stage), start, targets=targets), short, long)


@pytest.mark.parametrize(
    ("stage", "short"),
    [(STAGES[0], 3), (STAGES[1], 3), (STAGES[3], 3), (("compare",), 1), (("figures",), 1)],
    ids=["generate", "train", "evaluate", "compare", "figures"],
)
def test_a_stage_killed_before_a_change_of_a_file_runs_again(projects, stage, short):
    start = projects.with_older("done", stage[0])
    try_changes(projects.killed(f"the stage {stage[0]}", python(*stage), start), short)


def test_a_killed_publish_into_an_existing_store_doubles_no_run(projects):
    folder = projects.take("done")
    # One variant is another one; the runs of the other stay as they are.
    projects.project.edit(variants__bce__pos_weight=True)
    for stage in (("code",), STAGES[1], STAGES[3], ("compare",), ("settings",)):
        projects.make(*stage)
    projects.keep("unpublished")
    projects.make("publish")
    checks = (same_runs(logged_runs(folder)), artifacts_of(folder))
    killed = projects.killed(
        "publish into an existing store", python("publish"), "unpublished", targets=("command",), checks=checks
    )
    try_kills(killed, 2, 130)


def artifacts_of(folder):
    """A check that as many runs have artifacts, and each of them all of its files."""

    def names(where):
        found = {}
        for path in (where / "mlartifacts").glob("*/*"):
            files = tuple(sorted(file.name for file in path.rglob("*") if file.is_file()))
            found[path.name] = files
        return found

    expected = sorted(set(names(folder).values()))

    def check(where):
        missing = [files for files in expected if files not in names(where).values()]
        return [f"artifacts are missing, such as {missing[0][:3]}"] if missing else []

    return check


def search_outputs(folder):
    """What a search leaves, without seconds: a row per trial, which stays the same however many there are."""
    found, files = {}, folder / "searches/virtual/bce"
    if (files / "trials.csv").exists():
        with (files / "trials.csv").open() as file:
            for row in csv.DictReader(file):
                del row["cpu_seconds"], row["best"]
                found[f"trial {row['trial']}"] = str(row)
    if (files / "best.yaml").exists():
        # It names a best trial of those so far.
        best = YAML(typ="safe").load(files / "best.yaml")
        found |= {} if best["settings"] else {"best.yaml": "without settings"}
    return found


def best_of_search(expected):
    """A check that the best settings are those of a search that nobody disturbed."""

    def read(folder):
        best = YAML(typ="safe").load(folder / "searches/virtual/bce/best.yaml")
        return {key: value for key, value in best.items() if key != "cpu_seconds"}

    whole = read(expected)

    def check(folder):
        return [] if read(folder) == whole else [f"the best settings are {read(folder)}, and not {whole}"]

    return check


def test_a_killed_search_goes_on_and_runs_no_trial_twice(projects):
    folder = projects.take("done")
    projects.project.edit(search=SEARCH | {"trials": 4})
    projects.keep("to_search")
    command = ("search", "--dataset", "virtual", "--variant", "bce")
    projects.make(*command)
    checks = (best_of_search(folder), same_runs(logged_runs(folder)))
    killed = projects.killed("a search", python(*command), "to_search", outputs=search_outputs, checks=checks)
    try_kills(killed, 1, 110)


def study_outputs(folder):
    """Outputs of a study; the report tells seconds, and so does the record of it."""
    found = hashes(folder)
    return {path: content for path, content in found.items() if path not in ("results/report.html", "dvc.lock")}


def try_study_kills(projects, name, command, short, long, **options):
    """Kill a command that makes a whole study, over outputs of another one."""
    checks = (lock_is_whole, cache_is_whole)
    start = projects.with_older("done", "dvc")
    killed = projects.killed(name, command, start, outputs=study_outputs, checks=checks, deletes_outputs=True)
    try_kills(replace(killed, **options), short, long)


def test_a_killed_dvc_repro_goes_on(projects):
    # The report takes most of the time.
    targets = () if os.environ.get(FOLDER) else ("compare",)
    try_study_kills(projects, "dvc repro", ("dvc", "repro", *targets), 1, 30)


@torture_alone
def test_a_killed_run_goes_on(projects):
    try_study_kills(projects, "run by processes", python("run"), 0, 30)


@torture_alone
def test_a_killed_run_on_ray_goes_on(projects):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    command = (sys.executable, *python("run", "--executor", "ray", "--workers", "2", "--cells-only")[1:])
    # Without the fork server, whose libraries Ray's workers would not find.
    environment = ENVIRONMENT | {
        name: projects.project.environment[name] for name in ("PYTHONPATH", "TMPDIR", "DVC_SITE_CACHE_DIR")
    }
    # Not below pytest's folders: Ray makes sockets, whose paths have 107 characters at most.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment |= {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled"}
        try_study_kills(projects, "run by Ray", command, 0, 20, environment=environment)
