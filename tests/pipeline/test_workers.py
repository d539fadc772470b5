"""The tasks of a cell side by side: what they give, and what is shown meanwhile."""

import os
import pty
import re
import subprocess
import sys

import pytest
from support import works

from presence_only.execution.task import Finished, Lost, Progressed, Task
from presence_only.pipeline.progress import Display, TimeLeft, in_words, words_of_evaluation, words_of_training
from presence_only.pipeline.workers import run_side_by_side


def test_the_value_of_a_task_comes_with_its_key_and_its_last_words_are_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PRESENCE_ONLY_WORKERS", "2")
    tasks = [works.of_number(tmp_path, number, words=words_of_training) for number in (3, 1, 2)]
    values = run_side_by_side(tasks, "virtual / bce")
    assert [values[task.key][0] for task in tasks] == [9, 1, 4]
    assert os.getpid() not in {pid for _, pid in values.values()}
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == [f"{number}: loss {number / 2:.5f} after 2 epochs" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("words", "note"),
    [(words_of_training, "loss 0.12346 after 3 epochs"), (words_of_evaluation, "species mAP 0.123")],
)
def test_a_number_is_told_with_its_meaning(words, note):
    assert words(3, 0.123456) == note


@pytest.mark.skipif(sys.platform != "linux", reason="needs a terminal of its own")
def test_a_terminal_shows_one_bar_per_task_and_one_for_all():
    program = (
        "import time\n"
        "from presence_only.execution.task import Task\n"
        "from presence_only.pipeline.progress import words_of_training\n"
        "from presence_only.pipeline.workers import run_side_by_side\n"
        "def work(inputs, output, report):\n"
        "    for step in range(1, 11): report(step, 10, 0.25); time.sleep(0.1)\n"
        "tasks = [Task(f'{i}', work, label=f'virtual / bce / seed {i}', words=words_of_training) for i in (1, 2)]\n"
        "run_side_by_side(tasks, 'virtual / bce')"
    )
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        environment = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
        subprocess.run([sys.executable, "-c", program], stdout=theirs, env=environment, check=True)
        os.close(theirs)
        shown = b""
        try:
            while chunk := terminal.read(65536):
                shown += chunk
        except OSError:  # how Linux says that nobody holds the other end
            pass
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).splitlines()
    for seed in (1, 2):
        bars = [line for line in lines if line.startswith(f"virtual / bce / seed {seed} ")]
        assert re.search(r"\d+/10 loss 0.25000 after \d+ epochs", bars[-1])
        assert f"virtual / bce / seed {seed}: loss 0.25000 after 10 epochs" in [line.strip() for line in lines]
    assert [line for line in lines if re.search(r"^virtual / bce .* 2/2", line)]


def task(key, kind="train"):
    return Task(key, works.square, kind=kind, label=key)


def test_the_time_left_is_estimated_from_each_kind_of_task():
    tasks = [task("a"), task("b"), task("c"), task("x", "evaluate"), task("y", "evaluate")]
    left = TimeLeft(tasks)
    assert left.seconds(0) is None
    left.starts(tasks[0], 0)
    left.starts(tasks[1], 0)
    assert left.seconds(5) is None
    # Half of the first is done after 10 seconds: 20 a task, and nothing is known of the other kind but that.
    left.progresses(tasks[0], 0.5)
    assert left.seconds(10) == pytest.approx((2.5 * 20 + 2 * 20) / 2)
    left.ends(tasks[0], 20, done=True)
    left.starts(tasks[3], 20)
    left.ends(tasks[3], 22, done=True)
    left.starts(tasks[2], 22)
    # The first estimate counts on beside the measured 20 s; evaluation takes 2 s.
    assert left.seconds(22) == pytest.approx((2 * 20 + 1 * 2) / 2)
    left.found(tasks[4])
    assert left.seconds(22) == pytest.approx(2 * 20 / 2)
    left.ends(tasks[1], 30, done=False)
    left.starts(tasks[1], 30)
    assert left.seconds(30) == pytest.approx(2 * 20 / 2)


def test_a_log_says_now_and_then_how_far_everything_is(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr("presence_only.pipeline.progress.time.monotonic", lambda: now)
    tasks = [task("a"), task("b"), task("c")]
    display = Display(tasks, "3 cells to train")
    display.found(tasks[2])
    display.starts(tasks[0])
    now = 40.0
    display.hears(tasks[0], Progressed("a", 1, 2, 0.5))
    assert capsys.readouterr().out == "3 cells to train: 1 of 3 tasks done, about 2 min left\n"
    display.hears(tasks[0], Lost("a", "its process ended with signal 9"))
    display.starts(tasks[0])
    now = 80.0
    display.hears(tasks[0], Finished("a", None))
    said = capsys.readouterr().out
    assert "a: its process ended with signal 9; it is run again\n" in said
    assert "3 cells to train: 2 of 3 tasks done" in said


@pytest.mark.parametrize(("seconds", "words"), [(12.4, "12 s"), (200, "3 min"), (12_000, "3 h 20 min")])
def test_a_time_is_said_in_its_unit(seconds, words):
    assert in_words(seconds) == words
