"""Using a set: all that a page shows of it is of one generation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

from asgiref.sync import sync_to_async

from fragcache import page
from fragcache.bounded import Bounded
from fragcache.counters import degrade
from fragcache.entry import Entry, Kind
from fragcache.events import Event
from fragcache.keys import set_key, suffix
from fragcache.page import Page
from fragcache.reading.api import RAISE
from fragcache.reading.fetching import fetch_record
from fragcache.reading.pins import needed
from fragcache.records import Head
from fragcache.sets.records import Shown, check_name, shown_by
from fragcache.sets.rolling import no_such_set
from fragcache.store import Store, store

#: By cache and name, the fragments of sets, whose tokens come along with the next record.
_known: Final[Bounded[tuple[str, ...]]] = Bounded(1_000, lambda _names: 1)


class UsedSet:
    """The generation of a set that a page shows."""

    def __init__(self, name: str, shown: Shown, page: Page) -> None:
        self.name = name
        #: Tells it from others of the set.
        self.generation = shown.current.name
        #: When it was shown first, in microseconds since 1970 UTC.
        self.shown_at = shown.current.shown_at
        self.is_rolled_back = shown.is_rolled_back
        self._page = page
        #: One for each ``with`` that it is used by: they may stand in each other.
        self._entered: list[AbstractContextManager[Page]] = []

    def __enter__(self) -> UsedSet:
        entered = page.entered(self._page)
        entered.__enter__()
        self._entered.append(entered)
        return self

    def __exit__(self, *_error: object) -> None:
        self._entered.pop().__exit__(None, None, None)


def use_set(name: str, *, using: str | None = None, default: Any = RAISE) -> Any:
    """Let what this page shows of a set be of the one generation that is shown now.

    From here on contexts, and HTML that a source renders, of the fragments that the set has
    members of are read from the set alone; what is none of its members is missing. Outside of a
    request that is so within ``with use_set(...):``.

    Returns a ``UsedSet``, or ``default`` where no such set is to be had.

    Raises:
        SetMissing: there is no such set, or the cache does not answer; not with ``default``.
        InvalidArguments: it is no name of a set.
    """
    check_name(name)
    cache = store(using)
    current = page.active() or page.outside()
    memory = current.memory(cache.space)
    used: UsedSet | None = memory.sets.get(name)
    if used is not None:
        return used
    with page.entered(current):
        shown = _shown(cache, name)
    if shown is None:
        if default is RAISE:
            raise no_such_set(name)
        degrade(Event.ABSENT, name, "no set", "%s", no_such_set(name))
        return default
    used = memory.sets[name] = UsedSet(name, shown, current)
    for fragment, kind, digest in shown.current.kinds:
        if (fragment, kind) in memory.pins:
            message = "%s is in more than one of the sets of a page, which shows it of the first."
            degrade(Event.ABSENT, fragment, "two sets", message, fragment)
            continue
        head = Head(suffix(shown.current.name, digest)).pack()
        entry = Entry(Kind.HEAD, head, as_of=shown.as_of, built_at=shown.current.shown_at)
        memory.pins[fragment, kind] = entry
    return used


def _shown(cache: Store, name: str) -> Shown | None:
    known = (cache.space, name)
    fragments = _known.get_many([known])[0] or ()
    names = needed(cache, fragments)
    shown = shown_by(fetch_record(cache, set_key(name, cache.room), names))
    if shown is not None:
        _known.keep({known: tuple(shown.current.fragments)})
    return shown


ause_set = sync_to_async(use_set)
