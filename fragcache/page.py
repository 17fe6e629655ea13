"""The page being built: when its request began, which bounds what it may store.

Data that a view loaded was read after its request began; that moment is all that is known of its
age. Outside of a request each call is a page of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from asgiref.local import Local
from django.core.signals import request_finished, request_started


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One request, or one call outside of any."""

    #: ``time.monotonic()``: comparable within the process.
    began: float
    #: Microseconds since 1970 UTC: comparable, roughly, with other machines.
    began_at: int
    is_request: bool = False


_local = Local()


def current() -> Page:
    """Return the page being built."""
    page: Page | None = getattr(_local, "page", None)
    return page or outside()


def outside() -> Page:
    """Return a page that begins now and belongs to no request."""
    return _begin(is_request=False)


def now() -> int:
    """Return the microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _begin(*, is_request: bool) -> Page:
    return Page(began=time.monotonic(), began_at=now(), is_request=is_request)


def _request_began(**_kwargs: object) -> None:
    _local.page = _begin(is_request=True)


def _request_ended(**_kwargs: object) -> None:
    _local.page = None


request_started.connect(_request_began, dispatch_uid="fragcache.page")
request_finished.connect(_request_ended, dispatch_uid="fragcache.page")
