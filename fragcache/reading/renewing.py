"""Renewing: what was shown stale is rendered when its visitor has the answer, by one process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from django.utils.module_loading import import_string

from fragcache import conf, leases
from fragcache.counters import degrade
from fragcache.digests import Digested
from fragcache.events import Event
from fragcache.guard import writing
from fragcache.page import Page
from fragcache.reading.batch import Batch
from fragcache.reading.counting import unvisited
from fragcache.reading.filling import fill
from fragcache.reading.holding import lease_life, lease_name
from fragcache.reading.stored import look
from fragcache.slots import Slot

logger = logging.getLogger("fragcache")

#: Seconds after which what a queue was given, and no worker has done, is given to it again.
SENT_LIFE: Final = 60


def renew_later(batch: Batch, slots: Sequence[Slot], page: Page, *, is_early: bool = False) -> None:
    """Render and store slots after the answer, unless another process does it already.

    ``is_early``: although there are fresh entries.
    """
    page.later.append(lambda: _renew(batch, slots, page, is_early=is_early))


def _renew(batch: Batch, slots: Sequence[Slot], page: Page, *, is_early: bool) -> None:
    cache = batch.cache
    is_told_by_name = not isinstance(batch.fragment, Digested)  # as a block is not
    if conf.settings().RENEW_WITH and is_told_by_name and not is_early:
        slots = _not_sent(batch, slots)
    names = {lease_name(batch, slot): slot for slot in slots}
    life = lease_life(batch, len(names))
    taken = writing(cache, set(), leases.take, cache, names, life)
    mine = [slot for name, slot in names.items() if name in taken]
    if not mine:
        return
    by_now = None if is_early else look(batch, mine, (), page)
    is_there = by_now.html if by_now else {}
    try:
        if due := [slot for slot in mine if slot.base not in is_there]:
            with unvisited():
                fill(batch, due, page, may_store=True)
            page.finish()  # the heads
    except Exception as error:
        degrade(
            Event.RENEWAL_FAILED,
            batch.fragment.name,
            type(error).__name__,
            "%s could not be renewed, and goes on being shown stale: %s.",
            *(batch.fragment.name, type(error).__name__),
        )
        logger.debug("%s could not be renewed.", batch.fragment.name, exc_info=error)
    finally:
        # A refused or failed one is tried again by the next visitor, when its lease has ended.
        done = [name for name in taken if names[name].is_stored or names[name].base in is_there]
        # An early one keeps its lease for its life: this page may show it in other places.
        writing(cache, None, leases.end, cache, [] if is_early else done, ())


def _not_sent(batch: Batch, slots: Sequence[Slot]) -> list[Slot]:
    """Let workers renew slots, each once; return those that are to be renewed here."""
    from fragcache.warming.distributed import CannotEnqueue
    from fragcache.warming.renewal import described

    cache, fragment = batch.cache, batch.fragment
    send = import_string(conf.settings().RENEW_WITH)
    names = {lease_name(batch, slot, ".sent"): slot for slot in slots}
    taken = writing(cache, set(), leases.take, cache, names, SENT_LIFE)
    left = []
    for name in taken:
        slot = names[name]
        try:
            send(described(fragment, slot.instance, batch.axis_values, cache.alias))
        except CannotEnqueue:
            left.append(slot)
        except Exception as error:  # noqa: BLE001 - a queue that is down must not be an outage
            cause = type(error).__name__
            message = "%s could not be handed to a worker, and is renewed here: %s."
            degrade(Event.RENEWAL_FAILED, fragment.name, cause, message, fragment.name, cause)
            left.append(slot)
    return left
