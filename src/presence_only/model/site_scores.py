"""Logits at many sites for many species, a part at a time: never all sites x all species at once.

Shape legend: M sites, m some of them, S species, s some of them, D embedding.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from presence_only.common.arrays import Floats, Ints
from presence_only.common.atomic_files import write_whole
from presence_only.data.sites import WEEKS
from presence_only.model.features import Features

Float32s = NDArray[np.float32]
# Embeddings up to this size are kept for the next part; larger ones are computed again.
KEPT_BYTES = 2**30
# Where no week is given, the weeks over which presence is averaged: one a month.
WEEKS_OF_A_YEAR = tuple(range(2, WEEKS + 1, 4))


class TwoSteps(Protocol):
    """What is asked of a model: two steps from a site to its logits."""

    n_species: int
    weeks: bool

    def hidden(self, sites_B2: Floats, covariates_BC: Floats, week_B: Ints | None) -> tuple[Tensor, ...]:
        """Everything about some sites that the species' logits are made from, each (B, .)."""

    def species_logits(self, hidden: tuple[Tensor, ...], species: slice) -> Tensor:
        """Logits (B, s) of some species."""


class Scores:
    """Logits (M, S) of a model at sites given in degrees, made when asked for, dropout off.

    Their sigmoid is relative suitability, not a probability of presence. For a model that reads the
    week and sites without one, it is the mean suitability over the twelve months.

    Args:
        model: The model, in evaluation mode.
        sites_M2: Longitude, latitude in degrees.
        covariates_MC: The covariates seen in training.
        week_M: 1..48, for a model that reads the week; None: at any time of the year.
        chunk: Sites that go through the network at once.
    """

    def __init__(
        self,
        model: TwoSteps,
        sites_M2: Floats,
        covariates_MC: Floats,
        week_M: Ints | None = None,
        *,
        chunk: int = 8192,
    ) -> None:
        self._model, self._chunk = model, chunk
        self._sites_M2, self._covariates_MC, self._week_M = sites_M2, covariates_MC, week_M
        self._kept: dict[tuple[int, int], tuple[Tensor, ...]] = {}
        self._kept_bytes = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(M, S)."""
        return len(self._sites_M2), self._model.n_species

    def columns(self, species: slice) -> Float32s:
        """Logits (M, s) of some species at all sites."""
        n_columns = len(range(*species.indices(self._model.n_species)))
        out = np.empty((len(self._sites_M2), n_columns), dtype=np.float32)
        for part in self._parts(slice(None)):
            out[part] = self._logits(part, species, keep=True)
        return out

    def rows(self, sites: slice) -> Float32s:
        """Logits (m, S) of all species at some sites."""
        parts = [self._logits(part, slice(None), keep=False) for part in self._parts(sites)]
        return np.concatenate(parts) if parts else np.empty((0, self._model.n_species), dtype=np.float32)

    def _parts(self, sites: slice) -> Iterator[slice]:
        start, stop, step = sites.indices(len(self._sites_M2))
        if step != 1:
            raise ValueError(f"sites = {sites}: must be a slice without a step")
        for first in range(start, stop, self._chunk):
            yield slice(first, min(first + self._chunk, stop))

    @torch.no_grad()
    def _logits(self, part: slice, species: slice, *, keep: bool) -> NDArray[Any]:
        """Logits of some species at one part of the sites."""
        if not self._model.weeks or self._week_M is not None:
            return self._model.species_logits(self._hidden(part, None, keep), species).float().cpu().numpy()
        # Mean p over mean q, in logarithms: exact where the sigmoid rounds to 0 or 1.
        x_WBs = torch.stack(
            [self._model.species_logits(self._hidden(part, week, keep), species).float() for week in WEEKS_OF_A_YEAR]
        )
        return (logsigmoid(x_WBs).logsumexp(dim=0) - logsigmoid(-x_WBs).logsumexp(dim=0)).cpu().numpy()

    def _hidden(self, part: slice, week: int | None, keep: bool) -> tuple[Tensor, ...]:
        """What the logits of one part are made from, kept where it is small enough."""
        key = (part.start, week or 0)
        if keep and key in self._kept:
            return self._kept[key]
        sites = self._sites_M2[part]
        week_B = None
        if self._model.weeks:
            week_B = np.full(len(sites), week) if self._week_M is None else self._week_M[part]
        hidden = self._model.hidden(sites, self._covariates_MC[part], week_B)
        size = sum(tensor.nbytes for tensor in hidden)
        if keep and self._kept_bytes + size <= KEPT_BYTES:
            self._kept[key] = hidden
            self._kept_bytes += size
        return hidden


class ScoredModel(nn.Module):
    """A model that gives every site a logit for every species, in two steps.

    Attributes:
        n_hidden: Number of tensors that :meth:`hidden` returns.
    """

    features: Features
    n_species: int
    n_hidden: int
    weeks: bool

    def hidden(self, sites_B2: Floats, covariates_BC: Floats, week_B: Ints | None = None) -> tuple[Tensor, ...]:
        """Everything about some sites that the species' logits are linear in, each (B, .)."""
        raise NotImplementedError

    def species_logits(self, hidden: tuple[Tensor, ...], species: slice) -> Tensor:
        """Logits (B, s) of some species, from what :meth:`hidden` returned."""
        raise NotImplementedError

    def scores(self, sites_M2: Floats, covariates_MC: Floats, week_M: Ints | None = None) -> Scores:
        """Logits at sites given in degrees, a part at a time; see :class:`Scores`.

        The model goes into evaluation mode, dropout off.
        """
        return Scores(self.eval(), sites_M2, covariates_MC, week_M)

    def predict(self, sites_M2: Floats, covariates_MC: Floats, week_M: Ints | None = None) -> np.ndarray[Any, Any]:
        """Logits (M, S) in float32 at sites given in degrees, dropout off.

        Their sigmoid is relative suitability, not a probability of presence.
        """
        training = self.training
        logits_MS = self.scores(sites_M2, covariates_MC, week_M).columns(slice(None))
        self.train(training)
        return logits_MS

    def embed_sites(
        self, sites_M2: Floats, covariates_MC: Floats, week_M: Ints | None = None, *, chunk: int = 8192
    ) -> np.ndarray[Any, Any]:
        """Location embeddings (M, D) in float32 at sites given in degrees, dropout off."""
        training = self.training
        self.eval()
        parts = [
            self.hidden(sites_M2[part], covariates_MC[part], None if week_M is None else week_M[part])[0].cpu().numpy()
            for part in (slice(start, start + chunk) for start in range(0, len(sites_M2), chunk))
        ]
        self.train(training)
        return np.concatenate(parts)

    def content(self) -> dict[str, Any]:
        """All that makes the model again: weights, shape and settings."""
        raise NotImplementedError

    def save(self, path: Path) -> None:
        """Write the model to ``path``, whole or not at all; equal models give equal bytes."""
        # Through memory: torch.save writes the file's name into the file, here a temporary one.
        buffer = io.BytesIO()
        torch.save(self.content(), buffer)
        with write_whole(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
