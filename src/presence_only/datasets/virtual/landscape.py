"""Land of a virtual world: what species and observers respond to at a site.

Shape legend: N sites, M survey sites, A niche axes, F features of a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import h3
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from presence_only.common.arrays import Floats
from presence_only.datasets.virtual.layers import SOUTHERN_LIMIT, layers_by_name, niche_axes
from presence_only.datasets.virtual.observers import Observers
from presence_only.geography.earth import COLUMNS, Earth, cell_area_km2, cell_of
from presence_only.geography.sphere import unit_vectors

Float32s = NDArray[np.float32]

# A survey site or a landmass needs a cell that is mostly land.
LAND = 0.5


@dataclass(frozen=True, eq=False)
class Sites:
    """Sites with all that a species or an observer may respond to.

    Args:
        sites_N2: Longitude, latitude in degrees.
        features_NF: Terms of the log suitability: the point on the unit sphere, every niche axis,
            every axis squared, and one.
        landmass_N: Label of the landmass.
        effort_N: Observers' effort, above 0; only ratios matter.
    """

    sites_N2: NDArray[np.float64]
    features_NF: Float32s
    landmass_N: NDArray[np.int16]
    effort_N: NDArray[np.float64]

    @cached_property
    def vectors_3N(self) -> Float32s:
        """The points on the unit sphere by axis, which is read twenty times faster than in rows of features."""
        return np.ascontiguousarray(self.features_NF[:, :3].T)


@dataclass(frozen=True, eq=False)
class Landscape:
    """What land and people make of a site; the same for every species.

    Args:
        earth: The environment grid.
        landmass: Label of every grid cell's landmass, shape (180, 360); that of the nearest
            landmass where the cell is not mostly land.
        mean_A, deviation_A: Of every niche axis over the area of land.
        observers: What decides where observers go.
    """

    earth: Earth
    landmass: NDArray[np.int16]
    mean_A: NDArray[np.float64]
    deviation_A: NDArray[np.float64]
    observers: Observers

    @classmethod
    def make(cls, earth: Earth, observers: Observers) -> Self:
        """Label the landmasses, and standardise the niche axes over land."""
        axes = niche_axes(earth.names, earth.layers_C.reshape(len(earth.names), -1))
        weight = (earth.land_share_grid * cell_area_km2()[:, None]).ravel()
        weight[: COLUMNS * round(SOUTHERN_LIMIT + 90)] = 0
        land = weight > 0
        mean_A = np.average(axes[:, land], axis=1, weights=weight[land])
        variance_A = np.average((axes[:, land] - mean_A[:, None]) ** 2, axis=1, weights=weight[land])
        return cls(earth, label_landmasses(earth), mean_A, np.sqrt(variance_A), observers)

    def describe(self, sites_N2: Floats) -> Sites:
        """All that a species or an observer may respond to at sites on land."""
        covariates_CN = self.earth.sample(sites_N2).T
        axes_AN = niche_axes(self.earth.names, covariates_CN)
        axes_AN = (axes_AN - self.mean_A[:, None]) / self.deviation_A[:, None]
        vectors_N3 = unit_vectors(sites_N2)
        features_NF = np.concatenate([vectors_N3, axes_AN.T, axes_AN.T**2, np.ones((len(sites_N2), 1))], axis=1)
        return Sites(
            sites_N2=np.asarray(sites_N2, dtype=np.float64),
            features_NF=features_NF.astype(np.float32),
            landmass_N=self.landmass[cell_of(sites_N2)],
            effort_N=self.observers.effort(vectors_N3, layers_by_name(self.earth.names, covariates_CN)),
        )


def survey_grid(earth: Earth, resolution: int) -> NDArray[np.float64]:
    """Centres of the h3 cells on land north of 60 degrees south, shape (M, 2), in the order of their index."""
    cells = sorted(cell for base in h3.get_res0_cells() for cell in h3.cell_to_children(base, resolution))
    latitude_longitude = np.array([h3.cell_to_latlng(cell) for cell in cells])
    sites_M2 = latitude_longitude[:, ::-1]
    kept = (earth.land_share(sites_M2) >= LAND) & (sites_M2[:, 1] >= SOUTHERN_LIMIT)
    return np.ascontiguousarray(sites_M2[kept])


def label_landmasses(earth: Earth) -> NDArray[np.int16]:
    """Label of the landmass of every grid cell, shape (180, 360).

    Cells that are mostly land and share an edge belong together, across 180 degrees too. The other
    cells have the label of the nearest such cell, nearest in degrees.
    """
    solid = earth.land_share_grid >= LAND
    label, _ = ndimage.label(solid)
    for west, east in zip(label[:, 0], label[:, -1], strict=True):
        if west and east:
            label[label == east] = west
    row, column = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    labels: NDArray[np.int16] = label[row, column].astype(np.int16)
    return labels
