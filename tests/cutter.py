"""A relay in front of a server that passes so many bytes of a client, and then kills it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType


class Cutter:
    """Passes bytes between clients and ``host:port``; a context manager.

    After ``left`` bytes of clients, ``victim`` is asked for the process to kill, and what it was
    sending stops in the middle. ``passed`` counts the bytes.
    """

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.left: int | None = None
        self.passed = 0
        self.victim: Callable[[], int] = lambda: 0

    @property
    def address(self) -> str:
        return "127.0.0.1:{1}".format(*self._listener.getsockname())

    def __enter__(self) -> Cutter:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._target)
                self._ends += [client, server]
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._send, args=[client, server], daemon=True).start()
                threading.Thread(target=self._reply, args=[server, client], daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                part = data if self.left is None else data[: self.left]
                server.sendall(part)
                self.passed += len(part)
                if self.left is not None:
                    self.left -= len(part)
                    if self.left == 0:
                        self.left = None
                        os.kill(self.victim(), signal.SIGKILL)
                        break
            server.shutdown(socket.SHUT_WR)

    def _reply(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
