"""The tables: what is measured, and how rows are compared."""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import django
from django.core.cache import caches
from django.core.management import call_command
from django.template import engines
from django.template.loader import render_to_string

from benchmarks.cards.models import Card
from fragcache import registry
from fragcache.warming import Plan, Run

PAGE = 100
STOCK = 2_000

Rows = Mapping[str, Callable[[], object]]


def print_all(rounds: int) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    Card.objects.bulk_create(
        Card(title=f"Card number {n}", text="All the words of a card. " * 25) for n in range(STOCK)
    )
    print(f"Python {platform.python_version()}, Django {django.get_version()}, {rounds} rounds\n")
    for server in ("redis", "memcached"):
        cards = list(Card.objects.all()[:PAGE])
        _print_table(f"Warm page of {PAGE} cards, {server}", _warm_page(server, cards), rounds)
        few = max(3, rounds // 5)
        _print_table(f"Warming {STOCK:,} cards, {server}", _warming(server), few)


def _warm_page(server: str, cards: list[Card]) -> Rows:
    source = {
        "no cache": "{% for card in cards %}{% include 'cards/card.html' %}{% endfor %}",
        "{% cache %}, Django's backend": (
            "{% load cache %}{% for card in cards %}"
            "{% cache 3600 card card.pk card.updated_at using='django-SERVER' %}"
            "{% include 'cards/card.html' %}{% endcache %}{% endfor %}"
        ),
        "{% fragments %}": "{% load fragcache %}{% fragments 'cards.card' cards %}",
    }
    tags = ["python", "django", "cache", "template"]
    templates = {
        name: engines["django"].from_string(text.replace("SERVER", server))
        for name, text in source.items()
    }
    fragment = registry.get("cards.card")
    fragment.using = server
    rows: dict[str, Callable[[], object]] = {
        name: lambda template=template: template.render({"cards": cards, "tags": tags})
        for name, template in templates.items()
    }
    outputs = {str(row()).replace("\n", "") for row in rows.values()}
    if len(outputs) != 1:
        raise SystemExit("The rows do not print the same page.")
    cache = caches[server]
    raw = {f"raw:{card.pk}": b"x" * 1200 for card in cards}
    cache.set_many(raw, 3600)
    rows["one multi-get and join"] = lambda: b"".join(cache.get_many(raw).values())
    return rows


def _warming(server: str) -> Rows:
    fragment = registry.get("cards.card")
    fragment.using = server

    def one_by_one() -> None:
        cache = caches[f"django-{server}"]
        for card in Card.objects.all():
            html = render_to_string("cards/card.html", fragment.get_context(card))
            cache.set(f"card:{card.pk}:{card.updated_at.timestamp()}", html, 3600)

    def warm(*, force: bool) -> None:
        Run(Plan(fragments=[fragment], force=force)).execute()

    return {
        "one by one": one_by_one,
        "warm_fragments": lambda: warm(force=True),
        "warm_fragments again": lambda: warm(force=False),
    }


def _print_table(title: str, rows: Rows, rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in rows}
    for row in rows.values():
        row()
    for _round in range(rounds):
        for name, row in rows.items():
            gc.collect()
            began = time.perf_counter()
            row()
            times[name].append((time.perf_counter() - began) * 1000)
    peer = list(rows)[1] if "{% fragments %}" in rows else next(iter(rows))
    print(f"### {title}\n\n| | ms, median | times faster than {peer} |\n|---|---|---|")
    for name, taken in times.items():
        ratio = statistics.median(b / a for a, b in zip(taken, times[peer], strict=True))
        print(f"| {name} | {statistics.median(taken):.2f} | {ratio:.2f} |")
    print()
