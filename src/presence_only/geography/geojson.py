"""Polygons of GeoJSON files, in any coordinate reference system that pyproj knows.

Source: RFC 7946, https://www.rfc-editor.org/rfc/rfc7946; the member ``crs`` is of the format's first version,
https://geojson.org/geojson-spec.html, and is still written.

Shape legend: X points of a ring.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from presence_only.common.errors import DataError
from presence_only.geography.polygons import Polygon, Ring, RingError, on_the_globe, within_polygons

LARGEST_BYTES = 2**29
# Characters of a file's own words that a message shows.
_SHOWN = 120
# Straight edges of a projected polygon are curved in longitude and latitude: they are cut into pieces of this length.
PIECE_M, MOST_PIECES, MOST_PIECES_OF_A_RING = 10_000.0, 10_000, 10**7


@dataclass(frozen=True, eq=False)
class Polygons:
    """What a GeoJSON file holds.

    Args:
        polygons: In longitude, latitude in degrees WGS84.
        left_out: How many geometries are points or lines, which have no inside.
    """

    polygons: tuple[Polygon, ...]
    left_out: int


def read_polygons(path: Path, argument: str) -> Polygons:
    """All polygons of a GeoJSON file.

    Without a member ``crs`` coordinates are longitude, latitude in degrees WGS84; with one they are transformed.
    Longitudes may lie beyond 180 degrees, see :func:`~presence_only.geography.polygons.on_the_globe`.

    Args:
        path: The file.
        argument: Name of the setting that holds the path, for messages.

    Raises:
        DataError: If the file is missing, is no GeoJSON, has no polygon or an unknown ``crs``, or a ring is not on
            the globe or has no one meaning.
    """
    where = f"{argument} = {str(path)!r}"
    left_out = 0
    polygons: list[Polygon] = []
    try:
        for kind, coordinates, crs in _geometries(_parsed(path, where), None):
            if kind not in ("Polygon", "MultiPolygon"):
                left_out += 1
                continue
            for rings in [coordinates] if kind == "Polygon" else coordinates:
                if rings:
                    found = [_ring(ring, _transformer(crs, where), where) for ring in rings]
                    polygons.append(_polygon(found, where))
    except DataError:
        raise
    except OSError:
        raise DataError(f"{where}: cannot be opened; give a GeoJSON file of polygons") from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: cannot be read as GeoJSON ({str(error)[:_SHOWN]}); it must hold polygons") from None
    if not polygons:
        raise DataError(
            f"{where}: has no polygon; it must hold Polygon or MultiPolygon geometries, longitude before latitude"
        )
    return Polygons(tuple(polygons), left_out)


def _parsed(path: Path, where: str) -> Any:
    """What a JSON file holds; a pipe or a device, which may never end, is no file."""
    if not path.is_file():
        raise FileNotFoundError
    if (size := path.stat().st_size) > LARGEST_BYTES:
        raise DataError(f"{where}: has {size:,} bytes; polygons may have {LARGEST_BYTES:,}: simplify them")
    return json.loads(path.read_text("utf-8-sig"))


def _geometries(item: Any, crs: Any) -> Iterator[tuple[str, Any, Any]]:
    """Kind, coordinates and ``crs`` of all geometries below a GeoJSON object; the nearest ``crs`` above one counts."""
    crs = item.get("crs") or crs
    match item["type"]:
        case "FeatureCollection":
            parts = item["features"]
        case "GeometryCollection":
            parts = item["geometries"]
        case "Feature":
            parts = [item["geometry"]] if item["geometry"] else []
        case kind:
            yield kind, item["coordinates"], crs
            return
    for part in parts:
        yield from _geometries(part, crs)


def _polygon(rings: list[Ring], where: str) -> Polygon:
    """A polygon of its rings, the first of which is the outer one."""
    try:
        outer = on_the_globe(rings[0])
        holes = tuple(on_the_globe(ring, hole=True) for ring in rings[1:])
    except RingError as error:
        raise DataError(f"{where}: {error}") from None
    for hole in holes:
        # Of a hole that touches its outer ring the middle lies within, and of a bent one some of its points.
        some_X2 = hole[: -1 : max(len(hole) // 8, 1)]
        points_X2 = _wrapped(np.concatenate([some_X2, hole[:-1].mean(axis=0, keepdims=True)]))
        if not within_polygons(points_X2, [Polygon(outer)]).any():
            raise DataError(
                f"{where}: a polygon has a second ring around longitude {hole[0, 0]:g}, latitude {hole[0, 1]:g}, which "
                "lies outside of its first one; the first ring of a Polygon bounds it and the others are its holes, "
                "so write two Polygons or a MultiPolygon"
            )
    return Polygon(outer, holes)


def _wrapped(points_X2: Ring) -> Ring:
    """Points with longitudes within -180..180."""
    return np.column_stack([(points_X2[:, 0] + 180) % 360 - 180, points_X2[:, 1]])


def _ring(points: Any, transformer: pyproj.Transformer | None, where: str) -> Ring:
    """A closed ring of longitude, latitude; third coordinates are dropped."""
    for point in points:
        # Not by its shape alone: of eight lone numbers NumPy makes four points, and of the text "12" a number.
        if not isinstance(point, list) or len(point) < 2 or not (_is_number(point[0]) and _is_number(point[1])):
            shown = json.dumps(point)[:_SHOWN]
            raise DataError(f"{where}: has the point {shown}; it must be a list of two numbers, longitude and latitude")
    ring_X2: NDArray[np.float64] = np.array([point[:2] for point in points], dtype=np.float64).reshape(-1, 2)
    if len(ring_X2) > 0 and np.any(ring_X2[0] != ring_X2[-1]):
        ring_X2 = np.concatenate([ring_X2, ring_X2[:1]])
    if len(ring_X2) < 4 or not np.isfinite(ring_X2).all():
        raise DataError(f"{where}: has a ring of less than four points, or one that is no number")
    if transformer is not None:
        ring_X2 = _to_degrees(ring_X2, transformer, where)
    wrong_X = (np.abs(ring_X2) > (360.0, 90.0)).any(axis=1)
    if wrong_X.any():
        x, y = ring_X2[wrong_X.argmax()]
        raise DataError(
            f"{where}: has the point ({x:g}, {y:g}); it must be longitude, latitude in degrees, -180..180 (to 360 for "
            "a ring across 180) and -90..90, or the file must name its coordinate reference system in the member crs"
        )
    return ring_X2


def _is_number(value: Any) -> bool:
    """Whether JSON wrote a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _to_degrees(ring_X2: Ring, transformer: pyproj.Transformer, where: str) -> Ring:
    """A ring in longitude, latitude."""
    crs = transformer.source_crs
    assert crs is not None
    metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    points_X2 = ring_X2 if crs.is_geographic else _in_pieces(ring_X2, metres)
    degrees_X2 = np.column_stack(transformer.transform(*points_X2.T))
    if not np.isfinite(degrees_X2).all():
        x, y = points_X2[~np.isfinite(degrees_X2).all(axis=1)][0]
        raise DataError(f"{where}: its point ({x:g}, {y:g}) lies outside of its coordinate reference system {crs.name}")
    if crs.is_geographic:
        # pyproj returns -180..180; what was written beyond, to cross 180, stays there.
        degrees_X2[:, 0] += 360 * np.rint((ring_X2[:, 0] - degrees_X2[:, 0]) / 360)
    return degrees_X2


