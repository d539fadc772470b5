"""Matrices that are only given in parts, as a model's logits and a large survey's truth are."""

import numpy as np


class Parts:
    """A matrix made part by part: what a part holds depends on its place alone.

    Args:
        shape: (sites, species).
        make: From the places of sites (m, 1) and of species (1, s) to the values (m, s).
    """

    def __init__(self, shape, make):
        self.shape, self.make = shape, make
        self.asked = []

    @classmethod
    def of(cls, whole_MS):
        """The parts of an array."""
        return cls(whole_MS.shape, lambda sites, species: whole_MS[sites, species])

    def columns(self, species):
        return self._part(range(self.shape[0]), range(*species.indices(self.shape[1])))

    def rows(self, sites):
        return self._part(range(*sites.indices(self.shape[0])), range(self.shape[1]))

    def _part(self, sites, species):
        self.asked.append(len(sites) * len(species))
        return self.make(np.array(sites, dtype=np.int64)[:, None], np.array(species, dtype=np.int64)[None, :])


class TruthParts(Parts):
    """A truth made part by part."""

    def whole(self):
        return self.columns(slice(None))

    def presences_per_species(self):
        return np.count_nonzero(self.whole() == 1, axis=0)

    def surveyed_per_species(self):
        return np.count_nonzero(self.whole() >= 0, axis=0)
