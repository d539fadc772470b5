"""Write code.yaml: the code and the settings that every stage of a study uses, so that DVC reruns what an edit changes.

``dvc.yaml`` names an entry of code.yaml where it would name source files. The stage runs each time and imports
nothing of what it looks at, so that it costs a fraction of a second. Once after every change of a setting it checks
all of params.yaml, which takes as long as importing torch, so that a mistake is told before anything runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import content_hash, write_stream
from presence_only.common.errors import DataError, SettingsError
from presence_only.common.temporary_names import remove_leftovers
from presence_only.common.yaml_files import read_yaml
from presence_only.pipeline.command import run_stage
from presence_only.pipeline.fingerprint import Choice, Fingerprints
from presence_only.study.inheritance import inherit
from presence_only.study.paths import CODE

PACKAGE = Path(__file__).parents[1]
PARAMS = Path("params.yaml")
# Folders of a study in which nobody but this package writes.
FOLDERS = ("data", "runs", "timing", "results", "searches")
# Tables of which a stage uses the entries that its settings name.
DATASETS, LOSSES = "presence_only.datasets:KINDS", "presence_only.losses.registry:LOSSES"
PENALTIES = "presence_only.losses.registry:PENALTIES"
EXPANSIONS = "presence_only.model.settings:EXPANSIONS"
NONE: Choice = {DATASETS: (), LOSSES: (), EXPANSIONS: ()}
# Definitions that cannot change a result, so that an edit of them reruns nothing, and why they cannot. None of them
# hands a number to what is computed; `main` of every command, which calls them, counts.
LEFT_OUT = {
    "presence_only.common.memory:check_memory": "refuses what the machine has no room for",
    "presence_only.common.quoting:one_sentence": "words an error that ends the stage",
    "presence_only.common.quoting:quoted": "words an error that ends the stage",
    "presence_only.common.settings:_sentence": "words an error that ends the stage",
    "presence_only.common.system_errors:system_error": "words an error that ends the stage",
    "presence_only.common.stored_files:reading": "words an error that ends the stage",
    "presence_only.pipeline.command:importing": "imports faster",
    "presence_only.pipeline.command:parse_arguments": "reads names, which the command in dvc.yaml holds",
    "presence_only.pipeline.command:run_stage": "calls main and words its errors",
    "presence_only.common.temporary_names:remove_leftovers_once": "removes what killed processes left",
    "presence_only.common.temporary_names:temporary_name": "names files that get another name once they are whole",
    "presence_only.execution.task:Task": "hands over what a task is given, unchanged",
    "presence_only.pipeline.progress:words_of_evaluation": "words of the progress display",
    "presence_only.pipeline.progress:words_of_training": "words of the progress display",
    "presence_only.pipeline.together:run_together": "tells tasks which processes train together, and returns what they "
    "returned, which tests/pipeline/test_together.py checks",
    "presence_only.pipeline.workers:run_side_by_side": "runs every task and returns what the tasks returned, "
    "which tests/pipeline/test_workers.py checks; the task sets the number of threads",
    "presence_only.study.checksums:check_unaltered": "refuses what was altered, and returns nothing",
    "presence_only.study.checksums:note_made": "notes checksums, which only decide whether a stage goes on",
    "presence_only.reporting.console:leaderboard": "prints",
    "presence_only.reporting.console:leaderboard_across": "prints",
    "presence_only.reporting.console:print_summary": "prints",
}


def main() -> None:
    """Write the entries of the study in this folder, or of the scripts named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", nargs="+", type=Path, help="scripts to write an entry each of")
    parser.add_argument("--files", nargs="+", help="with --scripts: files, or patterns of files, to hash beside them")
    parser.add_argument("--out", type=Path, default=CODE, help="the file to write, by default %(default)s")
    parser.add_argument("--unchecked", action="store_true", help="do not check params.yaml")
    arguments = parser.parse_args()
    from ruamel.yaml import YAML

    fingerprints = Fingerprints(PACKAGE, LEFT_OUT)
    if arguments.scripts:
        content = of_scripts(fingerprints, arguments.scripts) | of_files(arguments.files or [])
    else:
        # Here, as this stage alone runs each time, whatever a killed one was about to write.
        for folder in FOLDERS:
            remove_leftovers(Path(folder), deep=True, older_names=True)
        settings = read_settings(PARAMS)
        content = of_study(fingerprints, settings)
        content["checked"] = _digest(settings, content["code"]["settings"])
        if not arguments.unchecked and _checked(arguments.out) != content["checked"]:
            _check(PARAMS)
    writer = YAML(typ="safe")
    writer.default_flow_style = False
    with write_stream(arguments.out) as stream:
        writer.dump(content, stream)


