// One map: coasts, the scores of a species under one run, its records and its truth.

import * as L from "leaflet";
import type { Coast, Coasts } from "./coast";
import type { Description } from "./description";
import type { Theme } from "./colours";

export interface Drawing {
  /** Colours (M, RGBA) of the cells of the box. */
  image: HTMLCanvasElement | undefined;
  records: Float64Array;
  present: Float64Array;
  absent: Float64Array;
  /** Degrees between neighbouring sites of the truth. */
  spacing: number;
  /** The place that was picked. */
  mark: [number, number] | undefined;
  theme: Theme;
}

/** The picture is larger than the map by this share of its sides, on each side, so that most moves draw nothing. */
const MARGIN = 0.3;
/** More dots per pixel than these are not seen, and cost time. */
const MOST_DOTS = 2;
/** Sites of the truth that are few have signs of a size that is seen, near to each other or not. */
const FEW = 600;

class Picture extends L.Layer {
  readonly canvas = document.createElement("canvas");
  private waits = 0;
  private map: L.Map | undefined;
  /** Where the picture lies on the plane of a zoom; undefined where it has to be drawn anew. */
  private drawn: { zoom: number; corner: L.Point; size: L.Point } | undefined;

  constructor(private readonly grid: Description["grid"], private readonly coasts: Coasts, readonly drawing: Drawing) {
    super();
    this.canvas.className = "picture";
    this.canvas.setAttribute("aria-hidden", "true");
  }

  onAdd(map: L.Map): this {
    this.map = map;
    map.getPane("overlayPane")!.append(this.canvas);
    map.on("move zoom viewreset resize", this.moved, this);
    this.soon();
    return this;
  }

  onRemove(map: L.Map): this {
    map.off("move zoom viewreset resize", this.moved, this);
    cancelAnimationFrame(this.waits);
    this.map = undefined;
    this.canvas.remove();
    return this;
  }

  /** Puts the picture where it belongs; draws it if the map has left it. */
  private moved(): void {
    const { map, drawn } = this;
    if (!map) return;
    const view = map.getPixelBounds();
    if (drawn && drawn.zoom === map.getZoom()) {
      L.DomUtil.setPosition(this.canvas, drawn.corner.subtract(map.getPixelOrigin()));
      if (L.bounds(drawn.corner, drawn.corner.add(drawn.size)).contains(view)) return;
    }
    this.soon();
  }

  /** Draws with the next frame, once, however often it was asked for. */
  soon(): void {
    if (!this.waits && this.map) this.waits = requestAnimationFrame(() => { this.waits = 0; this.draw(); });
  }

