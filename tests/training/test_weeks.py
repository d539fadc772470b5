"""Weeks from the records to the logits: two species at the same places, one in winter and one in summer."""

import numpy as np
import pytest

from presence_only.data.records import Background, PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.losses.base import parse_variant
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import fit
from presence_only.training.settings import TrainingSettings

WINTER, SUMMER = 2, 26


def seasonal(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    sites = np.column_stack([rng.uniform(-180, 180, rows), rng.uniform(-90, 90, rows)])
    species = np.arange(rows) % 2
    records = PresenceRecords(
        sites_N2=sites,
        covariates_NC=np.zeros((rows, 0), np.float32),
        row_P=np.arange(rows),
        species_P=species,
        species=("winter guest", "summer guest"),
        groups=("birds", "birds"),
        week_N=np.where(species == 0, WINTER, SUMMER) + rng.integers(-1, 2, rows),
    )
    return TrainingData(records, Background("uniform", sites, records.covariates_NC, week_K=records.week_N))


@pytest.mark.parametrize("week", ["features", "film"])
def test_an_encoder_learns_the_season(week):
    settings = TrainingSettings(steps=200, batch_size=100, learning_rate=0.01, background_batch_size=50)
    encoder = EncoderSettings(width=16, depth=1, dropout=0.0, week=week)
    loss = parse_variant({"loss": "an_full", "pos_lambda": 4.0}, "variants.x")
    data = seasonal()
    model, _ = fit(data, loss, encoder, settings, seed=0)
    sites = seasonal(rows=50, seed=1).records.sites_N2
    covariates = np.zeros((50, 0), np.float32)
    for at, present, absent in ((WINTER, 0, 1), (SUMMER, 1, 0)):
        logits = model.predict(sites, covariates, np.full(50, at))
        assert (logits[:, present] > logits[:, absent] + 1).all()
    # Over the whole year both are as suitable as each other.
    assert np.abs(np.diff(model.predict(sites, covariates), axis=1)).mean() < 1
