"""The driver of kills finds what it is there to find: torn files and folders, other outputs, processes that stay."""

import os
import sys
from pathlib import Path

import pytest
from support import kill_driver
from support.kill_driver import Killed, count_changes, kill_at_a_change, kill_at_a_moment, run_undisturbed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

WHOLE = """
from pathlib import Path
Path("results").mkdir(exist_ok=True)
Path(".new.tmp-1").write_text("new")
Path(".new.tmp-1").rename("results/file")
"""
TORN = """
import os
from pathlib import Path
Path("results").mkdir(exist_ok=True)
with open("results/file", "w") as file:
    file.write("n")
    file.flush()
    os.mkdir("other")
    os.rmdir("other")
    file.write("ew")
"""
IN_PARTS = """
from pathlib import Path
folder = Path("results/figures")
folder.mkdir(parents=True, exist_ok=True)
(folder / "a").write_text("a")
(folder / "b").write_text("b")
"""
LASTING = """
from pathlib import Path
Path("results").mkdir(exist_ok=True)
was_there = Path("begun").exists()
Path("begun").touch()
Path("results/file").write_text("new")
Path("results/file").unlink() if was_there else Path("begun").unlink()
"""
# The second time.
ORPHAN = """
import subprocess, sys
from pathlib import Path
if Path("begun").exists():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
Path("begun").touch()
"""


@pytest.fixture
def killed(tmp_path):
    def of(program):
        (tmp_path / "start").mkdir()
        (tmp_path / "place").mkdir()
        (tmp_path / "start/program.py").write_text(program)
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
        command = (sys.executable, "-m", "program")
        return Killed("a program", command, tmp_path / "start", tmp_path / "place", environment, targets=("command",))

    return of


@pytest.mark.parametrize(
    ("program", "changes", "found"),
    [
        # Before the last rename the new file lies there under another name; the next run writes it again.
        (WHOLE, 3, {}),
        (TORN, 4, dict.fromkeys((2, 3), "results/file is torn")),
        (IN_PARTS, 5, {4: "the folder results/figures is torn: it lacks ['results/figures/b']"}),
        (
            LASTING,
            4,
            dict.fromkeys((2, 3), "outputs differ from those of an undisturbed run: ['begun', 'results/file']"),
        ),
    ],
    ids=["whole", "torn", "in_parts", "lasting"],
)
def test_a_kill_before_each_change_of_a_file_finds_what_it_tears(killed, program, changes, found):
    killed = killed(program)
    undisturbed = run_undisturbed(killed)
    assert count_changes(killed) == changes
    said = {number: kill_at_a_change(killed, undisturbed, number) for number in range(changes)}
    for number, sentence in said.items():
        assert (found[number] in sentence) if number in found else not sentence, (number, sentence)


def test_a_process_that_stays_is_told_and_ended(killed, monkeypatch):
    monkeypatch.setattr(kill_driver, "PATIENCE", 0.5)
    killed = killed(ORPHAN)
    sentence = kill_at_a_change(killed, run_undisturbed(killed), 1)
    assert "processes stay: [" in sentence
    assert "time.sleep(60)" in sentence


def test_the_same_number_is_the_same_moment(killed, monkeypatch):
    killed = killed(WHOLE)
    undisturbed = run_undisturbed(killed)
    slept = []
    monkeypatch.setattr(kill_driver.time, "sleep", slept.append)
    shares = []
    for number in (3, 4, 3):
        slept.clear()
        assert kill_at_a_moment(killed, undisturbed, number) == ""
        shares.append(slept[0] / undisturbed.seconds)
    assert shares[0] == shares[2] != shares[1]
    assert all(0 <= share < 1 for share in shares)
