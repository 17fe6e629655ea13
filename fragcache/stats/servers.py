"""The servers of all caches that fragments are kept in, asked at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from fragcache.backends import FragmentBackend, GenericBackend, ServerStats
from fragcache.exceptions import UnknownAlias
from fragcache.stats.answering import aliases
from fragcache.stats.deployments import Deployment, deployment
from fragcache.store import store

logger = logging.getLogger("fragcache")

#: Seconds for all of them; each backend keeps to less by itself.
PATIENCE: Final = 0.97


@dataclass(slots=True)
class Servers:
    """The servers of one cache alias."""

    alias: str
    #: None of an alias that ``CACHES`` does not have.
    deployment: Deployment | None = None
    #: Whether the backend can ask them.
    can_tell: bool = True
    found: Sequence[ServerStats] = ()
    #: Why there are none.
    problem: str = ""
    _thread: threading.Thread | None = field(default=None, repr=False)

    def ask(self, backend: FragmentBackend) -> None:
        """Begin to ask them, in a thread of its own."""
        self.problem = f"No answer within {PATIENCE:g} s."
        self._thread = threading.Thread(target=self._ask, args=(backend,), daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for no longer than that until they have answered."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def _ask(self, backend: FragmentBackend) -> None:
        try:
            self.found, self.problem = backend.server_stats(), ""
        except Exception as error:
            # A backend of the site's own, which is to raise nothing.
            logger.exception("The servers of %r cannot be asked.", self.alias)
            self.problem = f"{type(error).__name__}; the log has more."


def all_servers() -> list[Servers]:
    """Return the servers of each alias that fragments are kept under, within a second."""
    until = time.monotonic() + PATIENCE
    asked = [_asked(alias) for alias in aliases()]
    for servers in asked:
        servers.wait(until - time.monotonic())
    return asked


def _asked(alias: str) -> Servers:
    try:
        cache = store(alias)
    except UnknownAlias as error:
        return Servers(alias, problem=str(error))
    backend = cache.backend
    can_tell = not isinstance(backend, GenericBackend)
    servers = Servers(alias, deployment(cache), can_tell=can_tell)
    if servers.can_tell:
        servers.ask(backend)
    return servers
