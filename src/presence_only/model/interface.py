"""The interface of every trained model: sites in, one logit per species out, a part at a time.

Shape legend: M sites, B or m some of them, C covariates, S species of the model, Q those asked for, s some of these,
D embedding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from presence_only.common.arrays import Floats, Ints
from presence_only.data.sites import WEEKS

Float32s = NDArray[np.float32]
# Embeddings up to this size are kept for the next part; larger ones are computed again.
KEPT_BYTES = 2**30
# Where no week is given, the weeks over which presence is averaged: one a month.
WEEKS_OF_A_YEAR = tuple(range(2, WEEKS + 1, 4))


class SpeciesModel(nn.Module, ABC):
    """A model that gives every site a logit for every species.

    Whoever scores, maps, blends or saves a model knows it by this class. A subclass computes the logits in two
    steps, so that an embedding is made once for any number of species.

    Attributes:
        n_species: S.
        n_covariates: C; a site comes with so many, whether or not the logits depend on them.
        reads_covariates: Whether the logits depend on the covariates.
        weeks: Whether the logits depend on the week of the year.
        n_hidden: Number of tensors that :meth:`hidden` returns.
    """

    n_species: int
    n_covariates: int
    reads_covariates: bool
    weeks: bool
    n_hidden: int

    @abstractmethod
    def hidden(self, sites_B2: Floats, covariates_BC: Floats, week_B: Ints | None = None) -> tuple[Tensor, ...]:
        """Everything about some sites that the species' logits are linear in, each (B, .).

        Args:
            sites_B2: Longitude, latitude in degrees.
            covariates_BC: The covariates seen in training, in their own units; NaN where unknown.
            week_B: 1..48, if and only if the model reads the week.
        """

    @abstractmethod
    def species_logits(self, hidden: tuple[Tensor, ...], species: slice | Tensor) -> Tensor:
        """Logits (B, s) of some species, from what :meth:`hidden` returned.

        Args:
            hidden: One tensor or more.
            species: A slice, or a tensor of indices.
        """

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """All that makes the model again: shape, settings and weights; see ``files.py``."""

    def embedding(self, hidden: tuple[Tensor, ...]) -> Tensor:
        """Location embedding (B, D), from what :meth:`hidden` returned."""
        return hidden[0]

    def scores(
        self, sites_M2: Floats, covariates_MC: Floats, week_M: Ints | None = None, *, species_Q: Ints | None = None
    ) -> Scores:
        """Logits at sites given in degrees, a part at a time; see :class:`~presence_only.model.interface.Scores`.

        The model goes into evaluation mode, dropout off.
        """
        return Scores(self.eval(), sites_M2, covariates_MC, week_M, species_Q=species_Q)

    def predict(self, sites_M2: Floats, covariates_MC: Floats, week_M: Ints | None = None) -> Float32s:
        """Logits (M, S) at sites given in degrees, dropout off.

        Their sigmoid is relative suitability, not a probability of presence.
        """
        training = self.training
        logits_MS = self.scores(sites_M2, covariates_MC, week_M).columns(slice(None))
        self.train(training)
        return logits_MS

    def embed_sites(
        self, sites_M2: Floats, covariates_MC: Floats, week_M: Ints | None = None, *, chunk: int = 8192
    ) -> Float32s:
        """Location embeddings (M, D) at sites given in degrees, dropout off."""
        training = self.training
        self.eval()
        parts = []
        for start in range(0, len(sites_M2), chunk):
            part = slice(start, start + chunk)
            week_B = None if week_M is None else week_M[part]
            parts.append(self.embedding(self.hidden(sites_M2[part], covariates_MC[part], week_B)).cpu().numpy())
        self.train(training)
        return np.concatenate(parts)


class Scores:
    """Logits (M, Q) of a model at sites given in degrees, made when asked for, dropout off.

    Their sigmoid is relative suitability, not a probability of presence. For a model that reads the
    week and sites without one, it is the mean suitability over the twelve months.

    Args:
        model: The model, in evaluation mode.
        sites_M2: Longitude, latitude in degrees.
        covariates_MC: The covariates seen in training.
        week_M: 1..48, for a model that reads the week; None: at any time of the year.
        species_Q: Indices of the species that count, in the order wanted; None: all S.
        chunk: Sites that go through the network at once.
    """

    def __init__(
        self,
        model: SpeciesModel,
        sites_M2: Floats,
        covariates_MC: Floats,
        week_M: Ints | None = None,
        *,
        species_Q: Ints | None = None,
        chunk: int = 8192,
    ) -> None:
        self._model, self._chunk = model, chunk
        self._species_Q = None if species_Q is None else torch.as_tensor(species_Q)
        self._sites_M2, self._covariates_MC, self._week_M = sites_M2, covariates_MC, week_M
        self._kept: dict[tuple[int, int], tuple[Tensor, ...]] = {}
        self._kept_bytes = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(M, Q)."""
        n_species = self._model.n_species if self._species_Q is None else len(self._species_Q)
        return len(self._sites_M2), n_species

    def columns(self, species: slice) -> Float32s:
        """Logits (M, s) of some species at all sites."""
        n_columns = len(range(*species.indices(self.shape[1])))
        out = np.empty((len(self._sites_M2), n_columns), dtype=np.float32)
        for part in self._parts(slice(None)):
            out[part] = self._logits(part, species, keep=True)
        return out

    def rows(self, sites: slice) -> Float32s:
        """Logits (m, Q) of all species at some sites."""
        parts = [self._logits(part, slice(None), keep=False) for part in self._parts(sites)]
        return np.concatenate(parts) if parts else np.empty((0, self.shape[1]), dtype=np.float32)

    def _parts(self, sites: slice) -> Iterator[slice]:
        start, stop, step = sites.indices(len(self._sites_M2))
        if step != 1:
            raise ValueError(f"sites = {sites}: must be a slice without a step")
        for first in range(start, stop, self._chunk):
            yield slice(first, min(first + self._chunk, stop))

    @torch.no_grad()
    def _logits(self, part: slice, species: slice, *, keep: bool) -> NDArray[Any]:
        """Logits of some species at one part of the sites."""
        chosen = species if self._species_Q is None else self._species_Q[species]
        if not self._model.weeks or self._week_M is not None:
            return self._model.species_logits(self._hidden(part, None, keep), chosen).float().cpu().numpy()
        # Mean p over mean q, in logarithms: exact where the sigmoid rounds to 0 or 1.
        x_WBs = torch.stack(
            [self._model.species_logits(self._hidden(part, week, keep), chosen).float() for week in WEEKS_OF_A_YEAR]
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
