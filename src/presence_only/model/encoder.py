"""The location encoder: features of a site -> embedding -> one logit per species.

Shape legend: B sites, F features, C covariates, D embedding, S species.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from presence_only.common.arrays import Floats, Ints
from presence_only.model.coordinates import WEEK_FEATURES
from presence_only.model.features import Features
from presence_only.model.interface import SpeciesModel
from presence_only.model.settings import EncoderSettings

# Before the sigmoid: the direct logits' share at the start is 0.95.
GATE_START = 3.0
# What a file without these settings means: older ones have none, and what has these values is still written so.
FORMER = {"start": "zero", "learn_start": False, "head_scale": 1.0}


@dataclass(frozen=True)
class PartOfBatch:
    """Which rows of a batch a model is given, where several processes share the batch.

    Args:
        n_rows: Rows of the whole batch.
        rows: Slices of them, in the order in which the model is given the rows.
    """

    n_rows: int
    rows: tuple[slice, ...]

    def take(self, all_AX: Tensor) -> Tensor:
        """The part's rows of all."""
        return torch.cat([all_AX[rows] for rows in self.rows])

    def put(self, own_AX: Tensor, all_AX: Tensor) -> None:
        """Write the part's rows to their places among all."""
        sizes = [rows.stop - rows.start for rows in self.rows]
        for rows, values in zip(self.rows, torch.split(own_AX, sizes), strict=True):
            all_AX[rows] = values


class ByteDropout(nn.Module):
    """Dropout whose mask takes one random byte a unit, at a seventh of the cost of ``nn.Dropout`` on a CPU.

    Source: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html

    Args:
        share: Share of units silenced while training, rounded to a multiple of 1/256; the others
            are scaled up so that the expectation stays exactly the same.
    """

    # Of a batch that is shared, the mask of all rows is drawn, by every process alike, and the part's rows taken.
    part: PartOfBatch | None = None

    def __init__(self, share: float) -> None:
        super().__init__()
        self.silenced = min(round(share * 256), 255)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with units silenced at random; ``x`` itself when not training."""
        if not self.training or self.silenced == 0:
            return x
        shape = x.shape if self.part is None else (self.part.n_rows, *x.shape[1:])
        n_units = math.prod(shape)
        words = torch.empty((n_units + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        drawn = words.view(torch.uint8)[:n_units].view(shape)
        if self.part is not None:
            drawn = self.part.take(drawn)
        # Compared as numbers of x's kind: a comparison of bytes takes ten times as long.
        return x * drawn.to(x.dtype).ge_(self.silenced).mul_(256 / (256 - self.silenced))


class ResidualBlock(nn.Module):
    """Two layers with a shortcut around them, as in SINR's ``ResLayer``."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.dropout = ByteDropout(dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        """``x + relu(second(dropout(relu(first(x)))))``."""
        # In place: a fresh output of this size costs as much in page faults as the operation itself.
        hidden_BD = self.dropout(torch.relu_(self.first(x_BD)))
        return x_BD + torch.relu_(self.second(hidden_BD))


