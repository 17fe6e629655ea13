"""A relay in front of a server, which counts round trips."""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

#: Seconds.
PATIENCE = 0.05
QUIET = 0.01


@dataclass
class Trips:
    """How often a client waited for a reply before it sent on."""

    count: int = 0


class Relay:
    """Passes bytes between clients and ``host:port``; a context manager."""

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._is_open = True
        self._trips = Trips()
        self._is_answered = True
        self._thread = threading.Thread(target=self._run)

    @property
    def address(self) -> str:
        return "127.0.0.1:{1}".format(*self._listener.getsockname())

    @contextlib.contextmanager
    def counting(self) -> Iterator[Trips]:
        """Count the round trips within the block."""
        self._trips, self._is_answered = Trips(), True
        yield self._trips

    def __enter__(self) -> Relay:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _run(self) -> None:
        while self._is_open:
            for key, _events in self._selector.select(PATIENCE):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass(key.fileobj, *key.data)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _address = self._listener.accept()
        server = socket.create_connection(self._target)
        self._selector.register(client, selectors.EVENT_READ, (server, True))
        self._selector.register(server, selectors.EVENT_READ, (client, False))

    def _pass(self, source: socket.socket, drain: socket.socket, is_client: bool) -> None:
        data = source.recv(2**20)
        if not data:
            for end in (source, drain):
                self._selector.unregister(end)
                end.close()
            return
        if is_client:
            # What is sent without waiting for a reply is one request.
            while select.select([source], [], [], QUIET)[0] and (more := source.recv(2**20)):
                data += more
        if is_client and self._is_answered:
            self._trips.count += 1
        self._is_answered = not is_client
        drain.sendall(data)
