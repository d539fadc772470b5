"""Metrics of scores against a survey, for your own code: ``from presence_only.metrics import average_precision``."""

from presence_only.evaluation.metrics import Evaluation, auc_roc, average_precision, evaluate, sample_average_precision

__all__ = ["Evaluation", "auc_roc", "average_precision", "evaluate", "sample_average_precision"]
