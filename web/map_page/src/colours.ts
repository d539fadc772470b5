// Colours of scores. Both ramps rise evenly in lightness, which every kind of colour vision sees.

export interface Theme { ocean: string; land: string; coast: string; border: string; record: string; recordEdge: string; present: string; presentEdge: string; absent: string; ramp: [number, number, number][]; mark: string }

const hex = (text: string): [number, number, number] => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)) as [number, number, number];
// ColorBrewer's YlGnBu, from light to dark, for a light page; matplotlib's viridis, from dark to light, for a dark one.
const YLGNBU = ["#f5f5e6", "#edf8b1", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#253494", "#081d58"].map(hex);
const VIRIDIS = ["#302f45", "#443983", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"].map(hex);

export const LIGHT: Theme = {
  ocean: "#dfe9f0", land: "#f4f2ec", coast: "#6b7a86", border: "#b5b9b8", ramp: YLGNBU,
  record: "#e8590c", recordEdge: "#ffffff", present: "#111111", presentEdge: "#ffffff", absent: "#6f6f6f", mark: "#c2185b",
};
export const DARK: Theme = {
  ocean: "#10181f", land: "#2a2b30", coast: "#8c9aa6", border: "#54585e", ramp: VIRIDIS,
  record: "#ff9d4d", recordEdge: "#1a1a1a", present: "#ffffff", presentEdge: "#000000", absent: "#a8a8a8", mark: "#ff6fa8",
};

export type Scale = "own" | "full" | "log";
/** Where a logarithmic scale begins; a scale of a map's own ends here or above, so that a species that is nowhere is faint. */
export const FAINTEST = 0.001;

/** Place of a score on a scale, 0..1. */
export function position(score: number, scale: Scale, highest: number): number {
  if (scale === "log") return Math.max(0, Math.min(1, Math.log(score / FAINTEST) / Math.log(1 / FAINTEST)));
  return Math.max(0, Math.min(1, score / (scale === "own" ? highest : 1)));
}

/** The score at a place of a scale. */
export function scoreAt(place: number, scale: Scale, highest: number): number {
  if (scale === "log") return FAINTEST * (1 / FAINTEST) ** place;
  return place * (scale === "own" ? highest : 1);
}

export function colour(ramp: [number, number, number][], place: number): [number, number, number] {
  const at = place * (ramp.length - 1), low = Math.min(Math.floor(at), ramp.length - 2), share = at - low;
  return [0, 1, 2].map((i) => Math.round(ramp[low][i] * (1 - share) + ramp[low + 1][i] * share)) as [number, number, number];
}

/** 0.37, 0.042 or 0.00080. */
export function inDigits(score: number): string {
  if (Number.isNaN(score)) return "–";
  if (score >= 0.995) return score >= 0.9995 ? "1.00" : score.toFixed(3);
  if (score >= 0.1) return score.toFixed(2);
  if (score < 0.0001) return "< 0.0001";
  return score.toPrecision(2);
}
