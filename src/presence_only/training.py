"""Fit the location encoder to presence-only records under one loss.

Shape legend: N training rows, B rows of a batch, P positives, K background sites, S species.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from presence_only.encoder import Features, RangeModel
from presence_only.errors import UserError
from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.registry import BatchLoss, LossSettings, build_loss
from presence_only.nouns import PresenceRecords, TrainingData
from presence_only.params import EncoderSettings, TrainingSettings
from presence_only.seeds import stream, stream_seed

Report = Callable[[int, int, float], None]


class TrainingError(UserError, RuntimeError):
    """Training went wrong; the message is one sentence with what was seen and what helps."""


@dataclass
class History:
    """What happened while fitting.

    Args:
        loss: Mean training loss in nats, one per epoch.
        seconds: Wall-clock time of the fit.
        steps: Optimizer steps taken.
    """

    loss: list[float] = field(default_factory=list)
    seconds: float = 0.0
    steps: int = 0


def fit(
    data: TrainingData,
    loss_settings: LossSettings,
    encoder_settings: EncoderSettings,
    settings: TrainingSettings,
    seed: int,
    report: Report | None = None,
) -> tuple[RangeModel, History]:
    """Train one encoder.

    Args:
        data: All that training may see.
        loss_settings: The variant: a loss and its parameters.
        encoder_settings: Shape of the encoder.
        settings: Length, optimizer, batches and device.
        seed: Fixes weights, batches, background, negatives and dropout; on the same machine with
            the same number of threads the result is the same bit for bit.
        report: Called after every epoch with epochs done, epochs in all and mean loss.

    Returns:
        The model in evaluation mode, on the CPU, and the history.

    Raises:
        TrainingError: If the loss is not finite.
    """
    began = time.perf_counter()
    device = choose_device(settings.device)
    records = data.records
    features = Features(data.input, data.coordinates, len(records.covariate_names)).fit(data)
    counts = torch.from_numpy(records.records_per_species()).double()
    loss = build_loss(loss_settings, TrainingCounts(records.n_rows, counts))
    # Weights and dropout draw from torch's global stream; it is put back afterwards.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stream_seed(seed, "weights and dropout"))
        model = RangeModel(features, records.n_species, encoder_settings).to(device)
        history = _fit(model, data, loss, settings, seed, report)
    history.seconds = time.perf_counter() - began
    return model.cpu().eval(), history


def choose_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu`` or ``cuda``.

    Raises:
        TrainingError: If ``cuda`` is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise TrainingError("training.device = 'cuda': torch sees no GPU here; use 'auto' or 'cpu'")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _fit(
    model: RangeModel,
    data: TrainingData,
    loss: BatchLoss,
    settings: TrainingSettings,
    seed: int,
    report: Report | None,
) -> History:
    """The training loop."""
    device = model.species_head.weight.device
    records, background = data.records, data.background
    features_NF = model.features(records.sites_N2, records.covariates_NC).to(device)
    covariates_NC = None
    if model.settings.environment_head:
        covariates_NC = model.features.environment(records.covariates_NC).to(device)
    batches = RowBatches(records, settings.batch_size, stream(seed, "batches"))
    negatives = stream(seed, "negatives")
    if loss.needs_background:
        features_KF = model.features(background.sites_K2, background.covariates_KC).to(device)
        mask_KS = group_mask(background.groups_K, records.groups)
        sites = stream(seed, "background")

    epochs = settings.epochs or math.ceil((settings.steps or 0) / batches.per_epoch)
    last_step = settings.steps or epochs * batches.per_epoch
    optimizer = _optimizer(model, settings)
    history = History()
    model.train()
    for epoch in range(epochs):
        total, rows = 0.0, 0
        for index_B, row_P, species_P in batches:
            if history.steps == last_step:
                break
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(settings, history.steps, last_step, epoch)
            x_BF = features_NF[index_B.to(device)]
            background_KS = mask_of_batch_KS = None
            if loss.needs_background:
                drawn_K = torch.randint(len(features_KF), (settings.background_batch_size,), generator=sites)
                # One pass for both: the same layers, half the calls.
                out = model(torch.cat([x_BF, features_KF[drawn_K.to(device)]]))
                logits_BS, background_KS = out.logits_BS[: len(x_BF)], out.logits_BS[len(x_BF) :]
                mask_of_batch_KS = None if mask_KS is None else mask_KS[drawn_K].to(device)
            else:
                out = model(x_BF)
                logits_BS = out.logits_BS
            batch = LossBatch(
                logits_BS=logits_BS,
                row_P=row_P.to(device),
                species_P=species_P.to(device),
                generator=negatives,
                background_KS=background_KS,
                background_mask_KS=mask_of_batch_KS,
                environment_BC=_rows(out.environment_BC, len(x_BF)),
                habitat_BS=_rows(out.habitat_BS, len(x_BF)),
                covariates_BC=None if covariates_NC is None else covariates_NC[index_B.to(device)],
            )
            value = loss(batch)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            history.steps += 1
            total += float(value.detach()) * len(x_BF)
            rows += len(x_BF)
        mean = total / max(rows, 1)
        if not math.isfinite(mean):
            raise TrainingError(
                f"the training loss is {mean} in epoch {epoch + 1} of {epochs}: "
                f"lower training.learning_rate, which is {settings.learning_rate:g}"
            )
        history.loss.append(mean)
        if report is not None:
            report(epoch + 1, epochs, mean)
    return history


def _rows(values_AX: Tensor | None, n_rows: int) -> Tensor | None:
    """The first rows of a head's output, where there is one."""
    return None if values_AX is None else values_AX[:n_rows]


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


def group_mask(groups_K: tuple[str, ...] | None, groups_S: tuple[str, ...]) -> Tensor | None:
    """Which species a background site counts for: those of the taxon group that was looked for there.

    Returns:
        Bool (K, S), or None where every site counts for every species.
    """
    if groups_K is None or len({*groups_K, *groups_S}) == 1:
        return None
    sites, species = np.array(groups_K), np.array(groups_S)
    return torch.from_numpy((sites[:, None] == species[None, :]) | (sites == "")[:, None])


def _optimizer(model: RangeModel, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam or AdamW in one fused kernel per step."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
    optimizer: torch.optim.Optimizer = kind(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    return optimizer


def _learning_rate(settings: TrainingSettings, step: int, steps: int, epoch: int) -> float:
    """The learning rate at one step of ``steps``, in epoch ``epoch`` (both from 0)."""
    factors = {
        "constant": 1.0,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * step / steps)),
        "exponential": settings.decay**epoch,
    }
    return settings.learning_rate * factors[settings.schedule]
