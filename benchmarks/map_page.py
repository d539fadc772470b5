"""The map page with many species in a real browser: size, first paint, frame times, and how long a choice takes.

Two losses train a few epochs on virtual species; the command `explore` writes their page, which Chromium opens from the
disk without a window and without a GPU. A phone is the same browser with a small screen of three dots per pixel, whose
script runs four times as slowly. Times are wall times of this machine, other work included; medians of the rounds.

    python benchmarks/map_page.py                   # 3,000 species on cells of 1 degree
    python benchmarks/map_page.py --species 500
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from presence_only.common.one_thread import use_one_thread
from presence_only.datasets.virtual import DatasetSettings, build
from presence_only.losses.base import parse_variant
from presence_only.model.settings import EncoderSettings
from presence_only.reporting.map_page.cells import choose_cells
from presence_only.reporting.map_page.page import MapContent, MapRun, write_map_page
from presence_only.training.fit import fit
from presence_only.training.settings import TrainingSettings
from results import write_results

LOSSES = {"bce": {"loss": "bce"}, "an_full": {"loss": "an_full", "pos_lambda": 16.0}}
ROUNDS = 15
SCREENS: dict[str, tuple[dict[str, Any], int]] = {
    "desktop, 1,360 x 820": ({"viewport": {"width": 1360, "height": 820}}, 1),
    "phone, 390 x 844 at 3 dots, CPU at 1/4": (
        {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 3, "has_touch": True},
        4,
    ),
}
# Milliseconds of every frame while something moves, and the wait for the species that was asked for.
SCRIPT = """
window.frames = async (n, act) => {
  const taken = [];
  let before = await new Promise(requestAnimationFrame);
  for (let i = 0; i < n; i++) {
    act(i);
    const now = await new Promise(requestAnimationFrame);
    taken.push(now - before);
    before = now;
  }
  return taken.slice(3);
};
window.until = async (act, done) => {
  const start = performance.now();
  act();
  while (!done()) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
};
"""
DRAG = """frames(60, i => {
  const map = document.querySelector('.map'), box = map.getBoundingClientRect();
  const at = { clientX: box.x + box.width / 2 + 2 * i, clientY: box.y + box.height / 2 + i, bubbles: true, button: 0 };
  if (i === 0) map.dispatchEvent(new MouseEvent('mousedown', at));
  document.dispatchEvent(new MouseEvent(i === 59 ? 'mouseup' : 'mousemove', at));
})"""
THRESHOLD = """frames(60, i => {
  const slider = document.querySelector('.threshold');
  slider.value = 20 + i;
  slider.dispatchEvent(new Event('input'));
})"""
SPECIES = """until(() => { location.hash = encodeURIComponent(%s); },
  () => document.documentElement.dataset.drawn === '%d')"""
PLACE = """until(() => {
  document.getElementById('place-list').replaceChildren();
  const map = document.querySelector('.map'), box = map.getBoundingClientRect();
  const at = { clientX: box.x + box.width * %f, clientY: box.y + box.height * %f, bubbles: true, button: 0 };
  for (const kind of ['mousedown', 'mouseup', 'click']) map.dispatchEvent(new MouseEvent(kind, at));
}, () => document.querySelector('#place-list td')
  || document.getElementById('place-help').textContent.startsWith('No'))"""
SEARCH = """until(() => {
  const field = document.getElementById('search');
  field.value = '12';
  field.dispatchEvent(new Event('input'));
}, () => document.querySelector('#found li'))"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, default=3000)
    parser.add_argument("--records", type=int, default=120_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder to keep the page in")
    arguments = parser.parse_args()
    use_one_thread()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "page")
        lines = make_page(folder, arguments)
        with sync_playwright() as tools:
            path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
            browser = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
            lines += ["", *measure(browser, folder / "index.html", arguments.species), ""]
            lines.append(f"Chromium {browser.version}.")
        if arguments.keep:
            shutil.copytree(folder, arguments.keep)
    name = None if arguments.species == 3000 else f"map_page_{arguments.species}"
    write_results(Path(__file__), lines, name=name)
    print("\n".join(lines))


