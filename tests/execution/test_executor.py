"""What is asked of an executor is checked before it starts."""

import sys

import pytest

from presence_only.common.errors import ExecutionError, SettingsError
from presence_only.execution.executor import EXECUTORS, prepare_executor


def test_an_executor_is_started_when_it_is_called_for():
    with prepare_executor("processes", 3)() as executor:
        assert executor.slots == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("dask",), "--executor dask: must be one of processes, ray, slurm"),
        (("processes", 0), "--workers 0: must be a positive whole number"),
        (("processes", 1, {"address": "a:1"}), "--address a:1: the executor 'processes' has no options of its own"),
        (("ray", 1, {"minutes": "5"}), "--minutes 5: the executor 'ray' has only --address"),
        (("ray", 1, {"address": "here"}), "--address here: must be host:port, as `ray start --head` says it, or auto"),
        (("slurm", 1, {"minutes": "soon"}), "--minutes soon: must be a positive whole number"),
        (("slurm", 1, {"gpus": "-1"}), "--gpus -1: must be a whole number, 0 or more"),
        (
            ("slurm", 1, {"address": "a:1"}),
            "--address a:1: the executor 'slurm' has only --partition, --minutes, --gpus",
        ),
    ],
)
def test_a_wrong_wish_is_one_sentence(arguments, sentence):
    if arguments[0] in EXECUTORS and arguments[0] != "processes":
        pytest.importorskip({"ray": "ray", "slurm": "submitit"}[arguments[0]], reason="an extra is not installed")
    with pytest.raises(SettingsError) as error:
        prepare_executor(*arguments)
    assert str(error.value) == sentence


def test_an_address_that_does_not_answer_is_one_sentence():
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with pytest.raises(
        ExecutionError, match=r"^--address 127\.0\.0\.1:9: nothing answers there .* `ray start --head`$"
    ):
        prepare_executor("ray", 1, {"address": "127.0.0.1:9"})


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_extra_is_one_sentence(monkeypatch, name, package):
    for module in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, EXECUTORS[name].partition(":")[0], raising=False)
    with pytest.raises(SettingsError) as error:
        prepare_executor(name)
    assert str(error.value) == f"--executor {name}: needs the extra {name!r}: pip install 'presence-only[{name}]'"
