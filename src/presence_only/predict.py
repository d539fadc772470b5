"""``python -m presence_only.predict``: where a species is likely, or which species are likely at a place."""

from presence_only.pipeline.command import run_stage
from presence_only.pipeline.predict import main

if __name__ == "__main__":
    run_stage(main)
