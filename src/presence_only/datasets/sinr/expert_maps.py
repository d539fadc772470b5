"""SINR's expert maps as surveys of a vocabulary, and how much of them it covers.

Source: https://github.com/elijahcole/sinr, eval.py.

Shape legend: T taxa of an evaluation, M sites, S species of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.data.survey import Survey
from presence_only.data.truth import SurveyTruth
from presence_only.datasets.sinr.published_files import ExpertMaps

Split = Literal["test", "val", "all"]
Labels = tuple[Ints, NDArray[np.int8]]

VAL_SHARE = 0.5


def split_sites(experts: ExpertMaps, split: Split, seed: int) -> ExpertMaps:
    """One half of every taxon's sites; the halves are drawn taxon after taxon in the order of the file.

    Args:
        experts: Maps with labels, of all taxa of the file: each advances the generator, also those
            that no model knows.
        split: ``val``, the first half of a random order, rounded down; ``test``, the rest; or ``all``.
        seed: Of the one generator for all taxa.

    Raises:
        ValueError: If the maps have no labels, so that there is no list of surveyed sites to split.
    """
    if experts.labels_of_T is None:
        raise ValueError("maps without labels have no list of surveyed sites to split")
    if split == "all":
        return experts
    generator = np.random.default_rng(seed)
    sites_of_T, labels_of_T = [], []
    for sites, labels in zip(experts.sites_of_T, experts.labels_of_T, strict=True):
        order = generator.permutation(len(labels))
        n_val = int(len(labels) * VAL_SHARE)
        part = order[:n_val] if split == "val" else order[n_val:]
        sites_of_T.append(sites[part])
        labels_of_T.append(labels[part])
    return ExpertMaps(experts.sites_M2, experts.taxon_T, sites_of_T, labels_of_T)


@dataclass(frozen=True, eq=False)
class CoveredMaps:
    """Expert maps of those species that a vocabulary has.

    Args:
        sites_M2: Longitude, latitude.
        labels: Sites and labels, 1 present and 0 absent, by the species' place in the vocabulary, ascending.
        elsewhere: Whether a species is absent at the sites that are not listed for it; else it was
            not surveyed there.
        n_species: Number of species of the maps, covered or not.
    """

    sites_M2: Floats
    labels: dict[int, Labels]
    elsewhere: bool
    n_species: int

    @classmethod
    def of(cls, experts: ExpertMaps, names: Iterable[str], vocabulary: Iterable[str]) -> CoveredMaps:
        """The maps of those ``names``, one a taxon, that are in the vocabulary."""
        place = {name: index for index, name in enumerate(vocabulary)}
        labels_of_T = experts.labels_of_T
        if labels_of_T is None:
            labels_of_T = [np.ones(len(sites), dtype=np.int8) for sites in experts.sites_of_T]
        found = {
            place[name]: (sites, labels)
            for name, sites, labels in zip(names, experts.sites_of_T, labels_of_T, strict=True)
            if name in place
        }
        return cls(experts.sites_M2, dict(sorted(found.items())), experts.labels_of_T is None, len(experts.taxon_T))

    def facts(self, name: str) -> dict[str, int | float]:
        """How many species there are, are covered, and are covered without a presence."""
        return {
            f"{name}_species": self.n_species,
            f"{name}_species_covered": len(self.labels),
            f"{name}_species_without_presences": self._n_empty,
        }

    def notes(self, title: str) -> tuple[str, ...]:
        """Sentences on the species that a mean leaves out, and what the mean is with them counted as 0."""
        n_covered, notes = len(self.labels), []
        if n_covered < self.n_species:
            notes.append(
                f"{title}: {n_covered:,} of {self.n_species:,} species have training records, and means are over "
                f"these alone, as SINR's; to count the others as 0, multiply by {n_covered / self.n_species:.4f}"
            )
        if self._n_empty:
            notes.append(
                f"{title}: {self._n_empty:,} of {n_covered:,} scored species have no presence; means are without "
                "them, while scikit-learn, as SINR uses it, counts them as 0: multiply by "
                f"{1 - self._n_empty / n_covered:.4f} to compare"
            )
        return tuple(notes)

    @property
    def _n_empty(self) -> int:
        return sum(not values.any() for _, values in self.labels.values())

    def survey(
        self,
        species: tuple[str, ...],
        covariates: Callable[[Floats], Floats],
        covariate_names: tuple[str, ...],
        *,
        whole: bool,
    ) -> Survey:
        """The maps as a survey.

        Args:
            species: The vocabulary.
            covariates: Environment at sites, (n, 2) to (n, C).
            covariate_names: Its columns.
            whole: Give all species of the vocabulary, those without a map as surveyed nowhere; else
                those with a map alone.
        """
        labels = self.labels if whole else dict(enumerate(self.labels.values()))
        columns = species if whole else tuple(species[index] for index in self.labels)
        shape = len(self.sites_M2), len(columns)
        truth = (
            SurveyTruth.of_presences(*shape, {index: sites for index, (sites, _) in labels.items()})
            if self.elsewhere
            else SurveyTruth.of_labels(*shape, labels)
        )
        return Survey(self.sites_M2, covariates(self.sites_M2), truth, columns, covariate_names)
