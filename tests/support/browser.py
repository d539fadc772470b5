"""A real browser for tests of pages: Chromium through playwright, with every request and mistake of a page noted."""

import shutil
from contextlib import contextmanager

import pytest

PATH = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@contextmanager
def chromium():
    """A browser without a window; skips the test where there is none."""
    tools = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra browser)")
    if PATH is None:
        pytest.skip("no chromium or chrome on the path")
    with tools.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=PATH, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that is open in the browser, and what went wrong in it.

    Attributes:
        page: Playwright's page.
        mistakes: Errors of scripts, messages on the console, and requests that failed.
        requests: Addresses of all requests.
    """

    def __init__(self, browser, path, *, width=1280, height=800, **options):
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        # Nothing but the disk is to be reached.
        self.context.set_offline(True)
        self.page = self.context.new_page()
        self.mistakes, self.requests = [], []
        self.page.on("pageerror", lambda error: self.mistakes.append(f"error: {error}"))
        self.page.on("console", lambda message: self.mistakes.append(f"console: {message.text}"))
        self.page.on("dialog", lambda dialog: (self.mistakes.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("requestfailed", lambda request: self.mistakes.append(f"failed: {request.url}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()
