"""Files of a finished study that are cut, emptied, altered or gone: one sentence, or the very same results."""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from support.finished_study import COMMANDS, OUTPUTS, STAGES, FinishedStudy, bytes_of, one_sentence
from support.fork_server import ForkServer
from support.tiny_project import ENVIRONMENT
from support.torture import record_trials, trials

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forking is safe on Linux alone")

TIMING = "timing/virtual/bce.json"
# What each stage reads; folders stand for all of their files.
READS = {
    "train": ["data/virtual/training"],
    "evaluate": ["data/virtual", "runs/virtual/bce"],
    "compare": ["results/per_species", "results/per_site", "results/metrics"],
    "figures": ["data/virtual", "runs/virtual/bce", "results/comparison.csv", TIMING],
    "report": ["data/virtual", "results", TIMING],
    "publish": ["runs/virtual/bce", "results/metrics", "results/settings.yaml", TIMING],
    "show": ["results/comparison.csv", "results/across.csv", TIMING],
    "predict --at": ["data/virtual", "runs/virtual/bce"],
}
DAMAGES = ("cut", "emptied", "altered", "folder", "unreadable", "gone")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    with tempfile.TemporaryDirectory() as folder:
        server = ForkServer(Path(folder), ENVIRONMENT)
        yield FinishedStudy(tmp_path_factory.mktemp("damaged"), server.environment(ENVIRONMENT))
        server.stop()


def files_of(folder, reads):
    """Every file that a stage reads."""
    for name in reads:
        path = folder / name
        yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def damage(path, how, rng):
    """Damage a file."""
    whole = path.read_bytes()
    match how:
        case "cut":
            path.write_bytes(whole[: int(rng.integers(1, len(whole)))])
        case "emptied":
            path.write_bytes(b"")
        case "altered":
            place = int(rng.integers(len(whole)))
            path.write_bytes(whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :])
        case "gone":
            path.unlink()
        case "folder":
            path.unlink()
            path.mkdir()
        case "unreadable":
            # Root may read everything, and nobody a link to itself.
            path.unlink()
            path.symlink_to(path)


def left_out(file, how):
    """What the page does without: its former self, and curves and figures that are not there."""
    gone = how in ("gone", "unreadable") and {"curves", "figures", "more_figures"} & set(file.parts)
    return gone or file.name == "report.html"


def test_damaged_files_are_told_or_change_nothing(study):
    rng, fell, tried = np.random.default_rng(44), [], 0
    commands = STAGES | COMMANDS
    cases = [
        (stage, file.relative_to(study.project.folder), how)
        for stage, reads in READS.items()
        for file in files_of(study.project.folder, reads)
        for how in DAMAGES
        if stage != "report" or not left_out(file, how)
    ]
    order = rng.permutation(len(cases))
    folder, pristine = study.copy(), study.copy(study.copies / "pristine")
    for stage, file, how in [cases[place] for place in order[: trials(25, len(cases))]]:
        damage(folder / file, how, rng)
        tried += 1
        code, errors = study.run(folder, commands[stage])
        said, what = one_sentence(errors), f"{stage}, {file} {how}"
        if code == 0:
            # What a stage makes of other bytes would be other bytes; times of training are no result.
            outputs = [name for name in OUTPUTS.get(stage, ()) if name != "results/report.html" or str(file) != TIMING]
            if bytes_of(folder, outputs) != bytes_of(pristine, outputs):
                fell.append(f"{what}: other results")
        elif code != 1 or said is None:
            fell.append(f"{what}: exit code {code}, {errors[-300:]}")
        elif not any(str(part) in said for part in (file, *file.parents[:-2])):
            fell.append(f"{what}: does not name the file: {said}")
        elif "`" not in said:
            fell.append(f"{what}: does not say what makes it again: {said}")
        for name in {file.parts[0], "results", "runs", "data", "timing", ".checksums"}:
            shutil.rmtree(folder / name, ignore_errors=True)
            if (pristine / name).exists():
                shutil.copytree(pristine / name, folder / name)
    record_trials("damaged files of a study", tried, fell)


def test_an_altered_table_is_seen_with_and_without_dvc(study):
    """A digit that still parses is another number, and no stage takes it for a result."""
    table = "results/comparison.csv"
    for without in ("dvc.lock", ".checksums"):
        folder = study.copy()
        shutil.rmtree(folder / without) if (folder / without).is_dir() else (folder / without).unlink()
        text = (folder / table).read_text()
        (folder / table).write_text(text.replace("0.1", "0.2", 1))
        code, errors = study.run(folder, STAGES["figures"])
        assert code == 1
        assert f"{table}: was altered since it was made" in one_sentence(errors)


def test_what_a_command_made_by_hand_is_taken_whatever_dvc_recorded(study):
    folder = study.copy()
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.001", "learning_rate: 0.002"))
    for stage in ("train", "evaluate", "compare", "show"):
        code, errors = study.run(folder, (STAGES | COMMANDS)[stage])
        assert code == 0, errors
    assert bytes_of(folder, ["runs"]) != bytes_of(study.project.folder, ["runs"])
