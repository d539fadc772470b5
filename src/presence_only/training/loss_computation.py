"""Ways to compute a loss and its gradients: from all logits, in chunks of species, or from sampled species.

Shape legend: A rows and background sites, B rows of a batch, K background sites, S species, P positives, D embedding,
J sampled species.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor
from torch.nn import Parameter

from presence_only.common.errors import TrainingError
from presence_only.common.random_streams import stream
from presence_only.losses.base import BatchLoss, BatchTotals, LossBatch, LossSettings
from presence_only.losses.scalable import ScalableLoss
from presence_only.model.encoder import PartOfBatch, RangeModel
from presence_only.model.settings import EncoderSettings
from presence_only.training.batches import Batch
from presence_only.training.data_parallel import ALONE, World
from presence_only.training.devices import product_dtype, rounded_products
from presence_only.training.row_optimizers import RowOptimizer, row_optimizer
from presence_only.training.settings import TrainingSettings

# The number of species from which chunks are faster than all logits on a CPU (benchmarks/step.py).
CHUNKS_PAY_FROM = 250
# The same on a GPU, where nothing was measured. A step of bce from all logits writes or reads each of them 19 times,
# one in chunks 8 times. Below, all logits fit into a large GPU's cache, and starting kernels takes longer than they do.
CHUNKS_PAY_FROM_ON_GPU = 1_000
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
    able = isinstance(loss, ScalableLoss) and not encoder.habitat_head
    if asked == "auto":
        on_cpu = device.type == "cpu"
        if not able or n_species < (CHUNKS_PAY_FROM if on_cpu else CHUNKS_PAY_FROM_ON_GPU):
            return "all_logits"
        # Measured on CPUs only; a GPU affords exact steps.
        pays = on_cpu and n_species >= loss_settings.sampling_pays_from
        return "sampled" if pays and settings.leaves_rows_alone else "chunks"
    if asked != "all_logits" and not able:
        raise TrainingError(
            f"training.loss_computation = {asked!r} with loss {loss_settings.loss!r}: needs a loss that is a sum over "
            "all pairs or rows and draws none (python -m presence_only.losses marks them), and no habitat head; "
            "use 'auto' or 'all_logits'"
        )
    return asked


class AllLogits:
    """The loss from the logits of all pairs: the reference, and the only way for losses that draw.

    Args:
        model: Encoder and heads.
        loss: What is minimised.
        generator: Source of the loss's draws.
        precision: Of matrix products, a value of ``training.precision``.
        world: The processes that share every batch. Their values add up to the loss of the batch.
    """

    def __init__(
        self,
        model: RangeModel,
        loss: BatchLoss,
        generator: torch.Generator,
        *,
        precision: str = "float32",
        world: World = ALONE,
    ) -> None:
        self.model, self.loss, self.generator = model, loss, generator
        self.precision, self.world = precision, world

    def parameters(self) -> list[Parameter]:
        """What the optimizer updates."""
        return list(self.model.parameters())

    def gradients(self) -> list[Tensor]:
        """The gradients of all that is updated."""
        return [parameter.grad for parameter in self.parameters() if parameter.grad is not None]

    def value(self, batch: Batch) -> Tensor:
        """The loss of one batch, or this process's share of it."""
        if isinstance(self.loss, ScalableLoss):
            return self.loss(self.of_own_rows(batch))
        value = self.loss(self.of_all_rows(batch))
        return value if self.world.alone else value / self.world.size

    def of_own_rows(self, batch: Batch) -> LossBatch:
        """What a loss that is a sum over rows is given: this process's rows and sites, and the totals of all."""
        with self.products():
            out = self.model.outputs(self.embed(batch))
        logits_BS, background_KS = batch.split(out.logits_BS, len(batch.x_BF))
        return LossBatch(
            logits_BS,
            *batch.own_positives(),
            generator=self.generator,
            background_KS=background_KS,
            background_mask_KS=batch.mask_KS(batch.sites),
            distinct=True,
            totals=self.totals(batch),
        )

    def of_all_rows(self, batch: Batch) -> LossBatch:
        """What any other loss is given: the rows and sites of all processes."""
        location_AD = self.world.gather(self.embed(batch), self.part(batch))
        with self.products():
            out = self.model.outputs(location_AD)
        logits_BS, background_KS = batch.split(out.logits_BS, batch.n_rows)
        return LossBatch(
            logits_BS,
            batch.drawn.row_P,
            batch.drawn.species_P,
            generator=self.generator,
            background_KS=background_KS,
            background_mask_KS=batch.mask_KS(),
            environment_BC=_rows(out.environment_BC, batch.n_rows),
            habitat_BS=_rows(out.habitat_BS, batch.n_rows),
            covariates_BC=batch.covariates_BC,
            distinct=True,
            progress=batch.progress,
            epoch=batch.epoch,
            index_B=batch.drawn.index_B,
        )

    def embed(self, batch: Batch) -> Tensor:
        """Embeddings of this process's rows, and then of its background sites."""
        with self.products():
            return self.model.embed_part(batch.inputs(), self.part(batch))

    def products(self) -> AbstractContextManager[object]:
        """Within the block, layers multiply in the precision asked for."""
        return rounded_products(self.precision, self.model.species_head.weight.device)

    def part(self, batch: Batch) -> PartOfBatch | None:
        """Where this process's rows and sites stand in the batch; None: they are all of it."""
        return None if self.world.alone else batch.part()

    def totals(self, batch: Batch) -> BatchTotals | None:
        """Sizes of the whole batch; None: this process has all of it."""
        return None if self.world.alone else batch.totals()

    def step(self, learning_rate: float) -> None:
        """Nothing is left to update."""


