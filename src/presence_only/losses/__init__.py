"""Losses for species range models learned from presence-only records.

Every public loss is a choice of which (site, species) pairs count as negative (``negatives.py``) and
of how one element is penalised (``elementwise.py``). ``registry.py`` builds the ones that params.yaml
names.
"""

from presence_only.losses.assume_negative import AssumeNegativeLoss
from presence_only.losses.maxent import maxent
from presence_only.losses.multitask import MultiTaskLoss, masked_mse
from presence_only.losses.pointwise import BinaryFocalLoss, asymmetric_loss, compute_pos_weights, focal_loss
from presence_only.losses.sinr import an_full, an_full_me, an_slds, an_slds_me, an_ssdl, an_ssdl_me
from presence_only.losses.weighted import full_weighted

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
    "focal_loss",
    "full_weighted",
    "masked_mse",
    "maxent",
]
