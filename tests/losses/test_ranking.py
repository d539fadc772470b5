"""Pairwise ranking against double loops over all pairs, by all draws that there can be."""

import itertools
import math
from statistics import fmean, pvariance

import mpmath
import pytest
import torch
from support.losses_reference import LOGITS

from presence_only.common.settings import SettingsError
from presence_only.losses import host_reads, negatives, pairwise_ranking
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
B, S, K = 3, 3, 2
X_BS = torch.randn(B, S, generator=SOURCE, dtype=torch.float64) * 2
FAR_KS = torch.randn(K, S, generator=SOURCE, dtype=torch.float64) * 2
# Three records: two of species 1, and a row with two species.
TARGETS_BS = torch.tensor([[0, 1, 0], [1, 1, 0], [0, 0, 0]])
MASK_KS = torch.tensor([[True, False, True], [True, True, False]])
RECORDS = [tuple(pair) for pair in TARGETS_BS.nonzero().tolist()]


def sp(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def leads(kind, x=X_BS, far=FAR_KS, mask=None):
    """Of every record that has a partner, by how much it is above each of them."""
    found = []
    for i, s in RECORDS:
        if kind == "community":
            partners = [x[i, r] for r in range(S) if not TARGETS_BS[i, r]]
        elif kind == "batch":
            partners = [x[j, s] for j in range(B) if not TARGETS_BS[j, s]]
        else:
            partners = [far[k, s] for k in range(K) if mask is None or mask[k, s]]
        if partners:
            found.append([x[i, s].item() - value.item() for value in partners])
    return found


KINDS = {
    "batch": {"pairs": "spatial", "sites": "batch"},
    "background": {"pairs": "spatial", "sites": "background", "background_KS": FAR_KS},
    "masked": {"pairs": "spatial", "sites": "background", "background_KS": FAR_KS, "background_mask_KS": MASK_KS},
    "community": {"pairs": "community"},
}


def leads_of(name):
    return leads("background" if name == "masked" else name, mask=MASK_KS if name == "masked" else None)


def every_draw(monkeypatch, name, **arguments):
    """The loss at every draw there can be, each as often as it is likely.

    A draw takes a random integer modulo the number of partners: all integers below a common multiple of these numbers
    are put in its place, for every record and every turn.
    """
    monkeypatch.setattr(host_reads, "HOST", "none")  # where masked sites are drawn by their rank, not by trial
    multiple = math.lcm(*(len(partners) for partners in leads_of(name)))
    n_records, turns = len(RECORDS), arguments.get("n_pairs", 1)
    values = []
    for integers in itertools.product(range(multiple), repeat=n_records * turns):
        queue = iter(torch.tensor(integers).view(turns, n_records))
        monkeypatch.setattr(negatives, "random_integers", lambda shape, *_, queue=queue: next(queue).view(shape))
        values.append(pairwise_ranking(X_BS, TARGETS_BS, **KINDS[name], **arguments).item())
        assert next(queue, None) is None
    return values


@pytest.mark.parametrize("n_pairs", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_over_all_draws_the_mean_is_the_double_loop_and_the_variance_that_of_independent_draws(
    name, n_pairs, monkeypatch
):
    values = every_draw(monkeypatch, name, n_pairs=n_pairs)
    costs = [[sp(-lead) for lead in partners] for partners in leads_of(name)]
    assert fmean(values) == pytest.approx(fmean(map(fmean, costs)), rel=1e-12)
    variance = math.fsum(map(pvariance, costs)) / n_pairs / len(costs) ** 2
    assert pvariance(values) == pytest.approx(variance, rel=1e-9, abs=1e-28)


@pytest.mark.parametrize("n_pairs", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_over_all_draws_warp_is_its_expectation(name, n_pairs, monkeypatch):
    """Of a record with n partners, v of them violating, turn t finds one with probability (1 - v/n)^(t-1) v/n."""
    values = every_draw(monkeypatch, name, n_pairs=n_pairs, weights="warp")
    expected = []
    for partners in leads_of(name):
        n = len(partners)
        violating = [sp(-lead) for lead in partners if lead < 1]
        cost = 0.0
        for turn in range(1, n_pairs + 1):
            rank = max(1, n // turn)
            weight = sum(1 / k for k in range(1, rank + 1))
            cost += (1 - len(violating) / n) ** (turn - 1) * weight * math.fsum(violating) / n
        expected.append(cost)
    assert fmean(values) == pytest.approx(fmean(expected), rel=1e-12)
    assert len(set(values)) > 1 or name == "masked"


def test_warp_by_hand():
    """The first of four partners is 2 below the record, the second 0.5: it is found at the second of two draws."""
    x = torch.tensor([[3.0, 1.0, 2.5, 9.0, 0.0]], dtype=torch.float64)
    targets = torch.tensor([[1, 0, 0, 0, 0]])
    possible = {
        (1, 1): 0.0,
        (1, 2): (1 + 1 / 2) * sp(-0.5),  # rank 4 / 2
        (1, 3): (1 + 1 / 2) * sp(6.0),
        (2, 1): (1 + 1 / 2 + 1 / 3 + 1 / 4) * sp(-0.5),  # rank 4 / 1
        (3, 2): (1 + 1 / 2 + 1 / 3 + 1 / 4) * sp(6.0),
        (4, 4): 0.0,
    }
    for drawn, expected in possible.items():
        with pytest.MonkeyPatch.context() as patch:
            queue = iter(drawn)
            patch.setattr(negatives, "random_integers", lambda *_, q=queue: torch.tensor([next(q) - 1]))
            got = pairwise_ranking(x, targets, pairs="community", n_pairs=2, weights="warp")
        assert got.item() == pytest.approx(expected, rel=1e-14)


def mean_of_draws(n_draws, *arguments, **named):
    """Mean over draws, and its standard error."""
    generator = torch.Generator().manual_seed(3)
    values = torch.stack([pairwise_ranking(*arguments, generator=generator, **named) for _ in range(n_draws)])
    return values.mean().item(), values.std().item() / n_draws**0.5


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        ({"sites": "both"}, {"batch": 0.5, "background": 0.5}),
        ({"pairs": "both"}, {"batch": 1, "community": 1}),
        ({"pairs": "both", "sites": "both"}, {"batch": 0.5, "background": 0.5, "community": 1}),
        ({"sites": "background"}, {"background": 1}),
    ],
)
@pytest.mark.parametrize("mask", [None, MASK_KS])
def test_what_both_means_and_that_masked_sites_are_not_drawn(mask, arguments, kinds):
    if "background" not in kinds and mask is not None:
        return
    far = {"background_KS": FAR_KS, "background_mask_KS": mask} if "background" in kinds else {}
    mean, error = mean_of_draws(400, X_BS, TARGETS_BS, **far, **arguments)
    expected = math.fsum(
        share * fmean(fmean(sp(-lead) for lead in partners) for partners in leads(kind, mask=mask))
        for kind, share in kinds.items()
    )
    assert abs(mean - expected) < 5 * error


@pytest.mark.parametrize("weights", ["uniform", "warp"])
def test_what_each_kind_of_pairs_cannot_see(weights):
    """Exact numbers, so that not a bit may change."""
    x, far = (X_BS * 8).round() / 8, (FAR_KS * 8).round() / 8
    per_species, per_row = torch.tensor([4.0, -2.0, 0.5]), torch.tensor([[1.0], [-8.0], [0.25]])

    def ranked(x, far, **arguments):
        generator = torch.Generator().manual_seed(0)
        return pairwise_ranking(x, TARGETS_BS, far, n_pairs=3, weights=weights, generator=generator, **arguments).item()

    for sites in ("background", "both"):
        assert ranked(x, far, sites=sites) == ranked(x + per_species, far + per_species, sites=sites)
    assert ranked(x, None) == ranked(x + per_species, None) != ranked(x + per_row, None)
    community = {"pairs": "community"}
    assert ranked(x, None, **community) == ranked(x + per_row, None, **community)
    assert ranked(x, None, **community) != ranked(x + per_species, None, **community)


@pytest.mark.usefixtures("way")
def test_a_record_without_a_partner_is_left_out_of_the_mean():
    targets = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]])  # species 0 is in every row, row 2 has every species
    spatial = pairwise_ranking(X_BS, targets, n_pairs=50)
    partners = [[(0, 1), (1, 1)], [(2, 1), (1, 1)], [(2, 2), (0, 2), (1, 2)]]
    possible = [sp(X_BS[j, s].item() - X_BS[i, s].item()) for (i, s), *others in partners for j, s in others]
    low = (possible[0] + possible[1] + min(possible[2:])) / 3
    high = (possible[0] + possible[1] + max(possible[2:])) / 3
    assert low - 1e-12 <= spatial.item() <= high + 1e-12
    community = pairwise_ranking(X_BS[2:], targets[2:], pairs="community")
    assert community.item() == 0
    masked = {"background_KS": FAR_KS, "background_mask_KS": torch.tensor([[False, True, False]] * 2)}
    one = pairwise_ranking(X_BS[:1], targets[:1], sites="background", n_pairs=40, **masked).item()
    costs = [sp(FAR_KS[k, 1].item() - X_BS[0, 1].item()) for k in range(K)]
    assert min(costs) - 1e-12 <= one <= max(costs) + 1e-12