class Chunks(AllLogits):
    """The loss without logits of all pairs."""

    def value(self, batch: Batch) -> Tensor:
        """The loss of one batch, or this process's share of it."""
        assert isinstance(self.loss, ScalableLoss)  # choose_loss_computation saw to it
        location_BD, background_KD = batch.split(self.embed(batch), len(batch.x_BF))
        return self.loss.in_chunks(
            location_BD,
            self.model.species_head.weight,
            *batch.own_positives(),
            start_S=self.model.start_S,
            background_KD=background_KD,
            background_mask_KS=batch.mask_KS(batch.sites),
            totals=self.totals(batch),
            distinct=True,
            products=product_dtype(self.precision),
        )


class Sampled(AllLogits):
    """An estimate of the loss from some rows of the species matrix, which alone are updated, as their start is.

    Args:
        model: Encoder and heads.
        loss: What is minimised.
        generator: Source of the draws.
        n_sampled: Species drawn a step.
        optimizer: Gives a matrix with a row per species the optimizer of its rows.
        precision: Of matrix products, a value of ``training.precision``.
        world: The processes that share every batch; all draw the same species.
    """

    def __init__(
        self,
        model: RangeModel,
        loss: BatchLoss,
        generator: torch.Generator,
        *,
        n_sampled: int,
        optimizer: Callable[[Tensor], RowOptimizer],
        precision: str = "float32",
        world: World = ALONE,
    ) -> None:
        super().__init__(model, loss, generator, precision=precision, world=world)
        self.n_sampled = n_sampled
        self.optimizer = optimizer(model.species_head.weight)
        learned_S = model.start_S if model.settings.learn_start else None
        self.start_optimizer = None if learned_S is None else optimizer(learned_S[:, None])
        self.start_J1: Tensor | None = None

    def parameters(self) -> list[Parameter]:
        """What the optimizer updates; the species matrix has its own, and so has a start that is learned."""
        own = (self.model.species_head.weight, self.model.start_S)
        return [p for p in self.model.parameters() if all(p is not other for other in own)]

    def gradients(self) -> list[Tensor]:
        """The gradients of all that is updated, those of the last batch's species at the end."""
        assert self.species_JD.grad is not None
        start = [] if self.start_J1 is None else [self.start_J1.grad]
        return [*super().gradients(), self.species_JD.grad, *(gradient for gradient in start if gradient is not None)]

    def value(self, batch: Batch) -> Tensor:
        """The estimate for one batch, or this process's share of it."""
        assert isinstance(self.loss, ScalableLoss)  # choose_loss_computation saw to it
        n_species = self.model.n_species
        self.sample = self.loss.draw_species(batch.drawn.species_P, n_species, self.n_sampled, self.generator)
        self.species_JD = self.optimizer.rows(self.sample.species_J)
        start_S = self.model.start_S
        if start_S is not None and self.start_optimizer is not None:
            self.start_J1 = self.start_optimizer.rows(self.sample.species_J)
            start_S = start_S.detach().index_copy(0, self.sample.species_J, self.start_J1[:, 0])
        location_BD, background_KD = batch.split(self.embed(batch), len(batch.x_BF))
        return self.loss.from_sample(
            self.sample,
            n_species,
            location_BD,
            self.species_JD,
            *batch.own_positives(),
            start_S=start_S,
            background_KD=background_KD,
            background_mask_KS=batch.mask_KS(batch.sites),
            totals=self.totals(batch),
            distinct=True,
            products=product_dtype(self.precision),
        )

    def step(self, learning_rate: float) -> None:
        """Update the rows of the last batch."""
        assert self.species_JD.grad is not None
        self.optimizer.step(self.sample.species_J, self.species_JD.grad, learning_rate)
        if self.start_optimizer is not None and self.start_J1 is not None:
            assert self.start_J1.grad is not None
            self.start_optimizer.step(self.sample.species_J, self.start_J1.grad, learning_rate)


def make_loss_computation(
    name: str, model: RangeModel, loss: BatchLoss, settings: TrainingSettings, seed: int, world: World = ALONE
) -> AllLogits:
    """The computation called ``all_logits``, ``chunks`` or ``sampled``."""
    device = model.species_head.weight.device
    if name == "sampled":
        return Sampled(
            model,
            loss,
            stream(seed, "sampled species", device),
            n_sampled=settings.sampled_species or SAMPLED_SPECIES,
            optimizer=partial(row_optimizer, settings=settings),
            precision=settings.precision,
            world=world,
        )
    kind = {"all_logits": AllLogits, "chunks": Chunks}[name]
    return kind(model, loss, stream(seed, "negatives", device), precision=settings.precision, world=world)


def _rows(values_AX: Tensor | None, n_rows: int) -> Tensor | None:
    """The first rows of a head's output, where there is one."""
    return None if values_AX is None else values_AX[:n_rows]
