"""A server and a browser, for tests that look at the page."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from browsing import DESKTOP, FLAGS, PATIENCE, browser_path
from serving import serving


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = browser_path()
    if path is None:
        pytest.skip("no Chromium, Chrome or Edge on the path")
    # Not for the whole session: while it runs, asyncio.run() is not possible in other tests.
    # Playwright gives every browser that it launches a folder of its own for user data.
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def page_server(browser, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("page") / "log") as found:
        yield found


@pytest.fixture
def visit(browser, page_server):
    """Opens the page; afterwards nothing may have gone wrong in it."""
    contexts, wrong = [], []

    def go(state=None, *, url=page_server.url, allowed="(?!)", **options):
        def said(message):
            if message.type in ("error", "warning") and not re.search(allowed, message.text):
                wrong.append(message.text)

        context = browser.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", said)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{url}/#{urlencode(state)}" if state else url)
        return page

    yield go
    for context in contexts:
        context.close()
    assert not wrong
