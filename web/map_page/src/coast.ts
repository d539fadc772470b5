// Coastlines and borders of Natural Earth, as paths in degrees: x is longitude, y is latitude.

import { geoEquirectangular, geoPath, type GeoPermissibleObjects } from "d3-geo";
import type { MultiLineString } from "geojson";
import { feature, mesh } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import coarse from "world-atlas/countries-110m.json";
import { loadScript } from "./packs";

declare global {
  interface Window { presenceOnlyCoast?: unknown }
}

interface Piece { west: number; south: number; east: number; north: number; path: Path2D }
export interface Coast { land: Piece[]; coasts: Piece[]; borders: Piece[] }

// Natural Earth's rings run on across 180 degrees; d3-geo cuts them there, and around the South Pole.
const degrees = geoEquirectangular().scale(180 / Math.PI).translate([0, 0]).reflectY(true).precision(0);

/** A path in degrees, and the box that holds it. */
function piece(shape: GeoPermissibleObjects): Piece {
  const path = new Path2D(), box = { west: Infinity, south: Infinity, east: -Infinity, north: -Infinity };
  const grow = (x: number, y: number) => {
    box.west = Math.min(box.west, x);
    box.east = Math.max(box.east, x);
    box.south = Math.min(box.south, y);
    box.north = Math.max(box.north, y);
  };
  geoPath(degrees, {
    beginPath: () => undefined,
    moveTo: (x, y) => { grow(x, y); path.moveTo(x, y); },
    lineTo: (x, y) => { grow(x, y); path.lineTo(x, y); },
    arc: () => undefined,
    closePath: () => path.closePath(),
  })(shape);
  return { ...box, path };
}

function pieces(raw: unknown): Coast {
  const topology = raw as Topology<{ countries: GeometryCollection; land: GeometryCollection }>;
  const { land, countries } = topology.objects;
  const polygons = feature(topology, land).features.flatMap(({ geometry }) => (geometry.type === "MultiPolygon" ? geometry.coordinates : []));
  const lines = (found: MultiLineString) => found.coordinates.map((coordinates) => piece({ type: "LineString", coordinates }));
  return {
    land: polygons.map((coordinates) => piece({ type: "Polygon", coordinates })),
    coasts: lines(mesh(topology, land as never)),
    borders: lines(mesh(topology, countries as never, (a, b) => a !== b)),
  };
}

/** The coarse coasts at once, and the fine ones when they were asked for and have come. */
export class Coasts {
  private readonly coarse = pieces(coarse);
  private fine: Coast | undefined;
  private asked = false;

  /** @param arrived Is called when the fine coasts are there. */
  constructor(private readonly arrived: () => void) {}

  /** Coasts for a scale of so many pixels a degree. */
  at(pixelsPerDegree: number): Coast {
    if (pixelsPerDegree < 9) return this.coarse;
    if (!this.asked) {
      this.asked = true;
      loadScript("coast_50m.js").then(() => {
        this.fine = pieces(window.presenceOnlyCoast);
        delete window.presenceOnlyCoast;
        this.arrived();
      }, () => undefined);
    }
    return this.fine ?? this.coarse;
  }
}
