"""The functions that pages and Python callers read with; the single form calls the bulk one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.utils.safestring import SafeString

from fragcache import axes, conf, manifest, page, registry, rendering, transactions
from fragcache.arguments import Instance
from fragcache.bubbling import note_axes, note_unstorable
from fragcache.counters import Event, degrade
from fragcache.declarations import Fragment
from fragcache.exceptions import FragmentMissing, InvalidArguments, UnknownAxis
from fragcache.guard import shielded
from fragcache.keys import base_key, encode_axes
from fragcache.reading.filling import fill
from fragcache.reading.lookup import look_up
from fragcache.slots import Slot
from fragcache.store import Store, store


class _Raise:
    def __repr__(self) -> str:
        return "RAISE"


#: The default of ``default=``: a missing instance raises ``FragmentMissing``.
RAISE: Final = _Raise()

Reference = str | Fragment | type[Fragment]


def get_fragment(
    f: Reference,
    *args: Any,
    request: HttpRequest | None = None,
    using: str | None = None,
    default: Any = RAISE,
    **kwargs: Any,
) -> Any:
    """Return the HTML of one instance (a ``SafeString``), from the cache or rendered now.

    ``f`` is a fragment's name, the fragment or its class; ``request`` tells axes their values;
    ``using`` names another cache alias; ``default`` is returned where the instance is missing.

    Raises:
        UnknownFragment: nobody declares that name.
        InvalidArguments, NoIdentity: the arguments do not name an instance.
        FragmentMissing: no item has that key, or a target found nothing; not with ``default``.
    """
    return get_fragments(f, [args], request=request, using=using, default=default, **kwargs)[0]


def get_fragments(
    f: Reference,
    items: Iterable[Any],
    *,
    request: HttpRequest | None = None,
    using: str | None = None,
    default: Any = RAISE,
    storable: bool = True,
    **kwargs: Any,
) -> list[Any]:
    """Return the HTML of many instances in the order of ``items``; a tuple is several arguments.

    One round trip for all, one query for all primary keys, one bulk write for all misses.
    ``storable=False`` renders what is missing without storing it. Further arguments and errors
    are those of ``get_fragment``.
    """
    fragment = shielded(None, resolve, f, using)
    if fragment is None:
        error = unpublished(f)
        if default is RAISE:
            raise error
        degrade(Event.ABSENT, str(f), "unpublished", "%s", error)
        note_unstorable()
        return [default for _item in items]
    cache = store(using or fragment.using)
    wanted = [item if isinstance(item, tuple) else (item,) for item in items]
    try:
        instances = [fragment.parameters.instance(arguments, kwargs) for arguments in wanted]
        found = read(fragment, cache, instances, request=request, storable=storable)
    except (InvalidArguments, UnknownAxis) as error:
        if fragment.is_local or default is RAISE or settings.DEBUG:
            raise
        # A new release of the source must not be an outage of the target.
        message = "%s is declared otherwise by the source than this site expects: %s"
        degrade(Event.ABSENT, fragment.name, "misfit", message, fragment.name, error)
        found = [None] * len(wanted)
    if not fragment.is_local and None in found:
        note_unstorable()
        message = "A source publishes %s, but not every instance that this site asks for."
        degrade(Event.ABSENT, fragment.name, "missing", message, fragment.name)
    return [
        _or_default(html, default, fragment, arguments)
        for html, arguments in zip(found, wanted, strict=True)
    ]


def resolve(f: Reference, using: str | None = None) -> Fragment | None:
    """Return a fragment, local or published; None where a source is silent.

    Raises:
        UnknownFragment: neither this site nor a source declares it.
        CacheUnavailable: this site does not declare it, and a source cannot be asked.
    """
    fragment = registry.find(f)
    if fragment is not None:
        return fragment
    cache = store(using)
    published = manifest.find(cache, f) if isinstance(f, str) else None
    if published is None and cache.is_writable:
        raise registry.unknown(f)
    return published


def unpublished(f: Reference) -> FragmentMissing:
    """Return the error for a name that a target knows nothing of."""
    return FragmentMissing(
        f"No source has published a fragment called {f!r} in this cache: run warm_fragments on "
        "the source, and see that both sites have one KEY_PREFIX and the same SECRET_KEYS."
    )


def read(
    fragment: Fragment,
    cache: Store,
    instances: Sequence[Instance],
    *,
    request: HttpRequest | None = None,
    storable: bool = True,
) -> list[SafeString | None]:
    """Return the HTML of instances in their order, None for those that are not to be had."""
    if not instances:
        return []
    if not conf.settings().ENABLED and fragment.is_local:
        outputs = rendering.render_many(fragment, [i.arguments for i in instances])
        return [None if output is None else SafeString(output.html) for output in outputs]
    current = page.current()
    note_axes(fragment.axes)
    axis_values = axes.current_values(fragment.axes, request)
    encoded_axes = encode_axes(axis_values)
    bases = [base_key(fragment.name, instance.encoded, encoded_axes) for instance in instances]
    slots = {
        base: Slot(instance=instance, base=base)
        for base, instance in zip(bases, instances, strict=True)
    }
    lookup = look_up(fragment, cache, list(slots.values()), current)
    html = lookup.html
    if lookup.due and fragment.is_local:
        may_store = storable and _is_committed(current)
        html |= fill(fragment, cache, lookup.due, current, axis_values, may_store=may_store)
    return [SafeString(html[base]) if base in html else None for base in bases]


def _is_committed(current: page.Page) -> bool:
    """Whether what this thread reads of the database is committed, and not older than the page."""
    if not transactions.is_open():
        return True
    # A transaction's snapshot is as old as the transaction, which began within the request.
    return current.is_request and not transactions.has_written()


def _or_default(
    html: SafeString | None, default: Any, fragment: Fragment, arguments: tuple[Any, ...]
) -> Any:
    if html is not None:
        return html
    if default is RAISE:
        raise rendering.missing(fragment, arguments)
    return default


aget_fragment = sync_to_async(get_fragment)
aget_fragments = sync_to_async(get_fragments)
