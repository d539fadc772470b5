"""What data sets hand over for further evaluations: wrong arrays are one sentence."""

import numpy as np
import pytest

from presence_only.common.errors import DataError
from presence_only.data.geo_feature import GeoFeatureLayers
from presence_only.data.geo_prior import GeoPriorImages

IMAGES = {
    "sites_M2": np.zeros((2, 2)),
    "covariates_MC": np.zeros((2, 0)),
    "candidates_MK": np.array([[0, 1], [1, 0]]),
    "probabilities_MK": np.array([[0.1, 0.9], [0.5, 0.5]]),
    "label_M": np.array([0, 1]),
    "classes": ("wren", "owl"),
}
LAYERS = {
    "sites_P2": np.zeros((44, 2)),
    "covariates_PC": np.zeros((44, 0)),
    "values_RP": np.ones((2, 44)),
    "test_P": np.arange(44) % 2 == 0,
    "names": ("elevation", "snow_cover"),
}
UNKNOWN = np.where(np.arange(44) < 6, np.nan, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates_MK": np.zeros((0, 2), dtype=int)}, r"candidates have shape \(0, 2\)"),
        ({"label_M": np.array([0])}, "images must agree"),
        ({"label_M": np.array([0, 2])}, r"the labels lie within 0\.\.2; the classifier's 2 classes are 0\.\.1"),
        ({"candidates_MK": np.array([[0, -1], [0, 1]])}, r"the candidates lie within -1\.\.1"),
        ({"probabilities_MK": np.array([[0.1, np.nan], [0, 1]])}, "not within 0..1"),
        ({"probabilities_MK": np.array([[0.9, 0.1], [0, 1]])}, "the last candidate of an image is not its most"),
        ({"candidates_MK": np.array([[1, 1], [0, 1]])}, "the same candidate twice"),
    ],
)
def test_wrong_images_are_refused(changes, message):
    assert GeoPriorImages(**IMAGES).kind == "geo_prior"
    with pytest.raises(DataError, match=message):
        GeoPriorImages(**(IMAGES | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": (), "values_RP": np.zeros((0, 44))}, "no layer to predict"),
        ({"names": ("elevation",)}, "pixels must agree"),
        ({"covariates_PC": np.zeros((43, 0))}, "pixels must agree"),
        ({"test_P": np.ones(44, dtype=bool)}, "known at 0 training and 44 test pixels; at least 20 and 2"),
        ({"test_P": np.zeros(44, dtype=bool)}, "and 0 test pixels"),
        ({"values_RP": np.stack([np.ones(44), UNKNOWN])}, "layer 'snow_cover' is known at 19 training and 19 test"),
    ],
)
def test_wrong_layers_are_refused(changes, message):
    assert GeoFeatureLayers(**LAYERS).kind == "geo_feature"
    with pytest.raises(DataError, match=message):
        GeoFeatureLayers(**(LAYERS | changes))
