"""Answering: what others ask for is published once, however many ask at the same time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fragcache import axes, leases, manifest, page, registry
from fragcache.arguments import as_item
from fragcache.chance import new_random
from fragcache.contexts.forms import ContextForm, context_form
from fragcache.contexts.lookup import Age, newest
from fragcache.contexts.publishing import (
    check_may_publish,
    is_believed,
    publish_context,
    published_slot,
)
from fragcache.declarations import Fragment
from fragcache.exceptions import FragcacheError, FragmentMissing, InvalidArguments
from fragcache.keys import entry_key, lease_key
from fragcache.leases import REFUSED_LIFE, Lease, State
from fragcache.reading.batch import Batch
from fragcache.store import Store, store
from fragcache.warming.due import Rank, ranked

#: Seconds for which one builds what others wait for; what takes longer may be built twice.
LEASE_SECONDS: Final = 10.0
#: Seconds for which those are kept waiting: each of them occupies a thread of the source.
PATIENCE: Final = 1.0
#: Seconds between two looks, at first and at most.
FIRST_LOOK: Final = 0.005
LAST_LOOK: Final = 0.05
_random: Final = new_random()


class Busy(FragcacheError):
    """Somebody else builds it, or has just failed to."""

    def __init__(self, seconds: float) -> None:
        super().__init__("It is being built, or could not be: ask again later.")
        #: After which it is worth asking again.
        self.seconds = seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One instance that somebody asks for."""

    fragment: Fragment
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    axis_values: Mapping[str, Any]

    def check(self) -> None:
        """See that it names an instance.

        Raises:
            InvalidArguments, NoIdentity: it does not.
        """
        self._batch()

    def answer(self) -> str:
        """Return the key of the newest context, which is published if need be.

        Raises:
            As ``publish_context``; and whatever the site's own code raises.
            Busy: another one is at it for longer than ``PATIENCE``, or has failed just now.
        """
        current = page.outside()
        current.is_visited = False  # who asks has a budget of its own
        with page.entered(current), axes.activated(self.axis_values):
            batch = self._batch()
            check_may_publish(self.fragment, batch.cache)
            return _published(batch) or self._built_once(batch)

    def _built_once(self, batch: Batch) -> str:
        cache = batch.cache
        name = lease_key(batch.base(0), f"{batch.digest}asked", cache.room)
        until = time.monotonic() + PATIENCE
        pause = FIRST_LOOK
        ended: dict[str, Lease] = {}
        while not leases.take(cache, [name], LEASE_SECONDS, ended):
            if time.monotonic() > until:
                raise Busy(PATIENCE)
            time.sleep(pause * _random.uniform(0.5, 1.0))
            pause = min(2 * pause, LAST_LOOK)
            lease = leases.lease_of(cache.read_many([name]), name)
            if lease.state is State.REFUSED:
                raise Busy(REFUSED_LIFE)
            if lease.state is not State.TAKEN and (key := _published(batch)):
                return key
            ended = {name: lease} if lease.state is State.ENDED else {}
        return self._built(batch, cache, name)

    def _built(self, batch: Batch, cache: Store, name: str) -> str:
        """Return the key of what is built under a lease, which ends whatever comes of it."""
        is_refused = True
        try:
            key = _published(batch) or publish_context(self.fragment, *self.args, **self.kwargs)
            is_refused = False
        except FragmentMissing:
            is_refused = False  # there is nothing to wait for
            raise
        finally:
            leases.end(cache, *(((), [name]) if is_refused else ([name], ())))
        return key

    def _batch(self) -> Batch:
        cache = store(self.fragment.using)
        item = as_item(tuple(self.args))
        return Batch.of(context_form(self.fragment), cache, [item], self.kwargs, None)


def asked_fragment(name: str) -> Fragment | None:
    """Return the fragment that may be asked for by a name: one that publishes contexts here."""
    fragment = registry.find(name)
    is_open = fragment is not None and fragment.is_local and fragment.publish != "html"
    return fragment if is_open else None


def misfits(fragment: Fragment, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with each argument of a question that names no instance."""
    parameters = fragment.parameters
    required = parameters.names[: len(parameters.names) - len(parameters.defaults)]
    found = {name: "There is no such parameter." for name in kwargs if name not in parameters.names}
    given = dict(zip(parameters.names, args, strict=False))
    found |= {name: "It is given twice." for name in kwargs if name in given}
    found |= {name: "It is missing." for name in required if name not in {*given, *kwargs}}
    for name, value in (given | dict(kwargs)).items():
        if name in parameters.choices and value not in parameters.choices[name]:
            found.setdefault(name, "It is not among its choices.")
    first = next(iter(parameters.names), "")
    if parameters.pk_to_python is not None and first not in found and first in {*given, *kwargs}:
        try:
            parameters.primary_key((given | dict(kwargs))[first])
        except InvalidArguments:
            found[first] = "It is not a primary key of its model."
    if len(args) > len(parameters.names):
        found["args"] = f"There are {len(args)}, and {len(parameters.names)} parameters."
    return found


def _published(batch: Batch) -> str | None:
    """Return the key of what is published and current, None where there is none."""
    form, cache = batch.fragment, batch.cache
    assert isinstance(form, ContextForm)
    key = None
    if form.is_versioned:
        slot = published_slot(form, batch)
        found = ranked(form, cache, [slot], force=False, dry=False)
        if found[Rank.FRESH] and is_believed(cache, slot):
            key = entry_key(slot.base, slot.suffix, cache.room)
    else:  # only an invalidation, or the end of its life, makes it older than another one
        [context] = newest(batch, page.outside())
        if context is not None and context.age is Age.FRESH:
            key = batch.entry_key(0, context.suffix)
    if key is not None:
        manifest.ensure(cache, form.declared)
    return key
