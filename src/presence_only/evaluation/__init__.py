"""Metrics, and what a model is scored by."""
