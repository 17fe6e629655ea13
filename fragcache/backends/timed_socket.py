"""Sockets whose waits end with the deadline in force, however the bytes trickle in.

What is counted is for how long the server kept a thread waiting. When it may run again, and has
got the interpreter's lock back from busy threads, is no affair of the server.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from fragcache import deadline
from fragcache.deadline import SLOW, Deadline

R = TypeVar("R")

#: What a socket raises that would have to wait.
_NOT_YET: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

#: Seconds from which on it is worth asking the kernel since when there is something to read.
_LONG: Final = 0.002
#: ``tcpi_last_data_recv`` of ``struct tcp_info`` in <linux/tcp.h>: milliseconds since then.
_LAST_DATA: Final = struct.Struct("@52xI")


class _Timed(socket.socket):
    """What waits no longer than the deadline in force; without one, as long as its time-out says.

    Raises:
        TimeoutError: nothing arrived, or nothing could be sent, in time.
    """

    def recv(self, *arguments: Any) -> bytes:
        found = deadline.current()
        if found is None or self.gettimeout() == 0:
            return super().recv(*arguments)
        return self._received(found, super().recv, *arguments)

    def recv_into(self, *arguments: Any) -> int:
        found = deadline.current()
        if found is None or self.gettimeout() == 0:
            return super().recv_into(*arguments)
        return self._received(found, super().recv_into, *arguments)

    def sendall(self, data: Any, *flags: Any) -> None:
        found = deadline.current()
        if found is None:
            super().sendall(data, *flags)
            return
        usual = self.gettimeout()
        rest = memoryview(data)
        began = time.monotonic()
        try:
            self.settimeout(0)
            with suppress(*_NOT_YET):
                rest = rest[super().send(rest, *flags) :]
            found.count(0.0, time.monotonic() - began)
            if rest:
                self._send_in_time(found, _longest(found, usual), rest, *flags)
        finally:
            self.settimeout(usual)

    def _send_in_time(self, found: Deadline, seconds: float, rest: memoryview, *flags: Any) -> None:
        # A time-out of the socket would be for each of its pieces.
        until = time.monotonic() + seconds
        with _counted(found, seconds):
            while rest:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self.settimeout(left)
                rest = rest[super().send(rest, *flags) :]

    def _received(self, found: Deadline, receive: Callable[..., R], *arguments: Any) -> R:
        usual = self.gettimeout()
        try:
            seconds = found.first_wait()
            with suppress(TimeoutError):
                return self._received_within(seconds, found, receive, *arguments)
            seconds = found.left if usual is None else min(found.left, usual - seconds)
            if seconds > 0:
                with suppress(TimeoutError):
                    return self._received_within(seconds, found, receive, *arguments)
            raise found.missed()
        finally:
            self.settimeout(usual)

    def _received_within(
        self, seconds: float, found: Deadline, receive: Callable[..., R], *arguments: Any
    ) -> R:
        self.settimeout(seconds)
        began = time.monotonic()
        try:
            received = receive(*arguments)
        except (TimeoutError, *_NOT_YET):
            found.count(seconds, time.monotonic() - began, in_vain=True)
            raise TimeoutError from None
        elapsed = time.monotonic() - began
        late = self._seconds_since_data() if elapsed > _LONG else 0.0
        found.count(min(seconds, max(0.0, elapsed - late)), elapsed)
        return received

    def _seconds_since_data(self) -> float:
        """Return the seconds since data arrived last; 0 where the system does not tell."""
        if sys.platform != "linux":
            return 0.0
        try:
            info = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
        except OSError:  # a socket of the file system
            return 0.0
        (milliseconds,) = _LAST_DATA.unpack(info)
        return float(milliseconds) / 1000


class TimedSocket(_Timed):
    """A connected socket that keeps to the deadline in force."""

    @classmethod
    def over(cls, connected: socket.socket) -> TimedSocket:
        """Return one that takes over the connection of a socket, which is of no use any more."""
        usual = connected.gettimeout()
        family, kind, protocol = connected.family, connected.type, connected.proto
        timed = cls(family, kind, protocol, fileno=connected.detach())
        timed.settimeout(usual)
        return timed


class TimedTLSSocket(_Timed, ssl.SSLSocket):
    """The same over TLS."""

    @classmethod
    def over(cls, connected: ssl.SSLSocket) -> TimedTLSSocket:
        """Return ``connected``, which keeps to deadlines from now on.

        Its session cannot be handed over, and the context that made it is the site's.
        """
        connected.__class__ = cls
        assert isinstance(connected, cls)
        return connected


@contextmanager
def connecting(usual: float | None) -> Iterator[float | None]:
    """Yield how long connecting may take, in seconds; None is for ever."""
    found = deadline.current()
    if found is None:
        yield usual
        return
    seconds = _longest(found, usual)
    with _counted(found, seconds):
        yield seconds


@contextmanager
def _counted(found: Deadline, seconds: float) -> Iterator[None]:
    """Count what a block waits, which may take so many seconds."""
    began = time.monotonic()
    try:
        yield
    except TimeoutError:
        found.count(seconds, time.monotonic() - began, in_vain=True)
        raise found.missed() from None
    elapsed = time.monotonic() - began
    found.count(min(seconds, elapsed), elapsed)


def _longest(found: Deadline, usual: float | None) -> float:
    # 0 would not wait at all, and fail.
    left = max(found.left, SLOW)
    return left if usual is None else min(left, usual)
