"""Threads and processes at once: what one backend must keep apart and in order."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator

from django.core.cache import caches

from fragcache.backends import Advance
from fragcache.testing.advancing import sealed
from fragcache.testing.subjects import BackendSubject

_WRITERS = 4
_STEPS = 40
_BATCH = 10
#: Seconds after which writers begin, together.
_HEAD_START = 0.03


class RacingBehaviour(BackendSubject):
    """One value under each key, whoever writes and however many."""

    def test_racing_threads_leave_the_highest_rank(self) -> None:
        self.only_if(self.threads)
        with in_threads(self._writers()):
            pass
        self._assert_highest_are_left()

    def test_racing_processes_leave_the_highest_rank(self) -> None:
        self.only_if(self.backend.shared and self.forks and hasattr(os, "fork"))
        with in_children(self._writers()):
            pass
        self._assert_highest_are_left()

    def test_of_racing_threads_one_adds(self) -> None:
        self.only_if(self.threads)
        won: list[str] = []
        wanted = [self.key(str(step)) for step in range(_STEPS)]

        def add() -> None:
            won.extend(key for key in wanted if not self.backend.add_many({key: b"1"}, 60))

        with in_threads([add] * _WRITERS):
            pass
        assert sorted(won) == sorted(wanted)

    def test_threads_that_share_a_backend_get_their_own_answers(self) -> None:
        backend = self.backend
        # Django's own caches are for one thread each.
        self.only_if(self.threads and backend is self.cache)
        values = {self.key(str(number)): b"fc\x01%d" % number * 500 for number in range(_WRITERS)}
        backend.set_many(values, 60)

        def read(key: str) -> None:
            for _ in range(_STEPS):
                assert backend.get_many([key]) == {key: values[key]}

        with in_threads([functools.partial(read, key) for key in values]):
            pass

    def test_other_processes_read_what_this_one_writes(self) -> None:
        self.only_if(self.backend.shared and self.forks and hasattr(os, "fork"))

        values = {self.key("child"): b"1"}

        def write() -> None:
            assert self.backend.set_many(values, 60) == []

        with in_children([write]):
            pass
        assert self.backend.get_many(list(values)) == values

    def test_a_forked_child_and_its_parent_get_their_own_answers(self) -> None:
        self.only_if(self.backend.shared and self.forks and hasattr(os, "fork"))
        values = {self.key(str(number)): b"fc\x01%d" % number * 500 for number in range(3)}
        self.backend.set_many(values, 60)

        def read(key: str) -> None:
            for _ in range(_STEPS):
                assert self.backend.get_many([key]) == {key: values[key]}

        parents, *childrens = values
        with in_children([functools.partial(read, key) for key in childrens]):
            read(parents)
        read(parents)

    def _writers(self) -> list[Callable[[], None]]:
        """Return tasks that write the same keys at the same time, each in turn the highest."""
        batches = [self._batch(step) for step in range(_STEPS)]
        start = time.monotonic() + _HEAD_START

        def write(number: int) -> None:
            time.sleep(max(0.0, start - time.monotonic()))
            for step, batch in enumerate(batches):
                value = sealed(1 + (number + step) % _WRITERS)
                self.backend.advance_many(dict.fromkeys(batch, Advance(value)), 60)

        return [functools.partial(write, number) for number in range(_WRITERS)]

    def _batch(self, step: int) -> list[str]:
        return [self.key(f"{step}:{number}") for number in range(_BATCH)]

    def _assert_highest_are_left(self) -> None:
        for step in range(_STEPS):
            batch = self._batch(step)
            assert self.backend.get_many(batch) == dict.fromkeys(batch, sealed(_WRITERS))


@contextlib.contextmanager
def in_threads(tasks: list[Callable[[], None]]) -> Iterator[None]:
    """Run tasks beside the block; raise their errors after it."""
    errors: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)
        finally:
            caches.close_all()  # as a request does that ends

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
    for error in errors:
        raise error


@contextlib.contextmanager
def in_children(tasks: list[Callable[[], None]]) -> Iterator[None]:
    """Run tasks in forked processes beside the block."""
    children = [_fork(task) for task in tasks]
    try:
        yield
    finally:
        statuses = [os.waitpid(pid, 0)[1] for pid in children]
    assert not any(statuses), "a child failed; its traceback is on stderr"


def _fork(task: Callable[[], None]) -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns where there are threads; servers that fork have them as well.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        task()
        code = 0
    except BaseException:  # noqa: BLE001 (the child has nobody above)
        traceback.print_exc(file=sys.stderr)
    finally:
        # No handlers and no destructors of the parent's things.
        os._exit(code)
