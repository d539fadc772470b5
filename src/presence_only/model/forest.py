"""A forest: randomised regression trees, each for all species of a taxon group, as a model of sites.

Source: extremely randomised trees, Geurts et al. (2006), https://doi.org/10.1007/s10994-006-6226-1; trees with one
output a species, De'ath (2002), https://doi.org/10.1890/0012-9658(2002)083[1105:MRTANT]2.0.CO;2

Shape legend: B sites, C covariates, F features, G taxon groups, T trees of all groups, N nodes of all trees, L leaves
of all trees, S species of the model, s some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import embedding_bag

from presence_only.common.arrays import Floats, Ints
from presence_only.common.settings import Settings
from presence_only.losses.species_weights import Weighting
from presence_only.model.features import Features
from presence_only.model.interface import SpeciesModel
from presence_only.model.settings import EncoderSettings


class ForestSettings(Settings):
    """A forest in place of an encoder with a loss; ``encoder`` says what its trees read.

    Args:
        trees: Of every taxon group.
        min_leaf: Training rows and background sites in a leaf, at least.
        feature_share: Share of the features of which every split takes the best.
        background_share: Share of the rows of a taxon group that are background sites where nothing was recorded; all
            such sites where the background has fewer.
        weighting: Weight of a species with n records in the choice of a split: ``uniform`` 1, ``sqrt`` sqrt(n),
            ``records`` n.
    """

    trees: Annotated[int, Field(ge=1, le=10_000)] = 200
    min_leaf: Annotated[int, Field(ge=1, le=1_000_000)] = 8
    feature_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    background_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    weighting: Weighting = "sqrt"


@dataclass(frozen=True, eq=False)
class Trees:
    """The trees of all taxon groups.

    Args:
        feature_N: Feature that a node splits by; 0 at a leaf.
        threshold_N: A site with at most so much goes left, float32.
        left_N: Node to go to; a leaf leads to itself.
        right_N: The same for the others.
        leaf_N: Number of a leaf, 0 at other nodes.
        root_T: First node of every tree, the trees of a group side by side.
        trees_G: Number of trees of every group.
        share_LX: Share of the leaf's rows that have the species, float16, a species of the leaf's own group a column.
        column_S: Column of every species.
        group_S: Taxon group of every species.
        depth: Splits on the longest way from a root to a leaf.
        least_share: Half of the smallest share above 0 that a leaf of usual size has.
    """

    feature_N: Tensor
    threshold_N: Tensor
    left_N: Tensor
    right_N: Tensor
    leaf_N: Tensor
    root_T: Tensor
    trees_G: tuple[int, ...]
    share_LX: Tensor
    column_S: Tensor
    group_S: Tensor
    depth: int
    least_share: float


TENSORS = ("feature_N", "threshold_N", "left_N", "right_N", "leaf_N", "root_T", "share_LX", "column_S", "group_S")


class Forest(SpeciesModel):
    """The share of a species in the leaves that a site falls into, as log odds.

    Args:
        features: What the trees read, measured on the training data.
        trees: Fitted.
    """

    feature_N: Tensor
    threshold_N: Tensor
    left_N: Tensor
    right_N: Tensor
    leaf_N: Tensor
    root_T: Tensor
    share_LX: Tensor
    column_S: Tensor
    group_S: Tensor

    def __init__(self, features: Features, trees: Trees) -> None:
        super().__init__()
        self.features = features
        self.settings = features.settings
        self.n_species, self.n_covariates = len(trees.column_S), features.n_covariates
        self.reads_covariates = features.settings.reads_covariates
        self.weeks = features.weeks
        self.n_hidden = 1
        self.trees_G, self.depth, self.least_share = trees.trees_G, trees.depth, trees.least_share
        for name in TENSORS:
            self.register_buffer(name, getattr(trees, name))

    def leaves(self, features_BF: Tensor) -> Tensor:
        """The leaf that every site falls into in every tree, (B, T)."""
        node_BT = self.root_T.expand(features_BF.shape[0], -1)
        for _ in range(self.depth):
            left_BT = torch.gather(features_BF, 1, self.feature_N[node_BT]) <= self.threshold_N[node_BT]
            node_BT = torch.where(left_BT, self.left_N[node_BT], self.right_N[node_BT])
        return self.leaf_N[node_BT]

    def log_odds(self, share_Bs: Tensor, group_s: Tensor) -> Tensor:
        """Logits (B, s) of shares in the trees of the species' groups; a share of 0 or 1 is half a row short of it."""
        least_s = (self.least_share / torch.tensor(self.trees_G, device=share_Bs.device))[group_s]
        within_Bs = torch.minimum(torch.maximum(share_Bs, least_s), 1 - least_s)
        return torch.log(within_Bs) - torch.log(1 - within_Bs)

    def forward(self, features_BF: Tensor) -> Tensor:
        """Logits (B, S) of all species, in operations that a graph for other runtimes has."""
        shares = [
            self.share_LX.float()[leaves_BT].mean(dim=1)
            for leaves_BT in torch.split(self.leaves(features_BF), list(self.trees_G), dim=1)
        ]
        share_BS = torch.stack(shares, dim=1)[:, self.group_S, self.column_S]
        return self.log_odds(share_BS, self.group_S)

    @torch.no_grad()
    def hidden(self, sites_B2: Floats, covariates_BC: Floats, week_B: Ints | None = None) -> tuple[Tensor, ...]:
        """The leaves (B, T) that the sites fall into."""
        return (self.leaves(self.features(sites_B2, covariates_BC, week_B).to(self.threshold_N.device)),)

    @torch.no_grad()
    def species_logits(self, hidden: tuple[Tensor, ...], species: slice | Tensor) -> Tensor:
        """Logits (B, s) of some species, from what :meth:`hidden` returned."""
        group_s, column_s = self.group_S[species], self.column_S[species]
        share_Bs = hidden[0].new_empty((len(hidden[0]), len(group_s)), dtype=torch.float32)
        for group, leaves_BT in enumerate(torch.split(hidden[0], list(self.trees_G), dim=1)):
            own = torch.nonzero(group_s == group).flatten()
            if len(own):
                share_Bs[:, own] = embedding_bag(leaves_BT, self.share_LX[:, column_s[own]].float(), mode="mean")
        return self.log_odds(share_Bs, group_s)

    def embedding(self, hidden: tuple[Tensor, ...]) -> Tensor:
        """The logits (B, S) of all species: a forest has no other few numbers of a site."""
        return self.species_logits(hidden, slice(None))

    def content(self) -> dict[str, Any]:
        """All that makes the forest again; see :meth:`of`."""
        return {
            "forest": {"trees_G": list(self.trees_G), "depth": self.depth, "least_share": self.least_share},
            "n_covariates": self.n_covariates,
            "weeks": self.weeks,
            "n_species": self.n_species,
            "settings": self.settings.model_dump(),
            "state": {name: tensor.cpu() for name, tensor in self.state_dict().items()},
        }

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """The forest that :meth:`content` describes, on the CPU, in evaluation mode.

        Raises:
            KeyError: If a part is missing.
            RuntimeError: If the features are not of the settings' shape.
            ValueError: If a setting breaks its rule, or a tree leads out of itself.
        """
        settings = EncoderSettings.model_validate(content["settings"])
        features = Features(settings, content["n_covariates"], weeks=content["weeks"])
        state, shape = content["state"], content["forest"]
        own = {name: tensor for name, tensor in state.items() if not name.startswith("features.")}
        features.load_state_dict({name.removeprefix("features."): state[name] for name in state if name not in own})
        trees = Trees(
            trees_G=tuple(shape["trees_G"]),
            depth=shape["depth"],
            least_share=shape["least_share"],
            **own,
        )
        _check(trees, content["n_species"], features.size)
        return cls(features, trees).eval()


