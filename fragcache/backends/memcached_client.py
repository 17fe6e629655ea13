"""A connection to one Memcached server: pymemcache's, with the bulk commands that it lacks.

pymemcache has no pipelined touch, add or cas. Of what it keeps private only ``_connect`` is used;
the commands are those of Memcached's text protocol, doc/protocol.txt of its repository.
"""

from __future__ import annotations

import math
import select
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheServerError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)

from fragcache.backends.names import connected
from fragcache.backends.pieces import in_pieces
from fragcache.backends.timed_socket import TimedSocket, TimedTLSSocket, connecting

K = TypeVar("K")

#: Seconds from which Memcached takes an expiry for a date.
_LONGEST_RELATIVE: Final = 30 * 24 * 3600
_READ_BYTES: Final = 2**17
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


class Found(NamedTuple, Generic[K]):
    """The values that a get finds, and the numbers that cas needs, which only gets finds."""

    values: dict[K, bytes]
    cas: dict[K, bytes]


class Connection(Client):  # type: ignore[misc]
    """Used by one thread at a time; to be closed after any exception."""

    sock: Any
    connect_timeout: float | None
    server: Any
    tls_context: Any

    _awaited = 0
    #: What the server sent beyond the replies that were awaited.
    _excess = b""

    def __init__(self, server: Any, **options: Any) -> None:
        super().__init__(server, **options)
        if self.tls_context and isinstance(self.server, tuple):
            self.tls_context = _Named(self.tls_context, self.server[0])

    def send(self, commands: Sequence[bytes]) -> None:
        """Send commands, without waiting for their replies."""
        self._awaited = len(commands)
        if self.sock is None:
            self._connect_in_time()
        for piece in in_pieces(commands, _PIECE_BYTES):
            self.sock.sendall(piece)

    def read_values(self, names: Mapping[bytes, K]) -> Found[K]:
        """Return what the get or gets that was sent has found, by the names of its keys."""
        values: dict[K, bytes] = {}
        cas: dict[K, bytes] = {}
        data, size, at = b"", 0, 0
        # Optimisation: what a recv brings is cut in place, once, without a call for each line.
        while True:
            end_of_line = data.find(b"\r\n", at)
            if end_of_line < 0:
                data, at = data[at:] + self._receive(), 0
                size = len(data)
                continue
            try:
                word, wire, _flags, length = data[at:end_of_line].split(b" ", 3)
            except ValueError:
                break
            name = names.get(wire)
            if not length.isdigit():
                length, _space, number = length.partition(b" ")
                if name is not None:
                    cas[name] = number
            if word != b"VALUE" or not length.isdigit():
                break
            end = end_of_line + 2 + int(length)
            if size < end + 2:
                data, at = self._longer(data[at:], end + 2 - at), 0
                size = len(data)
                continue
            if name is not None:
                values[name] = data[end_of_line + 2 : end]
            at = end + 2
        self._end(data[at:])
        return Found(values, cas)

    def read_replies(self) -> list[bytes]:
        """Return the replies to the commands that were sent, refusals among them."""
        replies: list[bytes] = []
        rest = b""
        while len(replies) < self._awaited:
            *lines, rest = (rest + self._receive()).split(b"\r\n")
            # Optimisation: most replies are alike, and one look is enough for those.
            for line in dict.fromkeys(lines):
                if not line.startswith(_IN_ORDER):
                    raise _failure(line)
            replies += lines
        self._excess = b"".join(replies[self._awaited :]) + rest
        return replies[: self._awaited]

    def is_usable(self) -> bool:
        """Whether the server still listens, and has sent nothing that was not asked for."""
        if self.sock is None or self._excess:
            return False
        if not hasattr(select, "poll"):  # Windows
            return not select.select([self.sock], [], [], 0)[0]
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the socket, as pymemcache does after each failure."""
        self._excess = b""
        super().close()

    def _connect_in_time(self) -> None:
        given = self.server
        try:
            if isinstance(given, tuple):
                connected(given[0], self.connect_timeout, self._connect_to)
            else:
                self._connect_to(None)
        finally:
            self.server = given
        kind = TimedTLSSocket if isinstance(self.sock, ssl.SSLSocket) else TimedSocket
        self.sock = kind.over(self.sock)

    def _connect_to(self, address: str | None) -> None:
        if address is not None:
            self.server = address, self.server[1]
        usual = self.connect_timeout
        with connecting(usual) as self.connect_timeout:
            try:
                self._connect()
            finally:
                self.connect_timeout = usual

    def _receive(self) -> bytes:
        data: bytes = self.sock.recv(_READ_BYTES)
        if not data:
            # pymemcache takes it for an error that the server reports.
            raise ConnectionResetError("the server closed the connection")
        return data

    def _end(self, rest: bytes) -> None:
        """Take what follows the last value.

        Raises:
            MemcacheError: it is not the line that ends values.
        """
        line, _separator, self._excess = rest.partition(b"\r\n")
        if line != b"END":
            raise _failure(line)

    def _longer(self, data: bytes, size: int) -> bytes:
        """Return ``data`` and what follows it, ``size`` bytes or more."""
        pieces, missing = [data], size - len(data)
        while missing > 0:
            pieces.append(self._receive())
            missing -= len(pieces[-1])
        return b"".join(pieces)


class _Named:
    """A TLS context that wants a certificate for a name, whatever address of it is connected to."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self._context = context
        self._name = name

    def wrap_socket(self, plain: Any, *, server_hostname: str) -> ssl.SSLSocket:
        return self._context.wrap_socket(plain, server_hostname=self._name)


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


def why_refused(reply: bytes | None) -> str:
    """Return the reason that a reply to a set gives; None is no reply."""
    if reply is None:
        return "its server does not answer"
    return _text(reply.removeprefix(b"SERVER_ERROR "))


def _failure(line: bytes) -> Exception:
    error: Exception
    if line.startswith(b"SERVER_ERROR"):
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
