// The list of the species of a place, the highest scores first.

import { inDigits } from "./colours";

/** Species that are listed before someone asks for all. */
const SHOWN = 30;

export interface PlaceList {
  /** Names of the runs, the left one first. */
  runs: string[];
  /** Scores of all species under each of the runs. */
  scores: Float64Array[];
  /** Index of the run that the order is of. */
  by: number;
}

export function showPlace(element: HTMLElement, list: PlaceList, names: string[], chosen: number,
  choose: (species: number) => void, sortBy: (run: number) => void): void {
  const order = names.map((_, species) => species);
  const key = (species: number) => (Number.isNaN(list.scores[list.by][species]) ? -1 : list.scores[list.by][species]);
  order.sort((a, b) => key(b) - key(a) || a - b);
  const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  const heading = (text: string) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
    return cell;
  };
  heading("species");
  list.runs.forEach((run, index) => {
    const cell = heading(""), button = document.createElement("button");
    cell.className = "number";
    button.type = "button";
    button.textContent = run;
    button.title = `Order by ${run}`;
    button.addEventListener("click", () => sortBy(index));
    if (index === list.by) cell.setAttribute("aria-sort", "descending");
    cell.append(button);
  });
  const highest = list.scores.map((scores) => scores.reduce((most, score) => Math.max(most, score || 0), 1e-9));
  const add = (species: number) => {
    const row = body.insertRow(), button = document.createElement("button");
    row.classList.toggle("chosen", species === chosen);
    button.type = "button";
    button.textContent = names[species];
    button.addEventListener("click", () => choose(species));
    row.insertCell().append(button);
    list.scores.forEach((scores, run) => {
      const cell = row.insertCell(), bar = document.createElement("span");
      cell.className = "number";
      cell.textContent = inDigits(scores[species]);
      bar.style.width = `${(100 * (scores[species] || 0)) / highest[run]}%`;
      cell.append(bar);
    });
  };
  order.slice(0, SHOWN).forEach(add);
  element.replaceChildren(table);
  if (order.length > SHOWN) {
    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.textContent = `Show all ${order.length.toLocaleString("en")} species`;
    more.addEventListener("click", () => { order.slice(SHOWN).forEach(add); more.remove(); });
    element.append(more);
  }
}
