"""One trial: fit a variant without the held-out folds, and judge it by them.

A trial is told beforehand at which scores to give up. So it needs no word from whoever started it, ends by itself with
all that is known of it, and ends at the same look whatever runs beside it and wherever it runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from presence_only.common.errors import DivergenceError
from presence_only.common.one_thread import use_one_thread
from presence_only.common.random_streams import stream_seed
from presence_only.data.training import TrainingData
from presence_only.model.files import save_model
from presence_only.model.interface import SpeciesModel
from presence_only.search.blocks import Split, split
from presence_only.search.criteria import CRITERIA
from presence_only.search.judge import judge
from presence_only.search.settings import HeldOutSettings
from presence_only.training.fit import Report, fit_variant
from presence_only.training.variant import Variant

# How a trial ended: after all epochs; early, as its score was low; or without a score, as training diverged.
FINISHED, PRUNED, DIVERGED = "finished", "pruned", "diverged"
# The file of a trial's model, where it is kept.
MODEL = "encoder.pt"


@dataclass(frozen=True)
class Plan:
    """What a trial does.

    Args:
        variant: Loss, encoder and training to try.
        held_out: What it is judged by.
        criterion: A name in ``CRITERIA``.
        seed: Fixes every draw of the training, the same for all trials of a search.
        checks: Looks at each fold, the last of which is its end.
        bars: Look, counted from 1 over all folds, to the score below which the trial gives up.
        keep: Whether the model of a finished trial is written into the output folder; of several folds that of the
            last one.
    """

    variant: Variant
    held_out: HeldOutSettings
    criterion: str
    seed: int
    checks: int
    bars: Mapping[int, float]
    keep: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Args:
        state: ``finished``, ``pruned`` or ``diverged``.
        looks: Look to the score of the fold at that time.
        criteria: Every criterion's value, as a mean over the folds that were begun; empty if the training diverged.
        share: Share of the epochs that were trained.
        cpu_seconds: CPU time of the trial.
    """

    state: str
    looks: Mapping[int, float]
    criteria: Mapping[str, float]
    share: float
    cpu_seconds: float


class _GaveUp(Exception):  # noqa: N818 - it is no error
    """The score is below the bar; holds every criterion's value at that time."""

    def __init__(self, criteria: Mapping[str, float]) -> None:
        self.criteria = criteria


def run_trial(plan: Plan, inputs: Mapping[str, Path], output: Path, report: Report) -> Outcome:
    """Run one trial, in one thread; equal arguments give an equal outcome, but for its CPU time.

    Args:
        plan: What to do.
        inputs: ``training``: folder of the records and background sites.
        output: Folder for the model, if the plan is to keep it; otherwise a trial leaves no files.
        report: Called after every epoch with epochs done, epochs in all, and the latest score, NaN before the first.

    Raises:
        DataError: If the data cannot be split so.
        TrainingError: If the variant cannot be trained, for another reason than that the loss diverges.
    """
    use_one_thread()
    began = time.process_time()
    data = TrainingData.load(inputs["training"])
    looks: dict[int, float] = {}
    state, folds, share = FINISHED, list[Mapping[str, float]](), 0.0
    for fold in range(plan.held_out.used):
        state, criteria, trained = _run_fold(plan, fold, split(data, plan.held_out, fold), looks, output, report)
        share += trained / plan.held_out.used
        folds.append(criteria)
        if state != FINISHED:
            break
    means = {name: mean_of([criteria[name] for criteria in folds]) for name in CRITERIA} if folds[-1] else {}
    return Outcome(state, looks, means, share, time.process_time() - began)


def _run_fold(
    plan: Plan, fold: int, parts: Split, looks: dict[int, float], output: Path, report: Report
) -> tuple[str, Mapping[str, float], float]:
    """Fit without one fold; returns how it ended, every criterion's value, and the share of the epochs trained.

    Scores go into ``looks``.
    """
    first_look, last_fold = fold * plan.checks, fold + 1 == plan.held_out.used
    share = 0.0

    def watch(done: int, epochs: int, model: SpeciesModel) -> None:
        look = look_after(done, epochs, plan.checks)
        if look is None:
            return
        score = judge(model, parts.held_out, [plan.criterion])[plan.criterion]
        if math.isfinite(score):
            looks[first_look + look] = score
        if score < plan.bars.get(first_look + look, -math.inf):
            nonlocal share
            share = done / epochs
            raise _GaveUp(judge(model, parts.held_out))

    def tell(done: int, epochs: int, _: float) -> None:
        nonlocal share
        share = done / epochs
        report(fold * epochs + done, plan.held_out.used * epochs, next(reversed(looks.values()), math.nan))

    try:
        seed = stream_seed(plan.seed, f"fold {fold}")
        model, _ = fit_variant(parts.fit, plan.variant, seed, tell, watch)
        criteria = judge(model, parts.held_out)
        score = criteria[plan.criterion]
        if not math.isfinite(score):
            raise DivergenceError(f"{plan.criterion} is undefined for every species")
    except _GaveUp as low:
        return PRUNED, low.criteria, share
    except DivergenceError:
        return DIVERGED, {}, share
    if plan.keep:
        save_model(model, output / MODEL)
    end = first_look + plan.checks
    looks[end] = score
    low_end = not last_fold and score < plan.bars.get(end, -math.inf)
    return PRUNED if low_end else FINISHED, criteria, 1.0


def look_after(done: int, epochs: int, checks: int) -> int | None:
    """The look that is due after an epoch before the last: look i of n after the share i / n of the epochs, or later.

    Args:
        done: Epochs done.
        epochs: Epochs in all.
        checks: Looks, the last of which is after all epochs.

    Returns:
        The look, counted from 1; None if there is none.
    """
    look = done * checks // epochs
    return look if done < epochs and look > (done - 1) * checks // epochs else None


def mean_of(values: list[float]) -> float:
    """The mean; NaN where one value is."""
    return math.fsum(values) / len(values)
