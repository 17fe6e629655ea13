"""Simulated processes of a site: each knows what it knows, and takes its turn in this one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from fragcache import digests, manifest, page, registry, tokens, transactions
from fragcache.bounded import Bounded
from fragcache.local import LocalCache
from fragcache.reading import costs, flights
from fragcache.reading.board import Board
from fragcache.store import Store
from tests.truth.clock import Clock
from tests.truth.site import Cell, Release

store_module: Any = importlib.import_module("fragcache.store")
#: The secret keys that a process has, from one stage of a rotation to the next.
KEY_STAGES = (["first"], ["first", "second"], ["second", "first"], ["second"])
LOCAL_BYTES = 2**20


class Killed(BaseException):
    """The process that does this is no more."""


class Process:
    """What one process knows, and how its site is configured."""

    def __init__(
        self, alias: str, release: Release, stage: int, *, is_target: bool = False
    ) -> None:
        self.release = release
        self.stage = stage
        self.is_target = is_target
        #: Microseconds by which its clock is ahead.
        self.ahead = 0
        self.is_dead = False
        self.store = Store(alias, KEY_STAGES[stage], read_only=is_target)
        self.store.__dict__["local"] = LocalCache(LOCAL_BYTES)
        #: By module and name, what stands there while it runs.
        self._own: list[list[Any]] = [
            [tokens, "_memory", tokens.Memory()],
            [store_module, "_store", lambda _alias: self.store],
            [transactions, "_written", SimpleNamespace()],
            [registry, "_fragments", {} if is_target else release.fragments],
            [digests.fragments, "_digests", release.digests],
            [manifest, "_remembered", Bounded(10_000, lambda _known: 1)],
            [costs, "_usual", {}],
            [costs, "_unstorable", set()],
            [flights, "_flights", Board()],
        ]

    @property
    def knows_tokens(self) -> bool:
        """Whether it has read any, of which it can tell that they are gone."""
        return bool(self._own[0][2]._known)

    @contextmanager
    def running(self, clock: Clock) -> Iterator[None]:
        """Let it be the process that this one is."""
        former = [getattr(module, name) for module, name, _own in self._own]
        ahead, clock.ahead = clock.ahead, self.ahead
        for module, name, own in self._own:
            setattr(module, name, own)
        try:
            yield
        finally:
            clock.ahead = ahead
            for (module, name, _own), value in zip(self._own, former, strict=True):
                setattr(module, name, value)


@dataclass(eq=False)
class Transaction:
    """A transaction that is open, with what it alone sees."""

    process: Process
    connection: Any
    block: Any
    began: int
    #: The page that it is of.
    visit: Visit | None
    #: Whether it sees one state from its first query on, and writes nothing.
    is_reading: bool
    #: The values that it has written, and the rows that nobody else may write before its end.
    written: dict[Cell, set[str | None]] = field(default_factory=dict)
    locked: set[Cell] = field(default_factory=set)
    #: Primary keys of the artists that it invalidates when it commits.
    invalidated: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Visit:
    """A page that is being built, with what its view has loaded."""

    process: Process
    page: page.Page
    #: True microseconds.
    began: int
    loaded: dict[Cell, Any] = field(default_factory=dict)
    portraits: dict[int, Any] = field(default_factory=dict)
    transaction: Transaction | None = None
    #: What its own transactions have written, committed or not.
    private: dict[Cell, set[str | None]] = field(default_factory=dict)
