"""A blend: the mean of the logits of models that were trained apart.

Shape legend: B sites, C covariates, S species, s some of them, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from presence_only.common.arrays import Floats, Ints
from presence_only.model.interface import SpeciesModel


class Blend(SpeciesModel):
    """The mean of the logits of models that were trained apart: members of a variant, or its seeds.

    Args:
        members: At least one, all for the same species and data; they may read different parts of the data.
    """

    def __init__(self, members: Sequence[SpeciesModel]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.n_species = members[0].n_species
        self.n_covariates = members[0].n_covariates
        self.reads_covariates = any(member.reads_covariates for member in members)
        self.weeks = members[0].weeks
        self.n_hidden = sum(member.n_hidden for member in members)

    def hidden(self, sites_B2: Floats, covariates_BC: Floats, week_B: Ints | None = None) -> tuple[Tensor, ...]:
        """What the members' logits are made from, one member after the other."""
        return tuple(tensor for member in self._members() for tensor in member.hidden(sites_B2, covariates_BC, week_B))

    def species_logits(self, hidden: tuple[Tensor, ...], species: slice | Tensor) -> Tensor:
        """Logits (B, s) of some species, averaged over the members."""
        return torch.stack([member.species_logits(own, species) for member, own in self._parts(hidden)]).mean(dim=0)

    def embedding(self, hidden: tuple[Tensor, ...]) -> Tensor:
        """The members' embeddings side by side."""
        return torch.cat([member.embedding(own) for member, own in self._parts(hidden)], dim=1)

    def content(self) -> dict[str, Any]:
        """All that makes the blend again."""
        return {"members": [member.content() for member in self._members()]}

    def _members(self) -> list[SpeciesModel]:
        return cast(list[SpeciesModel], list(self.members))

    def _parts(self, hidden: tuple[Tensor, ...]) -> Iterator[tuple[SpeciesModel, tuple[Tensor, ...]]]:
        """Every member with its own tensors."""
        first = 0
        for member in self._members():
            yield member, hidden[first : first + member.n_hidden]
            first += member.n_hidden