  private draw(): void {
    const map = this.map;
    if (!map) return;
    const seen = map.getSize(), margin = seen.multiplyBy(MARGIN).round(), size = seen.add(margin.multiplyBy(2));
    const dots = Math.min(window.devicePixelRatio || 1, MOST_DOTS);
    const width = Math.round(size.x * dots), height = Math.round(size.y * dots);
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
      Object.assign(this.canvas.style, { width: `${size.x}px`, height: `${size.y}px` });
    }
    const corner = map.getPixelBounds().min!.subtract(margin);
    this.drawn = { zoom: map.getZoom(), corner, size };
    L.DomUtil.setPosition(this.canvas, corner.subtract(map.getPixelOrigin()));
    const zero = map.project([0, 0]), one = map.project([1, 1]);
    const scaleX = one.x - zero.x, scaleY = zero.y - one.y;
    const x = (longitude: number) => zero.x - corner.x + longitude * scaleX;
    const y = (latitude: number) => zero.y - corner.y - latitude * scaleY;
    const view = { west: -x(0) / scaleX, east: (size.x - x(0)) / scaleX, north: y(0) / scaleY, south: (y(0) - size.y) / scaleY };
    const context = this.canvas.getContext("2d", { alpha: false })!;
    const { theme, image } = this.drawing, { grid } = this;
    const coast: Coast = this.coasts.at(scaleY);
    const turns = grid.east > 180 ? [0, 360] : [0];
    const inPixels = () => context.setTransform(dots, 0, 0, dots, 0, 0);
    const inDegrees = (turn: number) =>
      context.setTransform(dots * scaleX, 0, 0, -dots * scaleY, dots * x(turn), dots * y(0));
    const within = (pieces: Coast["land"], turn: number) =>
      pieces.filter((p) => p.east + turn >= view.west && p.west + turn <= view.east && p.north >= view.south && p.south <= view.north);
    inPixels();
    context.fillStyle = theme.ocean;
    context.fillRect(0, 0, size.x, size.y);
    for (const turn of turns) {
      inDegrees(turn);
      context.fillStyle = theme.land;
      for (const piece of within(coast.land, turn)) context.fill(piece.path);
    }
    if (image) {
      inPixels();
      context.imageSmoothingEnabled = false;
      context.drawImage(image, x(grid.west), y(grid.north), x(grid.east) - x(grid.west), y(grid.south) - y(grid.north));
      // A cell with a coast is half sea: the sea is drawn over it again.
      if (grid.land) {
        const sea = new Path2D();
        sea.rect(view.west - 1, view.south - 1, view.east - view.west + 2, view.north - view.south + 2);
        for (const turn of turns) {
          for (const piece of within(coast.land, turn)) sea.addPath(piece.path, new DOMMatrix([1, 0, 0, 1, turn, 0]));
        }
        inDegrees(0);
        context.fillStyle = theme.ocean;
        context.fill(sea, "evenodd");
      }
    }
    for (const turn of turns) {
      inDegrees(turn);
      context.lineJoin = "round";
      context.lineWidth = 0.7 / scaleY;
      context.strokeStyle = theme.border;
      for (const piece of within(coast.borders, turn)) context.stroke(piece.path);
      context.strokeStyle = theme.coast;
      for (const piece of within(coast.coasts, turn)) context.stroke(piece.path);
    }
    inPixels();
    this.drawPoints(context, x, y, size, scaleY);
  }

  private drawPoints(context: CanvasRenderingContext2D, x: (n: number) => number, y: (n: number) => number, size: L.Point, scale: number): void {
    const { records, present, absent, spacing, mark, theme } = this.drawing, { west, east } = this.grid;
    const places = (points: Float64Array, draw: (px: number, py: number) => void) => {
      for (let i = 0; i < points.length; i += 2) {
        const longitude = east > 180 && points[i] < west ? points[i] + 360 : points[i];
        const px = x(longitude), py = y(points[i + 1]);
        if (px > -9 && py > -9 && px < size.x + 9 && py < size.y + 9) draw(px, py);
      }
    };
    const twice = (edge: string, ink: string, wide: number, thin: number) => {
      for (const [style, width] of [[edge, wide], [ink, thin]] as const) {
        context.strokeStyle = style;
        context.lineWidth = width;
        context.stroke();
      }
    };
    // Signs stay apart where their places are near to each other on the screen.
    const few = present.length + absent.length <= 2 * FEW;
    const half = Math.max(few ? 2 : 0.5, Math.min(3, 0.3 * spacing * scale));
    context.beginPath();
    places(absent, (px, py) => { context.moveTo(px - half, py); context.lineTo(px + half, py); });
    context.strokeStyle = theme.absent;
    context.lineWidth = 1;
    context.stroke();
    context.beginPath();
    places(present, (px, py) => context.rect(px - half, py - half, 2 * half, 2 * half));
    if (half < 2) {
      context.fillStyle = theme.present;
      context.fill();
    } else {
      twice(theme.presentEdge, theme.present, 2.6, 1.2);
    }
    const radius = (records.length > 600 ? 1.5 : 2.1) + Math.min(scale / 12, 1.5);
    context.beginPath();
    places(records, (px, py) => { context.moveTo(px + radius, py); context.arc(px, py, radius, 0, 2 * Math.PI); });
    context.strokeStyle = theme.recordEdge;
    context.lineWidth = 1.2;
    context.stroke();
    context.fillStyle = theme.record;
    context.fill();
    if (mark) {
      context.beginPath();
      places(Float64Array.from(mark), (px, py) => {
        context.arc(px, py, 8, 0, 2 * Math.PI);
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.moveTo(px + 4 * dx, py + 4 * dy);
          context.lineTo(px + 13 * dx, py + 13 * dy);
        }
      });
      twice(theme.recordEdge, theme.mark, 4, 2);
    }
  }
}