def _in_pieces(ring_X2: Ring, metres: float) -> Ring:
    """A ring with further points on its edges; ``metres`` is the unit of its coordinates."""
    length = np.hypot(*np.diff(ring_X2, axis=0).T) * metres
    pieces = np.clip(np.ceil(length / PIECE_M), 1, MOST_PIECES).astype(np.int64)
    if pieces.sum() > MOST_PIECES_OF_A_RING:
        raise ValueError(f"a ring is {length.sum() / 1000:g} km long, with {len(ring_X2):,} points")
    at = np.concatenate([[0.0], *(i + np.arange(1, n + 1) / n for i, n in enumerate(pieces))])
    index = np.arange(len(ring_X2))
    return np.column_stack([np.interp(at, index, ring_X2[:, 0]), np.interp(at, index, ring_X2[:, 1])])


def _transformer(crs: Any, where: str) -> pyproj.Transformer | None:
    """From the coordinates of the file to longitude, latitude; None if they are these."""
    if crs is None:
        return None
    name = None
    if crs["type"] == "name":
        name = crs["properties"]["name"]
    elif crs["type"] == "EPSG":
        name = f"EPSG:{crs['properties']['code']}"
    if not isinstance(name, str):
        raise DataError(f"{where}: its crs {json.dumps(crs)[:_SHOWN]} names no coordinate reference system")
    try:
        return _transformer_of(name)
    except pyproj.exceptions.ProjError:
        raise DataError(
            f"{where}: there is no way from its coordinate reference system {name[:_SHOWN]!r} to longitude and "
            "latitude; transform it to EPSG:4326"
        ) from None


@cache
def _transformer_of(name: str) -> pyproj.Transformer | None:
    """The same by the name of the reference system."""
    crs = pyproj.CRS(name)
    if crs.to_epsg() == 4326 or crs == pyproj.CRS("OGC:CRS84"):
        return None
    return pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
