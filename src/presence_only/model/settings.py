"""Settings of the location encoder."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from presence_only.common.settings import Settings


class EncoderSettings(Settings):
    """The location encoder: a residual network over coordinate and covariate features.

    Defaults are the default study's.

    Args:
        kind: ``residual``, or ``additive``: no network, species are linear in the features; with
            ``expansion: hinge`` a smooth additive response.
        expansion: How columns enter: ``none`` as they are, standardised; ``rank`` covariates by their rank;
            ``hinge`` coordinates and covariates with squares and ramps.
        input_dropout: Share of features silenced while training a ``residual`` encoder.
        width: Units per layer, which is also the length of an embedding.
        depth: Number of residual blocks of two layers each.
        dropout: Share of units silenced inside every block while training.
        environment_head: Also predict the site's standardised covariates; for ``loss: multitask``.
        habitat_head: Also predict species from the predicted environment, mixed with the direct
            logits by a learned gate per species; for ``loss: multitask``.
        week: How the week of the year enters where the data set has weeks: ``features`` beside the
            coordinates, or ``film``, which scales and shifts the units of every block.
    """

    kind: Literal["residual", "additive"] = "residual"
    expansion: Literal["none", "rank", "hinge"] = "none"
    input_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    width: Annotated[int, Field(ge=1)] = 128
    depth: Annotated[int, Field(ge=0)] = 2
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    environment_head: bool = False
    habitat_head: bool = False
    week: Literal["features", "film"] = "features"

    @model_validator(mode="after")
    def _habitat_needs_environment(self) -> Self:
        if self.habitat_head and not self.environment_head:
            raise ValueError("settings with environment_head: true, from which the habitat head predicts")
        return self
