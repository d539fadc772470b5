"""What training needs, against what torch allocates, and settings that are each allowed and together too much."""

import pytest
import torch
from support import tiny

from presence_only.common import memory
from presence_only.common.errors import UserError
from presence_only.losses.base import parse_variant
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import fit
from presence_only.training.memory import check_training_memory, training_parts
from presence_only.training.settings import TrainingSettings

CPU = torch.device("cpu")


def parts_of(encoder, n_species=7, how="all_logits", loss=None, **training):
    settings = TrainingSettings(**{"batch_size": 4, "background_batch_size": 8} | training)
    sizes = {"how": how, "n_rows": 100, "n_sites": 8, "n_species": n_species, "n_features": 4}
    return training_parts(settings, encoder, parse_variant(loss or {"loss": "bce"}, "x"), **sizes)


@pytest.mark.parametrize(("kind", "depth"), [("residual", 0), ("residual", 3), ("additive", 2)])
@pytest.mark.parametrize(("optimizer", "copies"), [("adam", 4), ("sgd", 3)])
def test_weights_are_those_of_the_model(kind, depth, optimizer, copies):
    encoder = EncoderSettings(kind=kind, width=16, depth=depth, start="zero")
    model = RangeModel(Features(encoder, 0), 7)
    network, head, *_ = parts_of(encoder, optimizer=optimizer)
    head_bytes = model.species_head.weight.nbytes
    assert head.n_bytes == copies * head_bytes
    assert network.n_bytes == copies * (sum(weight.nbytes for weight in model.parameters()) - head_bytes)


def test_logits_are_those_of_rows_and_sites():
    *_, logits, _ = parts_of(EncoderSettings())
    assert logits.n_bytes == 3 * 4 * (4 + 8) * 7
    *_, logits, _ = parts_of(EncoderSettings(), how="sampled", sampled_species=5, loss_computation="sampled")
    assert logits.n_bytes == 3 * 4 * (4 + 8) * 5
    *_, logits, _ = parts_of(EncoderSettings(), how="chunks")
    assert logits.n_bytes == 0


def refused(encoder, training=None, loss=None, n_rows=100, n_species=100, how="all_logits", n_sites=0):
    settings = TrainingSettings(**training or {})
    with pytest.raises(UserError) as error:
        check_training_memory(
            settings,
            encoder,
            parse_variant(loss or {"loss": "bce"}, "x"),
            how=how,
            n_rows=n_rows,
            n_sites=n_sites,
            n_species=n_species,
            n_features=4,
            device=CPU,
        )
    return str(error.value)


def test_settings_that_are_too_much_together_are_refused(monkeypatch):
    monkeypatch.setattr(memory, "memory_of_machine", lambda: 24 * 10**9)
    wide = EncoderSettings(width=20_000, depth=1)
    assert "the weights of 1,000,000 species, each of 20,000 (encoder.width)" in refused(wide, n_species=10**6)
    assert refused(wide, n_species=10**6).endswith("change encoder.width")
    sites = refused(EncoderSettings(), {"background_batch_size": 10**7}, n_species=1000, n_sites=10**7)
    assert sites.endswith("change training.background_batch_size")
    rows = refused(EncoderSettings(), {"batch_size": 10**7}, n_species=1000, n_rows=10**7)
    assert rows.endswith("change training.batch_size")
    pairs = refused(
        EncoderSettings(width=1), {"batch_size": 10**6}, {"loss": "ranking", "n_pairs": 10_000}, n_rows=10**6
    )
    assert pairs.endswith("change n_pairs")


def test_a_fit_is_refused_before_memory_is_taken(monkeypatch):
    monkeypatch.setattr(memory, "memory_of_machine", lambda: 10**6)
    monkeypatch.setattr(RangeModel, "__init__", lambda *_, **__: pytest.fail("the model was made"))
    with pytest.raises(UserError, match=r"training needs about .* GB of memory, and there are 1.0 MB"):
        fit(
            tiny.dataset().training,
            parse_variant({"loss": "bce"}, "x"),
            EncoderSettings(width=8192),
            TrainingSettings(device="cpu"),
            0,
        )
