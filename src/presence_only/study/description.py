"""A study's settings in words, and the penalties of its losses: what its report says of them.

Written once by the stage ``settings``, so that the report needs neither the losses nor torch.
"""

from __future__ import annotations

from presence_only.losses.penalties import Penalty
from presence_only.study.params import Params
from presence_only.training.variant import Variant


def describe(params: Params) -> dict[str, dict[str, str]]:
    """The settings of every variant in words, as ``variants``, and those that all share, as ``common``."""
    return {
        "variants": {name: settings_in_words(params.variants[name], params) for name in params.study.variants},
        "common": common_settings(params),
    }


def settings_in_words(variant: Variant, params: Params) -> str:
    """The loss with its parameters, and what the variant sets otherwise than the study."""
    words = [f"{key} {value}" for key, value in variant.loss.model_dump().items() if value is not None]
    for own, common in ((variant.encoder, params.encoder), (variant.training, params.training)):
        base = common.model_dump()
        words += [f"{key} {value}" for key, value in own.model_dump().items() if value != base[key]]
    return ", ".join(words)


def common_settings(params: Params) -> dict[str, str]:
    """The study's encoder, training and seeds, name to value."""
    groups = {"encoder": params.encoder.model_dump(), "training": params.training.model_dump()}
    flat = {f"{group} {key}": str(value) for group, values in groups.items() for key, value in values.items()}
    return {"seeds": ", ".join(map(str, params.study.seeds))} | flat


def penalties(params: Params) -> dict[str, Penalty]:
    """How the study's losses penalise one pair; variants that do so alike share an entry."""
    alike: dict[Penalty, list[str]] = {}
    for name in params.study.variants:
        penalty = params.variants[name].loss.build_penalty()
        if penalty is not None:
            alike.setdefault(penalty, []).append(name)
    return {
        ", ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} others": penalty
        for penalty, names in alike.items()
    }
