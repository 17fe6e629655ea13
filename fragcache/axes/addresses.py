"""The axes of absolute addresses: the scheme and the host that a page is asked for by."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, Final

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host

from fragcache import page
from fragcache.axes.base import Axis
from fragcache.exceptions import ImproperlyDeclared

#: What Django allows in DEBUG where ALLOWED_HOSTS is empty.
_HOSTS_IN_DEBUG: Final = (".localhost", "127.0.0.1", "[::1]")


class Address(Axis):
    """A part of the request's address, which a render without a request is told."""

    _active: ClassVar[ContextVar[str | None]]

    def current(self, request: HttpRequest | None) -> str:
        """Return the request's; without one, what is activated, or else the first of ``values``.

        Raises:
            ImproperlyDeclared: a page of a request does not pass it, or no value is known.
        """
        if request is not None:
            return self.of_request(request)
        active = self._active.get()
        if active is not None:
            return active
        built = page.active()
        if built is not None and built.is_request:
            raise ImproperlyDeclared(
                f"The axis {self.name!r} is the request's, which is not given: pass request=, in "
                "templates by the context processor django.template.context_processors.request; or "
                f"let the fragment that shows this one vary on {self.name!r} too."
            )
        known = self.values()
        if not known:
            raise ImproperlyDeclared(
                f"The axis {self.name!r} has no value outside of a request: name hosts in "
                "ALLOWED_HOSTS without wildcards, or list a subclass of fragcache.axes.Host in "
                "FRAGCACHE['AXES'] whose values() returns them."
            )
        return known[0]

    @abstractmethod
    def of_request(self, request: HttpRequest) -> str:
        """Return the value of a request."""

    @abstractmethod
    def values(self) -> list[str]: ...

    @contextmanager
    def activate(self, value: str) -> Iterator[None]:
        reset = self._active.set(value)
        try:
            yield
        finally:
            self._active.reset(reset)


class Scheme(Address):
    """``http`` or ``https``. Warmed: https alone with SECURE_SSL_REDIRECT, or else both."""

    name = "scheme"
    _active = ContextVar("fragcache_scheme", default=None)

    def of_request(self, request: HttpRequest) -> str:
        return str(request.scheme)

    def values(self) -> list[str]:
        return ["https"] if settings.SECURE_SSL_REDIRECT else ["https", "http"]


class Host(Address):
    """The host, with a port that is not the scheme's.

    Warmed: the names in ALLOWED_HOSTS that have no wildcards; if there are none, the domains of
    django.contrib.sites. Subclass it for others.
    """

    name = "host"
    _active = ContextVar("fragcache_host", default=None)

    def of_request(self, request: HttpRequest) -> str:
        return request.get_host().lower()

    def values(self) -> list[str]:
        named = [host.lower() for host in settings.ALLOWED_HOSTS if host[:1] not in {"*", "."}]
        return list(dict.fromkeys(named)) or self._domains()

    def from_text(self, text: str) -> str:
        host, is_any = text.lower(), settings.DEBUG and not settings.ALLOWED_HOSTS
        domain, _port = split_domain_port(host)
        allowed = _HOSTS_IN_DEBUG if is_any else settings.ALLOWED_HOSTS
        if host not in self.values() and not (domain and validate_host(domain, allowed)):
            raise ValueError("ALLOWED_HOSTS does not allow it")
        return host

    def _domains(self) -> list[str]:
        if not apps.is_installed("django.contrib.sites"):
            return []
        from django.contrib.sites.models import Site

        return list(Site.objects.order_by("pk").values_list("domain", flat=True))
