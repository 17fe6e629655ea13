"""TLS in front of a real server, whatever that one was built with."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme

#: Seconds between two looks at whether it is over.
GLANCE = 0.05
HOST = "127.0.0.1"
#: A name that the certificate is for as well.
NAME = "cache.test"


class TLSRelay:
    """Decrypts for ``host:port``; a context manager. ``authority`` is a file of certificates."""

    def __init__(self, target: str, directory: Path) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        made = trustme.CA()
        self.authority = directory / "authority.pem"
        made.cert_pem.write_to_path(str(self.authority))
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.issue_cert(HOST, NAME).configure_cert(self._context)
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(GLANCE)
        self._is_open = True
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        return f"{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> TLSRelay:
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

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while self._is_open:
            with contextlib.suppress(TimeoutError):
                client, _address = self._listener.accept()
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._target) as server:
            client.settimeout(1)
            # Up to Python 3.12 wrapping leaves a socket open whose peer has reset it already.
            client.getpeername()
            with self._context.wrap_socket(client, server_side=True) as decrypted:
                for end in (decrypted, server):
                    end.settimeout(GLANCE)
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = threading.Thread(target=self._pass, args=(server, decrypted))
                back.start()
                self._pass(decrypted, server)
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
                back.join()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        """Pass bytes on until one end is gone."""
        while self._is_open:
            try:
                data = source.recv(2**16)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            with contextlib.suppress(OSError):
                sink.sendall(data)


def encrypted_at(name: str, address: str, authority: Path) -> dict[str, Any]:
    """Return what of CACHES names a server, redis or memcached, behind TLS."""
    if name == "redis":
        return {"LOCATION": f"rediss://{address}/0?ssl_ca_certs={authority}"}
    context = ssl.create_default_context(cafile=str(authority))
    return {"LOCATION": address, "OPTIONS": {"tls_context": context}}
