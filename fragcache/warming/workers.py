"""Workers: a crew of several processes, for ``warm_fragments --parallel``.

Each is started anew, so that none inherits a connection. One that dies takes its unit along: that
is done again alone, and if it kills again in halves, until the instance is found that does.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from fragcache.arguments import Instance
from fragcache.warming import worker
from fragcache.warming.allowance import Allowance, Bounds
from fragcache.warming.crews import Crew, Done, OnDue
from fragcache.warming.renders import log_failure
from fragcache.warming.report import Tally
from fragcache.warming.units import Outcome, Unit, warm

#: Units that are sent ahead for each worker, so that none is idle and memory stays flat.
AHEAD: Final = 2
#: Seconds between two looks at whether the run is to end.
_LOOK: Final = 0.1
_CONTEXT: Final = multiprocessing.get_context("spawn")

_Sent = Future[tuple[Outcome, list[Instance]]]


class WorkerDied(Exception):
    """The process that rendered an instance was killed, or has crashed."""


class Workers:
    """So many processes. The site has to be importable by a new one, as by ``manage.py``."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._pending: dict[_Sent, Unit] = {}

    @contextmanager
    def at_work(
        self, bounds: Bounds, on_due: OnDue | None, is_stopped: Callable[[], bool]
    ) -> Iterator[Crew]:
        self._on_due = on_due
        self._is_stopped = is_stopped
        self._stopped = _CONTEXT.Value("b", False)
        self._bounds = bounds.shared_by(self._number)
        self._rendered = 0
        self._others = set(multiprocessing.active_children())
        self._pool = self._pool_of(self._number)
        try:
            yield self
        except BaseException:  # a second signal, for one, waits for nobody
            self._kill()
            raise
        finally:
            self._pool.shutdown()

    def submit(self, unit: Unit) -> Iterator[Done]:
        try:
            told = worker.packed(unit)
        except Exception:  # noqa: BLE001 - items may be anything, what no process can be told of too
            yield from self._done_here(unit)
            return
        self._send(unit, told)
        while len(self._pending) >= AHEAD * self._number:
            yield from self._received()

    def finish(self, *, is_ended: bool = False) -> Iterator[Done]:
        if is_ended:
            for sent in [sent for sent in self._pending if sent.cancel()]:
                del self._pending[sent]
        while self._pending:
            yield from self._received()

    def _pool_of(self, number: int) -> ProcessPoolExecutor:
        limit = self._bounds.limit
        # Counted anew for each pool: what was granted to a process that died was not rendered.
        self._left = None if limit is None else _CONTEXT.Value("q", limit - self._rendered)
        return ProcessPoolExecutor(
            number,
            mp_context=_CONTEXT,
            initializer=worker.begin,
            initargs=(self._bounds, self._left, self._stopped),
        )

    def _kill(self) -> None:
        """End all processes: a pool of which one has died may wait for the others without end."""
        for process in set(multiprocessing.active_children()) - self._others:
            process.kill()
        self._pool.shutdown(cancel_futures=True)

    def _send(self, unit: Unit, told: bytes) -> None:
        try:
            self._pending[self._submitted(self._pool, told)] = unit
        except BrokenProcessPool as error:  # and so are all that were sent
            broken: _Sent = Future()
            broken.set_exception(error)
            self._pending[broken] = unit

    def _submitted(self, pool: ProcessPoolExecutor, told: bytes) -> _Sent:
        return pool.submit(worker.work, told, tells_due=self._on_due is not None)

    def _received(self) -> Iterator[Done]:
        """Yield what has been done, after waiting for at least one unit."""
        finished = self._first_finished(self._pending)
        if any(isinstance(sent.exception(), BrokenProcessPool) for sent in finished):
            finished, _unfinished = wait(self._pending)  # they all end now
        died = []
        for sent in finished:
            unit = self._pending.pop(sent)
            if isinstance(sent.exception(), BrokenProcessPool):
                died.append(unit)
            else:
                yield self._outcome(unit, sent)
        if died:
            self._kill()
            yield from self._one_by_one(died)
            self._pool = self._pool_of(self._number)

    def _first_finished(self, pending: Collection[_Sent]) -> set[_Sent]:
        """Wait for a unit to be finished, and tell the workers when they are to end."""
        while True:
            finished, _unfinished = wait(pending, _LOOK, return_when=FIRST_COMPLETED)
            if finished:
                return finished
            if self._is_stopped():
                self._stopped.value = True

    def _outcome(self, unit: Unit, sent: _Sent) -> Done:
        error = sent.exception()
        if isinstance(error, Exception):
            return unit, error
        outcome, due = sent.result()
        self._rendered += outcome.tally.rendered
        if self._on_due is not None:
            for instance in due:
                self._on_due(unit.fragment, instance)
        return unit, outcome

    def _one_by_one(self, units: Sequence[Unit]) -> Iterator[Done]:
        """Do units again, each in a process of which it may be the end."""
        waiting = list(units)
        while waiting:
            unit = waiting.pop(0)
            if self._is_stopped():
                yield unit, Outcome(is_incomplete=True)
                continue
            self._pool = self._pool_of(1)
            sent = self._submitted(self._pool, worker.packed(unit))
            self._first_finished([sent])
            self._pool.shutdown()
            if not isinstance(sent.exception(), BrokenProcessPool):
                yield self._outcome(unit, sent)
            elif len(unit.instances) == 1:
                instance = unit.instances[0][0]
                log_failure(
                    unit.fragment, instance, WorkerDied("the process that rendered it died")
                )
                yield unit, Outcome(Tally(planned=int(unit.is_first), failed=1))
            else:
                middle = len(unit.instances) // 2
                parts = unit.instances[:middle], unit.instances[middle:]
                waiting[:0] = [replace(unit, instances=part) for part in parts]

    def _done_here(self, unit: Unit) -> Iterator[Done]:
        allowance = Allowance(self._bounds, self._left, self._is_stopped)
        outcome = warm(unit, allowance, self._on_due)
        self._rendered += outcome.tally.rendered
        yield unit, outcome
