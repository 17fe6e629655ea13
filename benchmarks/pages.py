"""Warm and cold pages: how one round of a row is prepared, untimed, and timed."""

from __future__ import annotations

import gc
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks import contenders
from benchmarks.measuring import Table, interleaved
from benchmarks.requests import request
from benchmarks.rows import Page, Row
from benchmarks.servers import Stand

#: Pages that a round of a row shows, each in a request of its own; their median counts.
REPEATS_WARM = {1: 9, 10: 7, 100: 3}
REPEATS_COLD = {1: 5, 10: 3}

SPACE = re.compile(r"\s+")


class Workload:
    """A page of N cards on one server, and its contenders."""

    def __init__(self, server: Stand, page: Page, spare: Page) -> None:
        self.server = server
        self.page = page
        self.n = len(page.cards)
        #: A card that is on no page: shown first, it opens connections and compiles templates.
        self.spare = spare
        self.rows = contenders.rows(server, self.n)

    def warm(self, rounds: int, ticked: Callable[[], object]) -> Table:
        """Return the times of the page when everything is stored."""
        samples = {row.key: partial(self._warm_round, row) for row in self.rows}
        return self._table("warm", self.rows, interleaved(samples, rounds, ticked))

    def cold(self, rounds: int, ticked: Callable[[], object]) -> Table:
        """Return the times of the page when nothing of it is stored."""
        samples = {row.key: partial(self._cold_round, row) for row in self.cold_rows}
        return self._table("cold", self.cold_rows, interleaved(samples, rounds, ticked))

    @property
    def cold_rows(self) -> list[Row]:
        return [row for row in self.rows if row.is_cold]

    def differences(self) -> Iterator[str]:
        """Yield a sentence for each row that shows another page, or leaves less than the page."""
        plain = next(row for row in self.rows if row.key == "plain")
        expected = self._shown(plain)
        for row in (row for row in self.rows if row.shows):
            where = f"{row.label} at N={self.n} on {self.server.name}"
            self.server.flush()
            with row.around():
                self._show_spare(row)
                before = self.server.count()
                cold = self._shown(row)
                stored = self.server.count() - before
                warm = self._shown(row)
            if row.stores and stored < self.n and row.is_cold:
                yield f"{where} stored {stored} of {self.n} cards of a cold page."
            for state, shown in (("cold", cold), ("warm", warm)):
                if shown != expected:
                    yield (
                        f"{where} shows another page than no cache does when it is {state}: "
                        f"{len(shown):,} characters besides spaces, not {len(expected):,}."
                    )

    def _table(self, kind: str, rows: Sequence[Row], times: dict[str, list[float]]) -> Table:
        return Table(
            kind=kind,  # type: ignore[arg-type]
            server=self.server.name,
            n=self.n,
            labels={row.key: row.label for row in rows},
            times=times,
            unplotted=[row.key for row in rows if not row.is_plotted],
        )

    def _warm_round(self, row: Row) -> float:
        with row.around():
            gc.collect()
            with request():
                row.render(self.page)
            repeats = REPEATS_WARM.get(self.n, 1)
            return statistics.median(self._timed(row) for _ in range(repeats))

    def _cold_round(self, row: Row) -> float:
        gc.collect()
        return statistics.median(self._timed_cold(row) for _ in range(REPEATS_COLD.get(self.n, 1)))

    def _timed_cold(self, row: Row) -> float:
        # Entered anew each time, since fragcache's settings empty its local cache.
        with row.around():
            self.server.flush()
            self._show_spare(row)
            return self._timed(row)

    def _show_spare(self, row: Row) -> None:
        with request():
            row.render(self.spare)

    def _timed(self, row: Row) -> float:
        with request():
            began = time.perf_counter()
            row.render(self.page)
            return (time.perf_counter() - began) * 1000

    def _shown(self, row: Row) -> str:
        with request():
            shown = row.render(self.page)
        text = shown.decode() if isinstance(shown, bytes) else shown
        return SPACE.sub("", text)
