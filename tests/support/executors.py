"""What every executor must do."""

import pytest
from support import works

from presence_only.common.errors import TrainingError
from presence_only.execution.run_tasks import Watcher, run_tasks
from presence_only.execution.task import Lost, Task


def events_until(executor, kind, limit=60.0):
    """Wait for an event of a kind."""
    while (event := executor.next_event(timeout=limit)) is not None:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind} in time")


class Contract:
    """Tests of an executor; a subclass has the fixture ``executor``."""

    def test_files_come_in_and_out(self, executor, tmp_path):
        tasks = [works.of_number(tmp_path, number) for number in (2, 3, 4)]
        values = run_tasks(tasks, executor)
        assert [values[task.key][0] for task in tasks] == [4, 9, 16]
        assert [(task.output / "square.txt").read_text() for task in tasks] == ["4", "9", "16"]

    def test_a_folder_is_an_input(self, executor, tmp_path):
        (tmp_path / "folder/within").mkdir(parents=True)
        (tmp_path / "folder/within/a.txt").write_text("7")
        task = Task("listing", listing, {"folder": tmp_path / "folder"}, tmp_path / "out")
        assert run_tasks([task], executor) == {"listing": {"within/a.txt": "7"}}

    def test_one_task_waits_for_another(self, executor, tmp_path):
        first = works.of_number(tmp_path, 3)
        second = Task(
            "second", works.square, {"number": first.output / "square.txt"}, tmp_path / "second", after=(first.key,)
        )
        values = run_tasks([second, first], executor)
        assert values["second"][0] == 81

    def test_a_failure_is_raised_as_it_is_and_leaves_no_half_output(self, executor, tmp_path):
        task = Task("fails", works.fail, {}, tmp_path / "out")
        with pytest.raises(TrainingError, match=r"^the training loss is nan$"):
            run_tasks([task], executor)
        assert not (tmp_path / "out").exists()

    def test_a_mistake_of_the_code_comes_with_its_traceback(self, executor, tmp_path):
        with pytest.raises(RuntimeError, match=r"works.py(.|\n)*KeyError: 'missing'"):
            run_tasks([Task("mistake", works.mistake)], executor)

    def test_a_task_that_lost_its_worker_is_run_again(self, executor, tmp_path):
        (tmp_path / "place").mkdir()
        heard = Heard()
        task = Task("dies once", shared_die_once(tmp_path / "place"), {}, tmp_path / "out")
        assert run_tasks([task], executor, watcher=heard) == {"dies once": "second time"}
        assert [type(event) for event in heard.events].count(Lost) == 1


class Heard(Watcher):
    """A watcher that remembers."""

    def __init__(self):
        self.events, self.begun, self.kept = [], [], []

    def starts(self, task):
        self.begun.append(task.key)

    def hears(self, task, event):
        self.events.append(event)

    def found(self, task):
        self.kept.append(task.key)


class shared_die_once:
    """`die_once` with a place that all workers see, whatever travels with the inputs."""

    def __init__(self, place):
        self.place = place

    def __call__(self, inputs, output, report):
        return works.die_once({"place": self.place}, output, report)


def listing(inputs, output, report):
    """Every file of a folder with its content."""
    files = [path for path in inputs["folder"].rglob("*") if path.is_file()]
    return {path.relative_to(inputs["folder"]).as_posix(): path.read_text() for path in files}
