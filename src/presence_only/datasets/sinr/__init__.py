"""SINR's records and evaluations, from its published files."""
