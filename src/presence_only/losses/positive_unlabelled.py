"""Risks from positive and unlabelled data: non-negative (nnPU) and unbiased (uPU), per species with a prior.

Shape legend: B rows of a batch, S species, K background sites, P positives (records).

Other losses take a pair without a record for an absence. Here it is unlabelled: a species occurs at a share pi_s of
the unlabelled sites, its prior, and its records say what such sites look like. What absences cost is then
mean_U [sp(x)] - pi_s mean+ [sp(x)], with sp the softplus, U the unlabelled sites and mean+ the mean over records: the
cost of calling everything absent, less that of the sites where the species occurs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from presence_only.common.settings import SettingsError
from presence_only.losses.argument_checks import (
    check_background,
    check_choice,
    check_count,
    check_flag,
    check_has_values,
    check_number,
    check_numbers,
    check_real,
    check_shape,
    shown,
)
from presence_only.losses.base import (
    LEAST,
    BatchLoss,
    LossBatch,
    LossSettings,
    TrainingCounts,
    empty_loss,
    open_batch,
)
from presence_only.losses.host_reads import count_each
from presence_only.losses.negatives import Positives, at_pairs, open_targets, zero, zero_at
from presence_only.losses.numerics import finite_logits, softplus, widen
from presence_only.losses.parameters import ParametersOfChoice

ESTIMATORS = ("nnpu", "upu")


def nnpu(
    logits_BS: Tensor,
    targets_BS: Tensor,
    prior: float | Tensor,
    background_KS: Tensor | None = None,
    *,
    background_mask_KS: Tensor | None = None,
    rows_unlabelled: bool = True,
    estimator: str = "nnpu",
    beta: float = 0.0,
    gamma: float = 1.0,
    records_S: Tensor | None = None,
    n_sites: int | None = None,
) -> Tensor:
    """The risk of positive and unlabelled data, non-negative or unbiased, averaged over species.

    For every species s, with sp(x) = log(1 + exp(x)):

        pi_s mean+ [sp(-x)] + r_s,    r_s = mean_U [sp(x)] - pi_s mean+ [sp(x)].

    r_s estimates what absences cost, which is never negative. ``nnpu`` puts max(r_s, -beta) in its place, for every
    species and batch by itself: max(r_s, 0) with the default beta. ``upu`` leaves it as it is, which is unbiased and
    has no lower bound; the mean of ``nnpu`` over batches is never below it.

    Value and slope part where r_s < -beta. The value is pi_s mean+ [sp(-x)] - beta, which is continuous in the logits.
    The slope is that of -gamma r_s alone: the step raises r_s, and the part of the records rests for it.

    Which sites are unlabelled: every row, also one where s was recorded, and every background site that counts for s.
    A row stands in U for a place that somebody looked at, whatever was recorded there; without the rows of its records
    U would hold a species less often than its prior says. A species without an unlabelled site has no term.

    mean+ of a species is over its records in the batch, and 0 if there are none, as in the authors' code; then its
    term is mean_U [sp(x)]. With ``records_S`` and ``n_sites`` their sum is divided by the number that a batch has on
    average, B records_S / n_sites: the mean of ``upu`` over equal batches with the same background is then exactly
    that of all rows, where the mean of means over batches would count a record less where it has company.

    Digits: r_s is a difference where a record's weight in it exceeds that of an unlabelled site. Its error is a
    rounding of the larger part, so that a value near 0 has few digits of its own; slopes have all. Where no record
    weighs more, every part of the sum is positive.

    Source: Kiryo et al. (2017), https://arxiv.org/abs/1703.00593, algorithm 1 with their authors' value; ``upu`` is
    du Plessis et al. (2015), https://proceedings.mlr.press/v37/plessis15.html, for the logistic loss.

    Args:
        logits_BS: Logits at the rows; an infinite one counts as +-1e30, so that it can be compared with others.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        prior: pi, the share of unlabelled sites where a species occurs, in (0, 1): one number, or one per species.
        background_KS: Logits at background sites; None: only rows are unlabelled.
        background_mask_KS: Which species a background site counts for, bool; None: all.
        rows_unlabelled: Whether rows are unlabelled sites.
        estimator: ``nnpu`` or ``upu``.
        beta: How far r_s may fall below 0 before a step turns, >= 0; of ``nnpu``.
        gamma: Length of such a step in [0, 1]; of ``nnpu``.
        records_S: Rows of the training set in which each species was recorded; None: counted in the batch.
        n_sites: Rows of the training set; given together with ``records_S``.

    Returns:
        Scalar loss in nats. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a number is out of range, a target is neither 0 nor 1, or nothing is unlabelled.
    """
    positives = open_targets(logits_BS, targets_BS, as_pairs=True)
    n_rows, n_species = logits_BS.shape
    check_background(background_KS, background_mask_KS, logits_BS)
    check_choice("estimator", estimator, ESTIMATORS)
    check_flag("rows_unlabelled", rows_unlabelled)
    beta, gamma = check_number("beta", beta, 0.0), check_number("gamma", gamma, 0.0, 1.0)
    if not rows_unlabelled and (background_KS is None or len(background_KS) == 0):
        raise ValueError("background_KS has no rows: must have at least one where rows_unlabelled is False")
    if (records_S is None) != (n_sites is None):
        raise ValueError(f"n_sites = {shown(n_sites)}: records_S and n_sites must be given together")
    prior_S = _prior_per_species(prior, n_species).to(logits_BS.device)
    if logits_BS.numel() == 0:
        return zero(*(logits for logits in (logits_BS, background_KS) if logits is not None))
    expected_S = count_each(positives.species_P, n_species).double()
    if records_S is not None and n_sites is not None:
        if check_count("n_sites", n_sites) == 0:
            raise ValueError("n_sites = 0: must be >= 1")
        check_numbers("records_S", records_S, (n_species,), logits_BS)
        if bool((records_S[positives.species_P] <= 0).any()):
            raise ValueError("records_S is 0 for a species present in targets_BS")
        expected_S = records_S.double() * (n_rows / n_sites)
    weight_S = prior_S / torch.where(expected_S > 0, expected_S, 1.0)
    loss = PositiveUnlabelledLoss(
        weight_S * n_rows, rows_unlabelled, background_KS is not None, estimator == "nnpu", beta, gamma
    )
    far_KS = None if background_KS is None else finite_logits(background_KS)
    return loss.on_pairs(finite_logits(logits_BS), positives, far_KS, background_mask_KS)


def _prior_per_species(prior: object, n_species: int) -> Tensor:
    """One prior per species, float64, in (0, 1).

    Raises:
        TypeError: If it is neither a number nor a tensor.
        ValueError: If the length is wrong, or a value is not a probability between 0 and 1.
    """
    if not isinstance(prior, Tensor):
        return torch.full((n_species,), check_number("prior", prior, 0.0, 1.0, open_ends="both"), dtype=torch.float64)
    check_shape("prior", prior, (n_species,))
    check_real("prior", prior)
    check_has_values("prior", prior)
    if not bool(((prior > 0) & (prior < 1)).all()):
        raise ValueError("prior holds a value outside (0, 1): must be the share of sites where a species occurs")
    return prior.double()


@dataclass(frozen=True)
class PositiveUnlabelledLoss:
    """:func:`nnpu` on the pairs of a batch, with counts of the whole training set.

    Args:
        record_weight_S: pi_s n / n_s, of which a record of the batch has the share 1 / B.
        rows_unlabelled: Whether rows are unlabelled sites.
        needs_background: Whether background sites are.
        non_negative: Whether a bracket below -beta is held there.
        beta: How far a bracket may fall below 0, >= 0.
        gamma: Length of the step that raises one which fell lower.
    """

    record_weight_S: Tensor
    rows_unlabelled: bool
    needs_background: bool
    non_negative: bool
    beta: float
    gamma: float

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        return self.on_pairs(batch.logits_BS, positives, batch.background_KS, batch.background_mask_KS)

    def on_pairs(
        self, logits_BS: Tensor, positives: Positives, background_KS: Tensor | None, mask_KS: Tensor | None
    ) -> Tensor:
        """The same on checked inputs."""
        n_rows, n_species = logits_BS.shape
        row_P, species_P = positives.row_P, positives.species_P
        x_BS = widen(logits_BS)
        sites_S = torch.full((n_species,), n_rows if self.rows_unlabelled else 0, device=x_BS.device, dtype=x_BS.dtype)
        unlabelled_S = torch.zeros_like(sites_S)
        if self.rows_unlabelled:
            # A record's own row joins below, in one product with its negative weight: nothing is added that is
            # subtracted again.
            absent_BS = zero_at(positives, softplus(x_BS))
            unlabelled_S = absent_BS.sum(dim=0)
        if background_KS is not None:
            absent_KS = softplus(widen(background_KS))
            sites_S = sites_S + (len(background_KS) if mask_KS is None else mask_KS.sum(dim=0))
            absent_KS = absent_KS if mask_KS is None else torch.where(mask_KS, absent_KS, 0.0)
            unlabelled_S = unlabelled_S + absent_KS.sum(dim=0)
        share_S = 1 / sites_S.clamp(min=1)
        weight_S = (self.record_weight_S / n_rows).to(x_BS)
        own_S = (share_S if self.rows_unlabelled else 0.0) - weight_S
        x_P = at_pairs(x_BS, row_P, species_P)
        nothing_S = torch.zeros_like(share_S)
        present_S = nothing_S.index_add(0, species_P, weight_S[species_P] * softplus(-x_P))
        bracket_S = share_S * unlabelled_S + nothing_S.index_add(0, species_P, own_S[species_P] * softplus(x_P))
        risk_S = present_S + (self.held(bracket_S, present_S) if self.non_negative else bracket_S)
        return torch.where(sites_S > 0, risk_S, 0.0).sum() / n_species

    def held(self, bracket_S: Tensor, present_S: Tensor) -> Tensor:
        """max(bracket, -beta), with the slopes of ``nnpu``: those of ``present_S`` are taken back where it is held."""
        held_S: Tensor = _Held.apply(bracket_S, present_S, self.beta, self.gamma)  # type: ignore[no-untyped-call, unused-ignore]
        return held_S


class _Held(torch.autograd.Function):
    """max(bracket, -beta), with the slopes of a turned step where it is held: -gamma for the bracket, -1 for the other.

    Differences of a tensor and itself would say the same, but a compiler may take them for 0.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(bracket_S: Tensor, present_S: Tensor, beta: float, gamma: float) -> Tensor:
        return torch.where(bracket_S < -beta, -beta, bracket_S)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0] < -inputs[2])
        ctx.gamma = inputs[3]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (turned_S,) = ctx.saved_tensors
        return torch.where(turned_S, -ctx.gamma * gradient, gradient), torch.where(turned_S, -gradient, 0.0), None, None


