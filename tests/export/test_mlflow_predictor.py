"""The predictor inside an MLflow model: weeks, years, chunks and wrong tables, on the graph as torch computes it."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from support import tiny

from presence_only.export import mlflow_predictor
from presence_only.export.graph import RunGraph
from presence_only.export.interface import Interface
from presence_only.export.mlflow_predictor import WEEKS_OF_A_YEAR, RangeModel
from presence_only.model import interface as model_interface

DATA = tiny.dataset()
NAMES = DATA.training.records.covariate_names
SITES, COVARIATES = DATA.survey.sites_M2.astype(np.float32), DATA.survey.covariates_MC


class Session:
    """onnxruntime's session, computed by torch."""

    def __init__(self, graph):
        self.graph = graph.eval()

    def run(self, names, feeds):
        with torch.no_grad():
            found = self.graph(*(torch.tensor(feeds[name]) for name in self.graph.reads.inputs))
        return [dict(zip(self.graph.outputs, found, strict=True))[name].numpy() for name in names]


def predictor(models):
    graph = RunGraph(models)
    made = RangeModel()
    made.session, made.species = Session(graph), list(DATA.training.records.species)
    made.interface = Interface(graph.reads.inputs, graph.outputs, NAMES, 5).content()
    return made


def table(**columns):
    return pd.DataFrame({"longitude": SITES[:, 0], "latitude": SITES[:, 1], **columns})


def with_covariates(**columns):
    return table(**dict(zip(NAMES, COVARIATES.T, strict=True)), **columns)


WEEK = np.resize(np.arange(1, 49), len(SITES))


@pytest.fixture(scope="module")
def models():
    return [tiny.model(DATA, seed=seed, weeks=True) for seed in (0, 1)]


def test_a_week_is_that_of_the_row_and_rows_may_come_in_chunks(models, monkeypatch):
    monkeypatch.setattr(mlflow_predictor, "CHUNK", 7)
    expected = [m.predict(SITES.astype(float), COVARIATES, WEEK).astype(float) for m in models]
    found = predictor(models).predict(None, with_covariates(week=WEEK))
    np.testing.assert_allclose(found, np.mean([expit(x) for x in expected], axis=0), atol=2e-6)
    spread = predictor(models).predict(None, with_covariates(week=WEEK), {"output": "spread"})
    np.testing.assert_allclose(spread, np.std([expit(x) for x in expected], axis=0, ddof=1), atol=2e-6)


def test_without_a_week_presence_is_averaged_over_the_year(models):
    assert WEEKS_OF_A_YEAR == model_interface.WEEKS_OF_A_YEAR
    year = [m.scores(SITES.astype(float), COVARIATES).columns(slice(None)).astype(float) for m in models]
    mean = np.mean([expit(x) for x in year], axis=0)
    made = predictor(models)
    np.testing.assert_allclose(made.predict(None, with_covariates()), mean, atol=2e-6)
    logits = made.predict(None, with_covariates(), {"output": "logits"})
    np.testing.assert_allclose(logits, np.log(mean / (1 - mean)), atol=1e-5)
    with pytest.raises(ValueError, match="output = 'spread': needs a column week"):
        made.predict(None, with_covariates(), {"output": "spread"})


@pytest.mark.parametrize(("week", "shown"), [(0, "0"), (49, "49"), (2.5, "2.5"), (np.nan, "nan")])
def test_a_week_that_is_none_is_refused(models, week, shown):
    weeks = WEEK.astype(float)
    weeks[4] = week
    with pytest.raises(ValueError, match=f"week {shown} in row 4: must be a whole number within 1..48"):
        predictor(models).predict(None, with_covariates(week=weeks))


def test_a_missing_column_is_named(models):
    with pytest.raises(ValueError, match=r"column 'covariate_1 \(m\)' is missing; the model needs 'longitude', 'lat"):
        predictor(models).predict(None, with_covariates(week=WEEK).drop(columns=NAMES[1]))
    with pytest.raises(ValueError, match="column 'latitude' is missing"):
        predictor(models).predict(None, with_covariates(week=WEEK).drop(columns="latitude"))


def test_no_rows_give_no_rows(models):
    found = predictor(models).predict(None, with_covariates(week=WEEK).iloc[:0])
    assert found.shape == (0, 5)


def test_columns_of_covariates_never_clash():
    made = Interface(("longitude", "latitude", "covariates", "week"), ("logits",), ("week", "rain", "longitude"), 1)
    assert made.table_columns == ("longitude", "latitude", "covariate: week", "rain", "covariate: longitude", "week")
