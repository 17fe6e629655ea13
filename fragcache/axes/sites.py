"""The axis of django.contrib.sites."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.http import HttpRequest

from fragcache import page
from fragcache.axes.base import Axis


class CurrentSite(Axis):
    """The site of django.contrib.sites, by primary key. Warmed: all of them."""

    name = "site"

    def current(self, request: HttpRequest | None) -> int:
        from django.contrib.sites.models import Site

        pk: int = Site.objects.get_current(request).pk
        return pk

    def values(self) -> list[int]:
        from django.contrib.sites.models import Site

        return list(Site.objects.order_by("pk").values_list("pk", flat=True))

    @contextmanager
    def activate(self, value: int) -> Iterator[None]:
        if page.current().is_request:
            # The site is the host's, and the only switch is a setting that all threads read.
            yield
            return
        former = getattr(settings, "SITE_ID", None)
        settings.SITE_ID = value
        try:
            yield
        finally:
            settings.SITE_ID = former
