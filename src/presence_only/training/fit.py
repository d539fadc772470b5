"""Fit the location encoder to presence-only records under one loss.

Shape legend: B rows of a batch, P positives, S species, D embedding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import torch
from torch import Tensor

from presence_only.common.errors import TrainingError
from presence_only.common.random_streams import stream, stream_seed
from presence_only.data.records import PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.losses.base import BatchLoss, LossSettings, TrainingCounts
from presence_only.model.blend import Blend
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.interface import SpeciesModel
from presence_only.model.settings import EncoderSettings
from presence_only.training.batches import Batches, RowBatches
from presence_only.training.data_parallel import ALONE, World
from presence_only.training.devices import choose_device, exactness
from presence_only.training.divergence import DivergenceCheck
from presence_only.training.loss_computation import AllLogits, choose_loss_computation, make_loss_computation
from presence_only.training.memory import check_training_memory
from presence_only.training.optimizers import dense_optimizer
from presence_only.training.pair_scores import Probe
from presence_only.training.schedule import learning_rate_at
from presence_only.training.settings import TrainingSettings
from presence_only.training.start import start_logits
from presence_only.training.variant import Variant

Report = Callable[[int, int, float], None]
# Called after every epoch with epochs done, epochs in all and the model in evaluation mode, which it may score and not
# change; it may raise an exception to end the fit, and draws from no generator of torch's.
Watch = Callable[[int, int, RangeModel], None]


@dataclass
class History:
    """What happened while fitting.

    Args:
        loss_computation: How the loss was computed: from ``all_logits``, in ``chunks`` or ``sampled``.
        loss: Mean training loss in nats, one per epoch.
        probes: What the encoder says after every epoch about observed and unobserved pairs, by name; see
            :class:`~presence_only.training.pair_scores.Probe`.
        seconds: Wall-clock time of the fit.
        steps: Optimizer steps taken.
    """

    loss_computation: str = "all_logits"
    loss: list[float] = field(default_factory=list)
    probes: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    steps: int = 0


def fit(
    data: TrainingData,
    loss_settings: LossSettings,
    encoder_settings: EncoderSettings,
    settings: TrainingSettings,
    seed: int,
    report: Report | None = None,
    watch: Watch | None = None,
    world: World = ALONE,
) -> tuple[RangeModel, History]:
    """Train one encoder.

    Args:
        data: All that training may see.
        loss_settings: The variant: a loss and its parameters.
        encoder_settings: What the encoder reads, and its shape.
        settings: Length, optimizer, batches and device.
        seed: Fixes weights, batches, background, negatives and dropout; on the same machine with
            the same number of threads the result is the same bit for bit.
        report: Called after every epoch with epochs done, epochs in all and mean loss.
        watch: Shown the model after every epoch; the fit gives the same bytes with and without.
        world: The processes that train this encoder together; each calls with the same arguments.

    Returns:
        The model in evaluation mode, on the CPU, and the history; only the first process's has probes.

    Raises:
        DataError: If the encoder needs covariates or weeks that the data does not have.
        DivergenceError: If the loss is not finite or far above its start, weights or scores are not finite, or every
            site has the same score.
        UserError: If the machine has not the memory that the settings need.
        TrainingError: If the loss cannot be computed as asked for, or by so many processes, or if the learning rate
            would still rise at the end.
    """
    began = time.perf_counter()
    device = choose_device(settings.device)
    records = data.records
    world.check(min(settings.batch_size, records.n_rows))
    weeks = records.week_N is not None
    features = Features(encoder_settings, len(records.covariate_names), weeks=weeks).fit(data)
    counts = TrainingCounts(records.n_rows, torch.from_numpy(records.records_per_species()).double())
    loss = loss_settings.build(counts.to(device))
    start_S = start_logits(encoder_settings.start, data, loss_settings, counts, settings)
    how = choose_loss_computation(settings, loss_settings, loss, encoder_settings, records.n_species, device)
    check_training_memory(
        settings,
        encoder_settings,
        loss_settings,
        how=how,
        n_rows=records.n_rows,
        n_sites=settings.background_batch_size if loss.needs_background else 0,
        n_species=records.n_species,
        n_features=features.size,
        device=device,
    )
    check = DivergenceCheck(loss_settings, encoder_settings, settings)
    # Weights and dropout draw from torch's global stream; it is put back afterwards.
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        exactness(settings.precision, device),
    ):
        torch.manual_seed(stream_seed(seed, "weights and dropout"))
        model = RangeModel(features, records.n_species, start_S=start_S).to(device)
        computation = make_loss_computation(how, model, loss, settings, seed, world)
        steps = take_steps(model, data, loss, computation, settings, seed, world)
        probe = make_probe(model, records, seed)
        watchers = (probe, report, watch) if world.first else (None, None, None)
        history = _record(steps, model, check, world, *watchers)
        check.end(model.eval(), probe.features_BF)
    history.loss_computation, history.seconds = how, time.perf_counter() - began
    return model.cpu().eval(), history


def fit_variant(
    data: TrainingData,
    variant: Variant,
    seed: int,
    report: Report | None = None,
    watch: Watch | None = None,
    world: World = ALONE,
) -> tuple[SpeciesModel, list[History]]:
    """Train what a variant describes: one encoder, or every member of a blend apart from the others.

    Args:
        data: All that training may see.
        variant: Loss, encoder and training, or members of them.
        seed: Of the run; every member draws from streams of its own.
        report: Called after every epoch; of a blend with the epochs of all members.
        watch: Shown the encoder after every epoch; of a blend, which is no model before its last epoch, never.
        world: The processes that train it together.

    Returns:
        The model, and the history of every member.
    """
    if not variant.members:
        model, history = fit(data, variant.loss, variant.encoder, variant.training, seed, report, watch, world)
        return model, [history]
    epochs = [n_epochs(member.training, data.records.n_rows) for member in variant.members]

    def report_member(i: int) -> Report | None:
        before, total = sum(epochs[:i]), sum(epochs)
        return None if report is None else lambda done, _, loss: report(before + done, total, loss)

    fitted = []
    for i, member in enumerate(variant.members):
        own_seed = stream_seed(seed, f"member {i}")
        fitted.append(fit(data, member.loss, member.encoder, member.training, own_seed, report_member(i), world=world))
    return Blend([model for model, _ in fitted]).eval(), [history for _, history in fitted]


@dataclass(frozen=True)
class Step:
    """One optimizer step that was taken.

    Args:
        epoch: Counted from 0.
        epochs: In all.
        loss: Before the step, in nats: a scalar where it was computed, which nobody has waited for; of several
            processes the share of this one.
        n_rows: Training rows it saw, in all processes together.
        ends_epoch: Whether it was the last one of its epoch.
    """

    epoch: int
    epochs: int
    loss: Tensor
    n_rows: int
    ends_epoch: bool


def take_steps(
    model: RangeModel,
    data: TrainingData,
    loss: BatchLoss,
    computation: AllLogits,
    settings: TrainingSettings,
    seed: int,
    world: World = ALONE,
) -> Iterator[Step]:
    """Train, one step for every element that is asked for. A step on a GPU waits for nothing."""
    batches = Batches(model, data, settings, seed, needs_background=loss.needs_background, world=world)
    epochs = n_epochs(settings, data.records.n_rows)
    last_step = settings.steps or epochs * batches.per_epoch
    if settings.warmup_steps >= max(last_step, 1):
        raise TrainingError(f"training.warmup_steps = {settings.warmup_steps}: must be less than the {last_step} steps")
    optimizer = dense_optimizer(computation.parameters(), settings)
    model.train()
    in_order = ((epoch, batch) for epoch in range(epochs) for batch in batches)
    for step, (epoch, batch) in enumerate(islice(in_order, last_step)):
        value = computation.value(replace(batch, progress=step / last_step, epoch=epoch))
        if settings.species_l1:
            species_SD = model.species_head.weight
            value = value + settings.species_l1 / world.size * species_SD.abs().sum() / len(species_SD)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        world.add_up(computation.gradients())
        learning_rate = learning_rate_at(settings, step, last_step, epoch)
        optimizer.step(learning_rate)
        computation.step(learning_rate)
        ends_epoch = (step + 1) % batches.per_epoch == 0 or step + 1 == last_step
        yield Step(epoch, epochs, value.detach(), batch.n_rows, ends_epoch)


def n_epochs(settings: TrainingSettings, n_rows: int) -> int:
    """Passes over the training rows, the last of which may be cut short."""
    per_epoch = math.ceil(n_rows / min(settings.batch_size, n_rows))
    return settings.epochs or math.ceil((settings.steps or 0) / per_epoch)


def make_probe(model: RangeModel, records: PresenceRecords, seed: int) -> Probe:
    """Draw the rows at which a run is watched."""
    n_rows = Probe.size(records.n_rows, records.n_species)
    generator = stream(seed, "probe")
    drawn = next(iter(RowBatches(records.n_rows, records.row_P, records.species_P, n_rows, generator)))
    row_B = drawn.index_B.numpy()
    week_B = None if records.week_N is None else records.week_N[row_B]
    features_BF = model.features(records.sites_N2[row_B], records.covariates_NC[row_B], week_B)
    device = model.species_head.weight.device
    return Probe(features_BF.to(device), drawn.row_P.to(device), drawn.species_P.to(device))


def _record(
    steps: Iterator[Step],
    model: RangeModel,
    check: DivergenceCheck,
    world: World,
    probe: Probe | None,
    report: Report | None,
    watch: Watch | None,
) -> History:
    """Take all steps, with a mean loss and a probe for every epoch: the losses are read once an epoch."""
    history = History()
    total, rows = model.species_head.weight.new_zeros((), dtype=torch.float64), 0
    for step in steps:
        if history.steps == 0:
            first = step.loss.double().reshape(1)
            world.add_up([first])
            first_loss = first[0]
        total += step.loss.double() * step.n_rows
        rows += step.n_rows
        history.steps += 1
        if not step.ends_epoch:
            continue
        world.add_up([total])
        mean = float(total) / rows
        total, rows = torch.zeros_like(total), 0
        if not history.loss:
            check.begin(float(first_loss))
        check.look(mean, step.epoch + 1, step.epochs)
        history.loss.append(mean)
        for name, value in (probe.measure(model) if probe is not None else {}).items():
            history.probes.setdefault(name, []).append(value)
        if watch is not None:
            watch(step.epoch + 1, step.epochs, model.eval())
            model.train()
        if report is not None:
            report(step.epoch + 1, step.epochs, mean)
    return history
