"""S10: one run of the command in a process that does nothing else, its time and its memory."""

from __future__ import annotations

import gc
import resource
import sys
from pathlib import Path

from benchmarks.servers import STANDS
from benchmarks.warm.commands import expect, timed, warm
from benchmarks.warm.notes.models import Note
from benchmarks.warm.stock import change

FRAGMENT = "notes.note"
STATUS = Path("/proc/self/status")


def once(server: str, run: str) -> tuple[float, int]:
    """Return the seconds of one of ``RUNS``, and the bytes that this process grew by at its peak.

    "again" and "changed" follow on a run after which everything was up to date.
    """
    # Connections, the compiled template and late imports cost the same at any size.
    warm(FRAGMENT, items=[str(Note.objects.values_list("pk", flat=True).first())])
    if run == "everything":
        STANDS[server]().flush()
        wanted = Note.objects.count()
    else:
        wanted = change(Note) if run == "changed" else 0
    gc.collect()
    totals: dict[str, int] = {}
    before = _memory("VmRSS")
    taken = timed(lambda: totals.update(warm(FRAGMENT)))
    growth = _memory("VmHWM") - before
    expect(run, totals["rendered"], wanted)
    return taken / 1000, growth


def _memory(name: str) -> int:
    """Return the bytes of main memory that this process has, or at its peak has had."""
    if STATUS.exists():
        lines = STATUS.read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
        return int(kilobytes) * 1024
    # Elsewhere only the peak is told: before a run it is not far from what is in use.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
