"""The functions that pages and Python callers read with; the single form calls the bulk one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.utils.safestring import SafeString

from fragcache import conf, manifest, page, registry, rendering, transactions
from fragcache.arguments import as_arguments, as_item
from fragcache.bubbling import note_axes, note_unstorable
from fragcache.counters import Event, degrade
from fragcache.declarations import Fragment
from fragcache.exceptions import FragmentMissing, InvalidArguments, UnknownAxis
from fragcache.guard import shielded
from fragcache.reading.batch import Batch
from fragcache.reading.filling import fill
from fragcache.reading.lookup import look_up
from fragcache.store import store


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
    item = as_item(args)
    return get_fragments(f, [item], request=request, using=using, default=default, **kwargs)[0]


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
    fragment = registry.find(f) or shielded(None, resolve, f, using)
    if fragment is None:
        error = unpublished(f)
        if default is RAISE:
            raise error
        degrade(Event.ABSENT, str(f), "unpublished", "%s", error)
        note_unstorable()
        return [default for _item in items]
    wanted = list(items)
    try:
        found = read(fragment, using, wanted, kwargs, request=request, storable=storable)
    except (InvalidArguments, UnknownAxis) as error:
        if fragment.is_local or default is RAISE or settings.DEBUG:
            raise
        # A new release of the source must not be an outage of the target.
        message = "%s is declared otherwise by the source than this site expects: %s"
        degrade(Event.ABSENT, fragment.name, "misfit", message, fragment.name, error)
        found = [None] * len(wanted)
    if None not in found:
        return found
    if not fragment.is_local:
        note_unstorable()
        message = "A source publishes %s, but not every instance that this site asks for."
        degrade(Event.ABSENT, fragment.name, "missing", message, fragment.name)
    return [
        _or_default(html, default, fragment, as_arguments(item))
        for html, item in zip(found, wanted, strict=True)
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
    using: str | None,
    items: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    request: HttpRequest | None = None,
    storable: bool = True,
) -> list[SafeString | None]:
    """Return the HTML of instances in their order, None for those that are not to be had."""
    if not items:
        return []
    if not conf.settings().ENABLED and fragment.is_local:
        bound = [fragment.parameters.instance(as_arguments(i), kwargs).arguments for i in items]
        outputs = rendering.render_many(fragment, bound)
        return [None if output is None else SafeString(output.html) for output in outputs]
    cache = store(using or fragment.using)
    current = page.active()
    if current is None:
        with page.entered(page.outside()) as current:
            return _read(Batch.of(fragment, cache, items, kwargs, request), current, storable)
    return _read(Batch.of(fragment, cache, items, kwargs, request), current, storable)


def _read(batch: Batch, current: page.Page, storable: bool) -> list[SafeString | None]:
    note_axes(batch.fragment.axes)
    lookup = look_up(batch, current)
    html = lookup.html
    if lookup.due:
        slots = {slot.base: slot for slot in lookup.due.values()}
        may_store = storable and _is_committed(current)
        filled = fill(batch, list(slots.values()), current, may_store=may_store)
        for position, slot in lookup.due.items():
            if slot.base in filled:
                html[position] = SafeString(filled[slot.base])
    return html


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
