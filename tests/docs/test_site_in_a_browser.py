"""The site in a real browser: its search finds things, and nobody but its own server is asked for anything."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.e2e.visitors import running_browser


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The address of the built site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.browser
async def test_search_works_and_nothing_is_asked_of_anybody_else(served: str) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    async with running_browser() as browser:
        page = await browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(served)
        await page.keyboard.press("/")
        await page.keyboard.type("transit_mount")
        found = page.locator(".md-search-result__link[href*='configuration/'][href$='#objects']")
        await expect(found).to_have_count(1, timeout=20_000)
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith((served, "data:"))] == []
    assert complaints == []
