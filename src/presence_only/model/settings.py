"""Settings of the location encoder: what it reads, and its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from presence_only.common.settings import Need, Settings, known_name

# Name in params.yaml to the class, a subclass of presence_only.model.expansions.base:Expansion.
EXPANSIONS = {
    "hinge": "presence_only.model.expansions.hinge:Hinges",
    "none": "presence_only.model.expansions.base:NoExpansion",
    "rank": "presence_only.model.expansions.rank:RankGauss",
}
# Those of them that do nothing without covariates.
NEED_COVARIATES = ("rank",)
# Weights of the residual blocks of an encoder: 4 GB, and three times as much beside them in training.
MOST_WEIGHTS = 10**9


def _is_network(encoder: EncoderSettings) -> bool:
    return encoder.kind == "residual"


def _has_blocks(encoder: EncoderSettings) -> bool:
    return encoder.kind == "residual" and encoder.depth > 0


class EncoderSettings(Settings):
    """The location encoder: a residual network over coordinate and covariate features.

    Defaults are the default study's.

    Args:
        input: What the encoder reads: ``coordinates``, ``covariates`` or ``both``. The last two need a data set
            with covariates.
        coordinates: How they enter, where they are read: ``sphere``: sines and cosines, as SINR's; ``local``:
            degrees, standardised on training rows and background, for a region too small to vary on the sphere;
            refused where ``input`` is ``covariates``.
        expansion: How columns enter, a name in :data:`EXPANSIONS`: ``none`` as they are, standardised; ``rank``
            covariates by their rank; ``hinge`` coordinates and covariates with squares and ramps.
        kind: ``residual``, or ``additive``: no network, species are linear in the features; with
            ``expansion: hinge`` a smooth additive response.
        input_dropout: Share of features silenced while training a ``residual`` encoder.
        width: Units per layer, which is also the length of an embedding.
        depth: Number of residual blocks of two layers each.
        dropout: Share of units silenced inside every block while training.
        start: The species' logits before training, which stay part of the logits: ``zero``, a score of one half
            everywhere; ``prevalence``, the log odds that a training row holds the species; or ``balance``, the
            logits at which the loss is least among those that are the same at all sites (``training/start.py``).
        learn_start: Whether these logits are trained, as a bias per species; if not, they stay as they are.
        head_scale: Factor on the species' weights before training: 0 starts all sites at the start's logits.
        environment_head: Also predict the site's standardised covariates; for ``loss: multitask``.
        habitat_head: Also predict species from the predicted environment, mixed with the direct
            logits by a learned gate per species; for ``loss: multitask``.
        week: How the week of the year enters where the data set has weeks: ``features`` beside the
            coordinates, or ``film``, which scales and shifts the units of every block and needs weeks.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "width": Need(_is_network, "kind is 'residual'"),
        "depth": Need(_is_network, "kind is 'residual'"),
        "dropout": Need(_has_blocks, "kind is 'residual' and depth 1 or more"),
    }

    input: Literal["coordinates", "covariates", "both"] = "coordinates"
    coordinates: Literal["sphere", "local"] = "sphere"
    expansion: str = "none"
    kind: Literal["residual", "additive"] = "residual"
    input_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    width: Annotated[int, Field(ge=1, le=65_536)] = 128
    depth: Annotated[int, Field(ge=0, le=1000)] = 2
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    start: Literal["zero", "prevalence", "balance"] = "balance"
    learn_start: bool = False
    head_scale: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    environment_head: bool = False
    habitat_head: bool = False
    week: Literal["features", "film"] = "features"

    @field_validator("expansion")
    @classmethod
    def _exists(cls, name: str) -> str:
        return known_name(name, EXPANSIONS)

    @model_validator(mode="after")
    def _coordinates_are_read(self) -> Self:
        """A setting that would be ignored is a mistake of the one who wrote it."""
        if self.coordinates == "local" and not self.reads_coordinates:
            raise ValueError(
                f"settings with coordinates 'sphere', the default, if input is {self.input!r}, which reads none; "
                f"coordinates is {self.coordinates!r}"
            )
        return self

    @model_validator(mode="after")
    def _expansion_has_columns(self) -> Self:
        if self.expansion in NEED_COVARIATES and not self.reads_covariates:
            raise ValueError(
                f"settings with input 'covariates' or 'both' if expansion is {self.expansion!r}, which does nothing "
                f"without covariates; input is {self.input!r}"
            )
        return self

    @model_validator(mode="after")
    def _network_has_units(self) -> Self:
        if self.kind == "additive" and self.input_dropout:
            raise ValueError(f"settings with input_dropout 0 if kind is 'additive'; it is {self.input_dropout}")
        if self.kind == "additive" and self.head_scale != 1:
            raise ValueError(
                f"settings with head_scale 1 if kind is 'additive', whose weights start at 0; it is {self.head_scale}"
            )
        if self.week == "film" and (self.kind == "additive" or self.depth == 0):
            raise ValueError(
                f"settings with kind 'residual' and depth 1 or more if week is 'film', which acts on blocks; "
                f"kind is {self.kind!r}, depth {self.depth}"
            )
        return self

    @model_validator(mode="after")
    def _network_fits(self) -> Self:
        weights = 2 * self.depth * self.width**2
        if self.kind == "residual" and weights > MOST_WEIGHTS:
            raise ValueError(
                f"settings with at most {MOST_WEIGHTS:,} weights in the residual blocks, 2 * depth * width^2; depth "
                f"{self.depth:,} and width {self.width:,} make {weights:,}"
            )
        return self

    @model_validator(mode="after")
    def _habitat_needs_environment(self) -> Self:
        if self.habitat_head and not self.environment_head:
            raise ValueError("settings with environment_head: true, from which the habitat head predicts")
        return self

    @property
    def reads_coordinates(self) -> bool:
        """Whether coordinates are among the features."""
        return self.input != "covariates"

    @property
    def reads_covariates(self) -> bool:
        """Whether covariates are among the features."""
        return self.input != "coordinates"
