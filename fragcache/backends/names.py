"""Names of hosts, looked up for no longer than is left: the system's resolver has no time-out.

A thread asks, once for all who wait for the same name; what it finds too late is good for who comes
next.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from fragcache import deadline
from fragcache.backends.timed_socket import connecting
from fragcache.locks import new_lock

T = TypeVar("T")

#: Seconds for which an answer is kept: a resolver may always take longer than anybody waits.
KEPT: Final = 5.0


def connected(host: str, usual: float | None, connect: Callable[[str], T]) -> T:
    """Return what ``connect`` returns for the first address of a host that it can connect to.

    ``usual`` are the seconds for the name; less where a deadline is sooner. Without a deadline the
    name is its own address.

    Raises:
        TimeoutError: the resolver has not answered in time.
        OSError: the host has no address, or the last one cannot be connected to; or there is no
            thread to look it up.
    """
    if deadline.current() is None or _is_address(host):
        return connect(host)
    with connecting(usual) as seconds:
        *others, last = _addresses_of(host, seconds)
    for address in others:
        try:
            return connect(address)
        except TimeoutError:
            raise
        except OSError:
            continue
    return connect(last)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _addresses_of(host: str, seconds: float | None) -> list[str]:
    with _lock:
        lookup = _lookups.get(host)
        if lookup is None or not lookup.is_good:
            lookup = _lookups[host] = _Lookup(host)
    return lookup.wait(seconds)


class _Lookup:
    """One question to the resolver."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._is_answered = threading.Event()
        self._addresses: list[str] = []
        self._error: OSError | None = None
        self._answered_at = 0.0
        asking = threading.Thread(target=self._ask, name=f"fragcache looks up {host}", daemon=True)
        try:
            asking.start()
        except RuntimeError as error:
            raise OSError(f"The name {host!r} cannot be looked up: {error}.") from error

    @property
    def is_good(self) -> bool:
        """Whether it is under way, or was answered with an address lately."""
        if not self._is_answered.is_set():
            return True
        return self._error is None and time.monotonic() - self._answered_at < KEPT

    def wait(self, seconds: float | None) -> list[str]:
        if not self._is_answered.wait(seconds):
            raise TimeoutError(f"The name {self._host!r} was not found in time.")
        if self._error is not None:
            raise self._error
        return self._addresses

    def _ask(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
            self._addresses = [str(address[0]) for *_kind, address in found]
        except OSError as error:
            self._error = error
        self._answered_at = time.monotonic()
        self._is_answered.set()


_lookups: Final[dict[str, _Lookup]] = {}
_lock: Final = new_lock()
if hasattr(os, "register_at_fork"):  # the threads that ask are the parent's
    os.register_at_fork(after_in_child=_lookups.clear)
