"""Export a trained run as ONNX with labels, a model card and an MLflow model, for use without this package.

python -m presence_only.pipeline.export --run runs/virtual/an_full --out exported
"""

from __future__ import annotations

import argparse
from pathlib import Path

from presence_only.pipeline.command import importing


def main() -> None:
    """Write the folder; with ``--log``, add the model to MLflow's store."""
    arguments = _arguments()
    with importing():
        from presence_only.common.output_folder import check_folder
        from presence_only.export.bundle import FILES, write_bundle
        from presence_only.export.onnx_file import check_packages
        from presence_only.export.trained_run import load_run

    check_packages()
    check_folder(arguments.out, FILES)
    run = load_run(arguments.run, seed=arguments.seed, maps=False)
    print(f"{run.name}: exporting {len(run.models)} seed{'s' * (len(run.models) != 1)}", flush=True)
    bundle = write_bundle(run, arguments.out, arguments.licence)
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(
        f"{arguments.out}: {size / 1e6:,.1f} MB; onnxruntime gives the model's logits within "
        f"{bundle.checked.error:.1e} of the largest, at {bundle.checked.n_places:,} places"
    )
    if arguments.log:
        from presence_only.pipeline.mlflow_export import log_bundle

        print(f"MLflow: {log_bundle(run, bundle)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m presence_only.pipeline.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder runs/<dataset>/<variant>, or one seed's in it")
    parser.add_argument("--seed", type=int, help="export this seed alone; default: all, whose scores are averaged")
    parser.add_argument("--out", type=Path, required=True, help="folder to make; a former export in it is replaced")
    parser.add_argument("--licence", help="licence of the records, in your words, for the model card")
    parser.add_argument("--log", action="store_true", help="also log the model into MLflow's store")
    return parser.parse_args()


if __name__ == "__main__":
    from presence_only.pipeline.command import run_stage

    run_stage(main)