class WeekModulation(nn.Module):
    """Scales and shifts what enters a residual block by the week; without effect at the start.

    Source: FiLM, Perez et al. (2018), https://arxiv.org/abs/1709.07871
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(WEEK_FEATURES, 2 * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x_BD: Tensor, week_BW: Tensor) -> Tensor:
        """``x * (1 + scale) + shift``."""
        scale_shift_B2D: Tensor = self.linear(week_BW)
        scale_BD, shift_BD = scale_shift_B2D.chunk(2, dim=1)
        return x_BD * (1 + scale_BD) + shift_BD


def _residual_network(n_features: int, settings: EncoderSettings) -> nn.Sequential:
    """Features to embedding; dropout of features, where asked for, comes first."""
    return nn.Sequential(
        *([ByteDropout(settings.input_dropout)] * (settings.input_dropout > 0)),
        nn.Linear(n_features, settings.width),
        nn.ReLU(),
        *(ResidualBlock(settings.width, settings.dropout) for _ in range(settings.depth)),
    )


@dataclass(frozen=True)
class Outputs:
    """What the model says about B sites.

    Args:
        logits_BS: Species logits; with a habitat head the gated mixture of both heads.
        environment_BC: Predicted standardised covariates, where there is an environment head.
        habitat_BS: Species logits from the predicted environment alone, where there is a habitat head.
    """

    logits_BS: Tensor
    environment_BC: Tensor | None = None
    habitat_BS: Tensor | None = None


class RangeModel(SpeciesModel):
    """Location encoder and species head: where -> how suitable for each species.

    The environment head predicts the site's standardised covariates from the embedding. The habitat
    head goes from that prediction, detached so that species do not bend it, to species logits; a
    learned gate per species mixes them with the direct ones and starts at sigmoid(3) = 0.95 for these.

    An ``additive`` encoder is the features themselves: with hinges, every species is a sum of smooth
    responses to one column each, as Maxent without products.

    Source: SINR, Cole et al. (2023), https://arxiv.org/abs/2306.02564: residual network over
    coordinate features, linear species head without bias. The two further heads are those of the
    BirdNET geomodel, https://github.com/birdnet-team/geomodel

    Args:
        features: What the encoder reads, measured on the training data; they hold its settings.
        n_species: S.
        start_S: The species' logits before training, which both heads go on to add to their own; None: 0. Given unless
            the settings say ``start: zero``. With ``learn_start`` they are a parameter.
    """

    start_S: Tensor | None

    def __init__(self, features: Features, n_species: int, *, start_S: Tensor | None = None) -> None:
        super().__init__()
        settings = features.settings
        width, n_covariates = settings.width, features.n_covariates
        self.features = features
        self.settings = settings
        self.n_species, self.n_covariates = n_species, n_covariates
        self.reads_covariates = settings.reads_covariates
        self.weeks = features.weeks
        self.n_hidden = 1 + settings.habitat_head
        modulated = settings.week == "film"
        if settings.kind == "additive":
            self.encoder, width = nn.Sequential(), features.size
        else:
            self.encoder = _residual_network(features.size - WEEK_FEATURES * modulated, settings)
        self.modulations = nn.ModuleList(WeekModulation(width) for _ in range(settings.depth * modulated))
        self.species_head = nn.Linear(width, n_species, bias=False)
        if (start_S is None) != (settings.start == "zero"):
            given = "missing" if start_S is None else "given"
            raise ValueError(f"start_S is {given}: must be given unless encoder.start, {settings.start!r}, is 'zero'")
        if settings.learn_start:
            begun_S = torch.zeros(n_species) if start_S is None else start_S.detach()
            self.start_S = nn.Parameter(begun_S.to(torch.float32, copy=True))
        else:
            self.register_buffer("start_S", None if start_S is None else start_S.detach().to(torch.float32, copy=True))
        if settings.kind == "additive":
            nn.init.zeros_(self.species_head.weight)  # the penalty on its size would have to undo a random start
        if settings.head_scale != 1:
            with torch.no_grad():
                self.species_head.weight.mul_(settings.head_scale)
        if settings.environment_head:
            self.environment_head = nn.Linear(width, n_covariates)
        if settings.habitat_head:
            self.habitat_head = nn.Sequential(
                nn.Linear(n_covariates, width), nn.ReLU(), nn.Linear(width, n_species, bias=False)
            )
            self.gate_S = nn.Parameter(torch.full((n_species,), GATE_START))

    def embed(self, features_BF: Tensor) -> Tensor:
        """Location embedding (B, D)."""
        if not self.modulations:
            location_BD: Tensor = self.encoder(features_BF)
            return location_BD
        place_BF, week_BW = features_BF[:, :-WEEK_FEATURES], features_BF[:, -WEEK_FEATURES:]
        depth = len(self.modulations)
        x_BD: Tensor = self.encoder[:-depth](place_BF)
        for modulation, block in zip(self.modulations, list(self.encoder)[-depth:], strict=True):
            x_BD = block(modulation(x_BD, week_BW))
        return x_BD

    def embed_part(self, features_AF: Tensor, part: PartOfBatch | None) -> Tensor:
        """Location embedding of a part of a batch, with the dropout that its rows have in the whole; None: of all."""
        if part is None:
            return self.embed(features_AF)
        dropouts = [module for module in self.modules() if isinstance(module, ByteDropout)]
        for dropout in dropouts:
            dropout.part = part
        try:
            return self.embed(features_AF)
        finally:
            for dropout in dropouts:
                dropout.part = None

    def forward(self, features_BF: Tensor) -> Outputs:
        """Everything the heads say about some sites."""
        return self.outputs(self.embed(features_BF))

    def outputs(self, location_BD: Tensor) -> Outputs:
        """Everything the heads say about some sites, given their embeddings."""
        direct_BS = linear(location_BD, self.species_head.weight, self.start_S)
        if not self.settings.environment_head:
            return Outputs(direct_BS)
        environment_BC = self.environment_head(location_BD)
        if not self.settings.habitat_head:
            return Outputs(direct_BS, environment_BC)
        habitat_BS = self.habitat_head(environment_BC.detach())
        if self.start_S is not None:
            habitat_BS = habitat_BS + self.start_S
        share_S = torch.sigmoid(self.gate_S)
        return Outputs(share_S * direct_BS + (1 - share_S) * habitat_BS, environment_BC, habitat_BS)

    @torch.no_grad()
    def hidden(self, sites_B2: Floats, covariates_BC: Floats, week_B: Ints | None = None) -> tuple[Tensor, ...]:
        """Everything about some sites that the species' logits are linear in: one tensor a species head."""
        device = self.species_head.weight.device
        location_BD = self.embed(self.features(sites_B2, covariates_BC, week_B).to(device))
        if not self.settings.habitat_head:
            return (location_BD,)
        return location_BD, self.habitat_head[:2](self.environment_head(location_BD))

    @torch.no_grad()
    def species_logits(self, hidden: tuple[Tensor, ...], species: slice | Tensor) -> Tensor:
        """Logits (B, s) of some species, from what :meth:`hidden` returned."""
        start_s = None if self.start_S is None else self.start_S[species]
        direct_Bs = linear(hidden[0], self.species_head.weight[species], start_s)
        if not self.settings.habitat_head:
            return direct_Bs
        share_s = torch.sigmoid(self.gate_S[species])
        habitat_Bs = linear(hidden[1], self.habitat_head.get_parameter("2.weight")[species], start_s)
        return share_s * direct_Bs + (1 - share_s) * habitat_Bs

    def content(self) -> dict[str, Any]:
        """All that makes the model again; see :meth:`of`."""
        # One string that occurs twice is saved otherwise than two equal strings, and equal models have equal bytes.
        settings = {
            sys.intern(name): sys.intern(value) if isinstance(value, str) else value
            for name, value in self.settings.model_dump().items()
            if name not in FORMER or value != FORMER[name]
        }
        return {
            "n_covariates": self.n_covariates,
            "weeks": self.weeks,
            "n_species": self.n_species,
            "settings": settings,
            "state": {name: tensor.cpu() for name, tensor in self.state_dict().items()},
        }

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """The model that :meth:`content` describes, on the CPU, in evaluation mode.

        Raises:
            KeyError: If a part is missing.
            RuntimeError: If the weights are not of the settings' shape.
            ValueError: If there is a part too many, or a setting breaks its rule.
        """
        unknown = set(content) - {"n_covariates", "weeks", "n_species", "settings", "state"}
        if unknown:
            raise ValueError(f"content has {min(unknown)!r}, which no encoder has")
        model = cls.untrained(content)
        model.load_state_dict(content["state"])
        return model.eval()

    @classmethod
    def untrained(cls, content: dict[str, Any]) -> Self:
        """The model that :meth:`content` describes, before the tensors of its state are put into it.

        Raises:
            KeyError: If a part is missing.
            ValueError: If a setting breaks its rule.
        """
        settings = EncoderSettings.model_validate(FORMER | content["settings"])
        features = Features(settings, content["n_covariates"], weeks=content["weeks"])
        start_S = None if settings.start == "zero" and settings.learn_start else content["state"].get("start_S")
        return cls(features, content["n_species"], start_S=start_S)
