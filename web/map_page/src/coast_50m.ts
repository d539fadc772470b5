// The finer coastlines, in a script of their own that is loaded when a map is near enough.
import fine from "world-atlas/countries-50m.json";

window.presenceOnlyCoast = fine;
declare global {
  interface Window { presenceOnlyCoast?: unknown }
}
