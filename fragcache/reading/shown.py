"""What the template tags print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from fragcache import conf, registry
from fragcache.bubbling import note_unstorable
from fragcache.counters import degrade
from fragcache.events import Event
from fragcache.exceptions import InvalidArguments, UndefinedArgument, UnknownFragment
from fragcache.reading.api import get_fragments
from fragcache.reading.prefetching import prefetch_fragments
from fragcache.reading.resolving import Reference


def shown_fragments(
    f: Reference,
    items: Sequence[Any],
    *,
    request: HttpRequest | None = None,
    undefined: Sequence[str] = (),
    **kwargs: Any,
) -> list[str]:
    """Return the HTML of instances for a page, "" for those that are not to be had.

    ``undefined`` names the arguments that did not resolve: one visitor's data could be kept for
    all under the key of nothing, so what they give is rendered and not stored.

    Raises:
        UndefinedArgument: instead, in DEBUG and in tests.
    """
    if not _misses_arguments(f, undefined):
        return _without_nones(f, items, request=request, **kwargs)
    note_unstorable()
    try:
        return get_fragments(f, items, request=request, default="", storable=False, **kwargs)
    except InvalidArguments:
        return [""]


def prefetch_shown(
    f: Reference,
    items: Sequence[Any],
    *,
    request: HttpRequest | None = None,
    undefined: Sequence[str] = (),
    **kwargs: Any,
) -> None:
    """Let the page's next read bring these instances as well.

    Raises:
        UndefinedArgument: as ``shown_fragments``.
    """
    if not _misses_arguments(f, undefined):
        present = [item for item in items if not _stands_for_no_row(item)]
        prefetch_fragments(f, present, request=request, **kwargs)


def _misses_arguments(f: Reference, undefined: Sequence[str]) -> bool:
    """Whether arguments did not resolve, which is said."""
    if not f:
        raise UnknownFragment(
            "The name of a fragment in a template resolves to nothing: put a literal name into "
            "quotes."
        )
    if not undefined:
        return False
    message = (
        f"{{% fragment {f!r} %}}: {', '.join(undefined)} does not resolve. Is it misspelled, or "
        "not passed to this template? Where it may be absent, add |default:None."
    )
    if settings.DEBUG or conf.is_testing():
        raise UndefinedArgument(message)
    degrade(Event.UNDEFINED_ARGUMENT, str(f), message, "%s", message)
    return True


def _without_nones(
    f: Reference, items: Sequence[Any], *, request: HttpRequest | None, **kwargs: Any
) -> list[str]:
    """Return the HTML of instances; None in the place of a row, as in an empty relation, is ""."""
    fragment = registry.find(f)
    model = fragment and fragment.item_model
    if model is None or set(map(type, items)) == {model}:
        return get_fragments(f, items, request=request, default="", **kwargs)
    present = [n for n, item in enumerate(items) if not _stands_for_no_row(item)]
    html = get_fragments(f, [items[n] for n in present], request=request, default="", **kwargs)
    found = dict(zip(present, html, strict=True))
    return [found.get(n, "") for n in range(len(items))]


def _stands_for_no_row(item: Any) -> bool:
    """Whether an item is what templates have for an empty relation, or for nobody."""
    first = item[0] if isinstance(item, tuple) and item else item
    is_empty = isinstance(first, str) and not first
    return first is None or is_empty or getattr(first, "is_anonymous", None) is True
