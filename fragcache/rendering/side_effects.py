"""Side effects: what a body does behind the back of its context, or to what is around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from django.http import HttpRequest
from django.template.context import Context
from django.template.loader_tags import BLOCK_CONTEXT_KEY

_MISSING: Final = object()


class Guard(Protocol):
    """What is told of it; both raise in DEBUG and in tests, or note it."""

    def touch(self, path: str) -> None: ...

    def lose(self, path: str) -> None: ...


@contextmanager
def watched_side_effects(
    guard: Guard, context: Context, request: HttpRequest | None
) -> Iterator[None]:
    """Watch what is read and written within.

    Read are the session and the CSRF secret, by functions; written are variables in outer layers
    of the context, what tags note for others in its ``render_context``, and attributes of the
    request.
    """
    layers = [(layer, dict(layer)) for layer in context.dicts]
    notes = dict(context.render_context.flatten())
    with watched_request(guard, request):
        yield
    for layer, before in layers:
        for name in _changed(before, layer):
            guard.lose(f"the variable {name!r} of the page around it")
    for key in _changed(notes, context.render_context.flatten()):
        if isinstance(key, str) and key != BLOCK_CONTEXT_KEY:  # others are a tag's own state
            guard.lose(f"render_context[{key!r}]")


@contextmanager
def watched_request(guard: Guard, request: HttpRequest | None) -> Iterator[None]:
    """Watch what functions do with the request: session, CSRF secret, and its attributes."""
    attributes = dict(vars(request)) if request is not None else {}
    with _reads(guard, request):
        yield
    if request is not None:
        for name in _changed(attributes, vars(request)):
            if is_of_the_page(request, name):
                guard.lose(f"request.{name}")


def is_of_the_page(request: HttpRequest, name: str) -> bool:
    """Whether an attribute of the request is the site's, and not what Django has kept there."""
    return not (name.startswith("_") or hasattr(type(request), name))


@contextmanager
def _reads(guard: Guard, request: HttpRequest | None) -> Iterator[None]:
    """Watch what functions read behind the context's back."""
    session = getattr(request, "session", None)
    meta = {} if request is None else request.META
    was_accessed = getattr(session, "accessed", False)
    needed_update = meta.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
    if session is not None:
        session.accessed = False
    try:
        yield
        if getattr(session, "accessed", False):
            guard.touch("request.session")
        if meta.get("CSRF_COOKIE_NEEDS_UPDATE"):
            guard.touch("csrf_token")
    finally:
        if session is not None:
            session.accessed = session.accessed or was_accessed
        if needed_update is not None:
            meta["CSRF_COOKIE_NEEDS_UPDATE"] = needed_update


def _changed(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[Any]:
    """Return the keys that have another value than before, or none any more."""
    return [
        key
        for key in {**before, **after}
        if before.get(key, _MISSING) is not after.get(key, _MISSING)
    ]
