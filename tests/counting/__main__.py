"""``python -m tests.counting NUMBER REQUESTS``: asks, and prints what it has counted itself.

A part of the requests is made by threads that end, and a part by a forked child.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import sys
import threading
from collections import Counter
from typing import Any

import django
from django.utils import translation

#: Instances that each thread asks for, over and over.
INSTANCES = 8
#: A number that no other thread or process has: what it misses, it renders.
_BLOCK = 1_000

asked: Counter[tuple[str, str]] = Counter()
_lock = threading.Lock()


def visit(own: int, requests: int) -> None:
    """Make so many requests; ``own`` is the number of the thread."""
    from fragcache import get_fragments
    from fragcache.page import entered, of_request

    chance = random.Random(own)
    for _ in range(requests):
        name = chance.choice(["counting.versioned", "counting.headed"])
        language = chance.choice(["en", "de", "fr"])
        items = [own * _BLOCK + n for n in chance.sample(range(INSTANCES), chance.randint(1, 4))]
        with translation.override(language), entered(of_request()) as page:
            get_fragments(name, items)
        page.finish()
        with _lock:
            asked[name, language] += len(items)


def work(number: int, requests: int) -> dict[str, Any]:
    """Make requests in two threads; return what was asked for and rendered."""
    from tests.counting.fragments import rendered

    asked.clear()
    rendered.clear()
    threads = [
        threading.Thread(target=visit, args=(2 * number + n, requests // 2)) for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"asked": _told(asked), "rendered": _told(rendered)}


def _child(number: int, requests: int, told: Any) -> None:
    told.put(work(number, requests))


def _told(counts: Counter[tuple[str, str]]) -> dict[str, int]:
    return {" ".join(label): times for label, times in counts.items()}


def main() -> None:
    from fragcache.stats import collecting

    collecting.INTERVAL = 1.0
    number, requests = int(sys.argv[1]), int(sys.argv[2])
    found = [work(2 * number, requests // 2)]
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    child = context.Process(target=_child, args=(2 * number + 1, requests // 2, told))
    child.start()
    found.append(told.get())
    child.join()
    print(json.dumps(found))


if __name__ == "__main__":
    django.setup()
    main()
