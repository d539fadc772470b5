"""Training on a GPU, where there is one: the same losses and gradients as on the CPU, and no step that waits."""

import copy

import pytest
import torch
from support.trained import DATA, SPECIES, every_way, name_of, settings_of

from presence_only.losses.base import TrainingCounts
from presence_only.losses.scalable import ScalableLoss
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.training.batches import Batch, Batches, RowBatch
from presence_only.training.fit import fit, take_steps
from presence_only.training.loss_computation import make_loss_computation

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
CASES = list(every_way())
every_case = pytest.mark.parametrize("case", CASES, ids=name_of)


def make(case, device, **changes):
    """Model, loss, its computation and settings of a case on a device."""
    loss_settings, encoder, settings = settings_of(case, **changes)
    records = DATA.training.records
    counts_S = torch.from_numpy(records.records_per_species()).double().to(device)
    loss = loss_settings.build(TrainingCounts(records.n_rows, counts_S))
    torch.manual_seed(0)
    features = Features(encoder, len(records.covariate_names)).fit(DATA.training)
    model = RangeModel(features, SPECIES, start_S=torch.linspace(-3, 1, SPECIES)).to(device)
    return model, loss, make_loss_computation(settings.loss_computation, model, loss, settings, 0), settings


@every_case
def test_no_step_waits_for_the_gpu(case):
    model, loss, computation, settings = make(case, torch.device("cuda"))
    steps = take_steps(model, DATA.training, loss, computation, settings, 0)
    next(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            step = next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert step.loss.isfinite()


def moved(batch, device):
    """A batch on another device."""
    drawn, mask = batch.drawn, copy.copy(batch.mask)
    if mask is not None:
        mask.code_K, mask.code_S = mask.code_K.to(device), mask.code_S.to(device)

    def there(tensor):
        return None if tensor is None else tensor.to(device)

    rows = RowBatch(there(drawn.index_B), there(drawn.row_P), there(drawn.species_P), drawn.rows, drawn.pairs)
    parts = map(there, (batch.x_BF, batch.covariates_BC, batch.drawn_K))
    return Batch(rows, *parts, batch.sites, there(batch.background_KF), mask)


@every_case
def test_loss_and_gradients_are_those_of_the_cpu(case):
    """Of losses that draw nothing, without dropout; all species are sampled."""
    own = {"sampled_species": SPECIES} if case[1]["loss_computation"] == "sampled" else {}
    outcomes = {}
    for name in ("cpu", "cuda"):
        model, loss, computation, settings = make(case, torch.device(name), **own)
        if not isinstance(loss, ScalableLoss) and loss.__class__.__name__ != "MaxentLoss":
            pytest.skip("draws")
        model.eval()
        on_cpu = make(case, torch.device("cpu"), **own)[0]
        batches = Batches(on_cpu, DATA.training, settings, 0, needs_background=loss.needs_background)
        value = computation.value(moved(next(iter(batches)), torch.device(name)))
        value.backward()
        outcomes[name] = [value.detach().cpu(), *(gradient.cpu() for gradient in computation.gradients())]
    for mine, theirs in zip(outcomes["cuda"], outcomes["cpu"], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_a_run_learns_and_is_fixed_by_its_seed(precision):
    case = ({"loss": "an_full"}, {"loss_computation": "chunks"})
    own = settings_of(case, device="cuda", precision=precision, epochs=20)
    (one, history), (two, again) = (fit(DATA.training, *own, 0) for _ in range(2))
    assert history.loss[-1] < history.loss[0]
    assert history.loss == pytest.approx(again.loss, rel=1e-3)
    assert one.species_head.weight.device.type == "cpu"
    torch.testing.assert_close(one.species_head.weight, two.species_head.weight, rtol=0.05, atol=0.01)
