// The map page: what is chosen, and what is drawn after each choice.

import "leaflet/dist/leaflet.css";
import "./page.css";
import { Coasts } from "./coast";
import { colour, DARK, FAINTEST, inDigits, LIGHT, position, scoreAt, type Scale } from "./colours";
import { cellAreas, timeInWords, type Description } from "./description";
import { Pane } from "./pane";
import { showPlace } from "./place";
import { Scores } from "./scores";
import { setUpSearch } from "./search";

const get = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const count = (n: number, noun: string) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

function trouble(error: unknown): void {
  const element = get("trouble");
  element.textContent = error instanceof Error ? error.message : String(error);
  element.hidden = false;
}

/** Steps of the slider of the threshold: codes from the highest score of a map down, which are logits of equal steps. */
const STEPS = 100;

/** One map with its run, its threshold and its legend. */
class Side {
  readonly element: HTMLElement;
  readonly pane: Pane;
  readonly image = document.createElement("canvas");
  /** The highest code of the species under the run, at any time. */
  private most = 1;
  /** Codes (T, K) of the species. */
  codes: Uint8Array | undefined;
  run: number;

  constructor(private readonly page: Page, index: number) {
    const { about } = page;
    this.run = index;
    this.element = (get<HTMLTemplateElement>("pane").content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
    get("maps").append(this.element);
    const runs = this.part<HTMLSelectElement>(".run");
    about.runs.forEach(({ name }, i) => runs.add(new Option(name, String(i), i === index, i === index)));
    runs.disabled = about.runs.length === 1;
    runs.addEventListener("change", () => { this.run = Number(runs.value); page.changeRun(this); });
    const map = this.part(".map");
    map.setAttribute("aria-label", `Map ${index + 1}. Arrow keys move it, plus and minus zoom, Enter lists the species of its middle.`);
    this.image.width = about.grid.columns;
    this.image.height = about.grid.rows;
    this.pane = new Pane(map, about.grid, page.coasts, {
      image: undefined, records: new Float64Array(), present: new Float64Array(), absent: new Float64Array(), spacing: 1, mark: undefined,
      theme: dark.matches ? DARK : LIGHT,
    }, (x, y) => page.pick(x, y), (pane) => page.follow(pane));
    this.threshold.max = String(STEPS);
    this.threshold.addEventListener("input", () => this.colour());
    this.part(".none").addEventListener("click", () => this.cutAt(0));
    this.part(".most").addEventListener("click", () => this.cutAt(this.mostRecords()));
    this.pane.map.on("mousemove", ({ latlng }) => this.read(latlng.lng, latlng.lat));
    this.pane.map.on("mouseout", () => { this.part(".reading").textContent = ""; });
  }

  part<T extends HTMLElement>(selector: string): T { return this.element.querySelector(selector) as T; }
  get threshold(): HTMLInputElement { return this.part<HTMLInputElement>(".threshold"); }

  /** Codes (K) of the chosen time. */
  private now(): Uint8Array | undefined {
    const { kept } = this.page.about.grid;
    return this.codes?.subarray(this.page.time * kept, (this.page.time + 1) * kept);
  }

  private read(longitude: number, latitude: number): void {
    const place = this.page.placeAt(longitude, latitude), codes = this.now();
    this.part(".reading").textContent = place < 0 || !codes ? "" : `${inDigits(this.page.scores.ofCode[codes[place]])} here`;
  }

  /** Takes the codes of another species or run; a threshold belongs to both. */
  show(codes: Uint8Array): void {
    this.codes = codes;
    this.most = codes.reduce((a, b) => Math.max(a, b), 1);
    this.cutAt(0);
  }

  /** Draws scores of at least a code; 0 draws all. */
  private cutAt(code: number): void {
    this.threshold.value = String(code ? Math.max(1, STEPS - (this.most - code)) : 0);
    this.colour();
  }

  /** The code of the threshold: the slider ends at the highest score of the map. */
  private get cut(): number {
    const step = Number(this.threshold.value);
    return step ? Math.max(1, this.most - (STEPS - step)) : 0;
  }

  /** The code that 95 % of the drawn records reach, by their cells. */
  private mostRecords(): number {
    const codes = this.now(), { records } = this.page, found: number[] = [];
    for (let i = 0; codes && i < records.length; i += 2) {
      const place = this.page.placeAt(records[i], records[i + 1]);
      if (place >= 0 && codes[place]) found.push(codes[place]);
    }
    found.sort((a, b) => a - b);
    return found.length ? found[Math.floor(0.05 * found.length)] : 0;
  }

  /** Colours the cells anew, and with them legend, threshold and area. */
  colour(): void {
    const codes = this.now();
    if (!codes) return;
    const { scores, about, scale, areas } = this.page, theme = dark.matches ? DARK : LIGHT, ramp = theme.ramp;
    // The same colours at every time of the year.
    const { cut } = this, most = scores.ofCode[this.most], top = Math.max(most, FAINTEST);
    const table = new Uint32Array(256);
    for (let code = 1; code < 256; code++) {
      if (code < cut) continue;
      const [r, g, b] = colour(ramp, position(scores.ofCode[code], scale, top));
      table[code] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    const context = this.image.getContext("2d")!, pixels = context.createImageData(about.grid.columns, about.grid.rows);
    const colours = new Uint32Array(pixels.data.buffer), { cells } = scores, { columns } = about.grid;
    let above = 0, all = 0;
    for (let place = 0; place < codes.length; place++) {
      const code = codes[place], cell = cells[place], area = areas[Math.floor(cell / columns)];
      colours[cell] = table[code];
      if (code) all += area;
      if (code && code >= cut) above += area;
    }
    context.putImageData(pixels, 0, 0);
    this.pane.drawing.image = this.image;
    this.pane.drawing.theme = theme;
    this.pane.redraw();
    this.legend(cut, top);
    const words = cut ? `at least ${inDigits(scores.ofCode[cut])}` : "none";
    this.part(".cut output").textContent = words;
    this.threshold.setAttribute("aria-valuetext", words);
    const percent = (share: number) => (share >= 99.5 ? "100" : String(Number(share.toPrecision(2))));
    const million = (km2: number) => (km2 >= 1e6 ? `${(km2 / 1e6).toPrecision(3)} million` : Math.round(km2).toLocaleString("en"));
    this.part(".area").textContent = cut
      ? `Area drawn: ${million(above)} km² (${percent((100 * above) / all)} % of the area with scores)`
      : `Highest score of the species: ${inDigits(most)}`;
  }

  private legend(cut: number, top: number): void {
    const { scale, scores } = this.page, theme = dark.matches ? DARK : LIGHT, bar = this.part<HTMLCanvasElement>(".bar");
    bar.width = 256;
    const context = bar.getContext("2d")!;
    for (let i = 0; i < 256; i++) {
      const shown = !cut || scoreAt((i + 0.5) / 256, scale, top) >= scores.ofCode[cut];
      context.fillStyle = shown ? `rgb(${colour(theme.ramp, i / 255).join()})` : theme.land;
      context.fillRect(i, 0, 1, 12);
    }
    const ticks = scale === "log" ? [0, 1 / 3, 2 / 3, 1] : [0, 0.25, 0.5, 0.75, 1];
    this.part(".ticks").replaceChildren(...ticks.map((place) => {
      const tick = document.createElement("span"), score = scoreAt(place, scale, top);
      tick.style.left = `${100 * place}%`;
      tick.textContent = score === 0 ? "0" : score === 1 ? "1" : String(Number(score.toPrecision(2)));
      return tick;
    }));
  }
}

class Page {
  readonly coasts = new Coasts(() => this.sides.forEach((side) => side.pane.redraw()));
  readonly areas: Float64Array;
  readonly sides: Side[] = [];
  species = -1;
  /** Index into the times. */
  time = 0;
  scale: Scale = "own";
  records: Float64Array = new Float64Array();
  private place: { longitude: number; latitude: number } | undefined;
  private orderBy = 0;
  private following = false;
  private asked = 0;
  private readonly spacing: Promise<number>;

  constructor(readonly about: Description, readonly scores: Scores) {
    this.areas = cellAreas(about.grid);
    this.spacing = scores.spacing();
    document.title = `${about.title}: range maps`;
    get("title").textContent = `${about.title}: range maps`;
    const { kept, rows, north, south, land } = about.grid, side = Number(((north - south) / rows).toPrecision(3));
    get("counts").textContent = `${about.species.length.toLocaleString("en")} species, ${count(about.runs.length, "run")}, `
      + `${count(kept, "cell")} of ${side}°${land ? " with land" : ""}`;
    this.sides.push(new Side(this, 0));
    this.setUp();
  }

  private setUp(): void {
    const { about } = this, several = about.runs.length > 1, compare = get<HTMLInputElement>("compare");
    setUpSearch(about.species, (s) => [about.groups.length > 1 ? about.groups[about.group[s]] : "", count(about.records[s], "record")].filter(Boolean).join(", "),
      (species) => this.choose(species));
    const step = (by: number) => this.choose((this.species + by + about.species.length) % about.species.length);
    get("previous").addEventListener("click", () => step(-1));
    get("next").addEventListener("click", () => step(1));
    get("compare-label").hidden = !several;
    compare.addEventListener("change", () => this.compare(compare.checked));
    compare.checked = several;
    if (several) this.compare(true);
    get("whole").addEventListener("click", () => this.sides[0].pane.whole());
    this.sides[0].pane.whole();
    get("near").hidden = !about.drawn;
    get("near").addEventListener("click", () => this.sides[0].pane.near(this.records));
    get<HTMLSelectElement>("scale").addEventListener("change", (event) => {
      this.scale = (event.target as HTMLSelectElement).value as Scale;
      this.recolour();
    });
    const week = get<HTMLInputElement>("week");
    get("time").hidden = about.times.length === 1;
    week.max = String(about.times.length - 1);
    const words = () => {
      get("week-words").textContent = timeInWords(about.times[this.time]);
      week.setAttribute("aria-valuetext", timeInWords(about.times[this.time]));
    };
    words();
    week.addEventListener("input", () => {
      this.time = Number(week.value);
      words();
      this.recolour();
      this.list().catch(trouble);
    });
    get("layer-records").hidden = !about.drawn;
    get("layer-present").hidden = !about.truth;
    get("layer-absent").hidden = !about.truth || about.truth.everywhere;
    get("layers").hidden = !about.drawn && !about.truth;
    for (const id of ["show-records", "show-present", "show-absent"]) get(id).addEventListener("change", () => this.layers().catch(trouble));
    dark.addEventListener("change", () => this.recolour());
    window.addEventListener("hashchange", () => this.choose(this.ofAddress()));
    this.choose(this.ofAddress());
  }

  /** The species that the address names after #, or else the first that is shown. */
  private ofAddress(): number {
    const name = (() => { try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; } })();
    const found = this.about.species.indexOf(name);
    return found >= 0 ? found : this.about.first;
  }

  compare(two: boolean): void {
    if (two && this.sides.length === 1) {
      const side = new Side(this, 1);
      this.sides.push(side);
      side.pane.map.whenReady(() => this.follow(this.sides[0].pane));
      this.changeRun(side);
    } else if (!two && this.sides.length > 1) {
      const side = this.sides.pop()!;
      side.pane.remove();
      side.element.remove();
      this.orderBy = 0;
      this.list().catch(trouble);
    }
  }

  changeRun(side: Side): void {
    if (this.species >= 0) this.load(side, this.species).then(() => this.layers()).catch(trouble);
    this.list().catch(trouble);
  }

  follow(pane: Pane): void {
    if (this.following) return;
    this.following = true;
    for (const side of this.sides) if (side.pane !== pane) side.pane.follow(pane);
    this.following = false;
  }

  placeAt(longitude: number, latitude: number): number {
    const cell = this.scores.cellAt(longitude, latitude);
    return cell < 0 ? -1 : this.scores.kept[cell];
  }

  private recolour(): void { this.sides.forEach((side) => side.colour()); }

  private async load(side: Side, species: number): Promise<void> {
    const codes = await this.scores.ofSpecies(side.run, species);
    if (species !== this.species) return;
    side.show(codes);
  }

  choose(species: number): void {
    if (species === this.species) return;
    const { about } = this, asked = ++this.asked;
    this.species = species;
    get("species").textContent = about.species[species];
    const group = about.groups.length > 1 ? `${about.groups[about.group[species]]}, ` : "";
    get("facts").textContent = `${group}species ${(species + 1).toLocaleString("en")} of ${about.species.length.toLocaleString("en")}`;
    history.replaceState(null, "", `#${encodeURIComponent(about.species[species])}`);
    Promise.all([...this.sides.map((side) => this.load(side, species)), this.layers(), this.list()]).then(() => {
      if (asked === this.asked) document.documentElement.dataset.drawn = String(species);
      if (!performance.getEntriesByName("first map").length) requestAnimationFrame(() => performance.mark("first map"));
    }).catch(trouble);
  }

  /** Records and truth of the species, where they are wanted. */
  private async layers(): Promise<void> {
    const { about, species } = this, wants = (id: string) => get<HTMLInputElement>(id).checked, nothing = new Float64Array();
    const [records, truth, spacing] = await Promise.all([this.scores.records(species), this.scores.truth(species), this.spacing]);
    if (species !== this.species) return;
    this.records = records;
    const text = (id: string, words: string) => { get(id).querySelector(".text")!.textContent = words; };
    if (about.drawn) {
      const all = about.records[species], drawn = about.drawn[species];
      text("layer-records", `${count(all, "training record")}${drawn < all ? ` (${count(drawn, "place")} drawn)` : ""}`);
    }
    if (about.truth) {
      const { title, sites, drawn, present, surveyed } = about.truth;
      const some = drawn < sites ? ", some drawn" : "", known = surveyed[species];
      text("layer-present", known ? `${title}: present at ${present[species].toLocaleString("en")} of ${count(known, "site")}${some}` : `${title}: not surveyed`);
      text("layer-absent", `${title}: absent at ${count(known - present[species], "site")}${some}`);
    }
    for (const side of this.sides) {
      Object.assign(side.pane.drawing, {
        spacing,
        records: wants("show-records") ? records : nothing,
        present: wants("show-present") ? truth.present : nothing,
        absent: wants("show-absent") && !about.truth?.everywhere ? truth.absent : nothing,
        mark: this.place && [this.place.longitude, this.place.latitude],
      });
      side.part<HTMLButtonElement>(".most").hidden = !records.length;
      side.pane.redraw();
    }
  }

  pick(longitude: number, latitude: number): void {
    const turned = ((((longitude + 180) % 360) + 360) % 360) - 180;
    this.place = { longitude: turned, latitude };
    this.layers().catch(trouble);
    this.list().catch(trouble);
  }

  /** The species of the place that was picked. */
  private async list(): Promise<void> {
    if (!this.place) return;
    const { longitude, latitude } = this.place, place = this.placeAt(longitude, latitude), { time } = this;
    const degrees = (value: number, plus: string, minus: string) => `${Math.abs(value).toFixed(2)}° ${value < 0 ? minus : plus}`;
    get("place-title").textContent = `Species at ${degrees(latitude, "N", "S")}, ${degrees(longitude, "E", "W")}`;
    const help = get("place-help"), element = get("place-list");
    if (place < 0) {
      help.textContent = "No scores there: click a coloured cell.";
      element.replaceChildren();
      return;
    }
    const runs = this.sides.map((side) => side.run);
    const codes = await Promise.all(runs.map((run) => this.scores.ofPlace(run, place, time)));
    const now = this.place;
    if (now.longitude !== longitude || now.latitude !== latitude || time !== this.time) return;
    help.textContent = "Scores of the cell that holds the place."
      + (runs.length > 1 ? " Scores of two runs differ in scale; compare their order." : "");
    showPlace(element, {
      runs: runs.map((run) => this.about.runs[run].name),
      scores: codes.map((list) => Float64Array.from(list, (code) => this.scores.ofCode[code])),
      by: Math.min(this.orderBy, runs.length - 1),
    }, this.about.species, this.species, (species) => this.choose(species), (by) => { this.orderBy = by; this.list().catch(trouble); });
  }
}

window.presenceOnlyMap = (about) => {
  if (typeof DecompressionStream === "undefined") {
    trouble("This browser cannot unpack the data of this page; one of 2023 or later can.");
    return;
  }
  Scores.load(about).then((scores) => new Page(about, scores)).catch(trouble);
};
