"""A connection to one Memcached server: pymemcache's, with the bulk commands that it lacks.

pymemcache has no pipelined touch, add or cas. Of what it keeps private only ``_connect`` is used;
the commands are those of Memcached's text protocol, doc/protocol.txt of its repository.
"""

from __future__ import annotations

import io
import math
import select
import time
from collections.abc import Sequence
from typing import Final

from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheServerError,
    MemcacheUnexpectedCloseError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)

#: What a get answers for each key that it finds, VALUE, key, flags, size, with gets a number for
#: cas; and the value.
Found = tuple[list[bytes], bytes]

#: Seconds from which Memcached takes an expiry for a date.
_LONGEST_RELATIVE: Final = 30 * 24 * 3600
_READ_BYTES: Final = 2**16
#: Sent at once: the time-out is for one piece, not for a batch of any size.
_PIECE_BYTES: Final = 2**20
#: How replies begin that answer one command and leave the connection in order.
_IN_ORDER: Final = (
    b"STORED",
    b"NOT_STORED",
    b"EXISTS",
    b"NOT_FOUND",
    b"TOUCHED",
    b"DELETED",
    b"SERVER_ERROR",
)


class Connection(Client):  # type: ignore[misc]
    """Used by one thread at a time; to be closed after any exception."""

    _reader: io.BufferedReader | None = None
    _awaited = 0

    def send(self, commands: Sequence[bytes]) -> None:
        """Send commands, without waiting for their replies."""
        self._awaited = len(commands)
        if self.sock is None:
            self._connect()
        piece, size = [], 0
        for command in commands:
            piece.append(command)
            size += len(command)
            if size >= _PIECE_BYTES:
                self.sock.sendall(b"".join(piece))
                piece, size = [], 0
        self.sock.sendall(b"".join(piece))

    def read_values(self) -> list[Found]:
        """Return what the get or gets that was sent has found."""
        reader = self._buffered()
        found = []
        while (line := reader.readline()) != b"END\r\n":
            header = line.split()
            if len(header) < 4 or header[0] != b"VALUE" or not header[3].isdigit():
                raise _failure(line)
            size = int(header[3])
            data = reader.read(size + 2)
            if len(data) != size + 2:
                raise MemcacheUnexpectedCloseError
            found.append((header, data[:size]))
        return found

    def read_replies(self) -> list[bytes]:
        """Return the replies to the commands that were sent, refusals among them."""
        reader = self._buffered()
        replies = []
        for _ in range(self._awaited):
            line = reader.readline()
            if not (line.startswith(_IN_ORDER) and line.endswith(b"\r\n")):
                raise _failure(line)
            replies.append(line[:-2])
        return replies

    def is_usable(self) -> bool:
        """Whether the server still listens, and has sent nothing that was not asked for."""
        if self.sock is None:
            return False
        if not hasattr(select, "poll"):  # Windows
            return not select.select([self.sock], [], [], 0)[0]
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the socket, as pymemcache does after each failure."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        super().close()

    def _buffered(self) -> io.BufferedReader:
        if self._reader is None:
            self._reader = self.sock.makefile("rb", _READ_BYTES)
        return self._reader


def storing(command: bytes, wire: bytes, value: bytes, expires: int, cas: bytes = b"") -> bytes:
    """Return a set, an add or a cas of the value under a key."""
    suffix = b" " + cas if cas else b""
    return b"%b %b 0 %d %d%b\r\n%b\r\n" % (command, wire, expires, len(value), suffix, value)


def expiry(seconds: float | None) -> int:
    """Return what Memcached takes for an expiry.

    It counts whole seconds by a clock of its own: a time-out of 1 lasts 0 to 1 s, hence one more.
    """
    if seconds is None:
        return 0
    if seconds <= 0:
        return -1
    whole = math.ceil(seconds) + 1
    return whole if whole <= _LONGEST_RELATIVE else whole + int(time.time())


def server_error(reply: bytes) -> Exception:
    """Return the exception that a refusal is in pymemcache."""
    error: Exception = MemcacheServerError(_text(reply.removeprefix(b"SERVER_ERROR ")))
    return error


def _failure(line: bytes) -> Exception:
    error: Exception
    if not line.endswith(b"\r\n"):
        error = MemcacheUnexpectedCloseError()
    elif line.startswith(b"SERVER_ERROR"):
        error = server_error(line)
    elif line.startswith(b"CLIENT_ERROR"):
        error = MemcacheClientError(_text(line))
    elif line.startswith(b"ERROR"):
        error = MemcacheUnknownCommandError(_text(line))
    else:
        error = MemcacheUnknownError(_text(line))
    return error


def _text(line: bytes) -> str:
    return line.strip().decode(errors="replace")[:200]
