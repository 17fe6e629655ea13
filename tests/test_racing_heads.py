"""Promise T5: racing writers of heads, each of which has another order in mind, on both servers."""

from __future__ import annotations

import functools
import random
import threading
from typing import Any

import pytest

from fragcache.entry import Entry, Kind
from fragcache.page import now
from fragcache.records import Head
from fragcache.store import store
from fragcache.testing.racing import in_children, in_threads

pytestmark = [
    pytest.mark.without_local_cache,
    pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True),
]

WRITERS = 4
ROUNDS = 500
#: By how many rounds a writer may come too late.
LATE = 40
KEYS = [f"fc1:library.raced:{number}:-@digest" for number in range(20)]
HOUR = 3_600_000_000


def test_a_head_only_moves_forward_in_forty_thousand_writes(cache_alias: str) -> None:
    """Ten thousand rounds of four writers: 500 of each, over 20 heads at once."""
    assert ROUNDS * len(KEYS) == 10_000
    begin = now() - HOUR
    tasks = [functools.partial(write_all, number, begin) for number in range(WRITERS)]

    with watched() as seen, in_children(tasks[:2]), in_threads(tasks[2:]):
        pass

    assert seen["back"] == 0
    assert seen["reads"] > 10
    assert len(seen["moments"]) > 10, "nothing would be proved if nobody had seen them move"
    latest = {entry.as_of for entry in store().read_many(KEYS).values()}
    assert latest == {begin + ROUNDS * WRITERS - 1}


def test_those_of_two_releases_never_meet(cache_alias: str) -> None:
    """Each worker of a rolling deployment moves the heads of its own digest."""
    begin = now() - HOUR
    digests = ["old", "new"]
    tasks = [functools.partial(write_some, n, begin, digests[n % 2]) for n in range(WRITERS)]
    with in_children(tasks):
        pass

    for digest in digests:
        found = store().read_many(named(key, digest) for key in KEYS)
        assert {Head.unpack(entry.payload).suffix for entry in found.values()} == {f"1.{digest}"}


def write_all(number: int, begin: int) -> None:
    """Advance all heads to each of this writer's moments; some come late, as slow renders do."""
    cache, lot = store(), random.Random(number)
    for step in sorted(range(ROUNDS), key=lambda step: step + lot.uniform(0, LATE)):
        entry = head(begin + step * WRITERS + number, f"{step}-{number}.digest")
        cache.advance_many(dict.fromkeys(KEYS, entry), 60)


def write_some(number: int, begin: int, digest: str) -> None:
    for step in range(50):
        entry = head(begin + step, f"1.{digest}")
        store().advance_many({named(key, digest): entry for key in KEYS}, 60)


def named(key: str, digest: str) -> str:
    return key.replace("@digest", f"@{digest}")


def head(as_of: int, suffix: str) -> Entry:
    return Entry(Kind.HEAD, Head(suffix).pack(), as_of=as_of, built_at=as_of)


class watched:
    """Count within how often a head is seen to be earlier than it was seen before."""

    def __enter__(self) -> dict[str, Any]:
        self._seen: dict[str, Any] = {"back": 0, "reads": 0, "moments": set()}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self._seen

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        cache, latest = store(), dict.fromkeys(KEYS, 0)
        while not self._is_over.is_set():
            for key, entry in cache.read_many(KEYS).items():
                self._seen["back"] += entry.as_of < latest[key]
                self._seen["moments"].add(entry.as_of)
                latest[key] = entry.as_of
            self._seen["reads"] += 1
        cache.backend.close()
