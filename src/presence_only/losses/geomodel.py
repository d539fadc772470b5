"""Public losses of one prediction tensor and one target tensor, with the interface of the BirdNET geomodel.

Names, order of arguments and defaults are fixed. Everything is computed by the penalties and pair weights that the
pipeline trains with too.

Shape legend: B rows of a batch, S species, C environmental covariates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from presence_only.losses.argument_checks import (
    check_background,
    check_choice,
    check_count,
    check_flag,
    check_floating,
    check_generator,
    check_has_values,
    check_number,
    check_same_shape,
    check_tensor,
    check_unit_interval,
    with_order,
)
from presence_only.losses.assume_negative import SPATIAL, DrawnAbsences, assume_negative
from presence_only.losses.host_reads import on_host
from presence_only.losses.negatives import Positives, open_targets, zero
from presence_only.losses.numerics import focal_of_probabilities, weighed, widen
from presence_only.losses.pair_weights import with_smoothing
from presence_only.losses.parameters import from_parameters
from presence_only.losses.penalties import Asymmetric, CrossEntropy, Focal, Penalty, all_hard, at_positives, choose
from presence_only.losses.pointwise import negatives_per_positive

REDUCTIONS = ("mean", "sum", "none")
SPECIES_LOSSES = ("bce", "focal", "asl", "an")
_PRED_LIMIT = 1e4
# What messages call the targets of a mapping, and the prediction of the environment.
SPECIES, ENVIRONMENT = "targets['species']", ("env_pred", "targets['env_features']")


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy that counts easy elements less: a_t (1 - p_t)^gamma BCE(x, y).

    p_t = y p + (1 - y) q with p = sigmoid(x), q = sigmoid(-x); a_t = alpha y + (1 - alpha)(1 - y).
    The default alpha 0.25 is that of the paper, tuned on object detection, where it *lowers* the
    weight of positives because gamma = 2 already silences the many easy negatives. ``MultiTaskLoss``
    has 0.5, which leaves the classes alone: species lists have no such tuning.

    Source: Lin et al. (2017), https://arxiv.org/abs/1708.02002

    Args:
        logits: Floating point, shape (batch, n_species) or any other; half types are computed in float32.
            At an infinite logit value and gradient are their limits: the value may be infinite, the gradient is not.
        targets: In [0, 1], the shape of ``logits``; integers and bools are cast.
        alpha: Weight of positives in [0, 1]; None: no weights at all.
        gamma: Focusing exponent, finite and >= 0; 0 is (weighted) cross-entropy.
        reduction: ``mean``, ``sum`` or ``none``.

    Returns:
        The loss in nats: a scalar, or the shape of ``logits`` for ``none``. An empty batch gives 0.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes differ, targets leave [0, 1], or a parameter is out of range.
    """
    return _over_all(Focal(alpha, gamma), logits, targets, reduction)


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_pos: float = 0.0,
    gamma_neg: float = 2.0,
    clip: float = 0.05,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss with an exponent per class and a margin below which a negative costs nothing.

    -[y q^gamma_pos log p + (1 - y) p_m^gamma_neg log(1 - p_m)], p_m = max(p - clip, 0). The gradient
    flows through the focusing weights too.

    Source: Ridnik et al. (2021), https://arxiv.org/abs/2009.14119

    Args:
        logits: Floating point, shape (batch, n_species) or any other; half types are computed in float32.
            At an infinite logit value and gradient are their limits: the value may be infinite, the gradient is not.
        targets: In [0, 1], the shape of ``logits``; integers and bools are cast.
        gamma_pos: Focusing exponent of positives, finite and >= 0.
        gamma_neg: Focusing exponent of negatives, finite and >= 0.
        clip: Probability margin in [0, 1); 0 is no margin.
        reduction: ``mean``, ``sum`` or ``none``.

    Returns:
        The loss in nats: a scalar, or the shape of ``logits`` for ``none``. An empty batch gives 0.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes differ, targets leave [0, 1], or a parameter is out of range.
    """
    return _over_all(Asymmetric(gamma_pos, gamma_neg, clip), logits, targets, reduction)


class BinaryFocalLoss(nn.Module):
    """Mean of (1 - p_t)^gamma BCE, without alpha, on probabilities or logits; prediction first.

    The published Keras class of this name, given logits, weights negatives by (1 - p)^gamma as well,
    so that a false positive costs less the surer it is and is pushed *up*. Here p_t is right in both
    modes: p for a positive, 1 - p for a negative.

    Source: Lin et al. (2017), https://arxiv.org/abs/1708.02002

    Args:
        gamma: Focusing exponent, finite and >= 0.
        from_logits: Whether predictions are logits; else probabilities in [0, 1].

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``gamma`` is negative, NaN or infinite.
    """

    def __init__(self, gamma: float = 2.0, from_logits: bool = False) -> None:
        super().__init__()
        if not isinstance(from_logits, bool):
            raise TypeError(f"from_logits = {from_logits!r}: must be a bool, not {type(from_logits).__name__}")
        self.gamma = check_number("gamma", gamma, 0.0)
        self.from_logits = from_logits

    def forward(self, pred: Tensor, targets: Tensor) -> Tensor:
        """The mean loss.

        Args:
            pred: Logits, or probabilities in [0, 1]; any shape. A probability of exactly 0 or 1 on the wrong side costs
                infinitely much: log 0 is not rounded away. Its gradient is finite and points to the right side; it is
                that of the smallest normal number of the dtype in place of 0, and of the largest number below 1 in
                place of 1.
            targets: In [0, 1], the shape of ``pred``.

        Returns:
            A scalar in nats.

        Raises:
            TypeError: If an argument is no tensor of the right kind.
            ValueError: If shapes differ or values are out of range.
        """
        if self.from_logits:
            return _over_all(Focal(None, self.gamma), pred, targets, "mean", "pred")
        check_floating("pred", pred)
        check_has_values("pred", pred)
        y = _targets_like(pred, targets, "pred")
        # NaN propagates, it is not refused.
        check_unit_interval("pred", pred.nan_to_num(nan=0.5, posinf=torch.inf, neginf=-torch.inf))
        return _reduce(focal_of_probabilities(widen(pred), y, self.gamma, pred.dtype), "mean")

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"gamma": self.gamma, "from_logits": self.from_logits}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss that :meth:`get_config` described."""
        return cls(**config)


