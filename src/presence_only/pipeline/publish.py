"""Publication of a study and its runs in MLflow, where those of the present results are marked as current."""

from __future__ import annotations

import os
from pathlib import Path

from presence_only.pipeline.command import run_stage


def main() -> None:
    """Publish the study: a row per variant with its means, its seeds below it, and a row for the report."""
    from presence_only.pipeline import mlflow_mirror as mirror
    from presence_only.pipeline.mlflow_rows import RANKING, read_settings, study_note, study_runs, study_state

    here = Path.cwd()
    # `dvc exp run --temp` and `--queue` work in a copy below .dvc/tmp of the project that DVC_ROOT names.
    project = Path(os.environ.get("DVC_ROOT", here)).resolve()
    in_copy = project / ".dvc" / "tmp" in here.resolve().parents
    root = mirror.repository_root(project)
    state = study_state()
    if runs := mirror.published(state, root):
        print(f"MLflow: nothing to log; the {runs} current runs are those of results/, in {mirror.store_uri(root)}")
        return
    mirror.check_store(root)
    settings = read_settings()
    commit = mirror.git_commit(here, [mirror.repository_root(here) / "src", here / "params.yaml", here / "dvc.yaml"])
    records = study_runs(settings, commit)
    logged, kept, experiment = mirror.publish(
        settings["study"]["name"],
        records,
        root,
        move_current=not in_copy,
        ranking=RANKING,
        note=study_note(settings, records, here),
        state=state,
    )
    print(f"MLflow: {logged} run{'s' * (logged != 1)} logged, {kept} already there, in {mirror.store_uri(root)}")
    for step in mirror.viewing(root, mirror.variants_page(experiment, RANKING)):
        print(f"        {step}")


if __name__ == "__main__":
    run_stage(main, __doc__)
