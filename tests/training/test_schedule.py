"""Schedules of the learning rate at given steps, by hand."""

from presence_only.training.schedule import learning_rate_at
from presence_only.training.settings import TrainingSettings


def test_the_rate_is_constant_falls_as_a_cosine_or_by_epochs():
    assert learning_rate_at(TrainingSettings(learning_rate=0.1, schedule="constant"), 5, 10, 2) == 0.1
    cosine = TrainingSettings(learning_rate=0.1, schedule="cosine")
    assert [round(learning_rate_at(cosine, step, 10, 0), 12) for step in (0, 5, 10)] == [0.1, 0.05, 0.0]
    halved = TrainingSettings(learning_rate=0.1, schedule="exponential", decay=0.5)
    assert learning_rate_at(halved, 7, 10, 3) == 0.0125