def compute_pos_weights(species_targets: Tensor, smoothing: float = 1.0) -> Tensor:
    """Negatives per positive of every species: (sum(1 - y) + smoothing) / (sum y + smoothing).

    Args:
        species_targets: In [0, 1], shape (batch, n_species), at least one row.
        smoothing: Added to both counts, finite and >= 0; 0 gives infinity for a species without records.

    Returns:
        Shape (n_species,), float64: counts above 2^24 are exact.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no row, targets leave [0, 1], or ``smoothing`` is negative.
    """
    check_tensor("species_targets", species_targets)
    if species_targets.ndim != 2 or len(species_targets) == 0:
        raise ValueError(
            f"species_targets has shape {tuple(species_targets.shape)}: must be (batch, n_species) with batch >= 1"
        )
    check_unit_interval("species_targets", species_targets)
    positive_S = species_targets.sum(dim=0, dtype=torch.float64)
    return negatives_per_positive(positive_S, len(species_targets), smoothing)


class AssumeNegativeLoss(nn.Module):
    """Weigh what was observed, and assume that what was not observed is absent.

    Mean over rows of (1/S) [pos_lambda * sum over positives of BCE(x, 1) + T]. T is the sum of
    BCE(x, 0) over the row's n unobserved species, or its unbiased estimate from m = ``neg_samples`` of
    them, drawn without replacement, independently for every row and scaled by n / m; the estimate's
    variance is n^2 s^2 / m * (n - m) / (n - 1), with s^2 the population variance of the row's terms.

    These are pseudo-absences at the same location (SLDS). The LAN-full strategy joins them with
    absences of the same species elsewhere (SSDL):

    * ``spatial="batch"``: for every observed (row, species) one row of the batch in which the species
      was not observed is drawn uniformly, and its BCE(x, 0) joins the sum of the observed row. A
      species observed in every row has no such term.
    * ``background_logits`` adds the mean over sites of (1/S) * sum over all species of BCE(x, 0). With
      sites uniform on the sphere, ``pos_lambda=2048`` and ``neg_samples=0`` this is L_AN-full.

    Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        pos_lambda: Weight of positives, finite and > 0. 4 is for whole species lists; with one record
            a row, one positive faces S - 1 negatives and 2048 is the published value.
        neg_samples: Negatives per row, an int >= 0; 0 or at least n: all of them.
        label_smoothing: e in [0, 0.5): targets of the rows become e and 1 - e. The terms of other
            rows and of the background are not smoothed.
        spatial: ``none`` or ``batch``.
        penalty: What takes the place of BCE, such as ``Asymmetric()``; None: BCE.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        pos_lambda: float = 4.0,
        neg_samples: int = 1024,
        label_smoothing: float = 0.0,
        *,
        spatial: str = "none",
        penalty: Penalty | None = None,
    ) -> None:
        super().__init__()
        self.pos_lambda = check_number("pos_lambda", pos_lambda, 0.0, open_ends="low")
        self.neg_samples = check_count("neg_samples", neg_samples)
        self.label_smoothing = check_number("label_smoothing", label_smoothing, 0.0, 0.5, open_ends="high")
        check_choice("spatial", spatial, SPATIAL)
        self.spatial = spatial
        self.penalty: Penalty = CrossEntropy() if penalty is None else penalty

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        *,
        background_logits: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The loss of one batch.

        Args:
            logits: Floating point, shape (batch, n_species).
            targets: Exactly 0 or 1, the same shape; integers and bools are cast.
            background_logits: Logits at sites drawn elsewhere, shape (sites, n_species).
            generator: Source of the draws; None: the default generator of the logits' device.

        Returns:
            A scalar in nats. An empty batch gives a 0 that back-propagates.

        Raises:
            TypeError: If an argument is no tensor of the right kind.
            ValueError: If shapes disagree or a target is neither 0 nor 1.
        """
        positives = open_targets(logits, targets, as_pairs=self.spatial == "batch", of="")
        check_background(background_logits, None, logits, name="background_logits")
        check_generator(generator)
        if logits.numel() == 0:
            return zero(logits) if background_logits is None else zero(logits, background_logits)
        return self.on_pairs(logits, positives, generator, background_logits)

    def on_pairs(
        self,
        logits: Tensor,
        positives: Positives,
        generator: torch.Generator | None,
        background_logits: Tensor | None = None,
    ) -> Tensor:
        """The same on checked inputs with at least one row, given which pairs are present."""
        background_weight = 0.0 if background_logits is None else 1.0
        weights = assume_negative(self.penalty, self.pos_lambda, background_weight)
        weights = with_smoothing(weights, self.label_smoothing)
        loss = DrawnAbsences(weights, self.neg_samples, self.spatial)
        return loss.on_pairs(logits, positives, generator, background_logits)

    def extra_repr(self) -> str:
        """The settings, as ``print(module)`` shows them."""
        return (
            f"pos_lambda={self.pos_lambda:g}, neg_samples={self.neg_samples}, "
            f"label_smoothing={self.label_smoothing:g}, spatial={self.spatial!r}"
        )


