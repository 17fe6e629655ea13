"""The breaker: when it opens, who finds out that the cache answers again, and how often."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import warnings
from collections.abc import Callable

import pytest

from fragcache import breaker
from fragcache.breaker import CALM, DOUBT, FAILURES, FIRST_PAUSE, JITTER, LONGEST_PAUSE, Breaker
from fragcache.locks import new_lock
from tests.pages import in_thread, later

#: Seconds in which a thread must have done what it does.
SOON = 15


class Cache:
    """What a breaker asks: notes by which threads, and how many at a time."""

    def __init__(self) -> None:
        self.answers = False
        self.askers: list[threading.Thread] = []
        self.seconds = 0.0
        self._asking = new_lock()
        self.most_at_once = 0

    def probe(self) -> None:
        self.most_at_once = max(self.most_at_once, 2 if self._asking.locked() else 1)
        with self._asking:
            self.askers.append(threading.current_thread())
            time.sleep(self.seconds)
        if not self.answers:
            raise ConnectionError


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def guard(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Breaker:
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(breaker, "LONGEST_PAUSE", 0.02)
    return Breaker("it", cache.probe)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_it_opens_after_three_failures_in_a_row(guard: Breaker) -> None:
    for _time in range(2):
        for _failure in range(FAILURES - 1):
            guard.fail(was_waited_for=False)
        assert guard.allows()
        guard.succeed()
    for _failure in range(FAILURES):
        guard.fail(was_waited_for=False)
    assert not guard.allows()


def test_it_opens_at_once_where_the_cache_was_waited_for(guard: Breaker) -> None:
    guard.fail(was_waited_for=True)
    assert not guard.allows()


def test_it_knows_when_it_was_answered(guard: Breaker) -> None:
    guard.succeed()
    moment = time.monotonic()
    assert not guard.has_answered_since(moment)
    guard.succeed()
    assert guard.has_answered_since(moment)


def test_calls_without_much_time_open_it_where_nobody_gets_an_answer_for_long(
    guard: Breaker,
) -> None:
    for _call in range(10 * FAILURES):
        guard.doubt()
    with later(2 * DOUBT):
        guard.succeed()
        guard.doubt()
        assert guard.allows()
    with later(4 * DOUBT):
        guard.doubt()
        assert not guard.allows()


def test_a_thread_of_its_own_asks_one_at_a_time_and_closes_it(
    guard: Breaker, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.seconds = 0.01
    guard.fail(was_waited_for=True)
    for _visitor in range(200):
        in_thread(guard.allows)
    until(lambda: len(cache.askers) > 2)
    cache.answers = True
    until(guard.allows)

    assert cache.most_at_once == 1
    assert len(set(cache.askers)) == 1
    [asker] = set(cache.askers)
    assert asker.daemon
    assert asker.name == "fragcache guard of it"
    opened, closed = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert opened.message == "The guard of it is open: it is not asked until it answers."
    assert re.match(r"The guard of it is closed after \d+\.\d", closed.message)
    until(lambda: not asker.is_alive())


def test_a_failure_while_it_is_open_changes_nothing(guard: Breaker) -> None:
    guard.fail(was_waited_for=True)
    since = guard.open_since
    guard.fail(was_waited_for=True)
    assert guard.open_since is since is not None


def test_it_is_asked_at_once_and_then_in_pauses_that_double_up_to_the_longest(
    cache: Cache,
) -> None:
    asked = Breaker("it", cache.probe)
    assert asked.next_pause() == 0
    pauses = [asked.next_pause() for _probe in range(8)]
    expected = [min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) for number in range(8)]
    for pause, usual in zip(pauses, expected, strict=True):
        assert usual * (1 - JITTER) <= pause <= usual * (1 + JITTER)
    assert pauses != expected


@pytest.mark.parametrize(("seconds", "is_anew"), [(0, False), (CALM + 1, True)])
def test_one_that_opens_again_soon_is_not_asked_at_once(
    seconds: float, is_anew: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Breaker, "_see_to_prober", lambda self: None)
    asked = Breaker("it", lambda: None)
    asked.fail(was_waited_for=True)
    for _probe in range(5):
        asked.next_pause()
    asked.try_to_close()
    with later(seconds):
        asked.fail(was_waited_for=True)
        assert (asked.next_pause() == 0) is is_anew


def test_nobody_asks_for_a_breaker_that_nobody_has(cache: Cache) -> None:
    guard: Breaker | None = Breaker("it", Cache().probe)
    assert guard
    guard.fail(was_waited_for=True)
    prober = guard._prober
    del guard
    assert prober
    prober.join(SOON)
    assert not prober.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_asks_for_itself(guard: Breaker, cache: Cache) -> None:
    guard.fail(was_waited_for=True)
    until(lambda: bool(cache.askers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
        pid = os.fork()
    if not pid:  # the child; it must not run what pytest does at exit
        cache.answers = True
        end = time.monotonic() + SOON
        while not guard.allows() and time.monotonic() < end:
            time.sleep(0.001)
        os._exit(0 if guard.allows() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not guard.allows()
    guard.close()
