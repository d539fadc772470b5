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
    "apl": "presence_only.losses.pointwise:AplSettings",
    "asl": "presence_only.losses.pointwise:AslSettings",
    "assume_negative": "presence_only.losses.assume_negative:AssumeNegativeSettings",
    "bce": "presence_only.losses.pointwise:BceSettings",
    "em": "presence_only.losses.em:EmSettings",
    "epr": "presence_only.losses.epr:EprSettings",
    "focal": "presence_only.losses.pointwise:FocalSettings",
    "full_weighted": "presence_only.losses.full_weighted:FullWeightedSettings",
    "gr": "presence_only.losses.gr:GrSettings",
    "hill": "presence_only.losses.pointwise:HillSettings",
    "large_loss": "presence_only.losses.large_loss:LargeLossSettings",
    "maxent": "presence_only.losses.maxent:MaxentSettings",
    "multitask": "presence_only.losses.multitask:MultiTaskSettings",
    "nnpu": "presence_only.losses.positive_unlabelled:PositiveUnlabelledSettings",
    "poisson": "presence_only.losses.poisson:PoissonSettings",
    "ral": "presence_only.losses.pointwise:RalSettings",
    "ranking": "presence_only.losses.ranking:RankingSettings",
    "sigmoid_f1": "presence_only.losses.sigmoid_f1:SigmoidF1Settings",
    "softmax": "presence_only.losses.species_softmax:SoftmaxSettings",
    "splc": "presence_only.losses.splc:SplcSettings",
    "two_way": "presence_only.losses.two_way:TwoWaySettings",
}

# Name of a penalty to its class.
PENALTIES = {
    "bce": "presence_only.losses.penalties:CrossEntropy",
    "focal": "presence_only.losses.penalties:Focal",
    "asl": "presence_only.losses.penalties:Asymmetric",
    "hill": "presence_only.losses.penalties:Hill",
    "entropy": "presence_only.losses.penalties:MaximumEntropy",
    "focal_margin": "presence_only.losses.penalties:FocalMargin",
    "apl": "presence_only.losses.polynomial_penalties:AsymmetricPolynomial",
    "ral": "presence_only.losses.polynomial_penalties:RobustAsymmetric",
}


def loss_names() -> tuple[str, ...]:
    """Every name that a variant may give, sorted."""
    return tuple(sorted(LOSSES))
