"""Names of the files that training one seed makes."""

from __future__ import annotations

# The weights, and the loss per epoch.
ENCODER, HISTORY = "encoder.pt", "history.json"
