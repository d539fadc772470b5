"""Virtual species on the real Earth: the whole truth is known, the records are biased."""

from presence_only.datasets.virtual.dataset import DatasetSettings, build, create

__all__ = ["DatasetSettings", "build", "create"]
