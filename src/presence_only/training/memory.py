"""Memory that training will need: weights, what the optimizer remembers, embeddings, and logits of a batch.

Shape legend: B rows of a batch, K background sites, A rows and background sites, S species, D embedding, F features.
"""

from __future__ import annotations

import torch

from presence_only.common.memory import Part, check_memory
from presence_only.losses.base import LossSettings
from presence_only.model.settings import EncoderSettings
from presence_only.training.loss_computation import SAMPLED_SPECIES
from presence_only.training.settings import TrainingSettings

# Bytes of a float32.
_FLOAT = 4
# Numbers beside every weight and its gradient that an optimizer remembers.
_REMEMBERED = {"adam": 2, "adamw": 2, "rmsprop": 1, "sgd": 1}
# A unit of a block's layer, what dropout makes of it, and their gradients; and a logit, its terms and their gradients.
_PER_UNIT, _PER_LOGIT = 2, 3


def check_training_memory(
    settings: TrainingSettings,
    encoder: EncoderSettings,
    loss: LossSettings,
    *,
    how: str,
    n_rows: int,
    n_sites: int,
    n_species: int,
    n_features: int,
    device: torch.device,
) -> None:
    """Refuse settings whose training cannot fit into memory, before any of it is taken.

    Args:
        settings: Of training.
        encoder: Its shape.
        loss: What is minimised.
        how: ``all_logits``, ``chunks`` or ``sampled``.
        n_rows: Training rows of the data.
        n_sites: Background sites a step; 0: the loss uses none.
        n_species: S.
        n_features: F.
        device: Whose memory it is.

    Raises:
        UserError: With the part that needs most, and its setting.
    """
    available = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else None
    parts = training_parts(
        settings, encoder, loss, how=how, n_rows=n_rows, n_sites=n_sites, n_species=n_species, n_features=n_features
    )
    check_memory("training", parts, available)


def training_parts(
    settings: TrainingSettings,
    encoder: EncoderSettings,
    loss: LossSettings,
    *,
    how: str,
    n_rows: int,
    n_sites: int,
    n_species: int,
    n_features: int,
) -> list[Part]:
    """What training keeps in memory, each with the least number of bytes; arguments as above."""
    additive = encoder.kind == "additive"
    depth, width = (0, n_features) if additive else (encoder.depth, encoder.width)
    network = 0 if additive else width * (n_features + 1) + 2 * depth * width * (width + 1)
    heads = n_species * width * (1 + encoder.habitat_head)
    copies = 2 + _REMEMBERED[settings.optimizer]
    rows = min(settings.batch_size, n_rows)
    a_batch = rows + n_sites
    batch_setting = "training.batch_size" if rows >= n_sites else "training.background_batch_size"
    of_batch = f"a batch of {rows:,} rows and {n_sites:,} background sites"
    shape = f"encoder.depth = {depth} and encoder.width = {width:,}"
    logits = a_batch * n_species
    if how == "chunks":
        logits = 0  # a block of them at a time
    elif how == "sampled":
        logits = a_batch * min(n_species, settings.sampled_species or SAMPLED_SPECIES)
    return [
        Part(
            f"the {network:,} weights of the network, {shape}, their gradients and what the optimizer remembers",
            network * copies * _FLOAT,
            "encoder.width or encoder.depth",
        ),
        Part(
            f"the weights of {n_species:,} species, each of {width:,} (encoder.width), their gradients and what the "
            "optimizer remembers",
            heads * copies * _FLOAT,
            "encoder.expansion" if additive else "encoder.width",
        ),
        Part(
            f"the units of {of_batch}, {shape}",
            a_batch * (n_features + width * (1 + 2 * depth * _PER_UNIT)) * _FLOAT,
            batch_setting,
        ),
        Part(f"the logits of {of_batch} and {n_species:,} species", logits * _PER_LOGIT * _FLOAT, batch_setting),
        # An index of a partner and its logit, of every record.
        Part(
            f"{getattr(loss, 'n_pairs', 0):,} partners (n_pairs) of every record of {rows:,} rows",
            rows * getattr(loss, "n_pairs", 0) * (8 + _FLOAT),
            "n_pairs",
        ),
    ]
