"""Write code.yaml: which code every stage of a study really uses, so that DVC reruns what an edit changes and no more.

``dvc.yaml`` names an entry of code.yaml where it would name source files. The stage runs each time and imports
nothing of what it looks at, so that it costs a fraction of a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from presence_only.files import write_whole
from presence_only.fingerprint import Choice, Fingerprints
from presence_only.stages._cell import run_stage

CODE = Path("code.yaml")
PACKAGE = Path(__file__).parents[1]
# Tables of which a stage uses the entries that its settings name.
DATASETS, LOSSES = "presence_only.datasets:KINDS", "presence_only.losses.registry:LOSSES"
PENALTIES = "presence_only.losses.elementwise:PENALTIES"
NONE: Choice = {DATASETS: (), LOSSES: ()}


def main() -> None:
    """Write the entries of the study in this folder, or of the scripts named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", nargs="+", type=Path, help="scripts to write an entry each of")
    parser.add_argument("--out", type=Path, default=CODE, help="the file to write, by default %(default)s")
    arguments = parser.parse_args()
    fingerprints = Fingerprints(PACKAGE)
    if arguments.scripts:
        content = of_scripts(fingerprints, arguments.scripts)
    else:
        content = of_study(fingerprints, read_settings(Path("params.yaml")))
    with write_whole(arguments.out) as temporary:
        YAML(typ="safe").dump(content, temporary)


def read_settings(path: Path) -> Mapping[str, Any]:
    """The settings as they are written, after a check of the whole where they are not as expected."""
    try:
        settings: Mapping[str, Any] = YAML(typ="safe").load(path)
        study = settings["study"]
        for name in study["datasets"]:
            settings["datasets"][name]["kind"]
        for name in study["variants"]:
            list(_losses(settings["variants"][name]))
    except (OSError, YAMLError, LookupError, TypeError, AttributeError):
        _check(path)
        raise
    return settings


def of_study(fingerprints: Fingerprints, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a study: the code by stage, and the settings that a file may leave out."""
    datasets, variants = settings["datasets"], settings["variants"]
    study = settings["study"]
    losses = sorted({loss for name in study["variants"] for loss, _ in _losses(variants[name])})
    kinds = sorted({datasets[name]["kind"] for name in study["datasets"]})
    try:
        return {
            # DVC refuses to depend on a group of settings that is not in the file.
            "encoder": settings.get("encoder") or {},
            "training": settings.get("training") or {},
            "generate": {
                name: fingerprints.of(_stage("generate"), {**NONE, DATASETS: [datasets[name]["kind"]]})
                for name in study["datasets"]
            },
            "train": {name: fingerprints.of(_stage("train"), _training(variants[name])) for name in study["variants"]},
            "evaluate": fingerprints.of(_stage("evaluate"), NONE),
            "compare": fingerprints.of(_stage("compare"), NONE),
            "figures": fingerprints.of(_stage("figures"), NONE),
            "report": fingerprints.of(_stage("report"), {DATASETS: kinds, LOSSES: losses}),
        }
    except ValueError:
        # A kind or a loss that does not exist.
        _check(Path("params.yaml"))
        raise


def of_scripts(fingerprints: Fingerprints, scripts: Sequence[Path]) -> dict[str, Any]:
    """Entries of scripts, by their names without folder and ending."""
    return {script.stem: fingerprints.of(fingerprints.add_script(script)) for script in scripts}


def _training(variant: Mapping[str, Any]) -> Choice:
    """The losses and penalties that a variant, or one of its members, is trained by."""
    pairs = list(_losses(variant))
    return {**NONE, LOSSES: sorted({loss for loss, _ in pairs}), PENALTIES: sorted({penalty for _, penalty in pairs})}


def _losses(variant: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Loss and penalty of a variant and of all its members."""
    yield variant["loss"], variant.get("penalty", "bce")
    for member in variant.get("members", ()):
        yield from _losses({**{k: v for k, v in variant.items() if k != "members"}, **member})


def _stage(name: str) -> str:
    return f"presence_only.stages.{name}"


def _check(path: Path) -> None:
    """Raise the sentence that says what is wrong with the settings."""
    # Not at the top: checking settings imports torch, which takes seconds.
    from presence_only.params import load_params

    load_params(path)


if __name__ == "__main__":
    run_stage(main)
