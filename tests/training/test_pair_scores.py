import numpy as np
import pytest
import torch
from support import tiny

from presence_only.training.pair_scores import MARGINS, Probe


def test_a_probe_equals_a_double_loop_over_pairs():
    data = tiny.dataset(per_row=2)
    model = tiny.model(data)
    with torch.no_grad():
        model.species_head.weight.mul_(5)
    records = data.training.records
    x = model.features(records.sites_N2, records.covariates_NC)
    probe = Probe(x, torch.from_numpy(records.row_P), torch.from_numpy(records.species_P))
    model.train()
    measured = probe.measure(model)
    assert model.training
    p = 1 / (1 + np.exp(-model.predict(records.sites_N2, records.covariates_NC).astype(float)))
    observed, unobserved = [], []
    pairs = set(zip(records.row_P.tolist(), records.species_P.tolist(), strict=True))
    for row in range(len(p)):
        for species in range(5):
            (observed if (row, species) in pairs else unobserved).append(p[row, species])
    assert measured["observed_score"] == pytest.approx(np.mean(observed), abs=1e-6)
    assert measured["unobserved_score"] == pytest.approx(np.mean(unobserved), abs=1e-6)
    for margin in MARGINS:
        below = np.mean(np.array(unobserved) <= margin)
        assert measured[f"unobserved_below_{margin:g}"] == pytest.approx(below, abs=1e-6)
    assert 0 < measured["unobserved_below_0.2"] < 1


def test_a_probe_stays_small():
    assert Probe.size(10, 5) == 10
    assert Probe.size(10**6, 500) == 512
    assert Probe.size(10**6, 50_000) == 41
    assert Probe.size(10**6, 10**8) == 1
