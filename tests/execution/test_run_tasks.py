"""The order of tasks, and what a journal spares."""

import shutil

import pytest
from support import works
from support.executors import Heard

from presence_only.common.errors import DivergenceError, TrainingError
from presence_only.execution.folders import pack, unpack
from presence_only.execution.journal import Journal
from presence_only.execution.run_tasks import run_tasks
from presence_only.execution.task import Failed, Finished, Progressed, Task
from presence_only.execution.work import run_work


class Here:
    """An executor in this process: a task runs when its event is asked for, the last submitted first."""

    def __init__(self, slots=2):
        self.slots, self.submitted, self.ran = slots, [], []

    def has_room(self, task):
        return len(self.submitted) < self.slots

    def submit(self, task):
        assert self.has_room(task)
        self.submitted.append(task)

    def next_event(self, timeout=None):
        task = self.submitted.pop()
        self.ran.append(task.key)
        try:
            return Finished(task.key, run_work(task.work, task.inputs, task.output, lambda *_: None))
        except TrainingError as error:
            return Failed(task.key, error)


def test_tasks_begin_in_their_order_where_there_is_a_choice(tmp_path):
    executor, heard = Here(1), Heard()
    tasks = [works.of_number(tmp_path, number) for number in (5, 3, 4)]
    run_tasks(tasks, executor, watcher=heard)
    assert heard.begun == executor.ran == ["square 5", "square 3", "square 4"]


def test_tasks_that_wait_do_not_hold_up_others(tmp_path):
    executor = Here(1)
    first, third = works.of_number(tmp_path, 2), works.of_number(tmp_path, 6)
    second = Task("b", works.square, {"number": first.output / "square.txt"}, tmp_path / "b", after=(third.key,))
    run_tasks([second, first, third], executor)
    assert executor.ran == ["square 2", "square 6", "b"]


def test_a_failure_names_its_task_and_a_mistake_of_the_code_does_not(tmp_path):
    class Mistaken(Here):
        def next_event(self, timeout=None):
            return Failed(self.submitted.pop().key, RuntimeError("a traceback"))

    task = Task("fails", works.fail, {}, tmp_path / "out", label="virtual / bce / seed 0")
    with pytest.raises(TrainingError) as error:
        run_tasks([task], Here())
    assert str(error.value) == "virtual / bce / seed 0: the training loss is nan"
    assert type(error.value) is TrainingError
    with pytest.raises(RuntimeError) as error:
        run_tasks([task], Mistaken())
    assert str(error.value) == "a traceback"


def diverging(folder, name, after=()):
    return Task(name, works.diverge, {}, folder / name, label=f"virtual / {name} / seed 0", after=after)


def test_training_that_diverges_leaves_the_others_to_be_kept(tmp_path):
    tasks = [works.of_number(tmp_path, number) for number in (2, 3)]
    scored = Task("score", works.square, {"number": tasks[0].output / "square.txt"}, tmp_path / "s", after=("bce",))
    later = Task("table", works.square, {"number": tasks[0].output / "square.txt"}, tmp_path / "t", after=("score",))
    wrong = [diverging(tmp_path, "bce"), diverging(tmp_path, "asl")]
    executor = Here(1)
    with pytest.raises(DivergenceError) as error:
        run_tasks([*wrong, scored, later, *tasks], executor, journal=Journal(tmp_path / "journal"))
    assert str(error.value) == (
        "virtual / bce / seed 0: the training loss is nan: lower training.learning_rate; 1 further trainings diverged "
        "too; what else ran is kept: mend the setting, or take the variant out of study.variants, and run again"
    )
    assert executor.ran == ["bce", "asl", *(task.key for task in tasks)]
    assert all(Journal(tmp_path / "journal").find(task) for task in tasks)


def test_training_that_diverges_ends_a_run_that_keeps_nothing(tmp_path):
    executor = Here(1)
    with pytest.raises(DivergenceError, match=r"lower training.learning_rate$"):
        run_tasks([diverging(tmp_path, "bce"), works.of_number(tmp_path, 2)], executor)
    assert executor.ran == ["bce"]


def test_a_journal_spares_what_is_done_after_a_failure(tmp_path):
    journal = Journal(tmp_path / "journal")
    tasks = [works.of_number(tmp_path, number) for number in (2, 3)]
    wrong = Task("wrong", works.fail, {}, tmp_path / "wrong")
    with pytest.raises(TrainingError):
        run_tasks([*tasks, wrong], Here(1), journal=journal)
    executor, heard = Here(1), Heard()
    values = run_tasks(tasks, executor, watcher=heard, journal=Journal(tmp_path / "journal"))
    assert executor.ran == heard.begun == []
    assert heard.kept == [task.key for task in tasks]
    assert [value[0] for value in values.values()] == [4, 9]


@pytest.mark.parametrize("change", ["identity", "input", "output", "note", "everything"])
def test_what_has_changed_is_run_again(tmp_path, change):
    journal = Journal(tmp_path / "journal")
    task = works.of_number(tmp_path, 2, identity="a")
    run_tasks([task], Here(), journal=journal)
    assert journal.find(task).value[0] == 4
    if change == "identity":
        task = works.of_number(tmp_path, 2, identity="b")
    elif change == "input":
        shutil.rmtree(tmp_path / "2.txt", ignore_errors=True)
        (tmp_path / "2.txt").write_text("7")
    elif change == "output":
        (task.output / "square.txt").write_text("5")
    elif change == "note":
        task.output.with_name("out_2.json").unlink()
    else:
        shutil.rmtree(task.output)
    executor = Here()
    run_tasks([task], executor, journal=Journal(tmp_path / "journal"))
    assert executor.ran == ["square 2"]


def test_a_journal_removes_what_a_kill_left(tmp_path):
    (tmp_path / "journal/virtual-bce/.seed_0.tmp-7").mkdir(parents=True)
    (tmp_path / "journal/virtual-bce/seed_1").mkdir()
    journal = Journal(tmp_path / "journal")
    assert [path.name for path in (tmp_path / "journal/virtual-bce").iterdir()] == ["seed_1"]
    journal.forget()
    assert not (tmp_path / "journal").exists()


def test_a_packed_folder_is_the_same_elsewhere(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a/b").mkdir(parents=True)
    (source / "a/b/file.bin").write_bytes(bytes(range(256)))
    (source / "empty.txt").touch()
    target.mkdir()
    unpack(pack(source), target)
    assert (target / "a/b/file.bin").read_bytes() == bytes(range(256))
    assert (target / "empty.txt").read_bytes() == b""
    (target / "a/b/file.bin").touch()
    assert pack(source) == pack(target)


def test_events_of_tasks_that_do_not_run_are_passed_over(tmp_path):
    class Late(Here):
        def next_event(self, timeout=None):
            return (
                Progressed("gone", 1, 2, 0.0) if not self.ran and not self.ran.append("late") else super().next_event()
            )

    executor = Late()
    assert run_tasks([works.of_number(tmp_path, 2)], executor)["square 2"][0] == 4
