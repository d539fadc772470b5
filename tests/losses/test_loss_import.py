"""What ``import presence_only.losses`` loads: the losses are of use without the rest of the package."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import torch, numpy, pydantic
before = set(sys.modules)
import presence_only.losses
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_it_loads_torch_numpy_pydantic_and_nothing_else():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    roots = {name.split(".")[0] for name in loaded if not name.startswith("_sysconfigdata")}
    # annotated_types is pydantic's own.
    assert roots - set(sys.stdlib_module_names) <= {"presence_only", "pydantic", "annotated_types"}
    own = {name for name in loaded if name.startswith("presence_only.")}
    assert {name.split(".")[1] for name in own} == {"common", "losses"}
    # Parts of torch that it does not load by itself are slow to import.
    assert not [name for name in loaded if name.startswith(("torch.", "numpy."))]
