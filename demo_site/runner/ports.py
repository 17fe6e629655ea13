"""Ports of this machine: which are taken, which are free."""

import errno
import socket

from runner.errors import DemoError

LOOPBACK = "127.0.0.1"


def require_free(port: int, option: str) -> None:
    """Raise DemoError if a site cannot listen on the port that the option names."""
    for family, address in ((socket.AF_INET, LOOPBACK), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise DemoError(
                    f"Port {port} is taken. Stop what listens there, or choose another: {option} N."
                ) from None
            if family == socket.AF_INET:
                raise DemoError(
                    f"Port {port} cannot be used ({error.strerror}). Choose another: {option} N."
                ) from None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def reply(host: str, port: int, question: bytes) -> bytes:
    """Return the first bytes that a server answers with, b"" if none does."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(question)
            return connection.recv(128)
    except OSError:
        return b""