/** Degrees in which longitudes are shorter, so that the middle of a region has its shape. */
function projection(grid: Description["grid"]): L.CRS {
  const middle = (grid.north + grid.south) / 2, whole = grid.east - grid.west > 180;
  const narrower = whole ? 1 : Math.max(Math.cos((middle * Math.PI) / 180), 0.2);
  return L.extend({}, L.CRS.EPSG4326, { transformation: new L.Transformation(narrower / 180, 1, -1 / 180, 0.5) }) as L.CRS;
}

export class Pane {
  readonly map: L.Map;
  private readonly picture: Picture;
  private readonly box: L.LatLngBoundsExpression;
  /** Whether the map shows the whole box, as it does until someone moves it. */
  private isWhole = false;
  private moves = false;
  private readonly observer: ResizeObserver;

  /**
   * @param picked Is called with longitude, latitude of a click, or of the middle of the map at Enter.
   * @param moved Is called when the map shows another part.
   */
  constructor(element: HTMLElement, private readonly grid: Description["grid"], coasts: Coasts, drawing: Drawing,
    picked: (longitude: number, latitude: number) => void, moved: (pane: Pane) => void) {
    this.box = [[grid.south, grid.west], [grid.north, grid.east]];
    const wide = (grid.east - grid.west) / 2, high = (grid.north - grid.south) / 2;
    this.map = L.map(element, {
      crs: projection(grid), zoomSnap: 0.25, zoomDelta: 0.75, wheelPxPerZoomLevel: 90, minZoom: -1, maxZoom: 12,
      zoomAnimation: false, fadeAnimation: false, attributionControl: false, inertia: true, boxZoom: true,
      maxBounds: [[grid.south - high, grid.west - wide], [grid.north + high, grid.east + wide]], maxBoundsViscosity: 0.6,
    });
    this.picture = new Picture(grid, coasts, drawing);
    this.whole();
    this.picture.addTo(this.map);
    this.map.on("click", ({ latlng }: L.LeafletMouseEvent) => picked(latlng.lng, latlng.lat));
    element.addEventListener("keydown", (event) => {
      if (event.target !== element || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      const middle = this.map.getCenter();
      picked(middle.lng, middle.lat);
    });
    this.map.on("move", () => {
      if (!this.moves) this.isWhole = false;
      moved(this);
    });
    this.observer = new ResizeObserver(() => {
      if (this.isWhole) this.whole();
      else this.map.invalidateSize({ animate: false, pan: true });
    });
    this.observer.observe(element);
  }

  get drawing(): Drawing { return this.picture.drawing; }

  /** Shows the whole box. */
  whole(): void {
    this.quietly(() => {
      this.map.invalidateSize({ animate: false, pan: false });
      this.map.fitBounds(this.box, { animate: false });
    });
    this.isWhole = true;
  }

  /** Shows the places of some points, and some room around them. */
  near(points: Float64Array): void {
    const { west, east } = this.grid, bounds = L.latLngBounds([]);
    for (let i = 0; i < points.length; i += 2) {
      bounds.extend([points[i + 1], east > 180 && points[i] < west ? points[i] + 360 : points[i]]);
    }
    if (bounds.isValid()) this.map.fitBounds(bounds.pad(0.15), { animate: false, maxZoom: 6 });
  }

  /** Moves the map without anybody having moved it. */
  private quietly(move: () => void): void {
    this.moves = true;
    move();
    this.moves = false;
  }

  /** Shows what another map shows. */
  follow(other: Pane): void {
    const middle = other.map.getCenter(), zoom = other.map.getZoom(), mine = this.map.getCenter();
    if (mine.lat === middle.lat && mine.lng === middle.lng && this.map.getZoom() === zoom) return;
    this.quietly(() => this.map.setView(middle, zoom, { animate: false }));
    this.isWhole = other.isWhole;
  }

  remove(): void {
    this.observer.disconnect();
    this.map.remove();
  }

  redraw(): void { this.picture.soon(); }
}