def _check(trees: Trees, n_species: int, n_features: int) -> None:
    """Refuse trees with an index that points at nothing.

    Raises:
        ValueError: If there is one.
    """
    n_nodes = len(trees.feature_N)
    bounds = {
        "feature_N": n_features,
        "left_N": n_nodes,
        "right_N": n_nodes,
        "root_T": n_nodes,
        "leaf_N": len(trees.share_LX),
        "column_S": trees.share_LX.shape[1],
        "group_S": len(trees.trees_G),
    }
    for name, bound in bounds.items():
        indices: Tensor = getattr(trees, name)
        if indices.dtype != torch.int64 or indices.ndim != 1 or bool(((indices < 0) | (indices >= bound)).any()):
            raise ValueError(f"{name} must be a vector of integers within 0..{bound - 1}")
    if len(trees.column_S) != n_species or len(trees.group_S) != n_species:
        raise ValueError(f"column_S and group_S must be of the {n_species} species")
    if trees.share_LX.ndim != 2 or not trees.share_LX.is_floating_point():
        raise ValueError("share_LX must be a matrix of numbers")
    if sum(trees.trees_G) != len(trees.root_T) or len(trees.threshold_N) != n_nodes or not 0 <= trees.depth <= n_nodes:
        raise ValueError("trees_G, threshold_N and depth must be those of the trees")
