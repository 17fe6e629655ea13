"""A week of the demo's visitors and editors, in seconds: run within its source site.

What is counted is counted as ever, of real pages; only the clock of the counts is set back, to
the minute at hand, when they are written.
"""

from __future__ import annotations

import math
import random
import time
from types import SimpleNamespace

from courses.models import Course, Module
from django.test import Client

from fragcache import invalidate_all
from fragcache.stats import keeping

HOUR = 3_600
chance = random.Random(2026)
pages = [
    "/",
    *(f"/courses/{pk}/" for pk in Course.objects.values_list("pk", flat=True)),
    *(f"/modules/{pk}/" for pk in Module.objects.order_by("pk").values_list("pk", flat=True)[:30]),
]
visitor = Client(headers={"host": "localhost"})
editors = list(Module.objects.order_by("pk")[:30])


def visit(times: int) -> None:
    for _time in range(times):
        # Few pages have most of the visitors.
        page = pages[min(int(chance.expovariate(0.15)), len(pages) - 1)]
        assert visitor.get(page).status_code == 200
        if chance.random() < 0.03:
            edit(chance.choice(editors))
    if chance.random() < 0.005:
        invalidate_all("courses.course_card")


def edit(module: Module) -> None:
    module.title = f"{module.title.partition(' (')[0]} ({chance.randrange(1000)})"
    module.save()


def wave(moment: int, most: int) -> int:
    """Return how many come at that hour: by day more than by night."""
    hour = moment % (24 * HOUR) / HOUR
    return round(most * (0.25 + 0.75 * math.sin(math.pi * hour / 24) ** 2) * chance.uniform(0.6, 1))


def main() -> None:
    keeper = keeping.keeper
    now = int(time.time())
    hours = [(moment, 24) for moment in range(now - 7 * 24 * HOUR, now - HOUR, HOUR)]
    minutes = [(moment, 3) for moment in range(now - HOUR, now, 60)]
    for moment, most in [*hours, *minutes]:
        # Before the visits: a thread writes what is counted, too.
        keeping.time = SimpleNamespace(time=lambda at=moment: at)
        visit(wave(moment, most))
        assert keeper.flush()


main()
