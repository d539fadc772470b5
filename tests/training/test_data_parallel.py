"""Several processes train the model that one process trains, under every loss and every way to compute it."""

import pytest
import torch
from support.processes import run_together
from support.trained import DATA, ENCODER, SETTINGS, every_way, name_of, settings_of

from presence_only.common.errors import TrainingError
from presence_only.model.encoder import PartOfBatch
from presence_only.model.settings import EncoderSettings
from presence_only.training.data_parallel import World, _too_few, check_agreement
from presence_only.training.fit import fit, fit_variant
from presence_only.training.settings import TrainingSettings
from presence_only.training.variant import Variant

# Under a loss that looks at differences between sites, a unit that is on at all sites has a bias without a gradient,
# and Adam would take a whole step along what rounding leaves of it. A decay gives it one.
HELD = {"maxent": {"weight_decay": 0.01}, "ranking": {"weight_decay": 0.01}}
# With 2 or 3 processes one or two of them have no row of the last batch, and sites are not shared evenly either.
CASES = [(variant, own | HELD.get(variant["loss"], {})) for variant, own in every_way()]
CASES += [
    ({"loss": "an_full"}, {"loss_computation": "chunks", "precision": "bf16"}),
    ({"loss": "softmax"}, {"loss_computation": "chunks", "precision": "bf16"}),
    ({"loss": "softmax"}, {"loss_computation": "sampled", "sampled_species": 3, "precision": "bf16"}),
    ({"loss": "maxent"}, HELD["maxent"] | {"precision": "bf16"}),
    ({"loss": "an_full"}, {"loss_computation": "chunks", "optimizer": "sgd", "learning_rate": 0.1}),
    ({"loss": "bce"}, {"loss_computation": "sampled", "sampled_species": 3, "optimizer": "rmsprop"}),
]
# The same with a start that is learned, and a warm-up.
LEARNED = [
    ({"loss": loss}, {"loss_computation": how, "warmup_steps": 3} | more)
    for loss in ("an_full", "softmax")
    for how, more in (("all_logits", {}), ("chunks", {}), ("sampled", {"sampled_species": 3}))
]
CASES += LEARNED


def train(world, variant, own, **changes):
    """Weights, losses and number of probes after an epoch."""
    loss, encoder, settings = settings_of((variant, own), **changes)
    encoder = encoder.model_copy(update={"learn_start": (variant, own) in LEARNED})
    model, history = fit(DATA.training, loss, encoder, settings, 0, world=world)
    return model.state_dict(), history.loss, len(history.probes)


def train_all(world):
    return [train(world, variant, own) for variant, own in CASES]


@pytest.fixture(scope="module")
def alone():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield [train(World(), variant, own) for variant, own in CASES]
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def together(alone, tmp_path_factory):
    return {size: run_together(size, train_all, tmp_path_factory.mktemp(f"of_{size}")) for size in (2, 3)}


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("case", range(len(CASES)), ids=map(name_of, CASES))
def test_it_is_the_model_of_one_process(size, case, alone, together):
    """Sums in another order differ in the last digits of float32, here by less than 2e-5 after 8 steps of up to 0.003.

    Adam divides a gradient by its size: a wrong share of rows, sites, draws or dropout moves most weights by more.
    Numbers rounded to bfloat16 before they are added up differ by more too, and are compared as a whole.
    """
    weights, losses, probes = alone[case]
    rounded = CASES[case][1].get("precision") == "bf16"
    for rank, (mine, my_losses, my_probes) in enumerate(result[case] for result in together[size]):
        assert my_probes == (probes if rank == 0 else 0)
        assert my_losses == pytest.approx(losses, rel=1e-2 if rounded else 1e-5)
        for name, weight in weights.items():
            if rounded:
                assert (mine[name] - weight).norm() <= 0.01 * weight.norm()
            else:
                torch.testing.assert_close(mine[name], weight, rtol=0, atol=2e-5, msg=name)


@pytest.mark.parametrize("size", [2, 3])
def test_all_processes_have_the_same_weights_to_the_last_bit(size, together):
    first, *others = together[size]
    for other in others:
        for (mine, losses, _), (theirs, their_losses, _) in zip(first, other, strict=True):
            assert losses == their_losses
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def train_blend(world):
    raw = {"loss": "an_slds", "members": [{"training": {"epochs": 2}}, {"loss": "bce"}]}
    variant = Variant.parse(raw, "v", EncoderSettings(**ENCODER), TrainingSettings(**SETTINGS))
    told = []
    model, _ = fit_variant(DATA.training, variant, 0, lambda done, total, loss: told.append((done, total)), world=world)
    return model.state_dict(), told


def test_members_of_a_blend_are_trained_together_and_one_process_reports(tmp_path):
    expected, told = train_blend(World())
    (mine, my_told), (_, other_told) = run_together(2, train_blend, tmp_path)
    assert my_told == told == [(1, 3), (2, 3), (3, 3)]
    assert other_told == []
    for name, weight in expected.items():
        torch.testing.assert_close(mine[name], weight, rtol=0, atol=2e-5)


def explode(world):
    with pytest.raises(TrainingError) as raised:
        train(world, {"loss": "an_slds"}, {}, learning_rate=1e30)
    return str(raised.value)


def test_a_loss_that_explodes_stops_all_with_the_same_sentence(tmp_path):
    one, other = run_together(2, explode, tmp_path)
    assert one == other
    assert one.startswith("the training loss is nan in epoch")


def add_up(world):
    tensors = [torch.full((2,), 1.0 + world.rank), torch.tensor(10 * world.rank)]
    world.add_up(tensors)
    part = PartOfBatch(5, (world.own(3), slice(3 + world.own(2).start, 3 + world.own(2).stop)))
    rows = torch.arange(5.0)[:, None].requires_grad_()
    gathered = world.gather(part.take(rows), part)
    # Each process counts its share of the same loss.
    (gathered.square().sum() / world.size).backward()
    return [tensor.tolist() for tensor in tensors], gathered.tolist(), rows.grad.tolist(), part


def test_sums_and_rows_of_all_processes(tmp_path):
    results = run_together(2, add_up, tmp_path)
    gradient = torch.zeros(5, 1)
    for sums, gathered, own_gradient, part in results:
        assert sums == [[3.0, 3.0], 10]
        assert gathered == [[0.0], [1.0], [2.0], [3.0], [4.0]]
        assert part.take(torch.tensor(own_gradient)).tolist() == (2 * part.take(torch.tensor(gathered))).tolist()
        gradient += torch.tensor(own_gradient)
    assert gradient.tolist() == [[0.0], [2.0], [4.0], [6.0], [8.0]]


def test_more_processes_than_rows_are_refused():
    with pytest.raises(TrainingError, match="3 processes for batches of 2 rows: each needs a row of its own"):
        train(World(0, 3), {"loss": "bce"}, {}, batch_size=2)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            [{"problem": "", "data": "a"}, {"problem": "", "data": "b"}],
            "processes 0 and 1 disagree on data, 'a' and 'b'",
        ),
        ([{"problem": "", "data": "a"}, {"problem": "no GPU", "data": "a"}], "^no GPU$"),
    ],
)
def test_processes_that_would_train_different_models_are_refused(told, sentence):
    with pytest.raises(TrainingError, match=sentence):
        check_agreement(told)


def test_processes_that_agree_go_on():
    check_agreement([{"problem": "", "data": "a"}] * 3)


def test_each_process_needs_a_gpu_of_its_own():
    assert _too_few(2, 2) == ""
    assert _too_few(3, 2).startswith("torchrun started 3 processes on a machine with 2 GPUs: start one per GPU")
