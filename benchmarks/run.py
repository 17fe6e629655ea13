"""One run of the benchmarks: every table on every server, one after the other."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Collection

from django.apps import apps
from django.core.management import call_command
from tqdm import tqdm

from benchmarks import cores, round_trips, warming
from benchmarks.cards.content import TEXT
from benchmarks.cards.models import Card
from benchmarks.contenders.without_counters import without_counters
from benchmarks.extent import Extent
from benchmarks.measuring import Results
from benchmarks.pages import Workload
from benchmarks.rows import page_of
from benchmarks.servers import STANDS, Stand

#: Cards in the database: the largest page, the spare one, and enough to warm in several batches.
STOCK = 2_000
PEERS = {"adv_cache_tag": "django-adv-cache-tag", "cacheops": "django-cacheops"}


def measure(names: Collection[str], extent: Extent) -> tuple[Results, list[Stand]]:
    """Return what was measured on the servers of these names, and the servers."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    Card.objects.bulk_create(Card(title=f"Card number {n}", text=TEXT) for n in range(STOCK))
    results = Results()
    if len(names) > 1 and len(cores.usable()) != 1:
        results.notes.append("Servers and pages were left to the scheduler, which may move them.")
    results.notes += [
        f"{distribution} is not installed and not measured."
        for app, distribution in PEERS.items()
        if not apps.is_installed(app) and (app != "cacheops" or "redis" in names)
    ]
    servers = [STANDS[name]() for name in names]
    works = {server.name: _workloads(server, extent) for server in servers}
    results.notes += [
        difference
        for workloads in works.values()
        for workload in workloads
        for difference in workload.differences()
    ]
    with without_counters() as replaced:
        results.notes.append(f'"no counters or guard" replaces {_summary(replaced)}.')
    # What is there by now stays: collecting the garbage of a round takes a tenth of the time.
    gc.collect()
    gc.freeze()
    often = 0.5 if sys.stderr.isatty() else 20
    with tqdm(total=_steps(works, extent), unit=" rows", mininterval=often) as progress:
        for server in servers:
            progress.set_description(server.name)
            _measure(server, works[server.name], extent, results, progress.update)
    return results, servers


def _workloads(server: Stand, extent: Extent) -> list[Workload]:
    cards = list(Card.objects.order_by("pk")[: max(extent.sizes) + 1])
    spare = page_of(cards[-1:])
    return [Workload(server, page_of(cards[:n]), spare) for n in extent.sizes]


def _measure(
    server: Stand,
    workloads: list[Workload],
    extent: Extent,
    results: Results,
    ticked: Callable[[], object],
) -> None:
    for workload in workloads:
        rounds = extent.rounds_of(workload.n)
        server.flush()
        results.tables.append(workload.warm(rounds, ticked))
        results.tables.append(workload.cold(rounds, ticked))
        server.flush()
        if workload.n == 100 and server.name != "locmem":
            results.trips[server.name] = round_trips.of_warm_page(server.name, workload.page)
    if server.name != "locmem":
        results.tables.append(warming.table(server, extent.rounds_of_warming, ticked))


def _steps(works: dict[str, list[Workload]], extent: Extent) -> int:
    pages = sum(
        extent.rounds_of(workload.n) * (len(workload.rows) + len(workload.cold_rows))
        for workloads in works.values()
        for workload in workloads
    )
    servers = sum(name != "locmem" for name in works)
    return pages + servers * extent.rounds_of_warming * len(warming.LABELS)


def _summary(names: list[str]) -> str:
    """Return which functions were replaced, and in how many modules."""
    modules = {name.rpartition(".")[0] for name in names}
    functions = sorted({name.rpartition(".")[2] for name in names})
    return f"{', '.join(f'`{name}`' for name in functions)} in {len(modules)} modules"
