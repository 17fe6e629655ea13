"""The oracle: every state that was committed, when it was true, and what tells it from others.

It is told by the database alone, and knows nothing of how fragments are cached.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from tests.truth.database import Row
from tests.truth.site import BAND, Cell

#: Whose version a key names: a row's, or that of all musicians.
Owner = Cell | str

_ATOM = re.compile(r"(\w+):(\d+)=(\w+);")
_RELEASE = re.compile(r"(\d)\|")


class Content(NamedTuple):
    """What HTML says: by which releases it was rendered, and what it shows."""

    releases: frozenset[int]
    values: Mapping[Cell, str]


def content(html: str) -> Content:
    """Return what HTML says."""
    values = {(kind, int(number)): value for kind, number, value in _ATOM.findall(html)}
    return Content(frozenset(map(int, _RELEASE.findall(html))), values)


class Truth:
    """The committed states of the database; moments are true microseconds."""

    def __init__(self) -> None:
        #: Since when which value was true; None for no row.
        self._history: defaultdict[Cell, list[tuple[int, str | None]]]
        self._history = defaultdict(lambda: [(0, None)])
        #: The versions that are true now, and when each one was for the first time.
        self.versions: dict[Owner, str] = {}
        self._first: dict[tuple[Owner, str], int] = {}
        self._last: dict[tuple[Owner, str], int] = {}

    def observe(self, rows: Mapping[Cell, Row], now: int) -> set[Owner]:
        """Note what is committed; return whose versions are new."""
        for cell in rows.keys() | self._history.keys():
            value = rows[cell].value if cell in rows else None
            if self._history[cell][-1][1] != value:
                self._history[cell].append((now, value))
        versions = _versions(rows)
        moved = {owner for owner, text in versions.items() if self.versions.get(owner) != text}
        for owner in moved:
            if owner in self.versions:
                self._last[owner, self.versions[owner]] = now
            self._first.setdefault((owner, versions[owner]), now)
        self.versions = versions
        return moved

    def present(self, cell: Cell) -> str | None:
        return self._history[cell][-1][1]

    def was_true(self, cell: Cell, value: str | None, since: int, until: int) -> bool:
        """Whether a value was true at some time of an interval."""
        history = self._history[cell]
        first = max(0, bisect_right(history, since, key=lambda state: state[0]) - 1)
        return any(known == value for began, known in history[first:] if began <= until)

    def version_since(self, owner: Owner, version: str) -> int | None:
        """Return when a version was committed; None for one that never was."""
        return self._first.get((owner, version))

    def version_until(self, owner: Owner, version: str, now: int) -> int:
        """Return until when a version was true, ``now`` if it still is."""
        return now if self.versions.get(owner) == version else self._last[owner, version]

    def newest_mtime(self, cell: Cell) -> int:
        return int(self.versions[cell])

    def has_been(self, version: str, owner: Owner) -> bool:
        return (owner, version) in self._first

    def described(self, cells: Collection[Cell]) -> str:
        """Return the history of cells, for messages."""
        return "; ".join(f"{kind} {n}: {self._history[kind, n]}" for kind, n in cells)


def version_of_musicians(rows: Mapping[Cell, Row]) -> str:
    """Return the version of the collection of all musicians, a text as keys have it."""
    digests = [row.digest for (kind, _n), row in rows.items() if kind == "musician"]
    text = f"{len(digests)}-{sum(digests) % 2**64:016x}"
    return f"s{len(text)}:{text}"


def _versions(rows: Mapping[Cell, Row]) -> dict[Owner, str]:
    versions: dict[Owner, str] = {
        cell: str(row.mtime) for cell, row in rows.items() if cell[0] in {"session", BAND[0]}
    }
    versions["musicians"] = version_of_musicians(rows)
    return versions
