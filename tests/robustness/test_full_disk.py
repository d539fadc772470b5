"""Full disks and folders that cannot be written: no output is torn or lost, and one sentence says what was full.

Files that may not grow beyond some bytes, and a disk that tells only at the last moment that it is full, stand for it.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from support.finished_study import COMMANDS, OUTPUTS, STAGES, FinishedStudy, bytes_of, one_sentence
from support.fork_server import ForkServer
from support.tiny_project import ENVIRONMENT
from support.torture import record_trials, trials

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forking is safe on Linux alone")

WRITERS = {name: command for name, command in (STAGES | COMMANDS).items() if name in OUTPUTS}
# The quick ones, among them that of a library which keeps errors to itself.
FEW = ("predict tif", "predict csv", "compare", "settings")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    with tempfile.TemporaryDirectory() as folder:
        server = ForkServer(Path(folder), ENVIRONMENT)
        yield FinishedStudy(tmp_path_factory.mktemp("full_disk"), server.environment(ENVIRONMENT))
        server.stop()


def faults(rng, name, n):
    """Faults of a command that writes a map of some thousand bytes or tables of many: drawn, the likeliest first."""
    yield from [f"size={size}" for size in np.unique(10 ** rng.uniform(0, 4.5, n).astype(int))]
    yield from [f"sync={place}" for place in range(max(1, n // 3))]


def test_on_a_full_disk_nothing_is_torn_and_one_sentence_says_so(study):
    rng, fell, tried = np.random.default_rng(4), [], 0
    for name in trials(FEW, tuple(WRITERS)):
        folder = study.copy()
        code, errors = study.run(folder, WRITERS[name])
        assert code == 0, errors
        whole = bytes_of(folder, OUTPUTS[name])
        for fault in faults(rng, name, trials(2, 12)):
            tried += 1
            code, errors = study.run(folder, WRITERS[name], fault)
            if code not in (0, 1) or (code == 1) != (one_sentence(errors) is not None):
                fell.append(f"{name}, {fault}: exit code {code}, {errors[-300:]}")
            # Equal inputs give equal bytes: whatever was written is whole.
            if bytes_of(folder, OUTPUTS[name]) != whole:
                fell.append(f"{name}, {fault}: outputs are torn or lost")
            if left := [path.name for path in folder.rglob("*.tmp-*")]:
                fell.append(f"{name}, {fault}: left {left[0]}")
    record_trials("commands on a full disk", tried, fell)


def test_where_a_folder_or_a_file_is_in_the_way_one_sentence_says_so(study):
    fell, tried = [], 0
    for name in trials(("compare", "settings"), tuple(WRITERS)):
        for output in OUTPUTS[name]:
            folder = study.copy()
            path = folder / output
            if name.startswith("predict"):
                path.write_text("old")
            # A folder with something in it where the file belongs, and a file where its folder or it belongs.
            for obstacle in ("inside", "above"):
                moved = path if obstacle == "inside" else path.parent
                if moved == folder:
                    continue
                aside = folder / "aside"
                moved.rename(aside)
                if obstacle == "inside" and aside.is_file():
                    moved.mkdir()
                    (moved / "mine").write_text("kept")
                else:
                    moved.write_text("kept")
                tried += 1
                code, errors = study.run(folder, WRITERS[name])
                if code != 1 or one_sentence(errors) is None:
                    fell.append(f"{name}, {output}, {obstacle}: exit code {code}, {errors[-300:]}")
                kept = moved / "mine" if moved.is_dir() else moved
                if not kept.is_file() or kept.read_text() != "kept":
                    fell.append(f"{name}, {output}, {obstacle}: a file of the user is lost")
                    break
                kept.unlink()
                if moved.is_dir():
                    moved.rmdir()
                aside.rename(moved)
    record_trials("commands with a file or a folder in the way", tried, fell)


def test_an_answer_that_cannot_be_printed_is_one_sentence(study):
    folder = study.copy()
    (folder / "say.sh").write_text('"$@" > /dev/full\n')
    for command in ("predict --at", "show"):
        code, errors = study.run_raw(folder, ["sh", "say.sh", sys.executable, "-m", *COMMANDS[command]])
        assert code == 1, errors
        assert one_sentence(errors).startswith("error: No space left on device"), errors
