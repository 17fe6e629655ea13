"""One Memcached server: pymemcache's connections, and the bulk commands that it lacks.

pymemcache has no pipelined touch, add or cas, and its multi-get over several servers costs four
times the time of a single server's. Of what it keeps private only ``_connect`` is used; the
commands are those of Memcached's text protocol (doc/protocol.txt), which every version speaks.
"""

from __future__ import annotations

import io
import os
import select
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheUnexpectedCloseError,
    MemcacheUnknownError,
)

_READ_BYTES: Final = 2**16
#: Sent at once: a socket's time-out is for one piece, not for a batch of any size.
_PIECE_BYTES: Final = 2**20
#: Replies that answer one command and leave the connection in order.
_REPLIES: Final = (
    b"STORED",
    b"NOT_STORED",
    b"EXISTS",
    b"NOT_FOUND",
    b"TOUCHED",
    b"DELETED",
    b"SERVER_ERROR",
)


class Stored(NamedTuple):
    """A value and what ``cas`` must be given to replace exactly this one."""

    value: bytes
    cas: bytes


class Connection(Client):  # type: ignore[misc]
    """pymemcache's client of one server, used by one thread at a time."""

    _reader: io.BufferedReader | None = None

    def fetch(self, keys: bytes) -> dict[bytes, bytes]:
        """Return what is stored under space-separated keys."""
        found = {}
        for header, value in self._values(b"get %b\r\n" % keys):
            found[header[1]] = value
        return found

    def fetch_for_cas(self, keys: bytes) -> dict[bytes, Stored]:
        """Return what is stored under space-separated keys, to be replaced by ``cas``."""
        return {
            header[1]: Stored(value, header[4])
            for header, value in self._values(b"gets %b\r\n" % keys)
        }

    def exchange(self, commands: Sequence[bytes]) -> list[bytes]:
        """Send commands in one round trip; return their replies, refusals among them."""
        with self._closed_on_failure() as reader:
            for piece in _pieces(commands):
                self.sock.sendall(piece)
            return [_reply(reader) for _ in commands]

    def is_usable(self) -> bool:
        """Whether the connection is open and nothing unasked waits to be read from it."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        super().close()

    def _values(self, command: bytes) -> Iterator[tuple[list[bytes], bytes]]:
        with self._closed_on_failure() as reader:
            self.sock.sendall(command)
            while (line := reader.readline()) != b"END\r\n":
                header = line.split()
                if not line.startswith(b"VALUE "):
                    raise _failure(line)
                size = int(header[3])
                data = reader.read(size + 2)
                if len(data) != size + 2:
                    raise MemcacheUnexpectedCloseError
                yield header, data[:size]
'''
