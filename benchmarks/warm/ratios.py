"""S7 and S9: warming beside the loops that it replaces, and again, in rounds of one process."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.core.cache import caches
from django.db import connection
from django.template.loader import get_template, render_to_string
from tqdm import tqdm

from benchmarks.cards.content import card_context
from benchmarks.cards.models import Card
from benchmarks.measuring import Table, interleaved
from benchmarks.servers import STANDS
from benchmarks.warm.commands import expect, timed, warm
from benchmarks.warm.progress import often
from benchmarks.warm.stock import change
from benchmarks.warming import one_by_one
from fragcache import registry
from fragcache.warming import Plan, Run
from fragcache.warming.plan import BATCH_SIZE

FRAGMENT = "cards.card"
LABELS = {
    "one-by-one": "seed-style loop, one `cache.set` each",
    "set-many": "the same loop, one `cache.set_many` per batch",
    "render": "rendering alone, nothing stored",
    "run": "`Run(Plan(...))`, everything missing",
    "command": "`warm_fragments`, everything missing",
    "again": "`warm_fragments` again, nothing changed",
    "changed": "`warm_fragments`, 1 % changed",
    "again-changed": "`warm_fragments --changed` again, nothing changed",
    "changed-changed": "`warm_fragments --changed`, 1 % changed",
}
#: Batches whose queries are counted.
COUNTED_SIZES = (100, 1_000)


def table(server: str, rounds: int) -> tuple[Table, int]:
    """Return the times of all rows, and the most that was rendered though nothing had changed."""
    rows = _Rows(server)
    samples = rows.samples()
    rows.fill()
    gc.collect()
    gc.freeze()
    total = rounds * len(samples)
    with tqdm(total=total, desc=server, unit=" rows", leave=False, mininterval=often()) as bar:
        times = interleaved(samples, rounds, bar.update)
    found = Table(kind="warming", server=server, n=rows.count, labels=LABELS, times=times)
    return found, rows.rendered_again


def queries_per_batch() -> dict[int, int]:
    """Return the most queries from one batch to the next, by the size of the batches."""
    return {size: _most_queries(size) for size in COUNTED_SIZES}


class _Rows:
    """What is timed on one server."""

    def __init__(self, server: str) -> None:
        self._stand = STANDS[server]()
        self._cache = caches[self._stand.backends[0]]
        self.count = Card.objects.count()
        self.rendered_again = 0
        self._template = get_template("cards/card.html")

    def samples(self) -> dict[str, Callable[[], float]]:
        """Return what times each row once."""
        loops: dict[str, Callable[[], None]] = {
            "one-by-one": partial(one_by_one, self._stand.backends[0]),
            "set-many": self._set_many,
            "render": self._render,
        }
        return {key: partial(timed, loop) for key, loop in loops.items()} | {
            "run": self._run,
            "command": self._command,
            "again": self._again,
            "changed": self._changed,
            "again-changed": partial(self._again, changed=True),
            "changed-changed": partial(self._changed, changed=True),
        }

    def fill(self) -> None:
        """Bring everything up to date, untimed."""
        warm(FRAGMENT)

    def _set_many(self) -> None:
        for cards in _batches():
            self._cache.set_many(
                {
                    _key(card): render_to_string("cards/card.html", card_context(card))
                    for card in cards
                },
                3600,
            )

    def _render(self) -> None:
        render = self._template.render
        for cards in _batches():
            for card in cards:
                render(card_context(card))

    def _run(self) -> float:
        self._stand.flush()
        run = Run(Plan(fragments=[registry.get(FRAGMENT)]))
        taken = timed(run.execute)
        expect("Everything was missing", run.report.totals.rendered, self.count)
        return taken

    def _command(self) -> float:
        self._stand.flush()
        return self._warmed("Everything was missing", self.count)

    def _again(self, **options: Any) -> float:
        self.fill()
        totals: dict[str, Any] = {}
        taken = timed(lambda: totals.update(warm(FRAGMENT, **options)))
        self.rendered_again = max(self.rendered_again, totals["rendered"])
        return taken

    def _changed(self, **options: Any) -> float:
        self.fill()
        return self._warmed("1 % had changed", change(Card), **options)

    def _warmed(self, what: str, wanted: int, **options: Any) -> float:
        totals: dict[str, Any] = {}
        taken = timed(lambda: totals.update(warm(FRAGMENT, **options)))
        expect(what, totals["rendered"], wanted)
        return taken


def _batches() -> Iterator[list[Card]]:
    last = 0
    while cards := list(Card.objects.filter(pk__gt=last).order_by("pk")[:BATCH_SIZE]):
        yield cards
        last = cards[-1].pk


def _key(card: Card) -> str:
    return f"card:{card.pk}:{card.updated_at.timestamp()}"


def _most_queries(size: int) -> int:
    count, most = 0, 0

    def counted(execute: Any, sql: str, *rest: Any) -> Any:
        nonlocal count
        count += 1
        return execute(sql, *rest)

    def after_batch(_fragment: Any, _walked: int) -> None:
        nonlocal count, most
        most, count = max(most, count), 0

    plan = Plan(fragments=[registry.get(FRAGMENT)], batch_size=size, force=True, limit=2 * size)
    with connection.execute_wrapper(counted):
        Run(plan, after_batch=after_batch).execute()
    return most
