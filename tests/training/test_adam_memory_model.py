"""The model of Adam's memory: its formulas against their definitions, and its simulation against torch's Adam."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from presence_only.training.optimizers import DenseAdam

SCRIPT = Path(__file__).parents[2] / "benchmarks/adam_memory_model.py"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        spec = importlib.util.spec_from_file_location("adam_memory_model", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "adam_memory_model", module)
        spec.loader.exec_module(module)
        yield module


def test_slopes_of_cross_entropy_are_score_minus_share(script):
    slopes = script.Slopes({"loss": "bce"}, 0.01)
    x = np.linspace(-8, 8, 33)
    np.testing.assert_allclose(slopes.mean(x, 0.3), 1 / (1 + np.exp(-x)) - 0.3, atol=1e-6)
    assert slopes.balance == pytest.approx(np.log(0.01 / 0.99))


def test_the_settled_moment_of_cross_entropy_is_signal_and_binomial_noise(script):
    pi, c = 0.01, 0.5
    prediction = script.Prediction.of(script.Slopes({"loss": "bce"}, pi), script.Setting(pi, 512, 0.2, c))
    assert prediction.useful == pytest.approx(c * pi * script.CONTRAST, rel=1e-3)
    assert prediction.settled - prediction.useful**2 == pytest.approx((1 + c**2) * pi * (1 - pi) / 512, rel=1e-3)
    assert prediction.first == pytest.approx(0.5 - pi)
    # The same from the balance on: there is nothing to remember.
    balance = np.log(pi / (1 - pi))
    begun = script.Prediction.of(script.Slopes({"loss": "bce"}, pi), script.Setting(pi, 512, 0.2, c), start=balance)
    assert begun.remembered < 1e-6 * prediction.remembered


@pytest.mark.parametrize("beta2", [0.9, 0.999])
def test_half_of_the_step_size_is_reached_after_the_steps_of_the_closed_form(script, beta2):
    prediction = script.Prediction.of(script.Slopes({"loss": "bce"}, 0.002), script.Setting(0.002, 512, 0.2, 0.7))
    steps = prediction.steps_to_half(beta2)
    assert prediction.step_size(beta2, np.array([steps])) == pytest.approx(0.5)
    # By adding up: the memory of a gradient square Q at the first step, with Adam's correction of bias.
    whole = np.arange(1.0, 50.0)
    square = [(1 - beta2) * prediction.remembered * beta2**t / (1 - beta2**t) + prediction.settled for t in whole]
    np.testing.assert_allclose(prediction.step_size(beta2, whole), np.sqrt(prediction.settled / np.array(square)))


def test_the_simulation_takes_adams_steps(script):
    pi, c, batch_size, speed, n_steps = 0.1, 0.5, 64, 0.2, 30
    slopes, setting = script.Slopes({"loss": "bce"}, pi), script.Setting(pi, batch_size, speed, c)
    _, told_apart = script.simulate(slopes, setting, n_steps, 1, seed=3, betas=(0.95,))
    for first_logit, mine in zip((0.0, slopes.balance), told_apart[:, 0], strict=True):
        source, half = np.random.default_rng(3), batch_size // 2
        weight = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        adam = DenseAdam([weight], beta2=0.95)
        features = torch.tensor([[1 + c, 1 - c], [1 - c, 1 + c]], dtype=torch.float64)
        for step in range(n_steps):
            logits = first_logit + features @ weight
            assert (logits[0] - logits[1]).item() == pytest.approx(mine[step], abs=1e-5)
            share = source.binomial(half, pi * np.array([1 + script.CONTRAST, 1 - script.CONTRAST]), (1, 2))[0] / half
            target = torch.from_numpy(share)
            adam.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
            adam.step(speed / 2)


def test_the_formula_meets_the_simulation(script):
    slopes, setting = script.Slopes({"loss": "bce"}, 0.002), script.Setting(0.002, 512, 0.2, 0.7)
    squares, _ = script.simulate(slopes, setting, 400, 16, seed=0, betas=(0.95,))
    simulated = script.steps_below(np.sqrt(squares[1, 0] / squares[0, 0]))
    assert simulated == pytest.approx(script.Prediction.of(slopes, setting).steps_to_half(0.95), rel=0.1)


def test_steps_below_and_the_share_that_is_kept(script):
    assert script.steps_below(np.array([0.1, 0.6, 0.4, 0.7, 0.9])) == 3
    assert script.steps_below(np.array([0.5, 0.6])) == 0
    assert script.kept(np.full(script.STEPS, 0.25)) == pytest.approx(0.25)
