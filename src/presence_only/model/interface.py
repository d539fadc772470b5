"""The interface of every trained model: sites in, one logit per species out.

Shape legend: M sites, B some of them, C covariates, S species, s some of them, D embedding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from presence_only.common.arrays import Floats, Ints
from presence_only.model.site_scores import Scores

Float32s = NDArray[np.float32]


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
        """Logits at sites given in degrees, a part at a time; see :class:`~presence_only.model.site_scores.Scores`.

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
