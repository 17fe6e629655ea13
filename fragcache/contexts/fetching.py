"""Fetching: the contexts that a source has published, with records in place of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest

from fragcache import page
from fragcache.arguments import as_item
from fragcache.bubbling import note_unstorable
from fragcache.contexts.asking import ask
from fragcache.contexts.forms import context_form
from fragcache.contexts.lasting import last_good, note_good, say_that_it_lasts
from fragcache.contexts.lookup import Age, Found, named, newest, states
from fragcache.contexts.shapes import shaped
from fragcache.contexts.snapshots import open_snapshot
from fragcache.counters import count, count_particulars, degrade
from fragcache.declarations import Fragment
from fragcache.events import Event, Miss
from fragcache.exceptions import (
    FragmentMissing,
    InvalidArguments,
    ShapeMismatch,
    UnknownAxis,
    Unreadable,
)
from fragcache.keys import FORMAT
from fragcache.page import Page
from fragcache.reading.api import RAISE
from fragcache.reading.batch import Batch
from fragcache.reading.resolving import Reference, find, tell_of_misfit, unpublished
from fragcache.store import store

_KEY: Final = re.compile(rf"{FORMAT}:[!-~]{{1,200}}")


class Context(NamedTuple):
    """A context that was fetched."""

    values: dict[str, Any]
    #: Tells its state from others.
    state: str
    is_stale: bool
    #: An instance of the shape that was asked for.
    fitted: Any = None


def fetch_context(
    f_or_key: Reference,
    *args: Any,
    shape: type[Any] | None = None,
    default: Any = RAISE,
    request: HttpRequest | None = None,
    using: str | None = None,
    **kwargs: Any,
) -> Any:
    """Return the newest published context of one instance, as a dict, or an instance of ``shape``.

    ``f_or_key`` is a fragment's name with the arguments of the instance, or a key that
    ``publish_context`` gave. ``request`` tells axes their values; ``using`` names another cache
    alias; ``default`` is returned where no context is to be had. What the source has invalidated
    and not published again is returned, and counted as stale, unless it was purged.

    Raises:
        FragmentMissing: no context is published, or it has ended; not with ``default``.
        ShapeMismatch: the context does not fit ``shape``, with each part that does not, and none
            that did was the newest one within the last hour.
        UnknownFragment: neither this site nor a source declares that name.
        InvalidArguments, NoIdentity: the arguments do not name an instance.
        ExtraMissing: the library is not installed.
    """
    if isinstance(f_or_key, str) and f_or_key.startswith(f"{FORMAT}:"):
        found, missing = _under_key(f_or_key, shape, using)
    else:
        found, missing = _of_instance(
            f_or_key, args, kwargs, shape=shape, default=default, using=using, request=request
        )
    # What is rendered with it would have to end with it, and cannot know when.
    note_unstorable()
    if found is None:
        if default is RAISE:
            raise missing
        return default
    return found.values if shape is None else found.fitted


def fetch_contexts(
    fragment: Fragment,
    items: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    shape: type[Any] | None = None,
    request: HttpRequest | None = None,
    using: str | None = None,
) -> list[Context | None]:
    """Return the newest contexts of instances in their order, None for those not to be had.

    In place of one that does not fit ``shape`` the last one that did is returned, as stale.

    Raises:
        ShapeMismatch: one does not fit, and none before it is to be had.
        InvalidArguments, NoIdentity: the items name no instances.
        UnknownAxis: this site lacks an axis of the fragment.
    """
    with looking(fragment, items, kwargs, request, using=using) as (batch, current):
        found = newest(batch, current)
        if ask(batch, _absent(found), current):
            found = newest(batch, current)
        if shape is None:
            return [_opened(fragment.name, one) for one in found]
        return [_fitting(batch, n, one, shape, current) for n, one in enumerate(found)]


def fetch_states(
    fragment: Fragment, items: Sequence[Any], *, using: str | None = None
) -> list[str | None]:
    """Return which contexts are the newest, in the order of instances, None for no context.

    Raises:
        As ``fetch_contexts``.
    """
    with looking(fragment, items, {}, None, using=using) as (batch, current):
        found = states(batch, current)
        if ask(batch, _absent(found), current):
            found = states(batch, current)
    return found


@contextmanager
def looking(
    fragment: Fragment,
    items: Sequence[Any],
    kwargs: Mapping[str, Any],
    request: HttpRequest | None,
    *,
    using: str | None,
) -> Iterator[tuple[Batch, Page]]:
    """Give the batch that a call asks for, and the page that it is asked for by.

    Raises:
        InvalidArguments, NoIdentity: the items name no instances.
        UnknownAxis: this site lacks an axis of the fragment.
    """
    cache = store(using or fragment.using)
    batch = Batch.of(context_form(fragment), cache, items, kwargs, request)
    current = page.active()
    if current is not None:
        yield batch, current
    else:
        with page.entered(page.outside()) as current:
            yield batch, current


def _absent(found: Sequence[object | None]) -> list[int]:
    return [position for position, one in enumerate(found) if one is None]


def _of_instance(
    f: Reference,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    shape: type[Any] | None,
    default: Any,
    using: str | None,
    request: HttpRequest | None,
) -> tuple[Context | None, FragmentMissing]:
    declared = find(f, using)
    fragment = declared and declared.published
    if fragment is None:
        missing = unpublished(f)
        degrade(Event.ABSENT, str(f), "unpublished", "%s", missing)
        return None, missing
    name = fragment.name
    missing = FragmentMissing(
        f"No context of {name}({', '.join(map(repr, args))}) is in the cache: run warm_fragments "
        "on the source, or publish_context() there, or pass default=."
    )
    try:
        [found] = fetch_contexts(
            fragment, [as_item(args)], kwargs, shape=shape, request=request, using=using
        )
    except (InvalidArguments, UnknownAxis) as error:
        if not fragment.is_remote or default is RAISE or settings.DEBUG:
            raise
        # A new release of the source must not be an outage of the target.
        tell_of_misfit(fragment, error)
        found = None
    return found, missing


def _under_key(
    key: str, shape: type[Any] | None, using: str | None
) -> tuple[Context | None, FragmentMissing]:
    missing = FragmentMissing(
        f"No context is in the cache under {key!r}: it has ended, or another site or release gave "
        "the key. Ask the source for a new one, or pass default=."
    )
    if not _KEY.fullmatch(key):
        return None, missing
    context = _opened("", named(store(using), key, page.current()))
    if context is not None and shape is not None:
        context = context._replace(fitted=shaped(context.values, shape, f"The context of {key}"))
    return context, missing


def _fitting(
    batch: Batch, position: int, found: Found | None, shape: type[Any], page: Page
) -> Context | None:
    name = batch.fragment.name
    context = _read(name, found)
    if found is None or context is None:
        return None
    try:
        fitted = shaped(context.values, shape, f"The context of {name}")
    except ShapeMismatch as error:
        before = last_good(batch, position, shape, found, page)
        if before is None:
            raise
        say_that_it_lasts(name, error)
        return Context({}, found.suffix, is_stale=True, fitted=before)
    note_good(batch, position, shape, found, page)
    _count(name, context)
    return context._replace(fitted=fitted)


def _opened(name: str, found: Found | None) -> Context | None:
    context = _read(name, found)
    if context is not None:
        _count(name, context)
    return context


def _count(name: str, context: Context) -> None:
    count(Event.STALE_SERVED if context.is_stale else Event.HIT, name)


def _read(name: str, found: Found | None) -> Context | None:
    if found is None:
        count_particulars(name, "", {Event.MISSING: 1, Miss.MISSING: 1})
        return None
    try:
        values = open_snapshot(found.payload)
    except Unreadable as error:
        message = "A context of %s cannot be read: %s."
        degrade(Event.UNBELIEVED, name, "unreadable context", message, name or found.suffix, error)
        return None
    return Context(values, found.suffix, found.age is Age.STALE)


afetch_context = sync_to_async(fetch_context)
