"""Expansions: ways to turn columns of coordinates and covariates into the encoder's features, one module each."""
