"""Signals that fragcache sends, for a site's own metrics and alarms."""

from __future__ import annotations

from typing import Final

from django.dispatch import Signal

#: Something is worse than it should be: a cache that fails, a guard that is open, an entry that is
#: refused or not believed. Sent each time, with ``event`` (a word of ``events.Event``, also the
#: sender), ``fragment`` (its name, or "" for the cache as a whole), ``cause`` and ``times``. A
#: receiver is called while a visitor waits; what it raises is logged.
degraded: Final = Signal()

#: A guard has opened, has asked its cache in vain, or is closed again. Sent by the thread that
#: asks, with ``alias``, ``purpose`` ("reading" or "writing"), ``opened_at`` and ``is_open``.
guard_probed: Final = Signal()
