"""Figures, the report page and the notebooks' functions: tables in, pictures out."""
