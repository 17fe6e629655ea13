"""Pages as a site builds them: their clock, their templates, their real round trips."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest
from django.conf import settings
from django.template import engines
from django.test import override_settings

from fragcache import Axis, get_fragments
from tests.fixtures import in_request
from tests.library.models import Artist
from tests.relay import Relay

T = TypeVar("T")
#: Our backends, which other processes read as well.
SHARED = ("redis", "memcached", "embedded")
#: Those behind a socket.
SERVERS = ("redis", "memcached")
#: More than FRAGCACHE["INVALIDATION_LAG"], in seconds.
AFTER_THE_LAG = 6
#: What a page shows of the fixtures ``artist_card`` and ``artists``, before and after a change.
OLD = ["<b>Nina</b>", "<b>Ella</b>"]
NEW = ["<b>Nina Simone</b>", "<b>Ella</b>"]

shared_caches = pytest.mark.parametrize("cache_alias", SHARED, indirect=True)
servers = pytest.mark.parametrize("cache_alias", SERVERS, indirect=True)


def page(source: str, request: Any = None, **context: Any) -> str:
    """Return a page's template as it is rendered."""
    template = engines["django"].from_string("{% load fragcache %}" + source)
    return template.render(context, request)


def shown(f: Any, items: Any, **kwargs: Any) -> list[str]:
    """Return what a request of its own shows of a fragment."""
    with in_request():
        return get_fragments(f, items, **kwargs)


def rename(artist: Artist, name: str) -> None:
    """Change a row without moving its mtime, so that only an invalidation can tell."""
    Artist.objects.filter(pk=artist.pk).update(name=name)


def configure(**changes: Any) -> Any:
    """Return a context in which ``FRAGCACHE`` has these values as well."""
    return override_settings(FRAGCACHE={**settings.FRAGCACHE, **changes})


@contextmanager
def later(seconds: float) -> Iterator[None]:
    """What happens in here happens so many seconds later, by the monotonic clock."""
    true = time.monotonic
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: true() + seconds)
        yield


@contextmanager
def relayed(alias: str, **changes: Any) -> Iterator[Relay]:
    """Keep the fragments of a server's alias behind a relay, which counts round trips."""
    location = settings.CACHES[alias]["LOCATION"]
    target = re.sub(r"^redis://|/\d+$", "", location)
    with Relay(target) as relay:
        behind = {**settings.CACHES[alias], "LOCATION": location.replace(target, relay.address)}
        own = {**settings.FRAGCACHE, "CACHE_ALIAS": "relayed", **changes}
        with override_settings(CACHES={**settings.CACHES, "relayed": behind}, FRAGCACHE=own):
            yield relay


def in_thread(call: Callable[[], T]) -> T:
    """Return what a call gives in another thread."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join(10)
    return results[0]


class Visitor(Axis):
    """Whose page it is: by the cookie of the session; outside of a request, who is active."""

    name = "visitor"
    active: ContextVar[str] = ContextVar("active", default="nobody")

    def current(self, request: Any) -> str:
        return self.active.get() if request is None else request.COOKIES.get("sessionid", "nobody")

    def values(self) -> list[str]:
        return ["nobody"]

    @contextmanager
    def activate(self, value: str) -> Iterator[None]:
        former = self.active.set(value)
        try:
            yield
        finally:
            self.active.reset(former)
