"""Which device a run takes, and the precision of matrix products."""

import pytest
import torch

from presence_only.common.errors import TrainingError
from presence_only.training.devices import choose_device, exactness, rounded_products

CPU = torch.device("cpu")


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="torch sees no GPU here"):
        choose_device("cuda")
    assert choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize(("precision", "name"), [("float32", "highest"), ("tf32", "high"), ("bf16", "highest")])
def test_the_switch_of_the_process_is_put_back(precision, name):
    def fail():
        with exactness(precision, torch.device("cuda")):
            seen.append(torch.get_float32_matmul_precision())
            raise KeyError

    seen, before = [], torch.get_float32_matmul_precision()
    with pytest.raises(KeyError):
        fail()
    assert seen == [name]
    assert torch.get_float32_matmul_precision() == before


def test_tf32_is_refused_on_a_cpu():
    with pytest.raises(TrainingError, match=r"training\.precision = 'tf32': needs a GPU"), exactness("tf32", CPU):
        pass


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_layers_round_what_they_multiply(precision, dtype):
    layer = torch.nn.Linear(3, 2)
    with rounded_products(precision, CPU):
        assert layer(torch.zeros(1, 3)).dtype == dtype
    assert layer.weight.dtype == torch.float32
