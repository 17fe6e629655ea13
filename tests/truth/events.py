"""Events of those who change the data: writes, transactions, invalidations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction as django_transaction

from fragcache import invalidate, invalidate_all
from tests.truth.process import Process, Transaction
from tests.truth.site import (
    ARTIST,
    BAND,
    BY_HEAD,
    MODELS,
    MUSICIANS,
    SESSIONS,
    SHOWN,
    Cell,
    Portrait,
    Shown,
    primary_key,
)
from tests.truth.truth import version_of_musicians
from tests.truth.world import MOST_TRANSACTIONS, World

CELLS = (*SESSIONS, BAND, ARTIST, *MUSICIANS)
#: By which of the ORM's ways a row is changed.
WAYS = ("save", "update", "bulk", "touch", "owed")


def write(world: World, process: Process, cell: Cell, way: str, into: Transaction | None) -> None:
    """Change a row, in a transaction or at once."""
    touched = {cell, BAND} if cell in SESSIONS else {cell}
    for other in world.transactions:
        if other is not into and not touched.isdisjoint(other.locked):
            return  # it would wait for that one
    if into is not None and into.is_reading:
        return
    world.written += 1
    value = f"v{world.written}"
    if into is not None:
        into.locked |= touched
    is_open = into is None and cell == ARTIST

    def change() -> None:
        operation = world.operations[-1]
        operation.is_open = False
        written = _changed(cell, value, way)
        if into is None:
            world.observe()
            operation.invalidates_since = world.clock.now
            operation.is_open = is_open
        else:
            into.written.setdefault(cell, set()).add(written)
            if into.visit is not None:
                into.visit.private.setdefault(cell, set()).add(written)
        if cell == ARTIST:
            _tell(world, way, into)

    world.run(process, change, visit=into and into.visit, transaction=into)


def begin(
    world: World, process: Process, *, is_reading: bool, in_visit: bool
) -> Transaction | None:
    """Begin a transaction, perhaps that of the page which the process builds."""
    if len(world.transactions) >= MOST_TRANSACTIONS:
        return None
    visits = [v for v in world.visits if v.process is process and v.transaction is None]
    visit = visits[-1] if in_visit and visits else None
    connection = world.database.take()
    opened = Transaction(
        process, connection, django_transaction.atomic(), world.clock.tick(), visit, is_reading
    )

    def enter() -> None:
        opened.block.__enter__()
        if is_reading:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        django_transaction.on_commit(lambda: _committed(world))

    world.run(process, enter, visit=visit, transaction=opened)
    world.transactions.append(opened)
    if visit is not None:
        visit.transaction = opened
    return opened


def end(world: World, opened: Transaction, *, is_kept: bool) -> None:
    """Commit a transaction, or roll it back, with which the page that it is of ends."""
    world.transactions.remove(opened)
    visit = opened.visit
    if visit is not None:
        visit.transaction = None
        if not is_kept and visit in world.visits:
            world.visits.remove(visit)
    artists = (
        {n for kind, n in opened.written if kind == "artist"} - world.owed if is_kept else set()
    )
    world.owed |= artists

    def leave() -> bool:
        if not is_kept:
            opened.connection.set_rollback(True)
        world.operations[-1].is_open = is_kept
        opened.block.__exit__(None, None, None)
        return True

    if world.run(opened.process, leave, visit=visit, transaction=opened):
        world.owed -= artists & opened.invalidated
    world.database.give_back(opened.connection)


def push(
    world: World, process: Process, shown: Shown, *, is_all: bool, purge: bool = False
) -> None:
    """Invalidate an instance, or all of a fragment."""
    fragment = shown.fragment
    pk = None if is_all or fragment not in BY_HEAD else shown.pk

    def invalidated() -> None:
        operation = world.operations[-1]
        operation.invalidates_since = world.clock.now
        if pk is None:
            invalidate_all(fragment, purge=purge)
        else:
            invalidate(fragment, Portrait(pk, "") if fragment == "truth.portrait" else pk)
        world.judge.note_invalidated(fragment, pk, operation, world.clock.tick())

    world.run(process, invalidated, is_open=True)


def settle_debts(world: World) -> None:
    """Invalidate what was changed without a word."""
    if world.owed:
        for shown in SHOWN:
            if shown.fragment in BY_HEAD:
                push(world, world.processes[0], shown, is_all=False)
    world.owed.clear()


def enlist(world: World, process: Process, cell: Cell) -> None:
    """Add a musician, or dismiss one.

    None is dismissed if all the rest is as it has been before: the version of a collection tells
    states apart, and not the same state at two times.
    """
    if any(cell in other.locked for other in world.transactions):
        return
    model, pk = MODELS["musician"], primary_key(cell)
    rows = world.database.committed()
    is_there = rows.pop(cell, None) is not None
    if is_there and world.truth.has_been(version_of_musicians(rows), "musicians"):
        return
    world.written += 1
    value = f"v{world.written}"

    def change() -> None:
        if is_there:
            model.objects.filter(pk=pk).delete()
        else:
            model.objects.create(pk=pk, name=value)
        world.observe()

    world.run(process, change)


def _committed(world: World) -> None:
    world.observe()
    world.operations[-1].invalidates_since = world.clock.now


def _changed(cell: Cell, value: str, way: str) -> str | None:
    """Change a row; return the value that it has then."""
    kind, _number = cell
    rows: Any = MODELS[kind].objects.filter(pk=primary_key(cell))
    column = "title" if kind == "session" else "name"
    if way == "update" or kind == "artist":
        return value if rows.update(**{column: value}) else None
    row = rows.first()
    if row is None:
        return None
    if way != "touch":
        setattr(row, column, value)
    if way == "bulk":
        MODELS[kind].objects.bulk_update([row], [column])
    else:
        row.save()
    written: str = getattr(row, column)
    return written


def _tell(world: World, way: str, into: Transaction | None) -> None:
    """Invalidate what shows the artist; it is owed by who is killed before that, or does not."""
    pk = ARTIST[1]
    debts = set(world.owed)
    if into is None or way == "owed":
        world.owed.add(pk)
    if way != "owed":
        _invalidate(world, pk, into)
        if into is None:
            world.owed = debts


def _invalidate(world: World, pk: int, into: Transaction | None) -> None:
    for fragment, argument in (("truth.artist", pk), ("truth.portrait", Portrait(pk, ""))):
        invalidate(fragment, argument)
        note = _note_later(world, fragment, pk)
        if into is None:
            note()
        else:
            into.invalidated.add(pk)
            django_transaction.on_commit(note)


def _note_later(world: World, fragment: str, pk: int) -> Callable[[], None]:
    def note() -> None:
        doing = world.operations[-1]
        world.judge.note_invalidated(fragment, pk, doing, world.clock.tick())

    return note