def _digest(settings: Mapping[str, Any], code: str) -> str:
    """A hash of all settings, and of the code that checks them."""
    text = json.dumps([settings, code], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _checked(out: Path) -> Any:
    """The hash that stands in the file of the last time; None if there is none, or no such file."""
    try:
        found = read_yaml(out)
    except SettingsError:
        return None
    return found.get("checked") if isinstance(found, dict) else None


def read_settings(path: Path) -> dict[str, Any]:
    """The settings as they are written, with what entries take over from each other.

    Raises:
        SettingsError: If something is wrong with what the study names.
    """
    raw = read_yaml(path)
    try:
        settings = {**raw, **{group: inherit(raw[group], group) for group in ("datasets", "variants")}}
        for name in settings["study"]["datasets"]:
            settings["datasets"][name]["kind"]
        for name in settings["study"]["variants"]:
            list(_losses(settings["variants"][name]))
    except (LookupError, TypeError, AttributeError):
        _check(path)
        raise
    return settings


def of_study(fingerprints: Fingerprints, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a study: its settings by group, and the code by stage."""
    study = settings["study"]
    try:
        datasets = {name: settings["datasets"][name] for name in study["datasets"]}
        variants = {name: settings["variants"][name] for name in study["variants"]}
        kinds = sorted({dataset["kind"] for dataset in datasets.values()})
        pairs = [pair for variant in variants.values() for pair in _losses(variant)]
        losses, penalties = sorted({loss for loss, _ in pairs}), sorted({penalty for _, penalty in pairs})
        code: dict[str, Any] = {
            "generate": {
                name: fingerprints.of(_stage("generate"), {**NONE, DATASETS: [dataset["kind"]]})
                for name, dataset in datasets.items()
            },
            "train": {
                name: fingerprints.of(_stage("train"), _training(variant, settings))
                for name, variant in variants.items()
            },
        }
        expansions = sorted({name for variant in variants.values() for name in _expansions(variant, settings)})
        code["evaluate"] = fingerprints.of(_stage("evaluate"), {**NONE, EXPANSIONS: expansions})
        choice = {DATASETS: kinds, LOSSES: losses, PENALTIES: penalties, EXPANSIONS: expansions}
        code["settings"] = fingerprints.of(_stage("settings"), choice)
    except (TypeError, ValueError, LookupError, AttributeError):
        # A kind, a loss, a penalty or an expansion that does not exist, or is no name at all.
        _check(PARAMS)
        raise
    others = ("compare", "figures", "report", "publish")
    code |= {stage: fingerprints.of(_stage(stage), NONE) for stage in others}
    # DVC refuses to depend on a group of settings that is not in its file.
    groups = {group: settings.get(group) or {} for group in ("encoder", "training")}
    return {"code": code, "settings": {"datasets": datasets, **groups, "variants": variants}}


def of_trials(fingerprints: Fingerprints, variants: Iterable[Mapping[str, Any]], encoder: Mapping[str, Any]) -> str:
    """The fingerprint of the trials of a search.

    Args:
        fingerprints: Of the package.
        variants: What is tried, as params.yaml would have it: all losses, penalties and expansions occur.
        encoder: The study's settings of the encoder.
    """
    choices = [_training(variant, {"encoder": encoder}) for variant in variants]
    choice = {table: sorted({name for one in choices for name in one[table]}) for table in choices[0]}
    return fingerprints.of("presence_only.search.objective", choice, ["run_trial"])


def of_scripts(fingerprints: Fingerprints, scripts: Sequence[Path]) -> dict[str, Any]:
    """Entries of scripts, by their names without folder and ending."""
    return {"code": {script.stem: fingerprints.of(fingerprints.add_script(script)) for script in scripts}}


def of_files(patterns: Sequence[str]) -> dict[str, Any]:
    """Hashes of committed files.

    A stage that depends on a file itself has DVC bring it up to date first, which means to run the study that made
    it. Depending on its hash, the stage takes the file as it is.

    Raises:
        DataError: If there is no file of some pattern.
    """
    hashes: dict[str, str] = {}
    for pattern in patterns:
        found = sorted(Path().glob(pattern))
        if not found:
            raise DataError(f"--files {pattern}: there is no such file in {Path.cwd()}")
        hashes |= {path.as_posix(): content_hash(path) for path in found}
    return {"files": hashes} if hashes else {}


def _training(variant: Mapping[str, Any], settings: Mapping[str, Any]) -> Choice:
    """The losses, penalties and expansions that a variant, or one of its members, is trained by."""
    pairs = list(_losses(variant))
    return {
        **NONE,
        LOSSES: sorted({loss for loss, _ in pairs}),
        PENALTIES: sorted({penalty for _, penalty in pairs}),
        EXPANSIONS: sorted(set(_expansions(variant, settings))),
    }


def _losses(variant: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Loss and penalty of a variant and of all its members."""
    yield variant["loss"], variant.get("penalty", "bce")
    for member in variant.get("members", ()):
        yield from _losses({**{k: v for k, v in variant.items() if k != "members"}, **member})


def _expansions(variant: Mapping[str, Any], outer: Mapping[str, Any]) -> Iterator[str]:
    """Expansion of a variant and of all its members; ``outer`` has the encoder that the variant changes."""
    encoder = {"expansion": "none", **(outer.get("encoder") or {}), **variant.get("encoder", {})}
    yield encoder["expansion"]
    for member in variant.get("members", ()):
        yield from _expansions(member, {"encoder": encoder})


def _stage(name: str) -> str:
    return f"presence_only.pipeline.{name}"


def _check(path: Path) -> None:
    """Raise the sentence that says what is wrong with the settings."""
    # Not at the top: checking settings imports torch, which takes seconds.
    from presence_only.search.space import check_search
    from presence_only.study.params import Tree, load_params

    load_params(path)
    check_search(Tree.parse(read_yaml(path), ""))


if __name__ == "__main__":
    run_stage(main)
