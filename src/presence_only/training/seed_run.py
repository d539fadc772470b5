"""One training run from file to file: records and a variant in, an encoder and its history out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from presence_only.common.atomic_files import write_json
from presence_only.common.one_thread import use_one_thread
from presence_only.data.training import TrainingData
from presence_only.model.files import save_model
from presence_only.training.data_parallel import ALONE, World
from presence_only.training.fit import History, fit_variant
from presence_only.training.seed_files import ENCODER, HISTORY
from presence_only.training.variant import Variant


def train_seed(
    variant: Variant,
    seed: int,
    inputs: Mapping[str, Path],
    output: Path,
    report: Callable[[int, int, float], None],
    world: World = ALONE,
) -> float:
    """Train one seed, in one thread, and save it; equal arguments give equal files.

    Args:
        variant: Loss, encoder and training.
        seed: Fixes every draw.
        inputs: ``training``: folder of the records and background sites.
        output: Folder to put the weights and the loss per epoch into.
        report: Called after every epoch with epochs done, epochs in all and mean loss.
        world: The processes that train it together, of which the first one saves it.

    Returns:
        The seconds that the fit took.
    """
    use_one_thread()
    model, histories = fit_variant(TrainingData.load(inputs["training"]), variant, seed, report, world=world)
    if world.first:
        save_model(model, output / ENCODER)
        write_json(output / HISTORY, _reproducible(histories))
    return sum(history.seconds for history in histories)


def _reproducible(histories: list[History]) -> dict[str, object]:
    """The history without its time; that of a blend's first member, with the others listed."""
    first, *others = ({k: v for k, v in asdict(history).items() if k != "seconds"} for history in histories)
    return first | ({"other_members": others} if others else {})
