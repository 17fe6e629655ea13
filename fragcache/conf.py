"""The one reader of ``settings.FRAGCACHE``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core import mail
from django.core.signals import setting_changed

#: Tried in this order when ``CACHE_ALIAS`` is not set.
FALLBACK_ALIASES = ("fragments", "template_fragments", "default")

#: What ``STATS`` may be.
KEPT_STATS = ("database", "process", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings.FRAGCACHE`` with its defaults; durations are in seconds."""

    ENABLED: bool = True
    CACHE_ALIAS: str | None = None
    SECRET_KEYS: Sequence[str] = ()
    #: What requests for contexts are signed with; empty: SECRET_KEYS.
    API_KEYS: Sequence[str] = ()
    #: Who has one of them may see metrics and details of health, and nothing else.
    MONITORING_KEYS: Sequence[str] = ()
    #: The site that is asked for contexts: {"URL": ..., "KEY": ..., "TIMEOUT": seconds}.
    SOURCE: Mapping[str, Any] | None = None
    TIMEOUT: float | None = 86_400
    READ_ONLY: bool = False
    AXES: Sequence[str] = ()
    ADDITIONS: Sequence[str] = ()
    LOCAL_MAX_BYTES: int = 32 * 2**20
    INVALIDATION_LAG: float = 5
    PAGE_BUDGET: float | None = 0.1
    READ_ONLY_BATCHES: bool = True
    RENEW_WITH: str = ""
    STATEMENT_TIMEOUT: float | None = 30
    #: Where warming holds its lock: "cache", "database", "file" or "file:/absolute/path".
    LOCK: str = "cache"
    #: The queue that carries batches to workers; None: the usual one of what carries them.
    QUEUE: str | None = None
    #: Where counts are kept: "database", "process", or "off" for no more than what goes wrong.
    STATS: str = "database"
    #: Whether what is not worth keeping, by its counts, is rendered without looking for it.
    BYPASS_UNWORTHY: bool = False
    #: Whether ``{% cache %}`` blocks of one name are one in all templates, as Django has it.
    SHARED_BLOCKS: bool = False
    #: Whether pages say in comments what became of their fragments; with DEBUG alone.
    DEBUG_COMMENTS: bool = False
    unknown: tuple[str, ...] = field(default=())

    @property
    def cache_alias(self) -> str:
        """The alias that fragments are kept under unless they name another."""
        if self.CACHE_ALIAS is not None:
            return self.CACHE_ALIAS
        present = (alias for alias in FALLBACK_ALIASES if alias in django_settings.CACHES)
        return next(present, "default")

    @property
    def secret_keys(self) -> Sequence[str]:
        """The keys that entries are sealed with: the first seals, all of them verify."""
        if self.SECRET_KEYS:
            # One text is one key, not as many keys as it has letters; `manage.py check` says so.
            return [self.SECRET_KEYS] if isinstance(self.SECRET_KEYS, str) else self.SECRET_KEYS
        keys = [django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS]
        return [key.decode() if isinstance(key, bytes) else key for key in keys]


NAMES = tuple(f.name for f in fields(Settings) if f.name.isupper())


@cache
def settings() -> Settings:
    """Return the settings in force, read once until ``setting_changed``."""
    given: Any = getattr(django_settings, "FRAGCACHE", {})
    if not isinstance(given, dict):  # `manage.py check` says so
        given = {}
    known = {name: value for name, value in given.items() if name in NAMES}
    return Settings(**known, unknown=tuple(name for name in given if name not in NAMES))


def is_testing() -> bool:
    """Whether Django's test environment is set up, which makes an outbox for mails."""
    return hasattr(mail, "outbox")


def _forget(**_kwargs: object) -> None:
    settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fragcache.conf")
