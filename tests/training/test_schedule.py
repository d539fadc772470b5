"""Schedules of the learning rate at given steps, by hand."""

import pytest

from presence_only.common.settings import SettingsError
from presence_only.training.schedule import learning_rate_at
from presence_only.training.settings import TrainingSettings


def test_the_rate_is_constant_falls_as_a_cosine_or_by_epochs():
    assert learning_rate_at(TrainingSettings(learning_rate=0.1, schedule="constant"), 5, 10, 2) == 0.1
    cosine = TrainingSettings(learning_rate=0.1, schedule="cosine")
    assert [round(learning_rate_at(cosine, step, 10, 0), 12) for step in (0, 5, 10)] == [0.1, 0.05, 0.0]
    halved = TrainingSettings(learning_rate=0.1, schedule="exponential", decay=0.5)
    assert learning_rate_at(halved, 7, 10, 3) == 0.0125


@pytest.mark.parametrize("schedule", ["constant", "cosine", "exponential"])
def test_a_warm_up_rises_in_a_line_to_the_schedule(schedule):
    plain = TrainingSettings(learning_rate=0.1, schedule=schedule)
    warm = TrainingSettings(learning_rate=0.1, schedule=schedule, warmup_steps=4)
    share = [learning_rate_at(warm, step, 10, 0) / learning_rate_at(plain, step, 10, 0) for step in range(10)]
    assert share == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1])


def test_a_warm_up_ends_within_the_steps():
    with pytest.raises(SettingsError) as caught:
        TrainingSettings.parse({"steps": 10, "warmup_steps": 10}, "training")
    assert str(caught.value) == "training: must be settings with warmup_steps less than steps: 10 and 10"
