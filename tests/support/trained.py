"""Every loss in every way to compute it, on a small data set with checklists and groups, to train with."""

import torch
from support import tiny
from support.losses import VARIANTS, describe

from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.losses.scalable import ScalableLoss
from presence_only.model.settings import EncoderSettings
from presence_only.training.settings import TrainingSettings

ROWS, SPECIES = 50, 9
DATA = tiny.dataset(rows=ROWS, species=SPECIES, per_row=2, groups=("bird", "plant", "bird") * 3)
DATA.training.background.__dict__["groups_K"] = ("bird", "plant", "", "bird") * 10
# The last batch is of 1 row.
SETTINGS = {"epochs": 1, "batch_size": 7, "background_batch_size": 11, "learning_rate": 0.003, "device": "cpu"}
ENCODER = {"input": "both", "width": 8, "depth": 1, "dropout": 0.3, "input_dropout": 0.1}
# What has to be said beside the name.
COMPUTATIONS = {"chunks": {}, "sampled": {"sampled_species": 3}}


def every_way():
    """Variants with settings of training: every loss from all logits, and where it can be in the other two ways."""
    for variant in VARIANTS:
        yield variant, {"loss_computation": "all_logits"}
        built = parse_variant(variant, "v").build(TrainingCounts(ROWS, torch.ones(SPECIES, dtype=torch.float64)))
        if isinstance(built, ScalableLoss):
            for how, own in COMPUTATIONS.items():
                yield variant, {"loss_computation": how, **own}
    yield {"loss": "asl"}, {"loss_computation": "all_logits", "species_l1": 0.1, "weight_decay": 0.01}


def name_of(case):
    """A test's name."""
    variant, own = case
    return f"{describe(variant)}-{'-'.join(map(str, own.values()))}"


def settings_of(case, **changes):
    """Loss, encoder and training of a case."""
    variant, own = case
    loss = parse_variant(variant, "v")
    heads = dict.fromkeys(loss.heads, True)
    return loss, EncoderSettings(**ENCODER | heads), TrainingSettings(**SETTINGS | own | changes)
