"""A step on a GPU waits for nothing, shown on torch's device `meta`, which has shapes and no values.

Whatever reads a value there fails, and so does whatever makes a tensor whose shape depends on values.
"""

import pytest
import torch
from support.trained import DATA, SPECIES, every_way, name_of, settings_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from presence_only.losses import host_reads
from presence_only.losses.base import TrainingCounts
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.training import batches, loss_computation
from presence_only.training.batches import RowBatches
from presence_only.training.fit import take_steps
from presence_only.training.loss_computation import make_loss_computation

META = torch.device("meta")
CASES = list(every_way())


class Generator(torch.Generator):
    """A generator that says it lies on the device."""

    device = META


class NoTraffic(TorchDispatchMode):
    """Refuses operations whose tensors lie on two devices, and counts the others."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.count += 1
        devices = {x.device.type for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)}
        assert len(devices) <= 1, f"{function} goes from one device to another"
        return out


def steps_of(case, monkeypatch):
    """The steps of a case on the device."""
    for module in (batches, loss_computation):
        monkeypatch.setattr(module, "stream", lambda seed, name, device: Generator())
    # Read once an epoch; every row has two positives.
    monkeypatch.setattr(RowBatches, "_pairs_before", lambda self, order_N, ends: (2 * torch.tensor(ends)).tolist())
    loss_settings, encoder, settings = settings_of(case)
    records = DATA.training.records
    # Weights of positives are looked at once, when this loss is built.
    looks = loss_settings.loss == "multitask"
    counts_S = torch.ones(SPECIES, dtype=torch.float64, device="cpu" if looks else META)
    built = loss_settings.build(TrainingCounts(records.n_rows, counts_S))
    if looks:
        built.criterion.to(META)
    features = Features(encoder, len(records.covariate_names)).fit(DATA.training)
    model = RangeModel(features, SPECIES, start_S=torch.zeros(SPECIES)).to(META)
    model.features = Features(encoder, len(records.covariate_names)).fit(DATA.training)
    computation = make_loss_computation(settings.loss_computation, model, built, settings, 0)
    return take_steps(model, DATA.training, built, computation, settings, 0)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_no_value_is_read_and_nothing_moves_between_devices(case, monkeypatch):
    steps = steps_of(case, monkeypatch)
    next(steps)  # which prepares the features of all rows
    with NoTraffic() as traffic:
        step = next(steps)
        next(steps)
    assert step.loss.device == META
    assert traffic.count > 50


WAITS = {
    "a value": lambda x: float(x.sum()),
    "a shape": lambda x: x[x > 0],
    "a list": lambda x: x.tolist(),
    "there": lambda x: x.cpu(),
    "back": lambda x: torch.ones(3).to(x),
    "a weight": lambda x: x * torch.tensor(2.0),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_the_test_notices(wait):
    with NoTraffic(), pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
        wait(torch.empty(3, device=META))


def test_the_way_of_the_cpu_would_wait(monkeypatch):
    monkeypatch.setattr(host_reads, "HOST", "meta")
    waiting = 0
    for case in CASES:
        with pytest.MonkeyPatch.context() as patch:
            try:
                next(steps_of(case, patch))
            except (RuntimeError, NotImplementedError):
                waiting += 1
    assert waiting > len(CASES) / 2
