"""Columns of users' tables: which are wanted, and what their cells say of numbers, places, dates, species, records."""
