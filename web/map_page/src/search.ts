// The search for a species: a text field with a list, used by mouse, by touch and by the keyboard alike.

/** Names that are shown at once. */
const SHOWN = 50;

const folded = (text: string) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/[_\s]+/g, " ").trim();

/** Indices of the names that hold all words of a text; those that begin with it first. */
export function find(text: string, names: string[]): number[] {
  const whole = folded(text), words = whole.split(" ").filter(Boolean);
  const found = names.map((name, index) => ({ index, name })).filter(({ name }) => words.every((word) => name.includes(word)));
  return found.sort((a, b) => Number(b.name.startsWith(whole)) - Number(a.name.startsWith(whole)) || a.index - b.index).map(({ index }) => index);
}

/**
 * @param names Of the species.
 * @param notes What stands beside each name.
 * @param chosen Is called with the index of the species that was chosen.
 */
export function setUpSearch(names: string[], notes: (species: number) => string, chosen: (species: number) => void): void {
  const field = document.getElementById("search") as HTMLInputElement, list = document.getElementById("found")!;
  const foldedNames = names.map(folded);
  let found: number[] = [], at = -1;

  const mark = (place: number) => {
    at = place;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === place)));
    field.setAttribute("aria-activedescendant", place < 0 ? "" : `found-${place}`);
    list.children[place]?.scrollIntoView({ block: "nearest" });
  };
  const show = (open: boolean) => {
    list.hidden = !open;
    field.setAttribute("aria-expanded", String(open));
    if (!open) field.removeAttribute("aria-activedescendant");
  };
  const choose = (species: number) => {
    field.value = "";
    show(false);
    chosen(species);
  };
  const look = () => {
    found = find(field.value, foldedNames);
    list.replaceChildren(...found.slice(0, SHOWN).map((species, i) => {
      const item = document.createElement("li"), note = document.createElement("span");
      item.id = `found-${i}`;
      item.setAttribute("role", "option");
      item.textContent = names[species];
      note.className = "quiet";
      note.textContent = notes(species);
      item.append(note);
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(species); });
      return item;
    }));
    const rest = found.length - SHOWN;
    if (!found.length || rest > 0) {
      const item = document.createElement("li");
      item.className = "nothing";
      item.textContent = found.length ? `and ${rest.toLocaleString("en")} more` : "no species has such a name";
      list.append(item);
    }
    show(true);
    mark(found.length ? 0 : -1);
  };
  field.addEventListener("input", look);
  field.addEventListener("focus", look);
  field.addEventListener("click", () => { if (list.hidden) look(); });
  field.addEventListener("blur", () => show(false));
  field.addEventListener("keydown", (event) => {
    const last = Math.min(found.length, SHOWN) - 1;
    if (event.key === "Escape") { field.value = ""; show(false); }
    else if (list.hidden && event.key === "ArrowDown") look();
    else if (event.key === "ArrowDown") mark(at < last ? at + 1 : 0);
    else if (event.key === "ArrowUp") mark(at > 0 ? at - 1 : last);
    else if (event.key === "Enter") { if (!list.hidden && at >= 0) choose(found[at]); }
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const element = event.target as HTMLElement;
    if (event.key !== "/" || element.matches("input[type=text], select, textarea")) return;
    event.preventDefault();
    field.focus();
  });
}
