"""Requests, as Django's handlers begin and end them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started


@contextmanager
def request() -> Iterator[None]:
    """Be within one request.

    Its end closes what Django closes, the connections of its Memcached backends among them, so
    that the next request opens them anew.
    """
    request_started.send(sender=WSGIHandler, environ={})
    try:
        yield
    finally:
        request_finished.send(sender=WSGIHandler)
