"""Sockets whose waits end with the deadline in force, however the bytes trickle in."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fragcache import deadline
from fragcache.deadline import SLOW, Deadline

R = TypeVar("R")


class TimedSocket(socket.socket):
    """A connected socket; without a deadline it waits as long as its time-out says.

    Raises:
        TimeoutError: nothing arrived, or nothing could be sent, in time.
    """

    @classmethod
    def over(cls, connected: socket.socket) -> TimedSocket:
        """Return one that takes over the connection of a socket, which is of no use any more."""
        usual = connected.gettimeout()
        family, kind, protocol = connected.family, connected.type, connected.proto
        timed = cls(family, kind, protocol, fileno=connected.detach())
        timed.settimeout(usual)
        return timed

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

    def sendall(self, *arguments: Any) -> None:
        found = deadline.current()
        if found is None:
            super().sendall(*arguments)
            return
        usual = self.gettimeout()
        # Its time-out is for all of it.
        seconds = _longest(found, usual)
        self.settimeout(seconds)
        try:
            super().sendall(*arguments)
        except TimeoutError:
            found.in_vain += seconds
            raise found.missed() from None
        finally:
            self.settimeout(usual)

    def _received(self, found: Deadline, receive: Callable[..., R], *arguments: Any) -> R:
        usual = self.gettimeout()
        try:
            seconds = found.first_wait()
            self.settimeout(seconds)
            try:
                return receive(*arguments)
            except (TimeoutError, BlockingIOError):
                found.in_vain += seconds
            seconds = found.left if usual is None else min(found.left, usual - seconds)
            if seconds > 0:
                self.settimeout(seconds)
                try:
                    return receive(*arguments)
                except TimeoutError:
                    found.in_vain += seconds
            raise found.missed()
        finally:
            self.settimeout(usual)


@contextmanager
def connecting(usual: float | None) -> Iterator[float | None]:
    """Yield how long connecting may take, in seconds; None is for ever."""
    found = deadline.current()
    if found is None:
        yield usual
        return
    seconds = _longest(found, usual)
    try:
        yield seconds
    except TimeoutError:
        found.in_vain += seconds
        raise found.missed() from None


def _longest(found: Deadline, usual: float | None) -> float:
    # 0 would not wait at all, and fail.
    left = max(found.left, SLOW)
    return left if usual is None else min(left, usual)
