"""Asking: what a target misses it asks the source for, where FRAGCACHE["SOURCE"] says how.

The guard of the cache has its like here: all that a page waits for the source is at most half of
its budget, so that the other half is the cache's; and a source that does not answer is left alone
by its breaker until it does. Nobody waits for what it has refused lately.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from django.core.signals import setting_changed

from fragcache import axes, conf
from fragcache.arguments import plain
from fragcache.bounded import Bounded
from fragcache.breaker import Breaker
from fragcache.contexts.courier import UNAVAILABLE, Courier, Reply
from fragcache.contexts.credentials import signing_keys
from fragcache.counters import count, degrade
from fragcache.events import Event
from fragcache.exceptions import NotPackable
from fragcache.keys import Encoded
from fragcache.locks import new_lock
from fragcache.packing import packed_key, packed_value
from fragcache.page import Page
from fragcache.reading.batch import Batch
from fragcache.reading.lookup import head_keys

#: Seconds that a question has, whoever waits for it.
TIMEOUT: Final = 5.0
#: Parts of a page's budget that the source may have.
SHARE: Final = 0.5
#: Questions of which it is known what has become of them.
_REMEMBERED: Final = 10_000
#: The most seconds for which a source may ask to be left alone.
_LONGEST: Final = 60.0
_OK: Final = 200
_MISSING: Final = 404
#: Answers that are the same for all questions.
_FOR_ALL: Final = frozenset({401, 403, 405})

_answered: Final[Bounded[float]] = Bounded(_REMEMBERED, lambda _until: 1)
_lock: Final = new_lock()


class Source:
    """The site that is asked, as this process knows it."""

    def __init__(self, url: str, key: str, seconds: float) -> None:
        self.courier = Courier(url, key, seconds)
        self.breaker = Breaker("the source", self._probe)
        self.seconds = seconds
        #: Until when it refuses all questions, in ``time.monotonic()``.
        self.refuses_until = 0.0

    def answers(self) -> str:
        """Return why it does not answer; nothing where it does."""
        reply = self.courier.probe()
        if reply.status in {0, *UNAVAILABLE}:
            return reply.problem or f"status {reply.status}"
        return ""

    def _probe(self) -> None:
        if (problem := self.answers()) and not self.courier.is_closed:
            raise ConnectionError(problem)


_source: Source | None = None


def source() -> Source | None:
    """Return the source that the settings name, None where they name none.

    Raises:
        ExtraMissing: the library is not installed.
    """
    global _source
    given = conf.settings().SOURCE
    if not given or not given.get("URL"):
        return None
    if _source is None or _source.courier.pid != os.getpid():
        key = given.get("KEY") or next(iter(signing_keys()), "")
        with _lock:
            if _source is None or _source.courier.pid != os.getpid():
                _source = Source(given["URL"], key, given.get("TIMEOUT", TIMEOUT))
    return _source


def ask(batch: Batch, positions: Sequence[int], page: Page) -> bool:
    """Ask the source for contexts that were looked for in vain; return whether to look again.

    Runs ask nobody: the source has its own. Where the cache did not answer, neither would what the
    source puts there be found.

    Raises:
        ExtraMissing: the library is not installed.
    """
    if not positions or not batch.fragment.is_remote or not page.is_visited:
        return False
    try:
        asked = source()
    except RuntimeError as error:  # no thread to ask in
        _say(batch.fragment.name, "no thread", str(error))
        return False
    if asked is None:
        return False
    memory, keys = page.memory(batch.cache.space), head_keys(batch)
    heads = memory.heads.keys() - memory.pinned  # what a source builds now is of no set
    bodies = {n: body for n in positions if keys[n] in heads and (body := _body(batch, n))}
    published = _asked(asked, bodies, batch.fragment.name, page)
    for position in published:
        memory.heads.pop(keys[position], None)
    return bool(published)


def _asked(asked: Source, bodies: dict[int, bytes], name: str, page: Page) -> list[int]:
    """Return the positions of what the source says is published by now."""
    now = time.monotonic()
    known = _answered.get_many(map(_mark, bodies.values()))
    due = {
        position: body
        for (position, body), until in zip(bodies.items(), known, strict=True)
        if until is None or until < now
    }
    if not due or asked.refuses_until > now:
        return []
    if not asked.breaker.allows():
        count(Event.GUARD_OPEN)
        return []
    allowed = _seconds(asked, page)
    if allowed <= 0:
        return []
    count(Event.ASKED, name, len(due))
    replies = asked.courier.ask(list(due.values()), allowed)
    waited = time.monotonic() - now
    page.asked += waited
    page.waited += waited
    found = []
    for (position, body), reply in zip(due.items(), replies, strict=True):
        if reply is not None and _note(asked, reply, body, name):
            found.append(position)
    if all(reply is None for reply in replies):
        _note_silence(asked, name, allowed)
    return found


def _seconds(asked: Source, page: Page) -> float:
    """Return the seconds that a page may wait for the source."""
    budget = conf.settings().PAGE_BUDGET
    if budget is None:
        return asked.seconds
    return min(asked.seconds, budget * SHARE - page.asked, budget - page.waited)


def _note(asked: Source, reply: Reply, body: bytes, name: str) -> bool:
    """Note what a reply says; return whether it names a key."""
    if reply.status in {0, *UNAVAILABLE}:
        asked.breaker.fail(was_waited_for=False)
        _say(name, "source down", reply.problem or f"status {reply.status}")
        return False
    asked.breaker.succeed()
    # Also of what is published: where this site does not find it, asking again is of no use.
    wait = min(reply.retry_after, _LONGEST) or conf.settings().INVALIDATION_LAG
    until = time.monotonic() + wait
    if reply.status in _FOR_ALL:
        asked.refuses_until = until
    _answered.keep({_mark(body): until})
    if reply.status == _OK and isinstance(reply.document.get("key"), str):
        return True
    if reply.status != _MISSING:  # which is an answer
        _say(name, f"source says {reply.status}", f"status {reply.status}")
    return False


def _mark(body: bytes) -> bytes:
    """Return what a question is remembered by: its arguments may be as long as a URL."""
    return blake2b(body, digest_size=16).digest()


def _note_silence(asked: Source, name: str, allowed: float) -> None:
    """Count that a page waited in vain, but for one that had hardly any time for it."""
    budget = conf.settings().PAGE_BUDGET
    whole = asked.seconds if budget is None else min(asked.seconds, budget * SHARE)
    if allowed >= whole / 2:
        asked.breaker.fail(was_waited_for=False)
    _say(name, "source slow", "no answer in the time that the page has")


def _say(name: str, cause: str, problem: str) -> None:
    message = "The source was asked in vain for a context of %s: %s."
    degrade(Event.SOURCE_ERROR, name, cause, message, name, problem)


def _body(batch: Batch, position: int) -> bytes | None:
    """Return the question for an instance; None where JSON has no form for its arguments."""
    fragment = batch.fragment
    parameters = fragment.parameters
    bound = parameters.canonical(batch.instance(position).arguments)
    given: dict[str, Any] = {}
    try:
        for number, (name, value) in enumerate(zip(parameters.names, bound, strict=True)):
            if isinstance(value, Encoded):
                continue  # a default of the source's, which it knows
            is_pk = number == 0 and parameters.pk_to_python is not None
            given[name] = packed_key(value) if is_pk else packed_value(plain(value))
    except NotPackable:
        message = "A context of %s cannot be asked for: its arguments have no form in JSON."
        degrade(Event.SOURCE_ERROR, fragment.name, "not askable", message, fragment.name)
        return None
    values = {name: axes.get(name).to_text(value) for name, value in batch.axis_values.items()}
    document = {"fragment": fragment.name, "kwargs": given, "axes": values}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _forget(*, setting: str, **_kwargs: object) -> None:
    global _source
    if setting in {"FRAGCACHE", "SECRET_KEY"}:
        _answered.clear()
        if _source is not None and _source.courier.pid == os.getpid():
            _source.courier.close()
        _source = None


setting_changed.connect(_forget, dispatch_uid="fragcache.contexts.asking")