def make_page(folder: Path, arguments: argparse.Namespace) -> list[str]:
    """Train, write the page, and say how large it is and how long it took."""
    species, records = arguments.species, arguments.records
    dataset = build(DatasetSettings(kind="virtual", species=species, records=records, background_sites=20_000))
    settings = TrainingSettings(epochs=arguments.epochs, batch_size=1024, device="cpu")
    runs = []
    for name, loss in LOSSES.items():
        model, _ = fit(dataset.training, parse_variant(loss, name), EncoderSettings(), settings, seed=0)
        runs.append(MapRun(name, (model,), None))
        print(f"{name}: trained", flush=True)
    cells = choose_cells(dataset.training.records.sites_N2, None, None, "auto")
    content = MapContent("benchmark", dataset.recorded, dataset.survey, "true range")
    start = perf_counter()
    write_map_page(folder, runs, content, cells, weeks=12, progress=lambda *_: None)
    taken = perf_counter() - start

    def size(pattern: str) -> str:
        return f"{sum(file.stat().st_size for file in folder.glob(pattern)) / 2**20:.1f} MB"

    raw = species * cells.n_kept * len(runs) / 2**20
    return [
        f"{species:,} species on {cells.n_kept:,} cells of {cells.grid.resolution:g} degree, {len(runs)} runs, "
        f"{records:,} records, {len(dataset.survey.sites_M2):,} sites of the truth; {arguments.epochs} epochs.",
        "",
        "| part of the folder | size |",
        "|---|---|",
        f"| page: HTML, style and script | {size('*.html')} + {size('*.css')} + {size('page.js')} |",
        f"| finer coastlines, loaded when a map is near enough | {size('coast_50m.js')} |",
        f"| maps of species, of both runs ({raw:.0f} MB as bytes) | {size('data/run_*/species_*.js')} |",
        f"| lists of places, of both runs (the same bytes) | {size('data/run_*/places_*.js')} |",
        f"| records and truth | {size('data/records_*.js')} + {size('data/truth_*.js')} |",
        f"| all | {size('**/*.*')} |",
        "",
        f"Writing it took {taken:.0f} s of one core, scoring included.",
    ]


def measure(browser: Browser, page_file: Path, n_species: int) -> list[str]:
    """The table of times per screen."""
    rows: dict[str, list[str]] = {}
    for options, slower in SCREENS.values():
        opened, drawn = [], []
        for _ in range(5):
            page, close = visit(browser, page_file, options, slower)
            opened.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            drawn.append(page.evaluate("performance.getEntriesByName('first map')[0].startTime"))
            close()
        page, close = visit(browser, page_file, options, slower)
        chosen = [(k * n_species) // ROUNDS for k in range(ROUNDS)]
        species = [page.evaluate(SPECIES % (f"'virtual_{k + 1:04d}'", k)) for k in chosen]
        places = [page.evaluate(PLACE % (0.52 + 0.012 * k, 0.4 + 0.012 * k)) for k in range(ROUNDS)]
        search = page.evaluate(SEARCH)
        page.evaluate("document.getElementById('search').dispatchEvent(new Event('blur'))")
        buttons = {"whole": "the whole map", "near": "a near map"}
        dragged = {}
        for button, what in buttons.items():
            page.evaluate(f"document.getElementById('{button}').click()")
            page.wait_for_timeout(1500)
            dragged[what] = page.evaluate(DRAG)
            page.wait_for_timeout(800)
        threshold = page.evaluate(THRESHOLD)
        memory = page.evaluate("performance.memory.usedJSHeapSize") / 2**20
        close()
        for name, value in {
            "first contentful paint": f"{statistics.median(opened):.0f} ms",
            "both maps drawn, since the page was asked for": f"{statistics.median(drawn):.0f} ms",
            "another species, until both maps are drawn": of_times(species),
            "list of a place, both runs": of_times(places),
            "list of the search": f"{search:.0f} ms",
            **{f"frame while {what} is dragged, both maps": of_frames(taken) for what, taken in dragged.items()},
            "frame while a threshold is moved": of_frames(threshold),
            "heap of the scripts": f"{memory:.0f} MB",
        }.items():
            rows.setdefault(name, []).append(value)
    head = ["| | " + " | ".join(SCREENS) + " |", "|---|" + "---|" * len(SCREENS)]
    return head + [f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()]


def of_times(milliseconds: list[float]) -> str:
    """Median and longest of some waits."""
    return f"{statistics.median(milliseconds):.0f} ms (most {max(milliseconds):.0f})"


def of_frames(milliseconds: list[float]) -> str:
    """Median and 95th percentile of frames."""
    ordered = sorted(milliseconds)
    return f"{statistics.median(ordered):.0f} ms (95 %: {ordered[int(0.95 * len(ordered))]:.0f})"


def visit(browser: Browser, page_file: Path, options: dict[str, Any], slower: int) -> tuple[Page, Any]:
    """A fresh page, once it has drawn; and what closes it."""
    context = browser.new_context(**options)
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.add_init_script(SCRIPT)
    page.goto(page_file.as_uri())
    page.wait_for_selector("html[data-drawn]")
    page.wait_for_function("performance.getEntriesByName('first map').length")
    return page, context.close


if __name__ == "__main__":
    main()
