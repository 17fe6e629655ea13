"""Threads and processes at once: what one backend must keep apart and in order."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator

from django.core.cache import caches

from fragcache.backends import Advance
from fragcache.entry import rank
from fragcache.testing.subjects import BackendSubject

_WRITERS = 4
_STEPS = 40


class RacingBehaviour(BackendSubject):
    """One value under each key, whoever writes and however many."""

    def test_racing_threads_leave_the_highest_rank(self) -> None:
        self.only_if(self.threads)
        key = self.key("head")
        self._assert_only_advances(key, in_threads(self._writers(key)))

    def test_racing_processes_leave_the_highest_rank(self) -> None:
        self.only_if(self.backend.shared and self.forks and hasattr(os, "fork"))
        key = self.key("head")
        self.backend.get_many([key])
        self._assert_only_advances(key, in_children(self._writers(key)))

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

    def _writers(self, key: str) -> list[Callable[[], None]]:
        def write(number: int) -> None:
            for step in range(_STEPS):
                value = _sealed_step(step * _WRITERS + number)
                self.backend.advance_many({key: Advance(value)}, 60)

        return [functools.partial(write, number) for number in range(_WRITERS)]

    def _assert_only_advances(
        self, key: str, writers: contextlib.AbstractContextManager[Callable[[], bool]]
    ) -> None:
        seen = [-1]
        with writers as are_busy:
            while are_busy():
                seen.extend(map(rank, self.backend.get_many([key]).values()))
        assert seen == sorted(seen), "a rank went back"
        assert self.backend.get_many([key]) == {key: _sealed_step(_WRITERS * _STEPS - 1)}


def _sealed_step(number: int) -> bytes:
    return b"fc\x01H" + bytes(4) + (1_000_000 + number).to_bytes(8)


@contextlib.contextmanager
def in_threads(tasks: list[Callable[[], None]]) -> Iterator[Callable[[], bool]]:
    """Run tasks beside the block, which is given whether some are busy; raise their errors."""
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
        yield lambda: any(thread.is_alive() for thread in threads)
    finally:
        for thread in threads:
            thread.join()
    for error in errors:
        raise error


@contextlib.contextmanager
def in_children(tasks: list[Callable[[], None]]) -> Iterator[Callable[[], bool]]:
    """Run tasks in forked processes beside the block, as `in_threads` does."""
    running = {_fork(task) for task in tasks}
    codes: list[int] = []

    def collect(options: int) -> None:
        for pid in list(running):
            ended, status = os.waitpid(pid, options)
            if ended:
                running.remove(pid)
                codes.append(os.waitstatus_to_exitcode(status))

    def are_busy() -> bool:
        collect(os.WNOHANG)
        return bool(running)

    try:
        yield are_busy
    finally:
        collect(0)
    assert not any(codes), "a child failed; its traceback is on stderr"


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
