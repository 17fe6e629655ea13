"""What moves and what is framed: a warm run that goes on, the servers, an instance's preview."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.utils.timezone import now

from fragcache.models import WarmRun
from fragcache.store import store
from fragcache.warming.locks import WarmingLock
from tests.browser.conftest import Tab

#: Milliseconds between two looks of the script.
PAUSE = 3000
CACHE = "/admin/fragcache/fragmentcache/"
#: How far each label of a form is from the left of its row, in pixels.
INDENTS = """[...document.querySelectorAll(".form-row label")].map(label =>
    label.getBoundingClientRect().left - label.closest(".form-row").getBoundingClientRect().left)"""


def outside(call: Callable[[], Any]) -> Any:
    """Call in another thread: the database knows nothing of the event loop of this one."""

    def called() -> Any:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(called).result()


@pytest.fixture
def run(site: Any) -> Iterator[WarmRun]:
    """A run that this process is at."""
    with WarmingLock(store()):
        counts = {"shop.price": {"planned": 5}}
        about = {"host": socket.gethostname(), "pid": os.getpid(), "fragments": counts}
        run = outside(lambda: WarmRun.objects.create(started_at=now(), **about))
        yield run
        outside(run.delete)


@pytest.mark.parametrize("page", ["", "{run.pk}/change/"])
def test_a_run_that_goes_on_is_renewed_until_it_has_ended(
    tab: Tab, run: WarmRun, page: str
) -> None:
    asked: list[str] = []
    tab.page.on("request", lambda one: asked.append(one.url) if "progress" in one.url else None)
    tab.page.clock.install()
    tab.visit(f"/admin/fragcache/warmrun/{page.format(run=run)}")
    outside(lambda: WarmRun.objects.update(fragments={"shop.price": {"planned": 7123}}))
    tab.page.clock.run_for(PAUSE)
    tab.page.locator("#content [data-run]", has_text="7123").first.wait_for()

    outside(lambda: WarmRun.objects.update(status="incomplete", finished_at=now()))
    tab.page.clock.run_for(PAUSE)
    tab.page.locator("#content [data-run]", has_text="incomplete").first.wait_for()
    assert tab.page.locator("[data-progress]").count() == 0, "nothing is asked for any more"
    assert len(asked) == 2
    assert tab.complaints == []


def test_an_entry_is_shown_in_a_frame_of_no_origin(tab: Tab) -> None:
    tab.visit(f"{CACHE}instance/?fragment=library.greeting")
    tab.page.fill("#id_arguments", '"1"')
    with tab.page.expect_navigation():
        tab.page.keyboard.press("Enter")
    assert tab.page.locator("iframe").count() == 1, tab.page.inner_text("#content")
    tab.page.frame_locator("iframe").get_by_text("Hello 1").wait_for()
    assert tab.page.frames[1].evaluate("self.origin") == "null"
    for width in (1280, 400):
        tab.look(width=width)
        assert tab.overflow == 0
    assert all("sandboxed" in one for one in tab.complaints), "playwright's own scripts are refused"


@pytest.mark.parametrize("width", [1280, 400])
def test_further_pages_hold_in_each_width(tab: Tab, width: int) -> None:
    tab.look(width=width)
    for page in (
        *("servers/", "warm/", "invalidate/?fragment=library.greeting", "clear/", "instance/"),
        "../warmrun/",
    ):
        tab.visit(f"{CACHE}{page}")
        links = tab.page.locator(".fc-links li").first
        assert links.evaluate("one => getComputedStyle(one).listStyleType") == "none"
        assert links.bounding_box()["x"] == tab.page.locator("#content h1").bounding_box()["x"]
        assert (tab.overflow, tab.complaints) == (0, []), page
        assert [where for where in tab.page.evaluate(INDENTS) if where > 20] == [], page
