"""Fitting an encoder under a loss."""
