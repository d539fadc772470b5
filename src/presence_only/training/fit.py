"""Fit the location encoder to presence-only records under one loss.

Shape legend: N training rows, B rows of a batch, P positives, K background sites, S species.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Self

import numpy as np
import torch
from torch import Tensor

from presence_only.common.errors import DivergenceError, TrainingError
from presence_only.common.random_streams import stream, stream_seed
from presence_only.data.records import PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.losses.base import BatchLoss, LossSettings, TrainingCounts
from presence_only.model.blend import Blend
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.interface import SpeciesModel
from presence_only.model.settings import EncoderSettings
from presence_only.training.loss_computation import AllLogits, Batch, choose_loss_computation, make_loss_computation
from presence_only.training.optimizers import DenseAdam
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

    Returns:
        The model in evaluation mode, on the CPU, and the history.

    Raises:
        DataError: If the encoder needs covariates or weeks that the data does not have.
        DivergenceError: If the loss is not finite.
        TrainingError: If the loss cannot be computed as asked for.
    """
    began = time.perf_counter()
    device = choose_device(settings.device)
    records = data.records
    weeks = records.week_N is not None
    features = Features(encoder_settings, len(records.covariate_names), weeks=weeks).fit(data)
    counts = TrainingCounts(records.n_rows, torch.from_numpy(records.records_per_species()).double())
    loss = loss_settings.build(counts)
    start_S = start_logits(encoder_settings.start, data, loss_settings, counts, settings)
    how = choose_loss_computation(settings, loss_settings, loss, encoder_settings, records.n_species, device)
    # Weights and dropout draw from torch's global stream; it is put back afterwards.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stream_seed(seed, "weights and dropout"))
        model = RangeModel(features, records.n_species, start_S=start_S).to(device)
        computation = make_loss_computation(how, model, loss, settings, seed)
        steps = take_steps(model, data, loss, computation, settings, seed)
        history = _record(steps, model, make_probe(model, records, seed), settings, report, watch)
    history.loss_computation, history.seconds = how, time.perf_counter() - began
    return model.cpu().eval(), history


def fit_variant(
    data: TrainingData, variant: Variant, seed: int, report: Report | None = None, watch: Watch | None = None
) -> tuple[SpeciesModel, list[History]]:
    """Train what a variant describes: one encoder, or every member of a blend apart from the others.

    Args:
        data: All that training may see.
        variant: Loss, encoder and training, or members of them.
        seed: Of the run; every member draws from streams of its own.
        report: Called after every epoch; of a blend with the epochs of all members.
        watch: Shown the encoder after every epoch; of a blend, which is no model before its last epoch, never.

    Returns:
        The model, and the history of every member.
    """
    if not variant.members:
        model, history = fit(data, variant.loss, variant.encoder, variant.training, seed, report, watch)
        return model, [history]
    epochs = [n_epochs(member.training, data.records.n_rows) for member in variant.members]

    def report_member(i: int) -> Report | None:
        before, total = sum(epochs[:i]), sum(epochs)
        return None if report is None else lambda done, _, loss: report(before + done, total, loss)

    fitted = [
        fit(data, member.loss, member.encoder, member.training, stream_seed(seed, f"member {i}"), report_member(i))
        for i, member in enumerate(variant.members)
    ]
    return Blend([model for model, _ in fitted]).eval(), [history for _, history in fitted]


def choose_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu`` or ``cuda``.

    Raises:
        TrainingError: If ``cuda`` is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise TrainingError("training.device = 'cuda': torch sees no GPU here; use 'auto' or 'cpu'")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@dataclass(frozen=True)
class Step:
    """One optimizer step that was taken.

    Args:
        epoch: Counted from 0.
        epochs: In all.
        loss: Before the step, in nats.
        n_rows: Training rows it saw.
        ends_epoch: Whether it was the last one of its epoch.
    """

    epoch: int
    epochs: int
    loss: float
    n_rows: int
    ends_epoch: bool


def take_steps(
    model: RangeModel,
    data: TrainingData,
    loss: BatchLoss,
    computation: AllLogits,
    settings: TrainingSettings,
    seed: int,
) -> Iterator[Step]:
    """Train, one step for every element that is asked for."""
    device = model.species_head.weight.device
    records, background = data.records, data.background
    features_NF = model.features(records.sites_N2, records.covariates_NC, records.week_N).to(device)
    covariates_NC = None
    if model.settings.environment_head:
        covariates_NC = model.features.environment(records.covariates_NC).to(device)
    batches = RowBatches(records, settings.batch_size, stream(seed, "batches"))
    if loss.needs_background:
        features_KF = model.features(background.sites_K2, background.covariates_KC, background.week_K).to(device)
        mask = GroupMask.of(background.groups_K, records.groups)
        sites = stream(seed, "background")
    epochs = n_epochs(settings, records.n_rows)
    last_step = settings.steps or epochs * batches.per_epoch
    optimizer = DenseAdam(
        computation.parameters(),
        beta2=settings.beta2,
        weight_decay=settings.weight_decay,
        decoupled=settings.optimizer == "adamw",
    )
    model.train()
    in_order = ((epoch, batch) for epoch in range(epochs) for batch in batches)
    for step, (epoch, (index_B, row_P, species_P)) in enumerate(islice(in_order, last_step)):
        background_KF = mask_KS = None
        if loss.needs_background:
            drawn_K = torch.randint(len(features_KF), (settings.background_batch_size,), generator=sites)
            background_KF = features_KF[drawn_K.to(device)]
            mask_KS = None if mask is None else mask.rows(drawn_K).to(device)
        batch = Batch(
            features_NF[index_B.to(device)],
            row_P.to(device),
            species_P.to(device),
            None if covariates_NC is None else covariates_NC[index_B.to(device)],
            background_KF,
            mask_KS,
        )
        value = computation.value(batch)
        if settings.species_l1:
            species_SD = model.species_head.weight
            value = value + settings.species_l1 * species_SD.abs().sum() / len(species_SD)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        learning_rate = learning_rate_at(settings, step, last_step, epoch)
        optimizer.step(learning_rate)
        computation.step(learning_rate)
        ends_epoch = (step + 1) % batches.per_epoch == 0 or step + 1 == last_step
        yield Step(epoch, epochs, float(value.detach()), len(index_B), ends_epoch)