def masked_mse(pred: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the elements whose target is known.

    Predictions are clamped to +-1e4 before the difference, so that one runaway value cannot swamp
    a batch; beyond the clamp the gradient is 0.

    Args:
        pred: Floating point, any shape. What it holds where the target is NaN does not matter.
        target: The same shape; NaN where unknown; integers are cast.

    Returns:
        A scalar, in the square of the target's unit. Without any known target a 0 that
        back-propagates a gradient of 0.

    Raises:
        TypeError: If an argument is no tensor, or ``pred`` is not floating point.
        ValueError: If the shapes differ.
    """
    return _masked_mse(pred, target, "pred", "target", meta=False)


def _masked_mse(pred: Tensor, target: Tensor, name: str, of: str, *, meta: bool) -> Tensor:
    """The same; ``name`` and ``of`` in messages, and whether tensors may have shapes alone, as in a dry run."""
    check_floating(name, pred)
    if not meta:
        check_has_values(name, pred)
    check_same_shape(of, target, name, pred)
    target = with_order(target)
    known = ~target.isnan()
    if on_host(pred):
        known_pred, known_target = widen(pred[known]), target[known]
    else:
        known_pred, known_target = widen(torch.where(known, pred, 0)), torch.where(known, target, 0)
    error = known_pred.clamp(-_PRED_LIMIT, _PRED_LIMIT) - known_target.to(known_pred.dtype)
    n_known = max(len(error), 1) if on_host(pred) else known.sum().clamp(min=1)
    return error.square().sum() / n_known


class MultiTaskLoss(nn.Module):
    """species_weight * species + env_weight * env [+ habitat_weight * habitat].

    The species part is one of the losses of this package on ``predictions["species_logits"]``, the
    habitat part the same loss on ``predictions["habitat_logits"]``, the environment part
    :func:`masked_mse` of ``predictions["env_pred"]``.

    ``focal_alpha`` is 0.5 here and 0.25 in :func:`focal_loss`, both on purpose: 0.25 is the published
    value for the function's own name, tuned on object detection; 0.5 weighs both classes alike, so
    that ``species_loss`` alone decides how they are balanced.

    Source: the tasks are those of the BirdNET geomodel, https://github.com/birdnet-team/geomodel

    Args:
        species_weight: Weight of the species part, finite and >= 0.
        env_weight: Weight of the environment part, finite and >= 0.
        habitat_weight: Weight of the habitat part, finite and >= 0.
        pos_weight: Weight of every species' positives, shape (S,), finite and >= 0; only with ``bce``.
        species_loss: ``bce``, ``focal``, ``asl`` or ``an`` (:class:`AssumeNegativeLoss`).
        focal_alpha: Of ``focal``, in [0, 1] or None.
        focal_gamma: Of ``focal``, finite and >= 0.
        pos_lambda: Of ``an``, finite and > 0.
        neg_samples: Of ``an``, an int >= 0.
        label_smoothing: Of ``an``, in [0, 0.5).
        asl_gamma_pos: Of ``asl``, finite and >= 0.
        asl_gamma_neg: Of ``asl``, finite and >= 0.
        asl_clip: Of ``asl``, in [0, 1).
        reduction: Of the species and habitat parts: ``mean``, ``sum`` or ``none``. ``an`` is a mean over
            rows by definition; the environment part is always a mean.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range or unknown, or would be ignored (``pos_weight``
            without ``bce``, another reduction with ``an``).
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        species_weight: float = 1.0,
        env_weight: float = 0.5,
        habitat_weight: float = 0.0,
        pos_weight: Tensor | None = None,
        species_loss: str = "bce",
        focal_alpha: float | None = 0.5,
        focal_gamma: float = 2.0,
        pos_lambda: float = 4.0,
        neg_samples: int = 1024,
        label_smoothing: float = 0.0,
        asl_gamma_pos: float = 0.0,
        asl_gamma_neg: float = 2.0,
        asl_clip: float = 0.05,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.species_weight = check_number("species_weight", species_weight, 0.0)
        self.env_weight = check_number("env_weight", env_weight, 0.0)
        self.habitat_weight = check_number("habitat_weight", habitat_weight, 0.0)
        check_choice("species_loss", species_loss, SPECIES_LOSSES)
        check_choice("reduction", reduction, REDUCTIONS)
        if species_loss == "an" and reduction != "mean":
            raise ValueError(f"reduction = {reduction!r}: must be 'mean' with species_loss 'an'")
        if pos_weight is not None:
            check_floating("pos_weight", pos_weight, 1)
            check_has_values("pos_weight", pos_weight)
            if species_loss != "bce":
                raise ValueError(f"pos_weight is given: must be None with species_loss {species_loss!r}")
            if not bool((pos_weight.isfinite() & (pos_weight >= 0)).all()):
                raise ValueError("pos_weight holds a negative or non-finite value: must be finite and >= 0")
            pos_weight = pos_weight.detach().clone()
        self.register_buffer("pos_weight", pos_weight)
        self.species_loss = species_loss
        self.reduction = reduction
        # All are built, so that a wrong parameter fails here whichever loss is chosen.
        focal = {"focal_alpha": focal_alpha, "focal_gamma": focal_gamma}
        asl = {"asl_gamma_pos": asl_gamma_pos, "asl_gamma_neg": asl_gamma_neg, "asl_clip": asl_clip}
        self.assume_negative = AssumeNegativeLoss(pos_lambda, neg_samples, label_smoothing)
        self._penalties: dict[str, Penalty] = {
            "bce": CrossEntropy(),
            "focal": from_parameters(Focal, focal, prefix="focal_"),
            "asl": from_parameters(Asymmetric, asl, prefix="asl_"),
        }

    def forward(
        self,
        predictions: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        compute_env_loss: bool = True,
        *,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Every part, unweighted, and their weighted sum.

        Args:
            predictions: ``species_logits`` (B, S); ``env_pred`` (B, C); ``habitat_logits`` (B, S).
            targets: ``species`` (B, S), in [0, 1], for ``an`` exactly 0 or 1; ``env_features`` (B, C), NaN
                where unknown.
            compute_env_loss: Whether there is an environment part at all.
            generator: Source of the draws of ``an``; None: the default one.

        Returns:
            ``species`` and ``env`` where their predictions are given, ``habitat`` where its weight is not
            0, and ``total``. A part of weight 0 is reported but cannot change the total, not even by NaN.

        Raises:
            TypeError: If a value is no tensor of the right kind.
            ValueError: If a key is missing whose weight is not 0, or shapes or values are wrong.
        """
        check_flag("compute_env_loss", compute_env_loss)
        for name, mapping in (("predictions", predictions), ("targets", targets)):
            if not isinstance(mapping, Mapping):
                raise TypeError(f"{name} is a {type(mapping).__name__}: must be a mapping of names to tensors")
        parts: dict[str, Tensor] = {}
        if _present(predictions, targets, "species_logits", "species", self.species_weight):
            parts["species"] = self._criterion("species_logits", predictions, targets, generator)
        if compute_env_loss and _present(predictions, targets, "env_pred", "env_features", self.env_weight):
            parts["env"] = _masked_mse(predictions["env_pred"], targets["env_features"], *ENVIRONMENT, meta=False)
        if self.habitat_weight > 0:
            _present(predictions, targets, "habitat_logits", "species", self.habitat_weight)
            parts["habitat"] = self._criterion("habitat_logits", predictions, targets, generator)
        return self._with_total(parts)

    def on_pairs(
        self,
        predictions: Mapping[str, Tensor],
        positives: Positives,
        env_features_BC: Tensor | None,
        generator: torch.Generator | None,
    ) -> dict[str, Tensor]:
        """The same of a batch with at least one row, given which pairs are present instead of targets.

        Raises:
            ValueError: If a prediction is missing whose weight is not 0, or ``env_features_BC``.
        """
        targets = {"species": positives.row_P} | ({} if env_features_BC is None else {"env_features": env_features_BC})
        parts: dict[str, Tensor] = {}
        if _present(predictions, targets, "species_logits", "species", self.species_weight):
            parts["species"] = self._of_pairs(predictions["species_logits"], positives, generator)
        if _present(predictions, targets, "env_pred", "env_features", self.env_weight):
            parts["env"] = _masked_mse(predictions["env_pred"], targets["env_features"], *ENVIRONMENT, meta=True)
        if self.habitat_weight > 0:
            _present(predictions, targets, "habitat_logits", "species", self.habitat_weight)
            parts["habitat"] = self._of_pairs(predictions["habitat_logits"], positives, generator)
        return self._with_total(parts)

    def _with_total(self, parts: dict[str, Tensor]) -> dict[str, Tensor]:
        """The parts and their weighted sum."""
        weights = {"species": self.species_weight, "env": self.env_weight, "habitat": self.habitat_weight}
        counted = [weights[name] * part for name, part in parts.items() if weights[name] > 0]
        # Without a part that counts the total is 0, still tied to what was predicted.
        total = sum(counted[1:], counted[0]) if counted else zero(*parts.values(), torch.zeros(()))
        return {**parts, "total": total}

    def _criterion(
        self,
        key: str,
        predictions: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        generator: torch.Generator | None,
    ) -> Tensor:
        """The chosen species loss of one head."""
        logits, species = predictions[key], targets["species"]
        check_floating(key, logits, 2)
        check_generator(generator)
        if self.species_loss == "an":
            loss: Tensor = self.assume_negative(logits, species, generator=generator)
            return loss
        if self.pos_weight is not None:
            if len(self.pos_weight) != logits.shape[1]:
                raise ValueError(
                    f"pos_weight has length {len(self.pos_weight)}: must be the number of species, {logits.shape[1]}"
                )
            return _weighted_cross_entropy(logits, species, self.pos_weight, self.reduction, key, SPECIES)
        return _over_all(self._penalties[self.species_loss], logits, species, self.reduction, key, SPECIES)

    def _of_pairs(self, logits: Tensor, positives: Positives, generator: torch.Generator | None) -> Tensor:
        """The chosen species loss of one head, on checked inputs."""
        if self.species_loss == "an":
            return self.assume_negative.on_pairs(logits, positives, generator)
        penalty, pairs = self._penalties[self.species_loss], (positives.row_P, positives.species_P)
        return _reduce(at_positives(penalty, logits, *pairs, self.pos_weight), self.reduction)


def _present(
    predictions: Mapping[str, Tensor], targets: Mapping[str, Tensor], pred_key: str, target_key: str, weight: float
) -> bool:
    """Whether a part can be computed; a part that counts must be."""
    for name, mapping, key in (("predictions", predictions, pred_key), ("targets", targets, target_key)):
        if key not in mapping:
            if weight > 0:
                raise ValueError(f"{name} has no key {key!r}: must be given, for its weight is {weight:g}")
            return False
    return True


def _over_all(
    penalty: Penalty, logits: Tensor, targets: Tensor, reduction: str, name: str = "logits", of: str = "targets"
) -> Tensor:
    """A penalty over all elements, with the checks that every public loss makes; ``name`` and ``of`` in messages."""
    check_choice("reduction", reduction, REDUCTIONS)
    check_floating(name, logits)
    check_has_values(name, logits)
    return _reduce(penalty(logits, _targets_like(logits, targets, name, of)), reduction)


def _weighted_cross_entropy(
    logits: Tensor, targets: Tensor, pos_weight_S: Tensor, reduction: str, name: str, of: str
) -> Tensor:
    """Cross-entropy whose positives weigh w of their species, with the same checks."""
    check_has_values(name, logits)
    y = _targets_like(logits, targets, name, of)
    weight_S, curve, present = pos_weight_S.to(y), CrossEntropy(), y == 1
    if all_hard(y, present):
        return _reduce(choose(curve, logits, present, weight_S.expand_as(logits)), reduction)
    terms = weighed(weight_S * y, curve.positive(logits)) + weighed(1 - y, curve.negative(logits))
    return _reduce(terms, reduction)


def _targets_like(logits: Tensor, targets: Tensor, name: str, of: str = "targets") -> Tensor:
    """Checked targets in the dtype of the computation."""
    check_same_shape(of, targets, name, logits)
    check_unit_interval(of, targets)
    return targets.to(widen(logits.reshape(-1)[:0]).dtype)


def _reduce(terms: Tensor, reduction: str) -> Tensor:
    """Mean, sum or the terms themselves; the mean of nothing is 0."""
    if reduction == "none":
        return terms
    total = terms.sum()
    return total if reduction == "sum" else total / max(terms.numel(), 1)
