"""The report in a real browser: nothing requested, no error, every image there, nothing wider than a phone."""

import html
import json
import re
import shutil
import subprocess
from importlib.util import find_spec

import pytest
from support.report_study import full_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None and find_spec("playwright") is None, reason="no chromium or chrome on the path, and no playwright"
)

LISTEN = """<script>
window.mistakes = [];
addEventListener("error", e => mistakes.push(String(e.message || e.target.outerHTML).slice(0, 200)), true);
addEventListener("unhandledrejection", e => mistakes.push(String(e.reason)));
</script>"""
JUDGE = """
addEventListener("load", async () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument, view = frame.contentWindow;
  const images = [...page.images];
  await Promise.all(images.map(image => image.decode().catch(e => view.mistakes.push("decode: " + e))));
  const within = element => element.closest(".scroll") && element !== element.closest(".scroll");
  const found = {
    mistakes: view.mistakes,
    requests: view.performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:")),
    images: images.map(image => image.naturalWidth),
    figures: [...page.querySelectorAll("svg[role=img]")].map(svg => Math.round(svg.getBoundingClientRect().width)),
    width: view.innerWidth,
    scroll: page.documentElement.scrollWidth,
    wide: [...page.body.querySelectorAll("*")].filter(e => !within(e)
      && e.getBoundingClientRect().right > view.innerWidth + 1).map(e => e.tagName),
    ink: view.getComputedStyle(page.body).color,
    back: view.getComputedStyle(page.body).backgroundColor,
    figure_text: view.getComputedStyle(page.querySelector("svg text")).fill,
    scripts: [...page.scripts].length,
  };
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify(found);
  document.body.append(out);
});
"""


def look(page, folder, width, dark=False):
    """What the browser finds of a page in a frame of some pixels' width, which windows cannot be made."""
    inner = page.replace("<head>", "<head>" + LISTEN, 1)
    if dark:
        # What a dark scheme would choose, chosen: the frame takes the rules of the media query.
        inner = inner.replace("@media (prefers-color-scheme: dark)", "@media all")
    outer = folder / "outer.html"
    outer.write_text(
        f'<!doctype html><html><body><iframe style="border:0" width="{width}" height="800" '
        f'srcdoc="{html.escape(inner)}"></iframe><script>{JUDGE}</script></body></html>'
    )
    dom = dump(outer, folder)
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))


def dump(path, folder):
    """The page's elements once it has settled; every host is unknown to the browser."""
    if BROWSER is None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as tools:
            browser = tools.chromium.launch()
            page = browser.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("#found", state="attached")
            return page.content()
    command = [
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder / 'profile'}"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", "--dump-dom", path.as_uri()),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def page():
    return full_page()


@needs_browser
def test_on_a_phone(page, tmp_path):
    found = look(page, tmp_path, 375)
    assert found["width"] == 375
    assert found["mistakes"] == []
    assert found["requests"] == []
    assert found["scripts"] == 1  # The test's own.
    assert found["images"] == [1]
    assert len(found["figures"]) == page.count("<svg ") > 10
    assert min(found["figures"]) > 200
    assert found["scroll"] <= 375
    assert found["wide"] == []


@needs_browser
def test_in_the_dark(page, tmp_path):
    light, dark = look(page, tmp_path, 1200), look(page, tmp_path, 1200, dark=True)
    assert light["back"] == "rgb(255, 255, 255)"
    assert sum(map(int, re.findall(r"\d+", dark["back"]))) < 120
    for found in (light, dark):
        assert found["figure_text"] == found["ink"] != found["back"]
        assert found["scroll"] <= 1200


@needs_browser
def test_the_judge_finds_what_is_wrong(tmp_path):
    page = (
        "<html><head></head><body><svg role=img><text>x</text></svg><img src='http://nowhere.example/x.png'>"
        "<p style='width:900px'>wide</p><script>throw Error('wrong')</script></body></html>"
    )
    found = look(page, tmp_path, 375)
    assert any("wrong" in mistake for mistake in found["mistakes"])
    assert any("img" in mistake or "decode" in mistake for mistake in found["mistakes"])
    assert found["images"] == [0]
    assert found["scroll"] > 375
    assert "P" in found["wide"]
