"""Figures of a study, one module a subject; nothing here computes a result or reads a file."""
