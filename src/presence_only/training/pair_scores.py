"""What an encoder says about observed and unobserved pairs while it learns: the silencing of negatives, made visible.

Shape legend: B probed rows, F features, S species, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from presence_only.model.encoder import RangeModel

# Margins of the asymmetric loss in common use: a negative below the margin no longer teaches.
MARGINS = (0.05, 0.2)
MOST_ROWS, MOST_PAIRS = 512, 2**21


@dataclass(frozen=True)
class Probe:
    """Some training rows, the same for a whole run, at which the encoder is watched.

    Args:
        features_BF: Features of the rows.
        row_P: Row of every positive.
        species_P: Species of every positive.
    """

    features_BF: Tensor
    row_P: Tensor
    species_P: Tensor

    @staticmethod
    def size(n_rows: int, n_species: int) -> int:
        """Number of rows to probe: enough for a mean, few enough to cost nothing."""
        return max(1, min(n_rows, MOST_ROWS, MOST_PAIRS // max(n_species, 1)))

    @torch.no_grad()
    def measure(self, model: RangeModel) -> dict[str, float]:
        """Mean sigmoid of the logits, dropout off, and the share of unobserved pairs below each margin.

        Returns:
            ``observed_score``, ``unobserved_score`` and ``unobserved_below_0.05``, ``unobserved_below_0.2``,
            all within 0..1; NaN where there is no such pair.
        """
        training = model.training
        p_BS = torch.sigmoid(model.eval()(self.features_BF).logits_BS)
        model.train(training)
        unobserved_BS = torch.ones_like(p_BS, dtype=torch.bool)
        unobserved_BS[self.row_P, self.species_P] = False
        observed_P, unobserved_Q = p_BS[self.row_P, self.species_P], p_BS[unobserved_BS]
        measured = {"observed_score": observed_P.mean(), "unobserved_score": unobserved_Q.mean()}
        measured |= {f"unobserved_below_{margin:g}": (unobserved_Q <= margin).float().mean() for margin in MARGINS}
        return dict(zip(measured, torch.stack(list(measured.values())).tolist(), strict=True))
