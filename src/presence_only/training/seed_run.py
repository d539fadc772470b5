"""One training run from file to file: records and a variant in, an encoder and its history out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from presence_only.common.atomic_files import write_json
from presence_only.common.one_thread import use_one_thread
from presence_only.data.training import TrainingData
from presence_only.model.files import save_model
from presence_only.training.fit import History, Report, fit_variant
from presence_only.training.variant import Variant


def train_seed(
    training: Path,
    variant: Variant,
    encoder: Callable[[int], Path],
    history: Callable[[int], Path],
    seed: int,
    report: Report,
) -> float:
    """Train one seed, in one thread, and save it; equal arguments give equal files.

    Args:
        training: Folder of the records and background sites.
        variant: Loss, encoder and training.
        encoder: Where the weights of a seed go.
        history: Where the losses of a seed go.
        seed: Fixes every draw.
        report: Called after every epoch with epochs done, epochs in all and mean loss.

    Returns:
        The seconds that the fit took.
    """
    use_one_thread()
    model, histories = fit_variant(TrainingData.load(training), variant, seed, report)
    save_model(model, encoder(seed))
    write_json(history(seed), _reproducible(histories))
    return sum(history.seconds for history in histories)


def _reproducible(histories: list[History]) -> dict[str, object]:
    """The history without its time; that of a blend's first member, with the others listed."""
    first, *others = ({k: v for k, v in asdict(history).items() if k != "seconds"} for history in histories)
    return first | ({"other_members": others} if others else {})