Probability = Annotated[float, Field(gt=0, lt=1)]


class PositiveUnlabelledSettings(ParametersOfChoice, LossSettings):
    """Positive-unlabelled learning: pairs without a record are unlabelled, and a prior says how many are presences.

    Args:
        estimator: ``nnpu`` never lets absences cost less than nothing, ``upu`` is unbiased and has no lower bound.
        unlabelled: Which sites are unlabelled: the rows, the background sites, or both, each site alike.
        prior_factor: The prior of a species is this many times the share of training rows that hold it, at most
            (n - 0.5) / n of n rows. It stands for how many times a species occurs for each time it is recorded.
            Null where ``prior`` or ``priors`` is given.
        prior: The prior itself, one for all species, in (0, 1).
        priors: A prior for every species, in the order of the vocabulary. It is a list and no file, so that an edit of
            it is an edit of the settings.
        beta: How far the cost of absences may fall below 0 before a step turns, >= 0.
        gamma: Length of such a step, in [0, 1].
    """

    choice, owner_of = "estimator", {"beta": "nnpu", "gamma": "nnpu"}
    # Three ways to say the same: a search that sets one of them gives up the others.
    rivals: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "prior_factor": ("prior", "priors"),
        "prior": ("prior_factor", "priors"),
        "priors": ("prior_factor", "prior"),
    }

    loss: Literal["nnpu"]
    estimator: Literal["nnpu", "upu"] = "nnpu"
    unlabelled: Literal["both", "rows", "background"] = "both"
    prior_factor: Annotated[float, Field(gt=0)] | None = 2.0
    prior: Probability | None = None
    priors: Annotated[tuple[Probability, ...], Field(strict=False, min_length=1)] | None = None
    beta: float = Field(default=0.0, ge=0)
    gamma: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _a_prior_replaces_the_factor(cls, raw: Any) -> Any:
        """A prior takes the place of the default factor."""
        if isinstance(raw, dict) and any(raw.get(name) is not None for name in ("prior", "priors")):
            return {"prior_factor": None} | raw
        return raw

    @model_validator(mode="after")
    def _one_prior(self) -> Self:
        given = [name for name in ("prior_factor", "prior", "priors") if getattr(self, name) is not None]
        if len(given) != 1:
            told = f", not {' and '.join(given)}" if given else ""
            raise ValueError(f"settings with one of prior_factor, prior and priors{told}")
        return self

    def prior_S(self, counts: TrainingCounts) -> Tensor:
        """The prior of every species, float64 (S,), above 0 and below 1.

        Raises:
            SettingsError: If ``priors`` has another length.
        """
        if self.prior_factor is not None:
            least = LEAST / counts.n_rows
            return (self._weight_S(counts) * counts.records_per_species_S.double() / counts.n_rows).clamp(min=least)
        n_species = len(counts.records_per_species_S)
        if self.priors is not None and len(self.priors) != n_species:
            raise SettingsError(f"priors has length {len(self.priors)}: must be the number of species, {n_species}")
        values = [self.prior] * n_species if self.priors is None else list(self.priors)
        return torch.tensor(values, dtype=torch.float64, device=counts.records_per_species_S.device)

    def _weight_S(self, counts: TrainingCounts) -> Tensor:
        """pi_s n / n_s, float64; with a factor it is the factor itself, free of rounding, unless that is too large."""
        records_S = counts.records_per_species_S.double().clamp(min=1)
        if self.prior_factor is not None:
            return ((counts.n_rows - LEAST) / records_S).clamp(max=self.prior_factor)
        return self.prior_S(counts) * counts.n_rows / records_S

    def balance(self, counts: TrainingCounts) -> Tensor:
        """The log odds of the prior: there a species' unlabelled sites pull as much as its records."""
        return torch.logit(self.prior_S(counts))

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss with the priors and the counts of the training set.

        Raises:
            SettingsError: If ``priors`` has not one number per species.
        """
        return PositiveUnlabelledLoss(
            self._weight_S(counts),
            rows_unlabelled=self.unlabelled != "background",
            needs_background=self.unlabelled != "rows",
            non_negative=self.estimator == "nnpu",
            beta=self.beta,
            gamma=self.gamma,
        )