def n_epochs(settings: TrainingSettings, n_rows: int) -> int:
    """Passes over the training rows, the last of which may be cut short."""
    per_epoch = math.ceil(n_rows / min(settings.batch_size, n_rows))
    return settings.epochs or math.ceil((settings.steps or 0) / per_epoch)


def make_probe(model: RangeModel, records: PresenceRecords, seed: int) -> Probe:
    """Draw the rows at which a run is watched."""
    n_rows = Probe.size(records.n_rows, records.n_species)
    row_B, row_P, species_P = next(iter(RowBatches(records, n_rows, stream(seed, "probe"))))
    week_B = None if records.week_N is None else records.week_N[row_B.numpy()]
    features_BF = model.features(records.sites_N2[row_B.numpy()], records.covariates_NC[row_B.numpy()], week_B)
    device = model.species_head.weight.device
    return Probe(features_BF.to(device), row_P.to(device), species_P.to(device))


def _record(
    steps: Iterator[Step],
    model: RangeModel,
    probe: Probe,
    settings: TrainingSettings,
    report: Report | None,
    watch: Watch | None,
) -> History:
    """Take all steps, with a mean loss and a probe for every epoch."""
    history = History()
    total, rows = 0.0, 0
    for step in steps:
        total += step.loss * step.n_rows
        rows += step.n_rows
        history.steps += 1
        if not step.ends_epoch:
            continue
        mean, total, rows = total / rows, 0.0, 0
        if not math.isfinite(mean):
            raise DivergenceError(
                f"the training loss is {mean} in epoch {step.epoch + 1} of {step.epochs}: "
                f"lower training.learning_rate, which is {settings.learning_rate:g}"
            )
        history.loss.append(mean)
        for name, value in probe.measure(model).items():
            history.probes.setdefault(name, []).append(value)
        if watch is not None:
            watch(step.epoch + 1, step.epochs, model.eval())
            model.train()
        if report is not None:
            report(step.epoch + 1, step.epochs, mean)
    return history


class RowBatches:
    """Shuffled batches of training rows by index, with their positives as (row, species) pairs.

    Indexing arrays that are in memory beats a loader with worker processes.
    """

    def __init__(self, records: PresenceRecords, batch_size: int, generator: torch.Generator) -> None:
        self.n_rows = records.n_rows
        self.batch_size = min(batch_size, records.n_rows)
        self.generator = generator
        self.species_P = torch.tensor(records.species_P, dtype=torch.int64)
        positives_N = np.bincount(records.row_P, minlength=records.n_rows)
        self.count_N = torch.from_numpy(positives_N)
        self.first_N = torch.from_numpy(np.cumsum(positives_N) - positives_N)

    @property
    def per_epoch(self) -> int:
        """Batches an epoch; the last one may be smaller."""
        return math.ceil(self.n_rows / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield training rows (B,), and the batch's positives: row within the batch (P,), species (P,)."""
        order_N = torch.randperm(self.n_rows, generator=self.generator)
        for index_B in torch.split(order_N, self.batch_size):
            count_B = self.count_N[index_B]
            row_P = torch.repeat_interleave(torch.arange(len(index_B)), count_B)
            within_P = torch.arange(len(row_P)) - (count_B.cumsum(0) - count_B)[row_P]
            yield index_B, row_P, self.species_P[self.first_N[index_B][row_P] + within_P]


class GroupMask:
    """Which species a background site counts for: those of the taxon group that was looked for there.

    Kept as one number a site and a species; all sites x all species would not fit at 50,000 species.

    Args:
        groups_K: Group of every background site; the empty string counts for every group.
        groups_S: Group of every species.
    """

    def __init__(self, groups_K: tuple[str, ...], groups_S: tuple[str, ...]) -> None:
        names, code_X = np.unique(np.array([*groups_K, *groups_S]), return_inverse=True)
        self.code_K = torch.from_numpy(code_X[: len(groups_K)])
        self.code_S = torch.from_numpy(code_X[len(groups_K) :])
        self.every = int(np.flatnonzero(names == "")[0]) if "" in names else -1

    @classmethod
    def of(cls, groups_K: tuple[str, ...] | None, groups_S: tuple[str, ...]) -> Self | None:
        """The mask, or None where every site counts for every species."""
        if groups_K is None or len({*groups_K, *groups_S}) == 1:
            return None
        return cls(groups_K, groups_S)

    def rows(self, drawn_B: Tensor) -> Tensor:
        """Bool (B, S) of some background sites."""
        code_B = self.code_K[drawn_B]
        return (code_B[:, None] == self.code_S[None, :]) | (code_B == self.every)[:, None]
