"""The scripts of the NCEAS study's baselines import the modules beside them, and so do their tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "experiments/nceas/baselines"))
