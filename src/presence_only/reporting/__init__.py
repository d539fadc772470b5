"""Figures, the report page and notebook helpers."""
