"""Sockets whose waits end with the deadline in force, however the bytes trickle in."""

from __future__ import annotations

import socket
from typing import Any

from fragcache import deadline
from fragcache.deadline import Deadline


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
        if found is None:
            return super().recv(*arguments)
        usual = self._await(found)
        try:
            received = super().recv(*arguments)
        except BlockingIOError:
            raise TimeoutError("timed out") from None
        finally:
            self.settimeout(usual)
        _note_arrival(found)
        return received

    def recv_into(self, *arguments: Any) -> int:
        found = deadline.current()
        if found is None:
            return super().recv_into(*arguments)
        usual = self._await(found)
        try:
            received = super().recv_into(*arguments)
        except BlockingIOError:
            raise TimeoutError("timed out") from None
        finally:
            self.settimeout(usual)
        _note_arrival(found)
        return received

    def sendall(self, *arguments: Any) -> None:
        found = deadline.current()
        if found is None:
            super().sendall(*arguments)
            return
        usual = self._await(found)
        try:
            # Its time-out is for all of it.
            super().sendall(*arguments)
        except BlockingIOError:
            raise TimeoutError("timed out") from None
        finally:
            self.settimeout(usual)

    def _await(self, found: Deadline) -> float | None:
        """Let the next call wait no longer than the deadline; return the usual time-out."""
        usual = self.gettimeout()
        left = found.left
        self.settimeout(left if usual is None else min(left, usual))
        return usual


def connect_timeout(usual: float | None) -> float | None:
    """Return how long connecting may take, in seconds; None is for ever."""
    found = deadline.current()
    if found is None:
        return usual
    left = max(found.left, 0.001)  # 0 would not wait at all, and fail
    return left if usual is None else min(left, usual)


def _note_arrival(found: Deadline) -> None:
    """End what goes on for too long, although bytes arrive: the page has waited enough."""
    if found.is_over:
        found.was_answering = True
        raise TimeoutError("timed out while bytes were arriving")
