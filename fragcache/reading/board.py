"""The board: which flights of this process are under way, and what those gave that just ended.

A thread may have looked before a flight stored its entry, and come here after it ended: it is
given what the flight gave, if that was while its page was built already.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping
from typing import Final, NamedTuple

from fragcache.locks import new_lock

#: Of which cache and instance, in which state, under which tokens.
Key = tuple[str, str, str, bytes | None]

#: Seconds for which what a flight gave is kept, and how many characters of it in all.
KEPT_SECONDS: Final = 2.0
KEPT_CHARACTERS: Final = 4 * 2**20


class Flight:
    """One render, for which other threads of the process wait until a time of the clock."""

    __slots__ = ("_ended", "_html", "until")

    def __init__(self, until: float) -> None:
        #: In ``time.monotonic()``: after that nobody new waits for it.
        self.until = until
        self._ended = threading.Event()
        self._html: str | None = None

    def end(self, html: str | None) -> None:
        """Tell the others; None where it failed, or is nobody else's business."""
        self._html = html
        self._ended.set()

    def wait(self, until: float) -> str | None:
        """Return what it gave, None if that does not come in time."""
        self._ended.wait(max(0.0, min(until, self.until) - time.monotonic()))
        return self._html

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()


class Boarding(NamedTuple):
    """What becomes of instances that are due, by the base of their keys."""

    #: The flights that begin here.
    own: dict[str, Flight]
    #: Those that are under way already.
    others: dict[str, Flight]
    #: What was given meanwhile.
    html: dict[str, str]


class Board:
    """The flights of all threads of the process."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self.forget()
        if hasattr(os, "register_at_fork"):  # the threads that would end them are the parent's
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin with an empty board."""
        self._flights: dict[Key, Flight] = {}
        #: The oldest first. A dict is slow to tell its first after others were taken from there.
        self._landed: OrderedDict[Key, _Landing] = OrderedDict()
        self._characters = 0

    def __len__(self) -> int:
        """Return how many flights are under way."""
        return len(self._flights)

    def begin(
        self, keys: Mapping[str, Key], leading: Container[str], began: float, until: float
    ) -> Boarding:
        """Begin the flights of ``leading`` that nobody has begun, for a page of that time."""
        boarding = Boarding({}, {}, {})
        with self._lock:
            for base, key in keys.items():
                landing, flight = self._landed.get(key), self._flights.get(key)
                if landing is not None and landing.moment >= began:
                    boarding.html[base] = landing.html
                elif flight is not None and time.monotonic() < flight.until:
                    boarding.others[base] = flight
                elif base in leading:  # one that is overdue has hung, perhaps for ever
                    boarding.own[base] = self._flights[key] = Flight(until)
        return boarding

    def end(
        self, keys: Mapping[str, Key], own: dict[str, Flight], html: Mapping[str, str | None]
    ) -> None:
        """End flights of ``own``, and take them out of it: by base, with what they give."""
        ended = {base: own.pop(base) for base in html if base in own}
        with self._lock:
            for base, flight in ended.items():
                if self._flights.get(keys[base]) is flight:
                    del self._flights[keys[base]]
            self._keep((keys[base], html[base]) for base in ended)
        for base, flight in ended.items():
            flight.end(html[base])

    def _keep(self, given: Iterable[tuple[Key, str | None]]) -> None:
        moment = time.monotonic()
        for key, html in given:
            self._drop(key)
            if html is not None and len(html) <= KEPT_CHARACTERS:
                self._landed[key] = _Landing(html, moment)
                self._characters += len(html)
        while self._landed:
            key, landing = next(iter(self._landed.items()))
            if self._characters <= KEPT_CHARACTERS and moment - landing.moment <= KEPT_SECONDS:
                return
            self._drop(key)

    def _drop(self, key: Key) -> None:
        if (landing := self._landed.pop(key, None)) is not None:
            self._characters -= len(landing.html)


class _Landing(NamedTuple):
    html: str
    #: When it was given, in ``time.monotonic()``.
    moment: float
