"""The functions that pages and Python callers read with; the single form calls the bulk one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.template.context import Context
from django.utils.safestring import SafeString

from fragcache import axes, conf, page, rendering
from fragcache.arguments import as_arguments, as_item
from fragcache.bubbling import note_unstorable
from fragcache.counters import degrade
from fragcache.declarations import Fragment
from fragcache.events import Event
from fragcache.exceptions import InvalidArguments, UnknownAxis
from fragcache.holed import Holed
from fragcache.reading.batch import Batch
from fragcache.reading.pipeline import read
from fragcache.reading.resolving import Reference, find, tell_of_misfit, unpublished
from fragcache.reading.traced import read_traced
from fragcache.rendering import showing
from fragcache.store import store
from fragcache.tracing import recording


class _Raise:
    def __repr__(self) -> str:
        return "RAISE"


#: The default of ``default=``: a missing instance raises ``FragmentMissing``.
RAISE: Final = _Raise()


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
    page_context: Callable[[], Context] | None = None,
    **kwargs: Any,
) -> list[Any]:
    """Return the HTML of many instances in the order of ``items``; a tuple is several arguments.

    One round trip for all, one query for all primary keys, one bulk write for all misses.
    ``storable=False`` renders what is missing without storing it. ``page_context`` returns
    the context that holes are filled with; without it the request's is. Further arguments and
    errors are those of ``get_fragment``.
    """
    fragment = find(f, using)
    if fragment is None:
        error = unpublished(f)
        if default is RAISE:
            raise error
        degrade(Event.ABSENT, str(f), "unpublished", "%s", error)
        note_unstorable()
        return [default for _item in items]
    wanted = list(items)
    try:
        found = _found(fragment, using, wanted, kwargs, request=request, storable=storable)
    except (InvalidArguments, UnknownAxis) as error:
        if not fragment.is_remote or default is RAISE or settings.DEBUG:
            raise
        # A new release of the source must not be an outage of the target.
        tell_of_misfit(fragment, error)
        found = [None] * len(wanted)
    if Holed in set(map(type, found)):
        context = functools.cache(page_context or functools.partial(showing.context_of, request))
        found = [None if html is None else _safe(showing.shown(html, context)) for html in found]
    if None not in found:
        return found
    if fragment.is_remote:
        note_unstorable()
        message = "A source publishes %s, but not every instance that this site asks for."
        degrade(Event.ABSENT, fragment.name, "missing", message, fragment.name)
    return [
        _or_default(html, default, fragment, as_arguments(item))
        for html, item in zip(found, wanted, strict=True)
    ]


def _found(
    fragment: Fragment,
    using: str | None,
    items: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    request: HttpRequest | None,
    storable: bool,
) -> list[SafeString | None]:
    if not items:
        return []
    is_uncached = rendering.is_uncached()
    if fragment.is_local and (is_uncached or not conf.settings().ENABLED):
        bound = [fragment.parameters.instance(as_arguments(i), kwargs).arguments for i in items]
        with axes.activated(axes.current_values(fragment.axes, request)):
            outputs = rendering.render_many(fragment, bound, fresh=is_uncached)
        return [None if output is None else _safe(output.html) for output in outputs]
    cache = store(using or fragment.using)
    answer = read_traced if recording.is_on and recording.is_wanted() else read
    current = page.active()
    if current is not None:
        return answer(Batch.of(fragment, cache, items, kwargs, request), current, storable=storable)
    with page.entered(page.outside()) as current:
        return answer(Batch.of(fragment, cache, items, kwargs, request), current, storable=storable)


def _safe(html: str) -> SafeString:
    return html if isinstance(html, SafeString) else SafeString(html)


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
