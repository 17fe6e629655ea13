"""Locks that survive a fork: in the child nobody is left to release what another thread held."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final

_all: Final[weakref.WeakSet[threading.Lock]] = weakref.WeakSet()
_registry_lock: Final = threading.Lock()
#: Held while this process forks.
_held: Final[list[threading.Lock]] = []


def new_lock() -> threading.Lock:
    """Return a lock that is free in a forked child.

    Nobody may fork, or ask for another lock of these, while holding one.
    """
    lock = threading.Lock()
    with _registry_lock:
        _all.add(lock)
    return lock


def _hold_all() -> None:
    _registry_lock.acquire()
    for lock in list(_all):
        lock.acquire()
        _held.append(lock)


def _release_all() -> None:
    while _held:
        _held.pop().release()
    _registry_lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_release_all)
