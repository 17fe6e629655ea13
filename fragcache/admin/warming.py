"""Warming from the admin: by workers where a queue is set up, else within the request.

It starts no process and no thread: what outlives its request would end with the server's process,
without a word.
"""

from __future__ import annotations

from contextvars import Context
from typing import Any, Final, NamedTuple

from django.core.cache import caches
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from fragcache.declarations import Fragment
from fragcache.management.queues import NoQueue, Queue, chosen
from fragcache.management.selection import selected
from fragcache.store import Store, store
from fragcache.warming import Plan, Report, Run, Status
from fragcache.warming.distributed import begin, check_database, deliver, turn
from fragcache.warming.recording import Recording

#: For which a request may begin renders: less than servers and proxies usually wait.
SECONDS: Final = 10.0


class Warmed(NamedTuple):
    """What has come of it, for people."""

    text: str
    is_complete: bool = True


def warm(fragment: Fragment) -> Warmed:
    """Enqueue the batches of a fragment, or warm it for at most ``SECONDS``.

    Raises:
        InvalidArguments: it cannot be warmed.
        ReadOnly: this site only reads.
        Locked: another run goes on.
        CacheUnavailable, LockUnavailable, QueueUnavailable, DatabaseUnavailable, CannotEnqueue:
            it cannot be done now.
    """
    selected([fragment.name])
    cache = store()
    cache.check_writable()
    queue = _queue(store(fragment.using))
    if queue is not None:
        return _enqueued(fragment, cache, queue)
    # As a command does it: not in the language of who asks, and of no visitor's page.
    report = Context().run(_warmed_here, fragment, cache)
    return Warmed(_told(fragment, report), report.status is Status.OK)


def _queue(cache: Store) -> Queue | None:
    """Return the queue whose workers fill the cache that this process reads, if there is one."""
    try:
        queue = chosen()
    except NoQueue:
        return None
    return queue if cache.is_shared and not queue.is_immediate else None


def _enqueued(fragment: Fragment, cache: Store, queue: Queue) -> Warmed:
    check_database()
    with turn(cache, None, 0.0, _never):
        run = begin(Plan(fragments=[fragment]), {"labels": [fragment.name], "enqueue": True})
        batches = deliver(run, queue.send)
    text = ngettext(
        "%(number)d batch of %(name)s is enqueued for the workers.",
        "%(number)d batches of %(name)s are enqueued for the workers.",
        batches,
    )
    return Warmed(text % {"number": batches, "name": fragment.name})


def _warmed_here(fragment: Fragment, cache: Store) -> Report:
    report = Report()
    recording = Recording({"labels": [fragment.name], "time_budget": SECONDS}, report)
    plan = Plan(fragments=[fragment], time_budget=SECONDS)
    run = Run(plan, after_batch=lambda _fragment, _walked: recording.update(), report=report)
    try:
        with turn(cache, None, 0.0, _never), recording:
            run.execute()
    finally:
        caches.close_all()  # those of this context, which no request's end closes
    return report


def _told(fragment: Fragment, report: Report) -> str:
    totals = report.totals
    counts: dict[str, Any] = {
        "name": fragment.name,
        "planned": totals.planned,
        "fresh": totals.fresh,
        "stored": totals.stored,
    }
    text = _("Of %(name)s: %(planned)d planned, %(fresh)d fresh, %(stored)d stored.") % counts
    if report.status is Status.INCOMPLETE:
        more = _(
            "The %(seconds)d seconds are used up: %(left)d that are missing or stale are left, and "
            "what was not looked at. `manage.py warm_fragments %(name)s` warms the rest."
        )
        left = {"seconds": SECONDS, "left": totals.left, "name": fragment.name}
        return f"{text} {more % left}"
    return f"{text} {report.problem}".rstrip()


def _never() -> bool:
    return False
