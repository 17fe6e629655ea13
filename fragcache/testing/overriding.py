"""An isolated cache and other settings, for as long as a test lasts."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from django.conf import settings
from django.test.utils import TestContextDecorator, override_settings

from fragcache import conf, registry
from fragcache.exceptions import InvalidArguments
from fragcache.reading import costs
from fragcache.reading.doorkeeper import doorkeeper
from fragcache.suggestions import did_you_mean

#: The alias that fragments are kept under unless ``CACHE_ALIAS`` names one.
ALIAS: Final = "fragcache_test"
BACKEND: Final = "fragcache.backends.embedded.EmbeddedCache"


class override_fragcache(TestContextDecorator):
    """Keep fragments in an empty cache of the test's own, with other settings of ``FRAGCACHE``.

    A context manager; a decorator of functions; and of TestCase classes, for each of their tests.
    The cache is an embedded one in a temporary directory, which needs no server; or the alias that
    ``CACHE_ALIAS`` names, under a KEY_PREFIX of its own, as are aliases that fragments name by
    ``using``. ENABLED is True, and PAGE_BUDGET None, unless given. Entering it returns the alias.

    Raises:
        InvalidArguments: a setting or alias is none.
    """

    def __init__(self, **given: Any) -> None:
        for name in given:
            if name not in conf.NAMES:
                raise InvalidArguments(
                    f"{name!r} is not a setting of FRAGCACHE.{did_you_mean(name, conf.NAMES)} "
                    f"Settings are {', '.join(conf.NAMES)}."
                )
        self._given = given
        self._stack = ExitStack()
        super().__init__()

    def enable(self) -> str:
        """Put the cache and the settings in force, and return the cache's alias."""
        alias: str = self._given.get("CACHE_ALIAS") or ALIAS
        with ExitStack() as stack:
            caches = _isolated(alias, stack)
            own = {"ENABLED": True, "PAGE_BUDGET": None, **self._given, "CACHE_ALIAS": alias}
            former = getattr(settings, "FRAGCACHE", {})
            stack.callback(_forget)
            stack.enter_context(override_settings(CACHES=caches, FRAGCACHE={**former, **own}))
            _forget()
            self._stack = stack.pop_all()
        return alias

    def disable(self) -> None:
        """Restore what was in force before, and remove the cache."""
        self._stack.close()


def _isolated(alias: str, stack: ExitStack) -> dict[str, Any]:
    """Return CACHES with a new cache, and a key prefix for those in use that remain."""
    caches = dict(settings.CACHES)
    if alias == ALIAS:
        folder = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
        location = str(Path(folder) / "fragments.sqlite3")
        caches[ALIAS] = {"BACKEND": BACKEND, "LOCATION": location}
    elif alias not in caches:
        raise InvalidArguments(
            f"CACHE_ALIAS={alias!r} is not an alias of CACHES.{did_you_mean(alias, caches)}"
        )
    named = {fragment.using for fragment in registry.all_fragments() if fragment.using}
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    for name in ({alias} | named) & settings.CACHES.keys():
        caches[name] = {**caches[name], "KEY_PREFIX": prefix + caches[name].get("KEY_PREFIX", "")}
    return caches


def _forget() -> None:
    """Let the process forget what it knows of the caches before."""
    costs.forget()
    doorkeeper.forget()
