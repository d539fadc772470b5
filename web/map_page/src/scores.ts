// Scores of a run: the map of a species, the list of a place, and the points of records and truth.
// Shape legend: K cells with scores, T times, S species, M cells of the box.

import type { Description } from "./description";
import { loadPack } from "./packs";

const STEPS_PER_DEGREE = 10_000;

export class Scores {
  /** Score of every code; NaN of code 0. */
  readonly ofCode: Float64Array;
  /** Place in K of every cell of the box, -1 where it has no score. */
  readonly kept: Int32Array;
  /** Cell of the box of every place in K. */
  readonly cells: Int32Array;

  private constructor(readonly about: Description, mask: Uint8Array) {
    const { rows, columns, kept } = about.grid, { low, step } = about.codes;
    this.ofCode = Float64Array.from({ length: 256 }, (_, code) => (code ? 1 / (1 + Math.exp(-(low + (code - 1) * step))) : NaN));
    this.kept = new Int32Array(rows * columns).fill(-1);
    this.cells = new Int32Array(kept);
    for (let cell = 0, place = 0; cell < this.kept.length; cell++) {
      if (mask[cell >> 3] & (128 >> (cell & 7))) {
        this.kept[cell] = place;
        this.cells[place++] = cell;
      }
    }
  }

  static async load(about: Description): Promise<Scores> {
    return new Scores(about, await loadPack("cells"));
  }

  /** Cell of the box at a place, -1 outside. */
  cellAt(longitude: number, latitude: number): number {
    const { west, south, east, north, rows, columns } = this.about.grid;
    let x = longitude;
    while (x < west) x += 360;
    while (x >= west + 360) x -= 360;
    if (x > east || latitude > north || latitude < south) return -1;
    const column = Math.min(Math.floor(((x - west) / (east - west)) * columns), columns - 1);
    const row = Math.min(Math.floor(((north - latitude) / (north - south)) * rows), rows - 1);
    return row * columns + column;
  }

  /** Codes (T, K) of a species under a run. */
  async ofSpecies(run: number, species: number): Promise<Uint8Array> {
    const { speciesPerPack, times, grid } = this.about;
    const pack = await loadPack(`run_${run}/species_${Math.floor(species / speciesPerPack)}`);
    const size = times.length * grid.kept;
    const codes = pack.slice((species % speciesPerPack) * size, (species % speciesPerPack + 1) * size);
    // What is written are the steps from cell to cell, modulo 256.
    for (let time = 0; time < times.length; time++) {
      for (let i = time * grid.kept + 1; i < (time + 1) * grid.kept; i++) codes[i] += codes[i - 1];
    }
    return codes;
  }

  /** Codes (S) of all species at a place in K, at a time. */
  async ofPlace(run: number, place: number, time: number): Promise<Uint8Array> {
    const { cellsPerPack, species, grid } = this.about, block = Math.floor(place / cellsPerPack);
    const pack = await loadPack(`run_${run}/places_${block}`), codes = new Uint8Array(species.length);
    const size = Math.min(cellsPerPack, grid.kept - block * cellsPerPack), upTo = place - block * cellsPerPack;
    for (let s = 0; s < codes.length; s++) {
      const start = (time * species.length + s) * size;
      for (let i = start; i <= start + upTo; i++) codes[s] += pack[i];
    }
    return codes;
  }

  /** Longitude, latitude of the drawn records of a species, one after the other. */
  async records(species: number): Promise<Float64Array> {
    if (!this.about.drawn) return new Float64Array();
    const per = this.about.speciesPerPointPack, pack = await loadPack(`records_${Math.floor(species / per)}`);
    const first = Math.floor(species / per) * per, n = Math.min(per, this.about.species.length - first);
    const numbers = new Int32Array(pack.buffer, pack.byteOffset, pack.byteLength >> 2);
    let start = n;
    for (let s = 0; s < species - first; s++) start += 2 * numbers[s];
    return Float64Array.from(numbers.subarray(start, start + 2 * numbers[species - first]), (value) => value / STEPS_PER_DEGREE);
  }

  /** Longitude, latitude of the sites of the truth where a species is present, and of those where it is absent. */
  async truth(species: number): Promise<{ present: Float64Array; absent: Float64Array }> {
    const truth = this.about.truth;
    if (!truth) return { present: new Float64Array(), absent: new Float64Array() };
    const per = this.about.speciesPerPointPack;
    const [sites, pack] = await Promise.all([loadPack("truth_sites"), loadPack(`truth_${Math.floor(species / per)}`)]);
    const numbers = new Int32Array(sites.buffer, sites.byteOffset, sites.byteLength >> 2);
    const size = Math.ceil(truth.drawn / 8), start = (species % per) * 2 * size;
    const listed = (bits: number) => {
      const found: number[] = [];
      for (let site = 0; site < truth.drawn; site++) {
        if (pack[bits + (site >> 3)] & (128 >> (site & 7))) {
          found.push(numbers[2 * site] / STEPS_PER_DEGREE, numbers[2 * site + 1] / STEPS_PER_DEGREE);
        }
      }
      return Float64Array.from(found);
    };
    return { present: listed(start), absent: listed(start + size) };
  }

  /** Degrees of latitude between neighbouring sites of the truth: the median of some sites' nearest others. */
  async spacing(): Promise<number> {
    const truth = this.about.truth;
    if (!truth || truth.drawn < 2) return 1;
    const pack = await loadPack("truth_sites"), numbers = new Int32Array(pack.buffer, pack.byteOffset, pack.byteLength >> 2);
    const some = Math.min(100, truth.drawn), nearest: number[] = [];
    for (let i = 0; i < some; i++) {
      const site = Math.floor((i * truth.drawn) / some), x = numbers[2 * site], y = numbers[2 * site + 1];
      const narrower = Math.cos((y / STEPS_PER_DEGREE) * (Math.PI / 180));
      let least = Infinity;
      for (let other = 0; other < truth.drawn; other++) {
        const dx = (numbers[2 * other] - x) * narrower, dy = numbers[2 * other + 1] - y;
        if (other !== site) least = Math.min(least, dx * dx + dy * dy);
      }
      nearest.push(Math.sqrt(least) / STEPS_PER_DEGREE);
    }
    return nearest.sort((a, b) => a - b)[some >> 1];
  }
}
