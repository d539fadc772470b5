"""Take the picture of docs/map_page.md: the map page of two runs of the default study in a real browser.

Run ``python docs/make_map_page_picture.py`` in a folder with runs, after a change to the page. It needs the extra
``browser`` and a Chromium on the path.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "figures/map_page.png"
# A picture of a map needs no more, and is a third of the size.
COLOURS = 128


def main() -> None:
    """Write the page of two runs, choose a species and a place, and keep what is seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs=2, default=[Path("runs/world_1/bce"), Path("runs/world_1/two_way")])
    parser.add_argument("--species", default="virtual_0012")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "page")
        runs = [word for run in arguments.runs for word in ("--run", str(run))]
        command = [sys.executable, "-m", "presence_only.pipeline.explore", *runs, "--out", str(folder)]
        subprocess.run(command, check=True)
        picture = take(folder / "index.html", arguments.species)
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1024} kB")


def take(page_file: Path, species: str) -> bytes:
    """The window as PNG, with a species near, thresholds that most records reach, and the list of a place."""
    with sync_playwright() as tools:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1240, "height": 780}, color_scheme="light")
        page.goto(page_file.as_uri())
        page.wait_for_selector("html[data-drawn]")
        page.fill("#search", species)
        page.keyboard.press("Enter")
        page.wait_for_timeout(500)
        page.click("#near")
        for place in (0, 1):
            page.locator(".most").nth(place).click()
        box = page.locator(".map").first.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
        page.wait_for_selector("#place-list td")
        page.mouse.move(5, 5)
        page.wait_for_timeout(1000)
        picture = page.screenshot()
        browser.close()
        return picture


if __name__ == "__main__":
    main()
