// What the page knows before it has loaded any score: the one argument of data/description.js.
// Shape legend: S species, T times, K cells with scores.

export interface Description {
  title: string;
  grid: { west: number; south: number; east: number; north: number; rows: number; columns: number; kept: number; land: boolean };
  codes: { low: number; step: number };
  runs: { name: string; seeds: number; weeks: boolean }[];
  /** 0 is the whole year, others are weeks 1..48. */
  times: number[];
  species: string[];
  groups: string[];
  /** Index of every species' group. */
  group: number[];
  /** The species that is shown first: the one with most records in the box. */
  first: number;
  /** Training records of every species. */
  records: number[];
  /** How many points are drawn of them; absent where the page has no places of records. */
  drawn?: number[];
  truth?: { title: string; sites: number; drawn: number; everywhere: boolean; present: number[]; surveyed: number[] };
  speciesPerPack: number;
  cellsPerPack: number;
  speciesPerPointPack: number;
}

declare global {
  interface Window {
    presenceOnlyMap: (description: Description) => void;
    presenceOnlyPack: (name: string, content: string) => void;
  }
}

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/** "whole year", or "week 14 (April)". */
export function timeInWords(week: number): string {
  return week === 0 ? "whole year" : `week ${week} of 48 (${MONTHS[Math.floor((week - 1) / 4)]})`;
}

const KM_PER_DEGREE = 6371.0088 * (Math.PI / 180);

/** Area of a cell of each row in km2, northern row first. */
export function cellAreas(grid: Description["grid"]): Float64Array {
  const height = (grid.north - grid.south) / grid.rows, width = (grid.east - grid.west) / grid.columns;
  const radians = Math.PI / 180;
  return Float64Array.from({ length: grid.rows }, (_, row) => {
    const top = grid.north - row * height;
    const share = (Math.sin(top * radians) - Math.sin((top - height) * radians)) / radians;
    return width * share * KM_PER_DEGREE * KM_PER_DEGREE;
  });
}
