"""A site whose cache breaks: its pages of 50 fragments, and how each fault comes about."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import Client, override_settings
from django.urls import path

from fragcache.store import store
from tests.backends import freeze
from tests.faults import HALF_CLOSE, HEALTHY, RESET, SILENCE, SLOW, TRICKLE, Proxy
from tests.library.models import Artist
from tests.processes import Server

FRAGMENTS = 50
#: Seconds that a page may wait for its cache; what the first one after a fault, and later ones may
#: take beyond their usual time, as it is promised. Those wait for nothing.
BUDGET = 0.1
FIRST_PAGE = 0.15
LATER_PAGES = 0.005
NAMES = [f"Artist {number}" for number in range(FRAGMENTS)]
ABOUT = "<i>about</i>" * 100
HTML = "".join(f"<b>{name}</b>{ABOUT}" for name in NAMES)
TEMPLATES = {
    "artist_card.html": "<b>{{ artist.name }}</b>" + ABOUT,
    "named_card.html": "<b>{{ name }}</b>" + ABOUT,
    "many.html": "{% load fragcache %}{% fragments 'library.artist_card' artists %}",
    "single.html": "{% load fragcache %}{% for name in names %}"
    "{% fragment 'library.named_card' name %}{% endfor %}",
    "names.html": "{% load fragcache %}{% fragments 'library.named_card' names %}",
}
#: Pages: of one ``{% fragments %}``, and of 50 ``{% fragment %}``.
PAGES = ("many", "single")


def show(request: HttpRequest, page: str) -> HttpResponse:
    """A view of 50 fragments; that of names alone needs no database."""
    return render(request, f"{page}.html", {"artists": in_order(), "names": NAMES})


def in_order() -> Any:
    return Artist.objects.order_by("pk")


urlpatterns = [path("<str:page>/", show)]


@pytest.fixture
def cards(declare: Any, templates: Any) -> None:
    """The fragments of the site: of rows, and of names alone."""
    templates(TEMPLATES)

    @declare(
        "artist_card.html",
        name="library.artist_card",
        items=Artist.objects.all,
        version="updated_at",
    )
    def artist_card(artist: Artist) -> dict[str, Any]:
        return {"artist": artist}

    @declare("named_card.html", name="library.named_card")
    def named_card(name: str) -> dict[str, Any]:
        return {"name": name}


@pytest.fixture
def rows(db: None) -> None:
    """What the page ``many`` shows."""
    Artist.objects.bulk_create(Artist(name=name) for name in NAMES)


@dataclass(frozen=True)
class Faulty:
    """A server of the test's own, and the proxy that its clients reach it through."""

    server: Server
    proxy: Proxy

    def repair(self) -> None:
        """End every fault but deafness."""
        self.proxy.fault = HEALTHY
        if self.server.process is None:
            self.server.start()
        self.server.thaw()


#: What goes wrong, by name.
FAULTS: dict[str, Callable[[Faulty], None]] = {
    "killed": lambda faulty: faulty.server.stop(signal.SIGKILL),
    "frozen": lambda faulty: freeze(faulty.server),
    "black hole": lambda faulty: faulty.proxy.deafen(),
    "silent": lambda faulty: setattr(faulty.proxy, "fault", SILENCE),
    "reset": lambda faulty: setattr(faulty.proxy, "fault", RESET),
    "half-closed": lambda faulty: setattr(faulty.proxy, "fault", HALF_CLOSE),
    "slow": lambda faulty: setattr(faulty.proxy, "fault", SLOW),
    "trickling": lambda faulty: setattr(faulty.proxy, "fault", TRICKLE),
}
#: Those of the server itself, which its clients must reach directly to see them as they are.
OF_THE_SERVER = frozenset({"killed", "frozen"})


#: OPTIONS, by server, of clients that wait for one that only the machine keeps from answering.
PATIENT = {
    "redis": {"SOCKET_TIMEOUT": 15, "SOCKET_CONNECT_TIMEOUT": 15},
    "memcached": {"timeout": 15, "connect_timeout": 15},
}


@contextmanager
def site(
    server: Server, *, is_direct: bool = False, is_patient: bool = False, **changes: Any
) -> Iterator[Faulty]:
    """Keep the fragments of a site in a server, behind a proxy unless the fault is its own."""
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(f"127.0.0.1:{server.port}"))
        own = f"127.0.0.1:{server.port}"
        location = server.address if is_direct else server.address.replace(own, proxy.address)
        backend = settings.CACHES[server.name]["BACKEND"]
        stack.enter_context(
            override_settings(
                CACHES={
                    **settings.CACHES,
                    "faulty": {
                        "BACKEND": backend,
                        "LOCATION": location,
                        "OPTIONS": PATIENT[server.name] if is_patient else {},
                    },
                },
                FRAGCACHE={"CACHE_ALIAS": "faulty", "LOCAL_MAX_BYTES": 0, **changes},
                ROOT_URLCONF="tests.faulty_site",
            )
        )
        yield Faulty(server, proxy)
        # Their threads ask for nothing any more.
        store("faulty").reads.close()
        store("faulty").writes.close()


def seconds_of(page: str, client: Client | None = None) -> float:
    """Return what a visit takes; its answer must be right."""
    visitor = client or Client()
    began = time.perf_counter()
    response = visitor.get(f"/{page}/")
    taken = time.perf_counter() - began
    assert response.status_code == 200
    assert response.content.decode() == HTML
    return taken


def uncached_seconds(page: str, visits: int = 5) -> float:
    """Return what a page usually takes without any cache."""
    with override_settings(FRAGCACHE={"ENABLED": False}, ROOT_URLCONF="tests.faulty_site"):
        return statistics.median(seconds_of(page) for _ in range(visits))
