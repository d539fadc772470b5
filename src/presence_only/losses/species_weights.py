"""Weights of the species in losses that are a mean over species: checked, or by their number of records.

Shape legend: S species.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from presence_only.losses.argument_checks import check_has_values, check_real, check_shape
from presence_only.losses.host_reads import is_mapped

Weighting = Literal["uniform", "sqrt", "records"]
_EXPONENTS = {"uniform": 0.0, "sqrt": 0.5, "records": 1.0}


def weights_by_records(n_S: Tensor, weighting: Weighting) -> Tensor:
    """1, sqrt(n) or n for a species with n records, and 0 for one without any."""
    return torch.where(n_S > 0, n_S ** _EXPONENTS[weighting], 0.0)


def check_species_weights(species_weights_S: Tensor | None, n_species: int) -> Tensor | None:
    """Refuse weights that are not one finite number >= 0 per species.

    Raises:
        TypeError: If they are no tensor.
        ValueError: If their number is wrong, or one is negative, NaN or infinite.
    """
    if species_weights_S is None:
        return None
    check_shape("species_weights_S", species_weights_S, (n_species,))
    check_real("species_weights_S", species_weights_S)
    check_has_values("species_weights_S", species_weights_S)
    if not is_mapped(species_weights_S) and not bool((species_weights_S.isfinite() & (species_weights_S >= 0)).all()):
        raise ValueError("species_weights_S hold a negative or non-finite value: must be finite and >= 0")
    return species_weights_S
