"""The world: what can happen, each event in one call, and in the midst of another one if planned.

Events take a number, which chooses among what there is, so that any number is good at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from fragcache import page
from fragcache.reading import early, leased
from fragcache.store import Store
from tests.truth.clock import SECOND, Clock
from tests.truth.database import Database
from tests.truth.judge import Judge
from tests.truth.process import Killed, Process, Transaction, Visit
from tests.truth.server import Server
from tests.truth.site import SHOWN, Cell, Release, Shown, release
from tests.truth.truth import Truth

PROCESSES = 3
#: More than this is not held open at a time.
MOST_VISITS = 4
MOST_TRANSACTIONS = 3
MOST_PLANNED = 4


@dataclass(eq=False)
class Operation:
    """What a process is doing; what it stores is not older than when it began."""

    process: Process
    began: int
    transaction: Transaction | None = None
    #: What it is to show.
    subject: Shown | None = None
    #: Whether other events may happen between its exchanges with servers.
    is_open: bool = False
    #: Since when the data is committed of which an invalidation that it writes speaks.
    invalidates_since: int | None = None


@dataclass
class Planned:
    """An event that happens after so many exchanges."""

    gap: int
    event: Callable[[], object]


class World:
    """Simulated processes over one database and one cache server."""

    def __init__(self, alias: str) -> None:
        self.clock = Clock()
        self.alias = alias
        self.server = Server(alias, self)
        self.database = Database(self.clock, self._before_query)
        self.releases: list[Release] = [release(n, self.clock.advance) for n in (1, 2)]
        self.transactions: list[Transaction] = []

    def begin(self) -> None:
        """Begin anew, with empty servers but for a few rows."""
        for transaction in self.transactions:  # of an example that has failed
            transaction.connection.connection.close()
        self.clock.restart()
        early._random.seed(0)
        leased._random.seed(0)
        self.server.clear()
        self.database.ahead = 0
        self.database.fill()
        self.truth = Truth()
        self.judge = Judge(self.truth, self.server)
        self.operations: list[Operation] = []
        self.planned: list[Planned] = []
        #: What most of the events are about.
        self.focus = SHOWN[0]
        #: What was seen in the midst of an operation, to be raised after it.
        self.errors: list[Exception] = []
        self.visits: list[Visit] = []
        self.transactions = []
        self.processes: list[Process] = []
        #: Primary keys of the artists that were changed, and are yet to be invalidated.
        self.owed: set[int] = set()
        #: Which copy of tokens was lost, of three.
        self.copies_lost: int | None = None
        self.written = 0
        self.processes = [self.new_process(self.releases[0]) for _ in range(PROCESSES)]
        self.target = self.new_process(self.releases[0], is_target=True)
        self.observe()

    def new_process(
        self, release: Release, stage: int | None = None, *, is_target: bool = False
    ) -> Process:
        """Return a process that was just started."""
        if stage is None:
            stage = max((process.stage for process in self.processes), default=0)
        return Process(self.alias, release, stage, is_target=is_target)

    def install(self, patched: Any) -> None:
        """Let every store ask this world's server."""
        patched.setattr(Store, "backend", property(lambda _store: self.server))

    def run(
        self,
        process: Process,
        call: Callable[[], Any],
        *,
        visit: Visit | None = None,
        transaction: Transaction | None = None,
        is_open: bool = False,
        began: int | None = None,
        subject: Shown | None = None,
    ) -> Any:
        """Return what a process does, None if it is killed meanwhile.

        ``began`` is when it began to read what it may store, unless that was with its page, or now.
        """
        if transaction is None and visit is not None:
            transaction = visit.transaction
        own = transaction.connection if transaction else None
        connection = own or self.database.take()
        if began is None:
            began = visit.began if visit else self.clock.tick()
        operation = Operation(process, began, transaction, subject, is_open)
        self.operations.append(operation)

        def entered() -> Any:
            if visit is None:
                return call()
            with page.entered(visit.page):
                return call()

        try:
            with process.running(self.clock), self.database.used(connection):
                return Context().run(entered)
        except Killed:
            return None
        finally:
            self.operations.pop()
            if own is None:
                self.database.give_back(connection)
            if not self.operations:
                self._raise_what_was_seen()

    def plan(self, gap: int, event: Callable[[], object]) -> None:
        """Let an event happen in the midst of what comes, after so many exchanges."""
        if len(self.planned) < MOST_PLANNED:
            self.planned.append(Planned(gap, event))

    def observe(self) -> None:
        """Let the judge know what is committed by now."""
        rows = self.database.committed()
        self.judge.note_committed(rows, self.clock.tick())

    def bury(
        self, process: Process, release: Release | None = None, stage: int | None = None
    ) -> None:
        """Put a new process in the place of one that is gone, with all that it had begun."""
        process.is_dead = True
        for visit in [visit for visit in self.visits if visit.process is process]:
            self.visits.remove(visit)
        for transaction in [t for t in self.transactions if t.process is process]:
            self.transactions.remove(transaction)
            transaction.connection.connection.close()  # as the server sees it: a rollback
        heir = self.new_process(
            release or process.release, process.stage if stage is None else stage
        )
        self.processes[self.processes.index(process)] = heir

    @property
    def subject(self) -> Shown:
        """What is to be shown by the operation that is interrupted, or else most of the time."""
        shown = self.operations[-1].subject if self.operations else None
        return shown or self.focus

    def cell(self, number: int) -> Cell:
        """Return one of the rows that the subject shows."""
        cells = self.subject.cells
        return cells[number % len(cells)]

    def process(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    def visit(self, number: int) -> Visit | None:
        return self.visits[number % len(self.visits)] if self.visits else None

    def transaction(self, number: int) -> Transaction | None:
        """Return a transaction that is open, and in which nothing is under way."""
        free = [opened for opened in self.transactions if not self.is_in_use(opened)]
        return free[number % len(free)] if free else None

    def is_in_use(self, transaction: Transaction) -> bool:
        """Whether some operation that is under way is inside of a transaction."""
        return any(operation.transaction is transaction for operation in self.operations)

    def before_exchange(self, _command: str) -> None:
        self._interrupted()

    def after_write(self, command: str, keys: Collection[str]) -> None:
        try:
            self.judge.look_at(keys, self.operations[-1], self.clock.tick())
        except Exception as error:  # noqa: BLE001 - a run of warming would log it and go on
            self.errors.append(error)

    @property
    def longest_open(self) -> float:
        """Seconds since the oldest of what is under way began."""
        began = [t.began for t in self.transactions] + [v.began for v in self.visits]
        return (self.clock.now - min(began)) / SECOND if began else 0.0

    def _before_query(self, sql: str) -> None:
        if sql.startswith("SELECT"):
            self._interrupted()

    def _interrupted(self) -> None:
        """Let what is planned happen now, if its time has come."""
        operation = self.operations[-1]
        if operation.process.is_dead:
            raise Killed
        if not (operation.is_open and self.planned):
            return
        self._let_happen(operation)

    def _let_happen(self, operation: Operation) -> None:
        first = self.planned[0]
        if first.gap > 0:
            first.gap -= 1
            return
        self.planned.pop(0)
        try:
            first.event()
        except Exception as error:  # noqa: BLE001 - the operation would take it for its own
            self.errors.append(error)
        if operation.process.is_dead:
            raise Killed

    def _raise_what_was_seen(self) -> None:
        errors, self.errors = self.errors, []
        for error in errors:
            raise error
