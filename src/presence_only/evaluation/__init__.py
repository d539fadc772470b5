"""Evaluation of trained models: metrics, surveys, SINR's benchmarks, observer bias and curves."""
