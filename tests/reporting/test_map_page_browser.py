"""The map page in a real browser, opened from the disk: search, click, threshold, week, two runs, dark, phone, keys."""

import io
import re
import shutil
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
from support import tiny
from support.browser import Visit, chromium

from presence_only.data.training import TrainingData
from presence_only.model.range_map import suitability
from presence_only.reporting.map_page.cells import choose_cells
from presence_only.reporting.map_page.packs import read_description
from presence_only.reporting.map_page.page import MapContent, MapRun, write_map_page

NAMES = (
    "<img src=x onerror=alert(1)>",
    "quote \" and ' and \\",
    "</script><script>alert(2)</script>",
    "Parus\u2028major",
    "Årvak <!-- é 鳥 &amp; -->",
)
# What no reader can see has a sign.
SHOWN = tuple(name.replace("\u2028", "\N{REPLACEMENT CHARACTER}") for name in NAMES)
RUNS = ("bce", "<b>two</b>_way")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A page of two runs, one of which reads the week, with names full of markup; and what it was made from."""
    folder = tmp_path_factory.mktemp("page") / "a folder é"
    plain = tiny.dataset(covariates=0)
    records = replace(plain.training.records, species=NAMES, groups=("bird", "<i>plant</i>", "bird", "bird", "plant"))
    weekly = TrainingData(
        replace(records, week_N=np.arange(60) % 48 + 1),
        replace(plain.training.background, week_K=np.arange(40) % 48 + 1),
    )
    with_weeks = replace(plain, training=weekly, survey=replace(plain.survey, species=NAMES))
    models = (
        tiny.model(with_weeks, weeks=True, input="coordinates", width=32),
        tiny.model(plain, seed=5, input="coordinates", width=32),
    )
    cells = choose_cells(records.sites_N2, None, 3, "land")
    content = MapContent("world <1>", records, replace(plain.survey, species=NAMES), "true range")
    runs = [MapRun(name, (model,), None) for name, model in zip(RUNS, models, strict=True)]
    write_map_page(folder, runs, content, cells, weeks=4, progress=lambda *_: None)
    return folder / "index.html", models, records, cells


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def settled(page):
    """Wait until the chosen species is drawn, and two more frames."""
    page.wait_for_selector("html[data-drawn]")
    page.evaluate(
        "() => new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 60))"
    )


def pixels(page, pane=0):
    """The picture of a map on the screen."""
    settled(page)
    return page.locator(".map").nth(pane).screenshot()


def middles_differ(first, second):
    """Share of the pixels that differ between the middles of two pictures, which may lie a pixel apart."""
    pictures = [matplotlib.image.imread(io.BytesIO(picture))[..., :3] for picture in (first, second)]
    (a, b), half = [(picture, np.array(picture.shape[:2]) // 2) for picture in pictures], 150
    middle = a[0][a[1][0] - half : a[1][0] + half, a[1][1] - half : a[1][1] + half]
    shares = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = b[1][0] + dy, b[1][1] + dx
            shifted = b[0][y - half : y + half, x - half : x + half]
            shares.append((np.abs(middle - shifted).max(axis=-1) > 0.1).mean())
    return min(shares)


def search(page, text):
    page.fill("#search", text)
    page.keyboard.press("Enter")
    settled(page)


def test_it_opens_without_a_mistake_or_a_request_to_a_host(study, browser):
    path = study[0]
    with Visit(browser, path) as visit:
        page = visit.page
        settled(page)
        assert page.title() == "world <1>: range maps"
        most = SHOWN[read_description(path.parent / "data/description.js")["first"]]
        assert page.inner_text("#species").split() == most.split()
        assert page.evaluate("performance.getEntriesByName('first map').length") == 1
        assert visit.mistakes == []
        assert visit.requests
        assert all(request.startswith(("file://", "data:")) for request in visit.requests)


@pytest.mark.parametrize("species", range(len(NAMES)))
def test_names_are_text_whatever_they_hold(study, browser, species):
    with Visit(browser, study[0]) as visit:
        page = visit.page
        settled(page)
        search(page, SHOWN[species])
        assert page.evaluate("document.getElementById('species').textContent") == SHOWN[species]
        page.locator(".map").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#place-list td, #place-help:has-text('No scores')")
        page.fill("#search", "")
        assert page.evaluate("document.querySelectorAll('#found li img, #found li b, #found li i').length") == 0
        found = page.evaluate("[...document.querySelectorAll('#found li')].map(item => item.firstChild.textContent)")
        assert set(found) == set(SHOWN)
        assert page.evaluate("document.querySelectorAll('main img, main b, main script').length") == 0
        assert visit.mistakes == []
        # The address leads back to the species.
        assert page.url.startswith(study[0].as_uri() + "#")
        page.reload()
        settled(page)
        assert page.evaluate("document.getElementById('species').textContent") == SHOWN[species]


def test_signs_of_few_sites_are_seen_however_near_they_lie(browser, tmp_path):
    data = tiny.dataset(covariates=0)
    sites = data.survey.sites_M2.copy()
    pairs = len(sites) // 2
    sites[pairs : 2 * pairs] = sites[:pairs] + 0.001  # a hundred metres apart, as plots are
    content = MapContent("plots", data.training.records, replace(data.survey, sites_M2=sites))
    cells = choose_cells(data.training.records.sites_N2, None, 3, "land")
    run = MapRun("bce", (tiny.model(data, input="coordinates"),), None)
    write_map_page(tmp_path / "page", [run], content, cells, weeks=4, progress=lambda *_: None)
    with Visit(browser, tmp_path / "page/index.html") as visit:
        page = visit.page
        settled(page)
        page.locator("#show-records").uncheck()
        before, after = pixels(page), (page.locator("#show-present").check(), pixels(page))[1]
        first, second = (matplotlib.image.imread(io.BytesIO(picture))[..., :3] for picture in (before, after))
        n_present = int(re.search(r"present at (\d+) of", page.inner_text("#layer-present"))[1])
        # A sign is a square 4 pixels wide, with its edges; two of a pair cover each other.
        assert (np.abs(first - second).max(axis=-1) > 0.1).sum() > 10 * n_present / 2
        assert visit.mistakes == []


def test_a_click_lists_the_species_of_the_place_in_order(study, browser):
    path, models, _, _ = study
    with Visit(browser, path) as visit:
        page = visit.page
        settled(page)
        box = page.locator(".map").first.bounding_box()
        # The heart of Africa lies near to the middle of a map of the world.
        page.mouse.click(box["x"] + box["width"] * 0.56, box["y"] + box["height"] * 0.5)
        page.wait_for_selector("#place-list td")
        title = page.inner_text("#place-title")
        latitude, ns, longitude, ew = re.fullmatch(r"Species at ([\d.]+)° ([NS]), ([\d.]+)° ([EW])", title).groups()
        site = np.array([float(longitude) * (-1 if ew == "W" else 1), float(latitude) * (-1 if ns == "S" else 1)])
        centre = np.floor(site / 3) * 3 + 1.5
        rows = page.evaluate(
            "[...document.querySelectorAll('#place-list tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
        )
        expected = np.column_stack([suitability([m], centre[None], None, slice(None), None)[0] for m in models])
        listed = [SHOWN.index(name) for name, *_ in rows]
        assert sorted(listed) == list(range(len(NAMES)))
        shown = np.array([[float(score.removeprefix("< ")) for score in scores] for _, *scores in rows])
        np.testing.assert_allclose(shown, expected[listed], atol=0.02)
        assert (np.diff(shown[:, 0]) <= 0).all()
        # By the other run.
        page.click("#place-list th:nth-child(3) button")
        page.wait_for_selector("#place-list th:nth-child(3)[aria-sort]")
        other = page.evaluate(
            "[...document.querySelectorAll('#place-list tbody td:nth-child(3)')].map(c => parseFloat(c.textContent))"
        )
        assert (np.diff(other) <= 0).all()
        # A name in the list chooses the species.
        page.click("#place-list tbody tr:last-child button")
        settled(page)
        assert page.locator("#place-list tr.chosen").count() == 1
        assert visit.mistakes == []


def test_threshold_layers_colours_and_week_move_pixels(study, browser):
    _, models, _, cells = study
    with Visit(browser, study[0]) as visit:
        page = visit.page
        settled(page)
        first, other = pixels(page), pixels(page, 1)
        assert first != other
        page.locator(".threshold").first.fill("95")
        cut = pixels(page)
        assert cut != first
        assert pixels(page, 1) == other
        assert "at least" in page.locator(".cut output").first.inner_text()
        # By hand: the areas of the cells on the sphere whose scores reach the threshold.
        said = page.locator(".area").first.inner_text()
        number, million, share = re.fullmatch(
            r"Area drawn: ([\d.,]+)( million|) km² \(([\d.]+) % of the area with scores\)", said
        ).groups()
        threshold = float(page.locator(".cut output").first.inner_text().removeprefix("at least "))
        species = int(page.get_attribute("html", "data-drawn"))
        score_K = suitability([models[0]], cells.sites_K2, None, slice(species, species + 1), None)[:, 0]
        south_K = np.radians(cells.sites_K2[:, 1] - 1.5)
        area_K = 6371.0088**2 * np.radians(3) * (np.sin(south_K + np.radians(3)) - np.sin(south_K))
        # The threshold is read as it is rounded, and scores are rounded to codes.
        low, high = (area_K[score_K >= threshold * factor].sum() for factor in (1.06, 0.94))
        assert low * 0.99 <= float(number.replace(",", "")) * (1e6 if million else 1) <= high * 1.01
        assert low / area_K.sum() * 99 <= float(share) <= high / area_K.sum() * 101 + 0.5
        page.locator(".most").first.click()
        assert pixels(page) != cut
        page.locator(".none").first.click()
        assert pixels(page) == first
        page.locator("#show-present").check()
        with_truth = pixels(page)
        assert with_truth != first
        page.locator("#show-records").uncheck()
        assert pixels(page) != with_truth
        page.locator("#show-records").check()
        page.locator("#show-present").uncheck()
        page.select_option("#scale", "log")
        assert pixels(page) != first
        page.select_option("#scale", "own")
        # The first run reads the week, the second does not.
        page.locator("#week").fill("2")
        assert "week 18 of 48 (May)" in page.inner_text("#week-words")
        assert pixels(page) != first
        assert pixels(page, 1) == other
        assert visit.mistakes == []


def test_two_runs_are_compared_and_move_together(study, browser):
    with Visit(browser, study[0]) as visit:
        page = visit.page
        settled(page)
        assert page.locator(".pane").count() == 2
        first, second = pixels(page), pixels(page, 1)
        page.locator(".run").first.select_option(label=RUNS[1])
        assert pixels(page) != first
        # The same run on both sides: the same picture, wherever one of them is moved.
        box = page.locator(".map").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.wheel(0, -300)
        settled(page)
        page.mouse.down()
        page.mouse.move(x - 60, y + 40, steps=5)
        page.mouse.up()
        page.wait_for_timeout(600)
        left, right = pixels(page), pixels(page, 1)
        assert left != second
        assert middles_differ(left, right) < 0.02 < middles_differ(first, second)
        page.locator("#compare").uncheck()
        assert page.locator(".pane").count() == 1
        page.locator("#compare").check()
        assert page.locator(".pane").count() == 2
        settled(page)
        assert visit.mistakes == []


def test_the_keyboard_alone_is_enough(study, browser):
    with Visit(browser, study[0]) as visit:
        page = visit.page
        settled(page)
        page.keyboard.press("/")
        page.keyboard.type("parus")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        settled(page)
        assert page.evaluate("document.getElementById('species').textContent") == "Parus\N{REPLACEMENT CHARACTER}major"
        assert page.get_attribute("#search", "aria-expanded") == "false"
        # Tab reaches a map, whose keys move it and list its middle.
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.classList.contains('map')"):
                break
        assert page.evaluate("document.activeElement.classList.contains('map')")
        before = pixels(page)
        page.keyboard.press("+")
        page.keyboard.press("ArrowUp")
        page.wait_for_timeout(400)
        assert pixels(page) != before
        page.keyboard.press("Enter")
        page.wait_for_selector("#place-title:has-text('Species at')")
        assert visit.mistakes == []


def test_a_search_without_success_says_so(study, browser):
    with Visit(browser, study[0]) as visit:
        page = visit.page
        settled(page)
        page.fill("#search", "zzz")
        assert "no species has such a name" in page.inner_text("#found")
        page.keyboard.press("Escape")
        assert page.locator("#found").is_hidden()
        assert visit.mistakes == []


def test_dark_follows_the_system(study, browser):
    def lightness(page):
        settled(page)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        corner = page.evaluate(
            "(() => { const context = document.createElement('canvas').getContext('2d');"
            "context.drawImage(document.querySelector('.picture'), 0, 0);"
            "return [...context.getImageData(3, 3, 1, 1).data].slice(0, 3); })()"
        )
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3, sum(corner) / 3

    with Visit(browser, study[0], color_scheme="light") as visit:
        page_light, map_light = lightness(visit.page)
        visit.page.emulate_media(color_scheme="dark")
        page_dark, map_dark = lightness(visit.page)
        assert visit.mistakes == []
    assert min(page_light, map_light) > 180
    assert max(page_dark, map_dark) < 60


def test_on_a_phone(study, browser):
    with Visit(browser, study[0], width=375, height=700, device_scale_factor=2, has_touch=True) as visit:
        page = visit.page
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        page.locator(".map").first.tap()
        page.wait_for_selector("#place-title:has-text('Species at')")
        wide = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(e => !e.closest('.map')"
            " && e.getBoundingClientRect().right > 376).map(e => e.className || e.tagName)"
        )
        assert wide == []
        small = page.evaluate(
            "[...document.querySelectorAll('button, select')].filter(e => e.offsetParent && !e.closest('.map')"
            " && e.getBoundingClientRect().height < 28).map(e => e.textContent)"
        )
        assert small == []
        assert visit.mistakes == []


def test_a_missing_file_is_one_sentence(study, browser, tmp_path):
    folder = tmp_path / "page"
    shutil.copytree(study[0].parent, folder)
    (folder / "data/run_1/species_0.js").unlink()
    with Visit(browser, folder / "index.html") as visit:
        visit.page.wait_for_selector("#trouble:not([hidden])")
        said = visit.page.inner_text("#trouble")
        assert said == "data/run_1/species_0.js is missing from the folder of this page"
