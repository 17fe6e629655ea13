"""Whether the caches of fragments answer now, asked by this process and by no guard."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from django.core.cache import caches

from fragcache import conf, deadline, registry
from fragcache.exceptions import CacheUnavailable, UnknownAlias
from fragcache.locks import new_lock
from fragcache.probing import KEY
from fragcache.store import store

#: Seconds for which an answer is waited; less where somebody waits for those of all caches.
PATIENCE: Final = 1.0
HURRY: Final = 0.7
#: Seconds for which an answer is repeated to those who ask for all: strangers may ask as well.
REPEATED: Final = 1.0


class Answer(NamedTuple):
    """What one cache alias gave."""

    alias: str
    #: Seconds; None where it did not answer.
    took: float | None
    problem: str = ""
    #: The kind of problem, without addresses or anything else that is told to few.
    kind: str = ""


def aliases() -> Sequence[str]:
    """Return the aliases that fragments are kept under, the one of the settings first."""
    own = (fragment.using for fragment in registry.all_fragments())
    return list(dict.fromkeys([conf.settings().cache_alias, *filter(None, own)]))


def ask(alias: str) -> Answer:
    """Ask a cache for what is not there."""
    began = time.monotonic()
    try:
        with deadline.within(PATIENCE):
            store(alias).fetch_many([KEY])
    except (CacheUnavailable, UnknownAlias) as error:
        return Answer(alias, None, str(error), type(error.__cause__ or error).__name__)
    return Answer(alias, time.monotonic() - began)


def ask_all(names: Iterable[str]) -> list[Answer]:
    """Ask caches at once; in ``HURRY`` seconds there is an answer, whatever holds them up.

    Each cache is asked by a single thread: what never answers is not asked again.
    """
    until = time.monotonic() + HURRY
    with _lock:
        questions = [_question(name) for name in names]
    return [question.answered(until) for question in questions]


class _Question(threading.Thread):
    """A thread that asks one cache, since not every client keeps to a deadline."""

    def __init__(self, alias: str) -> None:
        super().__init__(name=f"fragcache asks {alias}", daemon=True)
        self._alias = alias
        self._answer: Answer | None = None
        self._answered_at = 0.0

    def is_good(self) -> bool:
        """Whether its answer is to come, or has come a moment ago."""
        if self._answer is None:
            return self.is_alive()
        return time.monotonic() - self._answered_at < REPEATED

    def run(self) -> None:
        try:
            self._answer = ask(self._alias)
        except Exception as error:  # noqa: BLE001 - whatever it is, the cache is of no use
            kind = type(error).__name__
            self._answer = Answer(self._alias, None, f"{kind}: {error}", kind)
        finally:
            self._answered_at = time.monotonic()
            caches.close_all()

    def answered(self, until: float) -> Answer:
        """Return the answer, waiting for it until then by ``time.monotonic()``."""
        self.join(max(0.0, until - time.monotonic()))
        said = f"no answer within {HURRY:g} s"
        return self._answer or Answer(self._alias, None, said, "Timeout")


_lock = new_lock()
_questions: Final[dict[str, _Question]] = {}


def _question(alias: str) -> _Question:
    found = _questions.get(alias)
    if found is None or not found.is_good():
        found = _questions[alias] = _Question(alias)
        found.start()
    return found
