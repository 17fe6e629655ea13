"""The judge: says of what pages show, and of what lies on the server, whether it may."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from tests.truth.clock import SECOND
from tests.truth.database import Row
from tests.truth.process import Process, Visit
from tests.truth.server import Named, Sealed, Server, kind_of, named
from tests.truth.site import BAND, BY_HEAD, SHOWN, STALE_SECONDS, Cell, Shown
from tests.truth.truth import Content, Owner, Truth, content

#: Seconds for which a process may use the tokens that it has read, INVALIDATION_LAG.
LAG = 5
PLACES = {(shown.fragment, shown.pk): shown for shown in SHOWN}


class Doing(Protocol):
    """What is known of an operation."""

    process: Process
    began: int
    invalidates_since: int | None


class Judge:
    """Compares with the truth; raises AssertionError."""

    def __init__(self, truth: Truth, server: Server) -> None:
        self.truth = truth
        self._server = server
        #: By the identity of a token, since when the data is committed that it stands for.
        self._tokens: dict[bytes, int] = {}
        #: When an invalidation was over, since when its data was committed, who did it, and of
        #: which row; None for all.
        self._invalidations: dict[str, list[tuple[int, int, Process, int | None]]] = {}
        #: Every entry that is known to lie on the server, by what its key names.
        self._entries: dict[tuple[Owner, str], dict[str, Content]] = {}
        #: By key, when a run began that has put the head right, and the ``as_of`` that it has.
        self._heads: dict[str, tuple[int, int]] = {}
        self._lost: dict[str, int] = {}

    def note_committed(self, rows: Mapping[Cell, Row], now: int) -> None:
        """Take what is committed for the truth; no entry of a version that returns may belie it."""
        for owner in self.truth.observe(rows, now):
            known = self._entries.get((owner, self.truth.versions[owner]), {})
            for key in self._server.read(known):
                self._compare_with_present(key, known[key])

    def note_invalidated(self, fragment: str, pk: int | None, doing: Doing, now: int) -> None:
        assert doing.invalidates_since is not None
        done = (now, doing.invalidates_since, doing.process, pk)
        self._invalidations.setdefault(fragment, []).append(done)

    def note_warmed(self, release_digest: Mapping[str, str], began: int) -> None:
        """Heads of these fragments, by their digests, were put right by a run that began then."""
        put_right = [
            key
            for key in self._server.of_kind("head")
            if (name := named(key)) is not None
            and release_digest.get(name.fragment) == name.digest
            and self._lost.get(key, 0) < began
        ]
        for key, data in self._server.read(put_right).items():
            self._heads[key] = began, Sealed.cut(data).as_of

    def note_lost(self, keys: Collection[str], now: int) -> None:
        """Note that what lay under keys is gone, and any head may be the first."""
        for key in keys:
            self._heads.pop(key, None)
            self._lost[key] = now

    def look_at(self, keys: Collection[str], doing: Doing, now: int) -> None:
        """Look at what was just written to the server."""
        stored = self._server.read(keys)
        for key, data in stored.items():
            kind, sealed = kind_of(key), Sealed.cut(data)
            if kind == "token":
                self._look_at_token(sealed, doing)
            elif kind == "entry" and (name := named(key)):
                self._look_at_entry(key, name, sealed, doing, now)
            elif kind == "head" and (name := named(key)):
                self._look_at_head(key, name, sealed)

    def look_at_page(self, shown: Shown, html: str, visit: Visit, asked: int, now: int) -> None:
        """Look at what a page shows, of which the fragment was asked for at a time."""
        found = content(html)
        since = self._oldest_allowed(shown, visit, asked)
        is_stale_allowed = shown.fragment == "truth.eager" and any(
            now + visit.process.ahead - self.truth.newest_mtime(cell) <= STALE_SECONDS * SECOND
            for cell in shown.cells
        )
        if is_stale_allowed:
            since = 0
        elif found.releases:
            assert found.releases == {visit.process.release.number}, (
                f"a page of release {visit.process.release.number} shows {html!r}"
            )
        for cell in shown.cells:
            value = found.values.get(cell)
            is_own = value in visit.private.get(cell, ())
            assert is_own or self.truth.was_true(cell, value, since, now), (
                f"{shown} shows {value!r}, which was not true in [{since}, {now}]: "
                f"{self.truth.described([cell])}"
            )

    def look_at_target(self, shown: Shown, html: str | None, now: int) -> None:
        """Look at what a site shows that only reads."""
        if html is None:
            return
        for cell in shown.cells:
            value = content(html).values.get(cell)
            assert self.truth.was_true(cell, value, 0, now), f"{shown} was never {value!r}"

    def look_at_end(self, shown: Shown, html: str | None) -> None:
        """Look at what is shown when all has settled."""
        assert html is not None, f"{shown} is not there"
        found = content(html)
        for cell in shown.cells:
            assert found.values.get(cell) == self.truth.present(cell), (
                f"in the end, {shown} is {html!r}: {self.truth.described(shown.cells)}"
            )

    def look_at_all(self) -> None:
        """Look once more at every entry: nothing has got another meaning."""
        known = {key: found for some in self._entries.values() for key, found in some.items()}
        for key, data in self._server.read(known).items():
            assert content(Sealed.cut(data).payload.decode()) == known[key], key

    def _oldest_allowed(self, shown: Shown, visit: Visit, asked: int) -> int:
        """Return since when a state may have been true that a page shows."""
        if shown.fragment not in BY_HEAD:
            return visit.began
        known = [
            since
            for done, since, process, pk in self._invalidations.get(shown.fragment, ())
            if pk in {None, shown.pk}
            and (done < asked - LAG * SECOND or process is visit.process)
            and done < asked
        ]
        return min(visit.began, max(known, default=0))

    def _look_at_token(self, sealed: Sealed, doing: Doing) -> None:
        if doing.invalidates_since is not None:
            self._tokens.setdefault(sealed.token, doing.invalidates_since)

    def _look_at_entry(self, key: str, name: Named, sealed: Sealed, doing: Doing, now: int) -> None:
        shown = PLACES[name.fragment, name.pk]
        found = content(sealed.payload.decode())
        since = doing.began
        if name.fragment in BY_HEAD:
            since = max([0, *(self._tokens.get(token, 0) for token in sealed.tokens)])
        for cell in shown.cells:
            value = found.values.get(cell)
            assert self.truth.was_true(cell, value, since, now), (
                f"{key} holds {value!r}, which was not true in [{since}, {now}]: "
                f"{self.truth.described([cell])}"
            )
        if name.fragment not in BY_HEAD:
            self._look_at_version(key, shown, name.version, found, now)

    def _look_at_version(
        self, key: str, shown: Shown, version: str, found: Content, now: int
    ) -> None:
        owner = _owner(shown)
        self._entries.setdefault((owner, version), {})[key] = found
        first = self.truth.version_since(owner, version)
        if first is None:
            return
        for cell in shown.cells:
            assert self.truth.was_true(cell, found.values.get(cell), first, now), (
                f"{key} is older than its version: {found.values}"
            )
        if self.truth.versions[owner] == version:
            self._compare_with_present(key, found)

    def _compare_with_present(self, key: str, found: Content) -> None:
        name = named(key)
        assert name is not None
        cells = PLACES[name.fragment, name.pk].cells
        true = {cell: self.truth.present(cell) for cell in cells}
        shown = {cell: found.values.get(cell) for cell in cells}
        assert shown == true, f"{key} is of the present version, and holds {shown}, not {true}"

    def _look_at_head(self, key: str, name: Named, sealed: Sealed) -> None:
        if key not in self._heads or name.fragment in BY_HEAD:
            return
        began, as_of = self._heads[key]
        length = int.from_bytes(sealed.payload[1:3])
        version = sealed.payload[5 : 5 + length].decode().rpartition(".")[0]
        owner = _owner(PLACES[name.fragment, name.pk])
        if self.truth.version_since(owner, version) is None:
            return
        assert self.truth.version_until(owner, version, began) >= began or sealed.as_of >= as_of, (
            f"{key} went back to {version}, which a run had left behind"
        )


def _owner(shown: Shown) -> Owner:
    if shown.fragment == "truth.musicians":
        return "musicians"
    return BAND if shown.fragment == "truth.band" else shown.cells[0]
