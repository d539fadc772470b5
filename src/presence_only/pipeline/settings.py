"""Write every setting of the study, defaults included, and what its report says of them."""

from __future__ import annotations

from presence_only.pipeline.command import importing, run_stage


def main() -> None:
    """Read params.yaml; write all settings, their description in words, and the curves of the losses' penalties."""
    with importing():
        import polars as pl

        from presence_only.common.atomic_files import write_json, write_stream
        from presence_only.losses.penalty_curves import penalty_curves
        from presence_only.study.checksums import note_made
        from presence_only.study.description import describe, penalties
        from presence_only.study.params import load_params, save_settings
        from presence_only.study.paths import DESCRIPTION, PENALTIES, SETTINGS

    params = load_params()
    save_settings(params, SETTINGS)
    write_json(DESCRIPTION, describe(params))
    with write_stream(PENALTIES) as stream:
        pl.DataFrame(penalty_curves(penalties(params))).write_parquet(stream)
    note_made(DESCRIPTION.parent, SETTINGS)


if __name__ == "__main__":
    run_stage(main, __doc__)
