"""The losses and penalties that a variant of params.yaml can name: one line an entry.

``python -m presence_only.losses`` prints them with their descriptions and parameters.
"""

from __future__ import annotations

# Name of a loss to the class of its settings, which builds it.
LOSSES = {
    "an_full": "presence_only.losses.sinr:AnFullSettings",
    "an_full_me": "presence_only.losses.sinr:AnFullMeSettings",
    "an_slds": "presence_only.losses.sinr:AnSldsSettings",
    "an_slds_me": "presence_only.losses.sinr:AnSldsMeSettings",
    "an_ssdl": "presence_only.losses.sinr:AnSsdlSettings",
    "an_ssdl_me": "presence_only.losses.sinr:AnSsdlMeSettings",
    "asl": "presence_only.losses.pointwise:AslSettings",
    "assume_negative": "presence_only.losses.assume_negative:AssumeNegativeSettings",
    "bce": "presence_only.losses.pointwise:BceSettings",
    "em": "presence_only.losses.em:EmSettings",
    "epr": "presence_only.losses.epr:EprSettings",
    "focal": "presence_only.losses.pointwise:FocalSettings",
    "full_weighted": "presence_only.losses.full_weighted:FullWeightedSettings",
    "hill": "presence_only.losses.pointwise:HillSettings",
    "maxent": "presence_only.losses.maxent:MaxentSettings",
    "multitask": "presence_only.losses.multitask:MultiTaskSettings",
    "nnpu": "presence_only.losses.positive_unlabelled:PositiveUnlabelledSettings",
    "poisson": "presence_only.losses.poisson:PoissonSettings",
    "ranking": "presence_only.losses.ranking:RankingSettings",
    "softmax": "presence_only.losses.species_softmax:SoftmaxSettings",
    "splc": "presence_only.losses.splc:SplcSettings",
}

# Name of a penalty to its class.
PENALTIES = {
    "bce": "presence_only.losses.penalties:CrossEntropy",
    "focal": "presence_only.losses.penalties:Focal",
    "asl": "presence_only.losses.penalties:Asymmetric",
    "hill": "presence_only.losses.penalties:Hill",
    "entropy": "presence_only.losses.penalties:MaximumEntropy",
    "focal_margin": "presence_only.losses.penalties:FocalMargin",
}


def loss_names() -> tuple[str, ...]:
    """Every name that a variant may give, sorted."""
    return tuple(sorted(LOSSES))
