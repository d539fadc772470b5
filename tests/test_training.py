import numpy as np
import pytest
import tiny
import torch

from presence_only import training
from presence_only.losses.registry import parse_variant
from presence_only.metrics import evaluate
from presence_only.params import EncoderSettings, TrainingSettings
from presence_only.training import RowBatches, TrainingError, fit, group_mask

ENCODER = EncoderSettings(width=16, depth=1, dropout=0.1)


def settings(**changes):
    return TrainingSettings(**{"epochs": 3, "batch_size": 16, "background_batch_size": 16, "device": "cpu"} | changes)


def train(loss="bce", seed=0, data=None, **changes):
    data = data or tiny.dataset()
    return fit(data.training, parse_variant({"loss": loss}, "variants.x"), ENCODER, settings(**changes), seed)


@pytest.mark.parametrize("loss", ["bce", "an_full", "an_ssdl", "assume_negative"])
def test_a_seed_fixes_everything_bit_for_bit(loss):
    (one, history), (two, again), (other, _) = (train(loss, seed) for seed in (0, 0, 1))
    assert history.loss == again.loss
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, two.state_dict()[name])
    assert not torch.equal(one.species_head.weight, other.species_head.weight)


def test_the_callers_random_stream_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train()
    assert torch.equal(torch.rand(3), expected)


def test_training_learns_the_ranges():
    data = tiny.dataset(rows=400, input="coordinates")
    model, history = train("an_full", data=data, epochs=60, learning_rate=0.01)
    result = evaluate(model.predict(data.survey.sites_M2, data.survey.covariates_MC), data.survey.truth_MS)
    assert result.summary["species_map"] > 0.7
    assert history.loss[-1] < history.loss[0]
    assert not model.training


@pytest.mark.parametrize("per_row", [1, 3])
def test_batches_hold_every_row_once_with_its_own_positives(per_row):
    records = tiny.dataset(rows=50, per_row=per_row).training.records
    batches = RowBatches(records, 16, torch.Generator().manual_seed(0))
    seen, pairs = [], set()
    for index_B, row_P, species_P in batches:
        assert (row_P.diff() >= 0).all()
        seen += index_B.tolist()
        pairs |= set(zip(index_B[row_P].tolist(), species_P.tolist(), strict=True))
    assert sorted(seen) == list(range(50))
    assert pairs == set(zip(records.row_P.tolist(), records.species_P.tolist(), strict=True))
    assert batches.per_epoch == 4


def test_rows_are_shuffled_anew_every_epoch():
    batches = RowBatches(tiny.dataset(rows=50).training.records, 50, torch.Generator().manual_seed(0))
    orders = [next(iter(batches))[0].tolist() for _ in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert list(range(50)) not in orders


def test_steps_count_as_asked_and_epochs_report():
    data = tiny.dataset()
    reports = []
    _, history = fit(
        data.training,
        parse_variant({"loss": "bce"}, "x"),
        ENCODER,
        settings(epochs=None, steps=6),
        0,
        lambda *report: reports.append(report),
    )
    assert history.steps == 6
    assert [report[:2] for report in reports] == [(1, 2), (2, 2)]
    assert [report[2] for report in reports] == history.loss


def test_learning_rate_schedules():
    rate = training._learning_rate
    assert rate(settings(learning_rate=0.1), 5, 10, 2) == 0.1
    cosine = settings(learning_rate=0.1, schedule="cosine")
    assert [round(rate(cosine, step, 10, 0), 12) for step in (0, 5, 10)] == [0.1, 0.05, 0.0]
    assert rate(settings(learning_rate=0.1, schedule="exponential", decay=0.5), 7, 10, 3) == 0.0125


def test_group_mask_keeps_a_site_to_its_observers():
    mask = group_mask(("bird", "plant", ""), ("plant", "bird"))
    assert mask.tolist() == [[False, True], [True, False], [True, True]]
    assert group_mask(None, ("plant",)) is None
    assert group_mask(("plant", "plant"), ("plant",)) is None


def test_a_loss_that_explodes_is_one_sentence():
    data = tiny.dataset()
    data.training.records.covariates_NC[:] = 1.0
    with pytest.raises(
        TrainingError, match=r"the training loss is nan in epoch \d of \d+: lower training.learning_rate"
    ):
        train("bce", data=data, epochs=20, learning_rate=1e30)


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="torch sees no GPU here"):
        training.choose_device("cuda")
    assert training.choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training.choose_device("auto").type == "cuda"
    assert training.choose_device("cpu").type == "cpu"


def test_training_leaves_its_data_unmodified():
    data = tiny.dataset()
    before = data.training.records.covariates_NC.copy(), data.training.records.sites_N2.copy()
    train("an_full", data=data)
    np.testing.assert_array_equal(before[0], data.training.records.covariates_NC)
    np.testing.assert_array_equal(before[1], data.training.records.sites_N2)


def test_heads_learn_the_environment_and_the_habitat():
    data = tiny.dataset(rows=300, input="coordinates")
    records = data.training.records
    records.covariates_NC[:, 0] = records.sites_N2[:, 1] * 10 + 3
    records.covariates_NC[:, 1] = np.nan
    encoder = EncoderSettings(width=32, depth=1, dropout=0.0, environment_head=True, habitat_head=True)
    loss = parse_variant({"loss": "multitask", "env_weight": 1.0, "habitat_weight": 1.0}, "variants.x")
    model, _ = fit(data.training, loss, encoder, settings(epochs=80, learning_rate=0.01), 0)
    out = model(model.features(records.sites_N2, records.covariates_NC))
    wanted = model.features.environment(records.covariates_NC)[:, 0]
    assert (out.environment_BC[:, 0] - wanted).square().mean().item() < 0.1 * wanted.var().item()
    right = out.habitat_BS.argmax(dim=1).numpy() == records.species_P
    assert right.mean() > 0.7
    assert model.gate_S.detach().std() > 0
