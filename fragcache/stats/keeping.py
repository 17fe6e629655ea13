"""Keeping: what processes have counted, as rows of the database.

Each process has one row for each minute in which it counted something, which it writes again with
all that it has counted in that minute: a row has one writer, and a write that is repeated, since
nobody knows whether it succeeded, counts nothing twice. ``retention`` makes hours of the minutes.
What it has counted since it began is in a row of its own, of which ``totals`` makes counters.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from django.db import connections, router, transaction

from fragcache import counters
from fragcache.counters import Label, Sheet, add, degrade
from fragcache.events import Event

logger = logging.getLogger("fragcache")

MINUTE: Final = 60
#: How many minutes wait in memory for a database that does not answer, before the oldest is lost.
UNSAVED: Final = 15
#: Seconds for which a flush waits for another one of the process.
_PATIENCE: Final = 5.0

Sheets = dict[Label, dict[str, int]]


def packed(sheets: Mapping[Label, Sheet]) -> list[Any]:
    """Return sheets as a row holds them: ``[["blog.card", "language=s2:en", {"hit": 7}], ...]``."""
    return [
        [name, axes, {field: times for field, times in sheet.items() if times}]
        for (name, axes), sheet in sheets.items()
    ]


def unpacked(rows: list[Any]) -> Sheets:
    """Return the sheets that a row holds."""
    return {(name, axes): sheet for name, axes, sheet in rows}


def database() -> str | None:
    """Return the alias of the database that counts are written to; None for a site without one."""
    from fragcache.models import Counts

    alias = router.db_for_write(Counts)
    engine = connections[alias].settings_dict["ENGINE"]
    return None if engine == "django.db.backends.dummy" else alias


class Running:
    """All that this process has counted, as it writes it to a row of its own."""

    def __init__(self, process: str) -> None:
        self._process = self._named = process
        self._sheets: Sheets = {}
        #: As they were last written, by what is known of it.
        self._written: Sheets = {}
        self._rest: Sheets = self._sheets

    def add(self, counted: Mapping[Label, Sheet]) -> None:
        """Add what was counted, whatever its axis values were."""
        for (name, _axes), sheet in counted.items():
            add(self._sheets, {(name, ""): sheet})

    def write(self, alias: str) -> None:
        """Write it in the transaction that is open; ``confirm`` when that has succeeded."""
        from fragcache.models import Totals

        rows, moment = Totals.objects.using(alias), int(time.time())
        self._rest, self._named = self._sheets, self._process
        row = {"written_at": moment, "sheets": packed(self._rest)}
        if rows.filter(process=self._named).update(**row):
            return
        if self._written:
            # Its row was taken for that of a process that is gone: what it had is counted there.
            self._rest = _without(self._sheets, self._written)
            self._named = f"{self._process.rpartition(':')[0]}:{secrets.token_hex(4)}"
            row["sheets"] = packed(self._rest)
        rows.create(process=self._named, **row)

    def confirm(self) -> None:
        """Note that what ``write`` has written is there."""
        self._process, self._sheets = self._named, self._rest
        self._written = {label: dict(sheet) for label, sheet in self._rest.items()}


class Keeper:
    """What this process has counted, until it is written."""

    def __init__(self) -> None:
        self.begin()
        if hasattr(os, "register_at_fork"):  # the parent writes what is its own
            os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        """Begin as a process that has nothing to write."""
        # Not one of ``fragcache.locks``: whoever forks would wait for the database.
        self._lock = threading.Lock()
        # A container may start each of its processes with the same name and number.
        self.process = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        #: All that was counted in a minute, by its beginning in seconds since 1970 UTC.
        self._minutes: dict[int, Sheets] = {}
        self._unsaved: set[int] = set()
        self._latest = 0
        self._running = Running(self.process)

    def flush(self) -> bool:
        """Write what was counted; return whether nothing is left. Raises nothing.

        What cannot be written is tried again, and lost after ``UNSAVED`` minutes: that is counted.
        """
        if not self._lock.acquire(timeout=_PATIENCE):
            return False
        try:
            # Never back, when the clock is: that minute is written, and no more known.
            minute = self._latest = max(self._latest, int(time.time()) // MINUTE * MINUTE)
            self._take(minute)
            self._write()
            self._minutes = {m: self._minutes[m] for m in self._minutes if m == minute}
            self._unsaved.clear()
        except Exception as error:  # noqa: BLE001 - counts are worth no page, and no process
            self._complain(error)
            return False
        finally:
            self._lock.release()
        return True

    def _take(self, minute: int) -> None:
        if taken := counters.take():
            add(self._minutes.setdefault(minute, {}), taken)
            self._running.add(taken)
            self._unsaved.add(minute)
        for oldest in sorted(self._unsaved)[:-UNSAVED]:
            self._unsaved.discard(oldest)
            del self._minutes[oldest]

    def _write(self) -> None:
        from fragcache.models import Counts

        alias = database()
        if not self._unsaved or alias is None:
            return
        rows = Counts.objects.using(alias)
        with transaction.atomic(using=alias):
            for minute in self._unsaved:
                sheets = packed(self._minutes[minute])
                mine = {"began": minute, "seconds": MINUTE, "process": self.process}
                if not rows.filter(**mine).update(sheets=sheets):
                    rows.create(**mine, sheets=sheets)
            self._running.write(alias)
        self._running.confirm()

    def _complain(self, error: Exception) -> None:
        said = str(error).strip().partition("\n")[0].removesuffix(".")
        degrade(
            Event.UNRECORDED,
            "",
            f"counts {type(error).__name__}",
            "Counts cannot be written: %s. If the table is missing, `manage.py migrate fragcache` "
            'makes it; FRAGCACHE["STATS"] = "process" does without.',
            said,
        )


def _without(sheets: Sheets, taken: Sheets) -> Sheets:
    """Return what sheets have beyond those that were taken from them."""
    rest = {
        label: {
            name: times - taken.get(label, {}).get(name, 0)
            for name, times in sheet.items()
            if times != taken.get(label, {}).get(name, 0)
        }
        for label, sheet in sheets.items()
    }
    return {label: sheet for label, sheet in rest.items() if sheet}


keeper: Final = Keeper()
