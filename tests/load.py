"""What others use of the machine meanwhile: it tells load from fault where times are measured."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

_STAT = Path("/proc/stat")


class Load:
    """The time of processors since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy = _busy_seconds()
        self._own = _own_seconds()

    def of_others(self) -> float:
        """Return the share of all processors, 0 to 1, that went to other processes.

        The children of this one count as its own when they have been waited for. 0 where the
        system does not tell.
        """
        elapsed = time.monotonic() - self._began
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0.0, others / elapsed / (os.cpu_count() or 1))


def _busy_seconds() -> float:
    """Return the seconds that all processors were busy, or taken by another guest of the host."""
    if not _STAT.exists():
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_rest = map(
        int, _STAT.read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Return the seconds of processors that this process and its ended children have used."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