@pytest.mark.parametrize("x", LOGITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weights", ["uniform", "warp"])
def test_value_and_slope_of_a_pair_at_any_logit(weights, dtype, x):
    logits = torch.tensor([[x], [0.0]], dtype=dtype, requires_grad=True)
    loss = pairwise_ranking(logits, torch.tensor([[1], [0]]), weights=weights)
    (slope,) = torch.autograd.grad(loss, logits)
    with mpmath.workdps(60 + int(min(abs(x), 800))):
        z = mpmath.mpf(logits[0, 0].item())
        counts = weights == "uniform" or z < 1
        value, q = mpmath.log1p(mpmath.exp(-z)), 1 / (1 + mpmath.exp(z))
        expected = [float(counts * part) for part in (value, -q, q)]
    tiny = torch.finfo(dtype).tiny
    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    for mine, theirs in zip([loss.item(), *slope.flatten().tolist()], expected, strict=True):
        assert abs(mine - theirs) <= max(abs(theirs) * tolerance, tiny)


@pytest.mark.usefixtures("way")
def test_nan_at_a_record_or_at_its_only_partner_reaches_the_result():
    for place in ((0, 0), (1, 0)):
        for weights in ("uniform", "warp"):
            x = torch.zeros(2, 1)
            x[place] = math.nan
            assert pairwise_ranking(x, torch.tensor([[1], [0]]), weights=weights).isnan()


def test_the_pipelines_loss_is_the_public_one_at_the_same_seed():
    raw = {"loss": "ranking", "pairs": "both", "sites": "both", "n_pairs": 3, "weights": "warp"}
    loss = parse_variant(raw, "v").build(TrainingCounts(B, TARGETS_BS.sum(dim=0).double()))
    batch = LossBatch(
        X_BS, *TARGETS_BS.nonzero(as_tuple=True), torch.Generator().manual_seed(5), FAR_KS, MASK_KS, distinct=True
    )
    arguments = {name: value for name, value in raw.items() if name != "loss"}
    public = pairwise_ranking(
        X_BS,
        TARGETS_BS,
        FAR_KS,
        background_mask_KS=MASK_KS,
        generator=torch.Generator().manual_seed(5),
        **arguments,
    )
    assert loss(batch).item() == public.item()


@pytest.mark.parametrize("pairs", ["spatial", "community", "both"])
def test_at_the_balance_no_species_has_a_slope(pairs):
    """One record per row: the slopes of many draws, against their spread."""
    records_S = torch.tensor([30, 12, 6, 2])
    species_P = torch.arange(4).repeat_interleave(records_S)
    settings = parse_variant({"loss": "ranking", "pairs": pairs, "n_pairs": 400}, "v")
    counts = TrainingCounts(50, records_S.double())
    x_S = settings.balance(counts).requires_grad_()
    loss = settings.build(counts)
    slopes = []
    for seed in range(8):
        batch = LossBatch(x_S.expand(50, 4), torch.arange(50), species_P, torch.Generator().manual_seed(seed))
        slopes.append(torch.autograd.grad(loss(batch), x_S)[0])
    slopes = torch.stack(slopes)
    assert (slopes.mean(dim=0).abs() <= 5 * slopes.std(dim=0) / 8**0.5 + 1e-15).all()
    assert (pairs == "spatial") == bool(x_S.eq(0).all())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pairs": "all"}, ValueError, "unknown pairs 'all'; known: spatial, community, both"),
        ({"sites": "rows"}, ValueError, "unknown sites 'rows'; known: batch, background, both"),
        ({"weights": "rank"}, ValueError, "unknown weights 'rank'; known: uniform, warp"),
        ({"n_pairs": 0}, ValueError, "n_pairs = 0: must be >= 1"),
        ({"n_pairs": 1.0}, TypeError, r"n_pairs = 1\.0: must be an int, not float"),
        (
            {"sites": "both"},
            ValueError,
            "background_KS is missing: must be given with pairs = 'spatial' and sites = 'b",
        ),
        ({"background_KS": FAR_KS}, ValueError, "background_KS is given: must be None with pairs = 'spatial' and sit"),
        (
            {"background_KS": FAR_KS, "pairs": "community", "sites": "both"},
            ValueError,
            "background_KS is given: must be None with pairs = 'community' and sites = 'both'",
        ),
        ({"targets_BS": TARGETS_BS[:2]}, ValueError, r"targets_BS has shape \(2, 3\): must equal"),
        ({"targets_BS": TARGETS_BS + 1}, ValueError, "targets_BS hold 2: must be exactly 0 or 1"),
    ],
)
def test_wrong_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        pairwise_ranking(X_BS, **{"targets_BS": TARGETS_BS} | changes)


def test_wrong_settings():
    with pytest.raises(SettingsError, match=r"v\.n_pairs = 0: must be greater than or equal to 1"):
        parse_variant({"loss": "ranking", "n_pairs": 0}, "v")
    with pytest.raises(SettingsError, match=r"v\.pairs = 'all': must be one of 'spatial', 'community' or 'both'"):
        parse_variant({"loss": "ranking", "pairs": "all"}, "v")
    one = TrainingCounts(10, torch.ones(1))
    parse_variant({"loss": "ranking"}, "v").build(one)
    with pytest.raises(ValueError, match="loss 'ranking' with 1 species: pairs = 'both' needs at least 2 species"):
        parse_variant({"loss": "ranking", "pairs": "both"}, "v").build(one)
