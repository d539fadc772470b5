import os
import time

import pytest
import torch

from presence_only.training import TrainingError
from presence_only.workers import available_cores, run_side_by_side


def square(seed, report):
    for epoch in (1, 2):
        report(epoch, 2, seed / epoch)
    return seed * seed, os.getpid(), torch.get_num_threads()


def fail(seed, report):
    if seed == 1:
        raise TrainingError("the training loss is nan")
    time.sleep(0.01)


def die(seed, report):
    os._exit(9)


def test_results_come_by_seed_from_single_threaded_processes(capsys):
    results = run_side_by_side(square, (3, 1, 2), "virtual / bce", workers=2)
    assert list(results) == [3, 1, 2]
    assert [value for value, _, _ in results.values()] == [9, 1, 4]
    assert all(threads == 1 and pid != os.getpid() for _, pid, threads in results.values())
    shown = capsys.readouterr().out
    assert "virtual / bce / seed 3: 2 epochs, loss 1.50000" in shown


def test_a_failing_seed_raises_its_own_error():
    with pytest.raises(TrainingError, match="the training loss is nan"):
        run_side_by_side(fail, (0, 1, 2), "virtual / bce", workers=2)


def test_a_killed_process_is_one_sentence():
    with pytest.raises(TrainingError, match="virtual / bce: a training process was killed"):
        run_side_by_side(die, (0, 1), "virtual / bce", workers=2)


def test_cores_are_counted():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
