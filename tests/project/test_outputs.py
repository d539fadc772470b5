"""Which outputs of the pipelines are in git, and which in DVC's cache: each is in one of the two."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PIPELINES = [ROOT / "dvc.yaml", ROOT / "notebooks/dvc.yaml", *sorted(ROOT.glob("experiments/**/dvc.yaml"))]


def outputs(pipeline):
    """Path below the root of a file of every output, and whether DVC's cache holds it."""
    found = {}
    for stage in YAML(typ="safe").load(pipeline)["stages"].values():
        # What is made anew at every run is in neither.
        if stage.get("always_changed"):
            continue
        folder = (pipeline.parent / stage.get("wdir", ".")).resolve()
        for output in [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]:
            ((path, options),) = output.items() if isinstance(output, dict) else [(output, {})]
            # Any data set and any variant; and any file below a folder.
            path = Path(re.sub(r"\$\{item\.\w+\}", "any", path))
            file = folder / (path if path.suffix else path / "species_map_any.png")
            others = [] if path.suffix else [folder / path / name for name in ("other.png", "below/encoder.pt")]
            found |= dict.fromkeys((each.relative_to(ROOT) for each in (file, *others)), options.get("cache", True))
    return found


@pytest.fixture(scope="module")
def ignores(tmp_path_factory):
    """Whether git would ignore a file, by the one .gitignore at the root; a source archive has no repository."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copy(ROOT / ".gitignore", folder)
    subprocess.run(["git", "init", "-q", folder], check=True)

    def ignores(path):
        done = subprocess.run(["git", "check-ignore", "-q", path.as_posix()], cwd=folder, check=False)
        assert done.returncode in (0, 1)
        return done.returncode == 0

    return ignores


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.relative_to(ROOT).parent.as_posix())
def test_an_output_is_in_git_as_a_whole_or_in_the_cache_as_a_whole(pipeline, ignores):
    """Of a folder that git holds in part, DVC finds in every fresh clone that it was changed."""
    found = outputs(pipeline)
    assert len(found) >= 2
    assert {path: ignores(path) for path in found} == found


def test_there_is_one_file_that_says_what_git_ignores():
    listed = subprocess.run(
        ["git", "ls-files", "*.gitignore", ".gitignore"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("no git repository")
    assert listed.stdout.split() == [".dvc/.gitignore", ".gitignore"]
