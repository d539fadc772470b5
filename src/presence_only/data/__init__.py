"""Presence-only records, background sites and surveys: what every data set is made of."""
