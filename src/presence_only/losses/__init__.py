"""Losses for species range models learned from presence-only records.

Every loss is a choice of which pairs of site and species count as negative, and of how one pair is penalised
(``penalties.py``). A dense loss states the weights of its pairs (``pair_weights.py``) and is then computed from all
logits, in chunks of species (``chunks.py``) or from sampled species (``sampled_species.py``). So is any other loss that
has the methods of ``scalable.py``. ``registry.py`` names the losses of params.yaml; ``python -m presence_only.losses``
prints them.
"""

from presence_only.losses.em import em
from presence_only.losses.epr import epr
from presence_only.losses.full_weighted import full_weighted
from presence_only.losses.geomodel import (
    AssumeNegativeLoss,
    BinaryFocalLoss,
    MultiTaskLoss,
    asymmetric_loss,
    compute_pos_weights,
    focal_loss,
    masked_mse,
)
from presence_only.losses.gr import gr
from presence_only.losses.large_loss import large_loss
from presence_only.losses.maxent import maxent
from presence_only.losses.poisson import poisson
from presence_only.losses.positive_unlabelled import nnpu
from presence_only.losses.ranking import pairwise_ranking
from presence_only.losses.sigmoid_f1 import sigmoid_f1
from presence_only.losses.sinr import an_full, an_full_me, an_slds, an_slds_me, an_ssdl, an_ssdl_me
from presence_only.losses.species_softmax import species_softmax
from presence_only.losses.splc import splc
from presence_only.losses.two_way import two_way

__all__ = [
    "AssumeNegativeLoss",
    "BinaryFocalLoss",
    "MultiTaskLoss",
    "an_full",
    "an_full_me",
    "an_slds",
    "an_slds_me",
    "an_ssdl",
    "an_ssdl_me",
    "asymmetric_loss",
    "compute_pos_weights",
    "em",
    "epr",
    "focal_loss",
    "full_weighted",
    "gr",
    "large_loss",
    "masked_mse",
    "maxent",
    "nnpu",
    "pairwise_ranking",
    "poisson",
    "sigmoid_f1",
    "species_softmax",
    "splc",
    "two_way",
]
