"""Faults on the way to a real server: slow, trickling, torn and silent connections."""

from __future__ import annotations

import contextlib
import errno
import random
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

#: Seconds between two looks at whether the fault is another one by now.
GLANCE = 0.02
#: So that closing a socket sends RST, not FIN.
AT_ONCE = struct.pack("ii", 1, 0)


class Ending(Enum):
    """What becomes of a connection instead of a reply."""

    #: It stays open, and nothing comes.
    SILENCE = "silence"
    #: RST, as a crashed machine or a firewall sends it.
    RESET = "reset"
    #: FIN: the server says that it is done, and still listens.
    HALF_CLOSE = "half-close"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How replies are passed on; the default is faultless."""

    #: Seconds before what arrives at once is passed on, and at most how many more at random.
    latency: float = 0.0
    jitter: float = 0.0
    #: It is passed on in pieces of so many bytes, with so many seconds before each further one.
    piece_bytes: int = 2**20
    pause: float = 0.0
    ending: Ending | None = None
    #: Sent instead of a reply to each command of a request, which ``of`` finds.
    instead: bytes = b""
    of: re.Pattern[bytes] = re.compile(rb"^")


HEALTHY = Fault()
TRICKLE = Fault(piece_bytes=1, pause=0.05)
SILENCE = Fault(ending=Ending.SILENCE)
RESET = Fault(ending=Ending.RESET)
HALF_CLOSE = Fault(ending=Ending.HALF_CLOSE)
#: 40 KB/s.
NARROW = Fault(piece_bytes=400, pause=0.01)
#: All replies of a page together are later than FRAGCACHE["PAGE_BUDGET"] allows.
SLOW = Fault(latency=0.3, jitter=0.1)


class Proxy:
    """Passes bytes between clients and ``host:port`` as ``fault`` says; a context manager.

    A fault holds for the connections that are open as well.
    """

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self._is_open = True
        self._is_deaf = False
        self._threads: list[threading.Thread] = []
        self._crowd: list[socket.socket] = []
        self._random = random.Random(0)
        self.fault = HEALTHY
        #: How many connections were accepted.
        self.connections = 0

    @property
    def address(self) -> str:
        return "{}:{}".format(*self._address)

    def deafen(self) -> None:
        """Drop the packets that open a connection, and never answer on those that are open.

        The queue of the connections that nobody accepts is full.
        """
        self.fault = SILENCE
        self._is_deaf = True
        self._listener.listen(0)
        while True:
            waiting = socket.socket()
            waiting.setblocking(False)
            self._crowd.append(waiting)
            if waiting.connect_ex(self._address) != errno.EINPROGRESS:
                continue
            if not select.select([], [waiting], [], 5 * GLANCE)[1]:
                return

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        for thread in self._threads:
            thread.join()
        self._listener.close()
        for waiting in self._crowd:
            waiting.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
        self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()

    def _accept(self) -> None:
        while self._is_open and not self._is_deaf:
            if _is_readable(self._listener):
                client, _address = self._listener.accept()
                self.connections += 1
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        """Pass bytes both ways, until one end is gone."""
        with client, contextlib.suppress(OSError):
            for end in (client, server := socket.create_connection(self._target)):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with server:
                while self._is_open:
                    readable, _, _ = select.select([client, server], [], [], GLANCE)
                    if client in readable:
                        if not (request := client.recv(2**16)):
                            return
                        if self.fault.instead:
                            client.sendall(self.fault.instead * len(self.fault.of.findall(request)))
                        else:
                            server.sendall(request)
                    if server in readable and not self._reply(client, server.recv(2**20)):
                        return

    def _reply(self, client: socket.socket, data: bytes) -> bool:
        """Pass on a reply; return whether the connection goes on."""
        fault = self.fault
        if fault.ending is Ending.SILENCE:
            while self._is_open and self.fault is fault:
                time.sleep(GLANCE)
            return False
        if fault.ending is Ending.RESET:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            return False
        if fault.ending is Ending.HALF_CLOSE:
            client.shutdown(socket.SHUT_WR)
            while self._is_open and not (_is_readable(client) and not client.recv(2**16)):
                pass
            return False
        if fault.latency:
            time.sleep(fault.latency + self._random.uniform(0, fault.jitter))
        for number, piece in enumerate(_pieces(data, fault.piece_bytes)):
            if number and fault.pause:
                time.sleep(fault.pause)
            client.sendall(piece)
            if not self._is_open:
                return False
        return bool(data)


def _is_readable(end: socket.socket) -> bool:
    return bool(select.select([end], [], [], GLANCE)[0])


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
