"""The textbook way to train a range model, written from the published formulas, as the benchmarks' baseline.

Single records from a DataLoader, dropout as torch has it, ``torch.optim.Adam``, logits of all pairs; sigmoid and
log(p + 1e-5) for ``an_full`` (Cole et al. 2023), focal and asymmetric loss on multi-hot targets (Lin et al. 2017,
Ridnik et al. 2021), and ``torch.nn.functional.cross_entropy`` for ``softmax``.

Shape legend: N records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from presence_only.data.training import TrainingData

POS_LAMBDA, EPSILON = 2048.0, 1e-5
ALPHA, GAMMA, CLIP = 0.25, 2.0, 0.05
LEARNING_RATE, DECAY, DROPOUT = 5e-4, 0.98, 0.5


class SingleRecords(Dataset):
    """One record at a time, as a DataLoader wants them."""

    def __init__(self, data: TrainingData) -> None:
        self.features_N4 = encode(torch.from_numpy(data.records.sites_N2).float())
        self.species_N = torch.tensor(data.records.species_P)

    def __len__(self) -> int:
        return len(self.species_N)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.features_N4[index], self.species_N[index]


class TextbookBlock(nn.Module):
    """A residual block as one writes it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(width, width), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x + self.layers(x)


def encode(sites_N2: Tensor) -> Tensor:
    """Sines and cosines of longitude and latitude."""
    scaled_N2 = sites_N2 / torch.tensor([180.0, 90.0]) * math.pi
    return torch.cat([torch.sin(scaled_N2), torch.cos(scaled_N2)], dim=1)


def random_sites(n: int) -> Tensor:
    """Uniform on the sphere."""
    longitude = 360 * torch.rand(n) - 180
    latitude = torch.rad2deg(torch.arcsin(2 * torch.rand(n) - 1))
    return torch.stack([longitude, latitude], dim=1)


def textbook_model(n_species: int, width: int, depth: int, seed: int = 0) -> nn.Sequential:
    """The encoder, and as the last layer the species head."""
    torch.manual_seed(seed)
    blocks = [TextbookBlock(width) for _ in range(depth)]
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), *blocks, nn.Linear(width, n_species, bias=False))


def textbook_steps(model: nn.Module, data: TrainingData, loss_name: str, batch: int) -> Iterator[float]:
    """Train without end; every element is the loss of one step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY)
    loader = DataLoader(SingleRecords(data), batch_size=batch, shuffle=True, drop_last=True)
    while True:
        for features, species in loader:
            if loss_name == "an_full":
                far = encode(random_sites(len(features)))
                logits, far_logits = model(torch.cat([features, far])).split(len(features))
                loss = textbook_an_full(logits, species, far_logits)
            elif loss_name == "softmax":
                loss = functional.cross_entropy(model(features), species)
            else:
                logits = model(features)
                targets = torch.zeros_like(logits)
                targets[torch.arange(len(species)), species] = 1.0
                loss = TEXTBOOK[loss_name](logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()
        schedule.step()


def textbook_an_full(logits: Tensor, species: Tensor, far_logits: Tensor) -> Tensor:
    """L_AN-full of Cole et al. (2023), with their constant inside the logarithms."""
    p, far_p = torch.sigmoid(logits), torch.sigmoid(far_logits)
    terms = -torch.log(1 - p + EPSILON)
    rows = torch.arange(len(species), device=species.device)
    terms[rows, species] = -POS_LAMBDA * torch.log(p[rows, species] + EPSILON)
    return terms.mean() + (-torch.log(1 - far_p + EPSILON)).mean()


def textbook_focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Lin et al. (2017)."""
    p = torch.sigmoid(logits)
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    return (alpha_t * (1 - p_t) ** GAMMA * cross_entropy).mean()


def textbook_asl(logits: Tensor, targets: Tensor) -> Tensor:
    """Ridnik et al. (2021), gamma+ = 0."""
    p = torch.sigmoid(logits)
    q_m = (1 - p + CLIP).clamp(max=1)
    log_present = targets * torch.log(p.clamp(min=1e-8))
    log_absent = (1 - targets) * torch.log(q_m.clamp(min=1e-8))
    return -(log_present + (1 - q_m) ** GAMMA * log_absent).mean()


TEXTBOOK: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": functional.binary_cross_entropy_with_logits,
    "focal": textbook_focal,
    "asl": textbook_asl,
}
