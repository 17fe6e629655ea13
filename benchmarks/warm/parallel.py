"""S8: two processes against one. No core is pinned, and the servers share both of them."""

from __future__ import annotations

from functools import partial

from tqdm import tqdm

from benchmarks.cards.models import Card
from benchmarks.measuring import Table, interleaved
from benchmarks.servers import STANDS, Stand
from benchmarks.warm.commands import expect, timed, warm
from benchmarks.warm.progress import often

FRAGMENT = "cards.card"
LABELS = {
    "one": "`warm_fragments`",
    "two": "`warm_fragments --parallel 2`",
    "start": "its processes' start, and two renders",
    "two-started": "`--parallel 2` without their start",
}


def table(server: str, rounds: int) -> Table:
    """Return the times of both, and of what two processes take to start."""
    stand = STANDS[server]()
    count = Card.objects.count()
    samples = {
        "one": partial(_everything, stand, 1, count),
        "two": partial(_everything, stand, 2, count),
        "start": _start,
    }
    total = rounds * len(samples)
    with tqdm(total=total, desc=server, unit=" runs", leave=False, mininterval=often()) as bar:
        times = interleaved(samples, rounds, bar.update)
    pairs = zip(times["two"], times["start"], strict=True)
    times["two-started"] = [two - start for two, start in pairs]
    return Table(kind="parallel", server=server, n=count, labels=LABELS, times=times)


def _everything(stand: Stand, processes: int, count: int) -> float:
    stand.flush()
    totals = {}
    taken = timed(lambda: totals.update(warm(FRAGMENT, parallel=processes)))
    expect(f"Everything was missing, --parallel {processes}", totals["rendered"], count)
    return taken


def _start() -> float:
    first, second = map(str, Card.objects.order_by("pk").values_list("pk", flat=True)[:2])
    options = {"items": [first, second], "batch_size": 1, "force": True}
    return timed(lambda: warm(FRAGMENT, parallel=2, **options))
