"""Pages that Django serves by ASGI, many in one thread: each has its own budget and its memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.shortcuts import render
from django.test import override_settings
from django.urls import path

from fragcache import aget_fragment, counters, get_fragment, page
from fragcache.events import Event
from fragcache.store import store
from tests.faults import SILENCE, Fault
from tests.faulty_site import BUDGET, FIRST_PAGE, HTML, NAMES, site
from tests.fixtures import happened
from tests.pages import SERVERS
from tests.processes import Server

pytestmark = pytest.mark.usefixtures("cards")

StartServer = Callable[[str], Server]

each_server = pytest.mark.parametrize("name", SERVERS)
#: Requests at a time.
VISITORS = 8
#: Seconds in which everything happens, on a busy machine too.
SOON = 10


class Meeting:
    """Where requests wait until all of them are there."""

    def __init__(self) -> None:
        self._here = 0
        self._all = asyncio.Event()

    async def wait(self) -> None:
        self._here += 1
        if self._here == VISITORS:
            self._all.set()
        await asyncio.wait_for(self._all.wait(), SOON)


#: Of the test that runs.
meetings: list[Meeting] = []


async def asynchronous(request: HttpRequest, number: int) -> JsonResponse:
    """Show an instance of the visitor's own, and one of all, among the others."""
    begun = page.active()
    assert begun is not None
    await meetings[0].wait()
    begun.waited = number / 1000
    await meetings[1].wait()
    before = begun.waited
    own = await aget_fragment("library.guest", number, request=request)
    shared = await aget_fragment("library.guest", VISITORS, request=request)
    return JsonResponse(
        {
            "page": id(begun),
            "is_same": page.active() is begun and begun.is_request,
            "kept": before == number / 1000,
            "html": [own, shared],
        }
    )


def synchronous(request: HttpRequest, number: int) -> Any:
    return render(request, "names.html", {"names": NAMES})


urlpatterns = [path("async/<int:number>/", asynchronous), path("sync/<int:number>/", synchronous)]


def visits(kind: str) -> tuple[float, list[bytes]]:
    """Return the longest time of a visit, and what all visitors were answered."""

    async def visit(number: int) -> tuple[float, bytes]:
        began = time.perf_counter()
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": f"/{kind}/{number}/",
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
        }
        communicator = ApplicationCommunicator(get_asgi_application(), scope)
        await communicator.send_input({"type": "http.request", "body": b""})
        start = await communicator.receive_output(SOON)
        assert start["status"] == 200
        body = await communicator.receive_output(SOON)
        await communicator.wait(SOON)
        return time.perf_counter() - began, body["body"]

    async def together() -> list[tuple[float, bytes]]:
        meetings[:] = [Meeting(), Meeting()]
        return await asyncio.gather(*(visit(number) for number in range(VISITORS)))

    with override_settings(ROOT_URLCONF=__name__):
        seconds, bodies = zip(*asyncio.run(together()), strict=True)
    return max(seconds), list(bodies)


@each_server
@pytest.mark.leases
def test_each_request_is_a_page_of_its_own_and_all_share_one_render(
    name: str, start_server: StartServer, declare: Any, templates: Any
) -> None:
    templates({"guest.html": "<{{ number }}>"})

    @declare("guest.html", name="library.guest", version=lambda _number: 1)
    def guest(number: int) -> dict[str, Any]:
        return {"number": number}

    with site(start_server(name), is_direct=True, is_patient=True, PAGE_BUDGET=60):
        get_fragment(guest, -1)  # its tokens are known
        counters.reset()
        _seconds, bodies = visits("async")

        answers = [json.loads(body) for body in bodies]
        assert all(answer["is_same"] and answer["kept"] for answer in answers)
        assert len({answer["page"] for answer in answers}) == VISITORS
        everybody = f"<{VISITORS}>"
        assert [answer["html"] for answer in answers] == [
            [f"<{number}>", everybody] for number in range(VISITORS)
        ]
        assert happened(Event.CACHE_ERROR) == happened(Event.OVER_BUDGET) == 0
        assert happened(Event.RENDERED) == VISITORS + 1


@each_server
def test_requests_at_a_time_wait_for_a_broken_cache_as_long_as_one(
    name: str, start_server: StartServer
) -> None:
    with site(start_server(name)) as faulty:
        # Of visitors who come at once each may find some tokens that the others have just made.
        for _visit in range(3):
            visits("sync")
        counters.reset()
        usual, bodies = visits("sync")
        assert bodies == [HTML.encode()] * VISITORS
        assert happened(Event.HIT) > 0
        times = []
        for _attempt in range(4):
            faulty.proxy.fault = SILENCE
            first, bodies = visits("sync")
            assert bodies == [HTML.encode()] * VISITORS
            later, _bodies = visits("sync")
            times.append((first, later))
            faulty.proxy.fault = Fault()
            store().reads.close()
            if first <= FIRST_PAGE + 2 * usual and later <= BUDGET / 2 + 2 * usual:
                return
    pytest.fail(f"{times}, usually {usual:.3f} s")
