"""Warming: a stock of cards stored one by one, by ``warm_fragments``, and again."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial

from django.core.cache import caches
from django.template.loader import render_to_string
from django.test import override_settings

from benchmarks.cards.content import card_context
from benchmarks.cards.models import Card
from benchmarks.measuring import Table, interleaved
from benchmarks.servers import Stand
from fragcache import registry
from fragcache.warming import Plan, Run

LABELS = {
    "one-by-one": "one by one",
    "warm": "`warm_fragments`, everything",
    "again": "`warm_fragments` again",
}


def table(server: Stand, rounds: int, ticked: Callable[[], object]) -> Table:
    """Return the times of warming every card on a server."""
    rows: dict[str, Callable[[], None]] = {
        "one-by-one": partial(one_by_one, server.backends[0]),
        "warm": partial(_warm, force=True),
        "again": partial(_warm, force=False),
    }
    samples = {key: partial(_timed, row) for key, row in rows.items()}
    server.flush()
    with override_settings(FRAGCACHE={"CACHE_ALIAS": f"fragcache-{server.name}"}):
        _warm(force=True)
        times = interleaved(samples, rounds, ticked)
    count = Card.objects.count()
    return Table(kind="warming", server=server.name, n=count, labels=LABELS, times=times)


def one_by_one(backend: str) -> None:
    """Render and store every card as many sites do: a call of Django's cache for each."""
    cache = caches[backend]
    for card in Card.objects.all():
        html = render_to_string("cards/card.html", card_context(card))
        cache.set(f"card:{card.pk}:{card.updated_at.timestamp()}", html, 3600)


def _warm(*, force: bool) -> None:
    Run(Plan(fragments=[registry.get("cards.card")], force=force)).execute()


def _timed(row: Callable[[], None]) -> float:
    gc.collect()
    began = time.perf_counter()
    row()
    return (time.perf_counter() - began) * 1000
