"""What holds for every expansion of the table."""

import re
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from support import tiny

from presence_only.common.errors import DataError
from presence_only.common.registry import resolve
from presence_only.model.expansions.base import Expansion
from presence_only.model.features import Features
from presence_only.model.settings import EXPANSIONS, NEED_COVARIATES, EncoderSettings

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"
INPUTS = ("coordinates", "covariates", "both")
CASES = [
    (name, read) for name in EXPANSIONS for read in INPUTS if not (name in NEED_COVARIATES and read == "coordinates")
]


def odd_data():
    """Values of any size, an unknown one, a class, and a constant."""
    data = tiny.dataset(covariates=4)
    for covariates in (data.training.records.covariates_NC, data.training.background.covariates_KC):
        covariates[:, 0] = covariates[:, 0] * 1e6 - 3e6
        covariates[::7, 1] = np.nan
        covariates[:, 2] = np.arange(len(covariates)) % 2
        covariates[:, 3] = -5.0
    return data


@pytest.mark.parametrize("name", EXPANSIONS)
def test_every_line_of_the_table_names_a_class(name):
    found = resolve(EXPANSIONS[name])
    assert issubclass(found, Expansion)
    assert found.__doc__


@pytest.mark.parametrize(("name", "read"), CASES)
def test_features_are_finite_and_of_the_size_that_they_say(name, read):
    data, settings = odd_data(), EncoderSettings(input=read, expansion=name)
    records = data.training.records
    features = Features(settings, 4).fit(data.training)
    far = np.array([[np.nan] * 4, [1e12] * 4, [-1e12] * 4], np.float32)
    for sites, covariates in ((records.sites_N2, records.covariates_NC), (records.sites_N2[:3], far)):
        before = covariates.copy()
        out = features(sites, covariates)
        assert out.shape == (len(sites), features.size)
        assert torch.isfinite(out).all()
        np.testing.assert_array_equal(covariates, before)
    assert features.expansion(features._columns(records.sites_N2, records.covariates_NC)).dtype == np.float64


@pytest.mark.parametrize(("name", "read"), CASES)
def test_all_that_was_measured_is_in_the_buffers(name, read):
    """A model's file holds the buffers, and nothing else of what was seen while fitting."""
    data, settings = odd_data(), EncoderSettings(input=read, expansion=name)
    fitted, loaded = Features(settings, 4).fit(data.training), Features(settings, 4)
    loaded.load_state_dict(fitted.state_dict())
    given = data.survey.sites_M2, data.survey.covariates_MC
    assert torch.equal(loaded(*given), fitted(*given))


@pytest.mark.parametrize(("name", "read"), CASES)
def test_a_site_is_looked_at_alone(name, read):
    data, settings = odd_data(), EncoderSettings(input=read, expansion=name)
    features = Features(settings, 4).fit(data.training)
    sites, covariates = data.survey.sites_M2, data.survey.covariates_MC
    assert torch.equal(features(sites, covariates)[5:6], features(sites[5:6], covariates[5:6]))


def test_the_expansion_of_the_contributing_guide_is_one(monkeypatch):
    """Its class and its line are all that there is to write."""
    (source,) = re.findall(r"```python\n( *\"\"\"The expansion `bands`.*?)```", GUIDE.read_text(), re.DOTALL)
    module = ModuleType("bands")
    exec(textwrap.dedent(source), module.__dict__)
    monkeypatch.setitem(sys.modules, "bands", module)
    monkeypatch.setitem(EXPANSIONS, "bands", "bands:Bands")
    data = tiny.dataset()
    names = ("elevation (m)", "rain (mm)")
    records = replace(data.training.records, covariate_names=names)
    records.covariates_NC[:, 0] = np.linspace(-100, 3000, records.n_rows)
    data = replace(
        data, training=replace(data.training, records=records), survey=replace(data.survey, covariate_names=names)
    )
    model = tiny.model(data, expansion="bands")
    x = model.features(records.sites_N2, records.covariates_NC).numpy()
    assert x.shape == (60, model.features.size) == (60, 4 + 2 + 4)
    above = np.searchsorted([200, 500, 1000, 2000], records.covariates_NC[:, 0])
    np.testing.assert_array_equal(x[:, -4:].sum(axis=1), above)
    assert set(above) == {0, 1, 2, 3, 4}
    assert not model.features(np.zeros((1, 2)), np.full((1, 2), np.nan)).numpy()[0, -4:].any()
    with pytest.raises(DataError, match=r"the data set has no covariate 'elevation \(m\)'"):
        tiny.model(tiny.dataset(), expansion="bands")
