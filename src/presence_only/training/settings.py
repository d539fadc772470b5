"""Settings of training: length, optimizer, batches, and how the loss is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from presence_only.common.settings import Need, Settings

# Settings that only some optimizers have.
OPTIMIZERS_WITH = {"beta2": ("adam", "adamw", "rmsprop"), "momentum": ("sgd",)}
# More steps take years, and more rows or sites a step fit into no memory.
MOST_STEPS, MOST_ROWS = 100_000_000, 10_000_000
# Values of loss_computation that had another name.
FORMER_VALUES = {"plain": "all_logits", "fused": "chunks"}


class TrainingSettings(Settings):
    """How the encoder is fitted. Defaults are the default study's.

    Args:
        epochs: Passes over the training rows, unless ``steps`` says the length.
        steps: Optimizer steps, whatever the number of rows.
        batch_size: Training rows a step.
        background_batch_size: Background sites a step, for the losses that use any.
        optimizer: ``adam``, ``adamw``, ``sgd`` (with momentum) or ``rmsprop``, as torch has them.
        learning_rate: Step size at the start, or after the warm-up.
        beta2: Decay of the running mean of squared gradients of all but ``sgd``: 0.999 remembers about 1,000 steps,
            0.95 about 20. It is torch's ``alpha`` of ``rmsprop``, which does not correct the first steps' bias.
        momentum: Share of the last step's direction that ``sgd`` keeps.
        weight_decay: Decoupled for ``adamw``, L2 for the others. A learned start decays towards 0 as all weights do.
        warmup_steps: Steps over which the learning rate rises in a line to what the schedule says; 0: none.
        schedule: ``constant``, ``cosine`` (to 0 over the whole run) or ``exponential``
            (SINR's: times ``decay`` after every epoch).
        decay: Factor of the exponential schedule.
        device: ``auto`` takes a GPU where there is one.
        precision: Of matrix products: ``float32``; ``tf32``, which a GPU alone has, with 10 bits of the mantissa; or
            ``bf16``, with 7. Weights, losses and all sums stay float32 or better.
        loss_computation: How loss and gradients are computed: from ``all_logits``; in ``chunks`` of species, the same
            within rounding; or ``sampled``, an unbiased estimate from the species of the batch and ``sampled_species``
            others. ``auto`` is the fastest to the same mAP, see docs/scaling.md.
        sampled_species: Species drawn a step, 1,024 if left out; with ``loss_computation: sampled`` only.
        species_l1: Weight of the mean over species of the sum of its head's absolute weights.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "decay": Need(lambda training: training.schedule == "exponential", "schedule is 'exponential'"),
    }

    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = 20
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 256
    background_batch_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 256
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.005
    beta2: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    weight_decay: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    warmup_steps: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 0
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.98
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    loss_computation: Literal["auto", "all_logits", "chunks", "sampled"] = "auto"
    sampled_species: Annotated[int, Field(ge=1, le=MOST_ROWS)] | None = None
    species_l1: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _no_former_name(cls, raw: Any) -> Any:
        """``head`` was the name of ``loss_computation``, and two values had other names: say the new ones."""
        if isinstance(raw, dict):
            for name in ("head", "loss_computation"):
                old = raw.get(name)
                if not isinstance(old, str):
                    continue
                new = FORMER_VALUES.get(old, old)
                if (name, old) != ("loss_computation", new):
                    raise ValueError(f"settings with loss_computation: {new} in place of the former {name}: {old}")
        return raw

    @model_validator(mode="before")
    @classmethod
    def _steps_replace_epochs(cls, raw: Any) -> Any:
        """A length in steps takes the place of the default length in epochs."""
        if isinstance(raw, dict) and raw.get("steps") is not None:
            return {"epochs": None} | raw
        return raw

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is None and self.steps is None:
            raise ValueError("settings with either epochs or steps")
        if self.epochs is not None and self.steps is not None:
            raise ValueError(f"settings with either epochs or steps, not both: {self.epochs} and {self.steps}")
        return self

    @model_validator(mode="after")
    def _optimizer_has(self) -> Self:
        """A setting that would be ignored is a mistake of the one who wrote it."""
        for name, owners in OPTIMIZERS_WITH.items():
            value, default = getattr(self, name), type(self).model_fields[name].default
            if self.optimizer not in owners and value != default:
                raise ValueError(
                    f"settings with {name} {default}, the default, if optimizer is {self.optimizer!r}, which has none; "
                    f"{name} is {value}"
                )
        return self

    @model_validator(mode="after")
    def _warm_in_time(self) -> Self:
        if self.steps is not None and self.warmup_steps >= max(self.steps, 1):
            raise ValueError(f"settings with warmup_steps less than steps: {self.warmup_steps} and {self.steps}")
        return self

    @model_validator(mode="after")
    def _sampled_fits(self) -> Self:
        sampled = self.loss_computation == "sampled"
        if not sampled and self.sampled_species is not None:
            raise ValueError(f"settings with loss_computation: sampled, as sampled_species is {self.sampled_species}")
        if sampled and not self.leaves_rows_alone:
            raise ValueError(
                "settings with weight_decay and species_l1 0 if loss_computation is 'sampled', which leaves most rows "
                "alone"
            )
        return self

    @property
    def leaves_rows_alone(self) -> bool:
        """Whether a species without gradient keeps its weights: no decay or penalty moves them."""
        return self.weight_decay == 0 and self.species_l1 == 0
