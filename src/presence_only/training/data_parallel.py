"""Several processes that train one model together, each on its share of every batch.

All processes draw the same batch from the same streams. Each embeds its own rows and background sites, adds its share
of the loss, and the gradients of all are added up, so that all take the same step. The shares add up to the loss of
the whole batch: what is trained is what one process would train, within rounding.

* A loss that is a sum over pairs or over rows: a process adds those of its own rows and sites, divided by the sizes
  of the whole batch. Time and memory of the loss are divided too.
* Any other loss draws or compares within the batch. The embeddings of all are gathered, and every process computes the
  loss of the whole batch, of which it counts one part in as many as there are processes. Only the encoder is divided.

Shape legend: A rows and background sites of a batch, D embedding.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from presence_only.common.errors import TrainingError, UserError
from presence_only.model.encoder import PartOfBatch

# Numbers in a tensor that is worth a message of its own: 1 MiB in float32.
TRAVELS_ALONE = 2**18


@dataclass(frozen=True)
class World:
    """The processes that train together.

    Args:
        rank: Which of them this one is, from 0.
        size: How many they are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports; it is the only one that does."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def own(self, n: int) -> slice:
        """Which of ``n`` rows are this process's: as many as the others', give or take one."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def check(self, batch_size: int) -> None:
        """Refuse batches of which a process would never get a row.

        Raises:
            TrainingError: If there are more processes than rows.
        """
        if batch_size < self.size:
            raise TrainingError(
                f"{self.size} processes for batches of {batch_size} rows: each needs a row of its own; start fewer, or "
                "raise training.batch_size"
            )

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace every tensor by the sum of those of all processes, which have as many, alike in shape and dtype."""
        if self.alone:
            return
        from torch.distributed import all_reduce

        # A message takes a while however short it is: small tensors travel together.
        small: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        large: list[Tensor] = []
        for tensor in tensors:
            (large if tensor.numel() > TRAVELS_ALONE else small[tensor.dtype]).append(tensor)
        packed = {dtype: torch.cat([tensor.reshape(-1) for tensor in group]) for dtype, group in small.items()}
        for work in [all_reduce(tensor, async_op=True) for tensor in (*large, *packed.values())]:
            work.wait()
        for dtype, group in small.items():
            sums = torch.split(packed[dtype], [tensor.numel() for tensor in group])
            for tensor, total in zip(group, sums, strict=True):
                tensor.copy_(total.view_as(tensor))

    def gather(self, own_AD: Tensor, part: PartOfBatch | None) -> Tensor:
        """The rows of all processes, each in its place; gradients find their way back.

        Args:
            own_AD: The rows of this process.
            part: Where they stand in the batch; None: they are all.
        """
        if part is None:
            return own_AD
        gathered_AD: Tensor = _Gathered.apply(own_AD.float(), part, self)  # type: ignore[no-untyped-call, unused-ignore]
        return gathered_AD


ALONE = World()


class _Gathered(torch.autograd.Function):
    """Rows put into zeros, which are added up; backward adds up the gradients, and takes the rows out."""

    @staticmethod
    def forward(ctx: Any, own_AD: Tensor, part: PartOfBatch, world: World) -> Tensor:
        ctx.part, ctx.world = part, world
        all_AD = own_AD.new_zeros((part.n_rows, *own_AD.shape[1:]))
        part.put(own_AD, all_AD)
        world.add_up([all_AD])
        return all_AD

    @staticmethod
    def backward(ctx: Any, gradient_AD: Tensor) -> tuple[Tensor, None, None]:
        gradient_AD = gradient_AD.clone(memory_format=torch.contiguous_format)
        ctx.world.add_up([gradient_AD])
        return ctx.part.take(gradient_AD), None, None


def launched_by_torchrun() -> bool:
    """Whether this process is one of several that ``torchrun`` started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def join(facts: Mapping[str, str], *, gpus: bool) -> Iterator[World]:
    """Meet the other processes that ``torchrun`` started, for the length of the block.

    They talk by nccl about what lies on GPUs, and by gloo about all else. A mistake that all of them would tell is told
    by the first; the others end without a word.

    Args:
        facts: What has to be the same in all processes, by name.
        gpus: Whether every process takes a GPU of its own, where the machine has any.

    Raises:
        TrainingError: If there are more processes than GPUs, or the processes do not agree; in the first process.
        UserError: What the block raises, in the first process.
    """
    from torch import distributed

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() and distributed.is_nccl_available() else 0
    distributed.init_process_group("cpu:gloo,cuda:nccl" if n_gpus else "gloo")
    world = World(distributed.get_rank(), distributed.get_world_size())
    try:
        problem, place = "", "CPU"
        if gpus and n_gpus:
            local_rank, n_local = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
            problem, place = _too_few(n_local, n_gpus), torch.cuda.get_device_name(local_rank % n_gpus)
            torch.cuda.set_device(local_rank % n_gpus)
        told: list[dict[str, str]] = [{} for _ in range(world.size)]
        mine = {"problem": problem, "torch": str(torch.__version__), "device": place, **facts}
        distributed.all_gather_object(told, mine)
        check_agreement(told)
        yield world
    except UserError:
        if world.first:
            raise
        raise SystemExit(1) from None
    finally:
        distributed.destroy_process_group()


def _too_few(n_processes: int, n_gpus: int) -> str:
    """What is wrong with so many processes on a machine with so many GPUs; nothing if there are enough."""
    if n_processes <= n_gpus:
        return ""
    return (
        f"torchrun started {n_processes} processes on a machine with {n_gpus} GPUs: start one per GPU, or set "
        "training.device: cpu"
    )


def check_agreement(told: Sequence[Mapping[str, str]]) -> None:
    """Refuse processes that would train different models.

    Args:
        told: By process, a ``problem``, empty if there is none, and what has to be the same in all. The model of GPU is
            part of it: on another, the same stream gives other numbers.

    Raises:
        TrainingError: With the first problem, or the first thing on which processes disagree.
    """
    for facts in told:
        if facts["problem"]:
            raise TrainingError(facts["problem"])
    for name, value in told[0].items():
        for rank, facts in enumerate(told):
            if facts[name] != value:
                raise TrainingError(
                    f"processes 0 and {rank} disagree on {name}, {value!r} and {facts[name]!r}: "
                    "every machine needs the same files, versions and model of GPU"
                )
