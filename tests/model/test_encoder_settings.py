import subprocess
import sys

import pytest

from presence_only.common.settings import SettingsError
from presence_only.model.settings import EncoderSettings


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"input": "all"}, "encoder.input = 'all': must be one of 'coordinates', 'covariates' or 'both'"),
        ({"coordinates": "flat"}, "encoder.coordinates = 'flat': must be one of 'sphere' or 'local'"),
        (
            {"coordinates": "local", "input": "covariates"},
            "encoder: must be settings with coordinates 'sphere', the default, if input is 'covariates', which reads "
            "none; coordinates is 'local'",
        ),
        ({"expansion": "ranks"}, "encoder.expansion = 'ranks': must be one of "),
        (
            {"expansion": "rank"},
            "encoder: must be settings with input 'covariates' or 'both' if expansion is 'rank', which does "
            "nothing without covariates; input is 'coordinates'",
        ),
        ({"dropout": 1.0}, "encoder.dropout = 1.0: must be less than 1"),
        ({"width": 0}, "encoder.width = 0: must be greater than or equal to 1"),
        (
            {"kind": "additive", "input_dropout": 0.1},
            "encoder: must be settings with input_dropout 0 if kind is 'additive'; it is 0.1",
        ),
        (
            {"kind": "additive", "head_scale": 0.1},
            "encoder: must be settings with head_scale 1 if kind is 'additive', whose weights start at 0; it is 0.1",
        ),
        ({"head_scale": -1.0}, "encoder.head_scale = -1.0: must be greater than or equal to 0"),
        (
            {"week": "film", "kind": "additive"},
            "encoder: must be settings with kind 'residual' and depth 1 or more if week is 'film', which acts on "
            "blocks; kind is 'additive', depth 2",
        ),
        ({"week": "film", "depth": 0}, "kind is 'residual', depth 0"),
        ({"habitat_head": True}, "encoder: must be settings with environment_head: true, from which the habitat"),
    ],
)
def test_a_mistake_is_one_sentence(raw, sentence):
    with pytest.raises(SettingsError) as caught:
        EncoderSettings.parse(raw, "encoder")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reading_them_takes_no_torch():
    program = (
        "import sys; from presence_only.model.settings import EncoderSettings; "
        "EncoderSettings.parse({'input': 'both', 'expansion': 'rank'}, 'encoder'); "
        "print(sorted({'torch', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
