"""Ways to compute a loss and its gradients: from all logits, in chunks of species, or from sampled species.

Shape legend: B rows of a batch, K background sites, F features, C covariates, S species, P positives,
D embedding, J sampled species.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from presence_only.common.errors import TrainingError
from presence_only.common.random_streams import stream
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings
from presence_only.losses.chunks import loss_in_chunks
from presence_only.losses.pair_weights import PairWeights
from presence_only.losses.sampled_species import SpeciesSample, loss_from_sample
from presence_only.model.encoder import RangeModel
from presence_only.model.settings import EncoderSettings
from presence_only.training.optimizers import RowAdam
from presence_only.training.settings import TrainingSettings

# The number of species from which chunks are faster than all logits on a CPU (benchmarks/step.py).
CHUNKS_PAY_FROM = 250
# Species drawn a step unless the settings say how many (benchmarks/head_to_head.py).
SAMPLED_SPECIES = 1024


def choose_loss_computation(
    settings: TrainingSettings,
    loss_settings: LossSettings,
    loss: BatchLoss,
    encoder: EncoderSettings,
    n_species: int,
    device: torch.device,
) -> str:
    """How a loss is computed: ``all_logits``, ``chunks`` or ``sampled``.

    Raises:
        TrainingError: If the loss cannot be computed as asked for.
    """
    asked = settings.loss_computation
    able = isinstance(loss, PairWeights) and not encoder.habitat_head
    if asked == "auto":
        # Measured on CPUs only.
        if not able or device.type != "cpu" or n_species < CHUNKS_PAY_FROM:
            return "all_logits"
        pays = n_species >= loss_settings.sampling_pays_from
        return "sampled" if pays and settings.leaves_rows_alone else "chunks"
    if asked != "all_logits" and not able:
        raise TrainingError(
            f"training.loss_computation = {asked!r} with loss {loss_settings.loss!r}: needs a dense loss, which sums "
            "over all pairs and draws none (python -m presence_only.losses marks them), and no habitat head; "
            "use 'auto' or 'all_logits'"
        )
    return asked


@dataclass(frozen=True)
class Batch:
    """One step's rows and background sites, before the model."""

    x_BF: Tensor
    row_P: Tensor
    species_P: Tensor
    covariates_BC: Tensor | None
    background_KF: Tensor | None
    mask_KS: Tensor | None

    def inputs(self) -> Tensor:
        """Rows and sites in one pass: the same layers, half the calls."""
        return self.x_BF if self.background_KF is None else torch.cat([self.x_BF, self.background_KF])

    def split(self, values_AX: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the model made of the rows and of the background sites."""
        if self.background_KF is None:
            return values_AX, None
        near_BX, far_KX = torch.split(values_AX, [len(self.x_BF), len(self.background_KF)])
        return near_BX, far_KX


class AllLogits:
    """The loss from the logits of all pairs: the reference, and the only way for losses that draw."""

    def __init__(self, model: RangeModel, loss: BatchLoss, generator: torch.Generator) -> None:
        self.model, self.loss, self.generator = model, loss, generator

    def parameters(self) -> list[Parameter]:
        """What the optimizer updates."""
        return list(self.model.parameters())

    def value(self, batch: Batch) -> Tensor:
        """The loss of one batch."""
        out = self.model(batch.inputs())
        logits_BS, background_KS = batch.split(out.logits_BS)
        return self.loss(
            LossBatch(
                logits_BS=logits_BS,
                row_P=batch.row_P,
                species_P=batch.species_P,
                generator=self.generator,
                background_KS=background_KS,
                background_mask_KS=batch.mask_KS,
                environment_BC=_rows(out.environment_BC, len(batch.x_BF)),
                habitat_BS=_rows(out.habitat_BS, len(batch.x_BF)),
                covariates_BC=batch.covariates_BC,
            )
        )

    def step(self, learning_rate: float) -> None:
        """Nothing is left to update."""


class Chunks(AllLogits):
    """A dense loss without logits of all pairs."""

    def value(self, batch: Batch) -> Tensor:
        """The loss of one batch."""
        assert isinstance(self.loss, PairWeights)  # choose_loss_computation saw to it
        location_BD, background_KD = batch.split(self.model.embed(batch.inputs()))
        return loss_in_chunks(
            self.loss,
            location_BD,
            self.model.species_head.weight,
            batch.row_P,
            batch.species_P,
            start_S=self.model.start_S,
            background_KD=background_KD,
            background_mask_KS=batch.mask_KS,
        )


class Sampled(AllLogits):
    """An estimate of the loss from some rows of the species matrix, which alone are updated."""

    def __init__(
        self, model: RangeModel, loss: BatchLoss, n_sampled: int, beta2: float, generator: torch.Generator
    ) -> None:
        super().__init__(model, loss, generator)
        self.n_sampled = n_sampled
        self.optimizer = RowAdam(model.species_head.weight, beta2)

    def parameters(self) -> list[Parameter]:
        """What the optimizer updates; the species matrix has its own."""
        return [p for p in self.model.parameters() if p is not self.model.species_head.weight]

    def value(self, batch: Batch) -> Tensor:
        """The estimate for one batch."""
        assert isinstance(self.loss, PairWeights)  # choose_loss_computation saw to it
        n_species = self.model.n_species
        self.sample = SpeciesSample.draw(batch.species_P, n_species, self.n_sampled, self.generator)
        self.species_JD = self.optimizer.rows(self.sample.species_J)
        location_BD, background_KD = batch.split(self.model.embed(batch.inputs()))
        return loss_from_sample(
            self.loss,
            self.sample,
            n_species,
            location_BD,
            self.species_JD,
            batch.row_P,
            batch.species_P,
            start_S=self.model.start_S,
            background_KD=background_KD,
            background_mask_KS=batch.mask_KS,
        )

    def step(self, learning_rate: float) -> None:
        """Update the rows of the last batch."""
        assert self.species_JD.grad is not None
        self.optimizer.step(self.sample.species_J, self.species_JD.grad, learning_rate)


def make_loss_computation(
    name: str, model: RangeModel, loss: BatchLoss, settings: TrainingSettings, seed: int
) -> AllLogits:
    """The computation called ``all_logits``, ``chunks`` or ``sampled``."""
    if name == "sampled":
        n_sampled = settings.sampled_species or SAMPLED_SPECIES
        return Sampled(model, loss, n_sampled, settings.beta2, stream(seed, "sampled species"))
    return {"all_logits": AllLogits, "chunks": Chunks}[name](model, loss, stream(seed, "negatives"))


def _rows(values_AX: Tensor | None, n_rows: int) -> Tensor | None:
    """The first rows of a head's output, where there is one."""
    return None if values_AX is None else values_AX[:n_rows]
