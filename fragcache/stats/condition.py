"""The condition of a deployment: open guards, outages and the last runs, by what is recorded.

Nothing is raised where nobody can tell: a site without a database knows of its own process alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from django import db
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Count, Max
from django.utils import timezone
from django.utils.connection import ConnectionDoesNotExist

from fragcache.exceptions import UnknownAlias
from fragcache.models import Outage, WarmRun
from fragcache.stats.answering import aliases
from fragcache.stats.outages import going_on
from fragcache.store import store

#: What a database raises that is down, away or without the tables.
UNREADABLE: Final = (db.Error, ImproperlyConfigured, ConnectionDoesNotExist)
_DAY: Final = dt.timedelta(days=1)

#: An alias, and "reading" or "writing".
About = tuple[str, str]


class Guard(NamedTuple):
    """A guard that is open."""

    since: dt.datetime
    #: How many processes have it open.
    processes: int


def known_aliases(guards: Iterable[About]) -> list[str]:
    """Return the aliases of fragments, and those that guards are open for."""
    return list(dict.fromkeys([*aliases(), *(alias for alias, _purpose in guards)]))


def own_guards() -> dict[About, Guard]:
    """Return the guards that this process has open."""
    found: dict[About, Guard] = {}
    for alias in aliases():
        try:
            cache = store(alias)
        except UnknownAlias:
            continue
        for purpose, breaker in (("reading", cache.reads), ("writing", cache.writes)):
            if breaker.open_since is not None:
                found[alias, purpose] = Guard(breaker.open_since, 1)
    return found


def open_guards() -> dict[About, Guard]:
    """Return the guards that are open in any process."""
    found: dict[About, Guard] = {}
    try:
        for outage in going_on():
            about = outage.alias, outage.purpose
            # The oldest comes first.
            first = found.get(about, Guard(_aware(outage.began_at), 0))
            found[about] = first._replace(processes=first.processes + 1)
    except UNREADABLE:
        pass
    return own_guards() | found


def recent_outages() -> Mapping[About, int]:
    """Return how many outages of processes began within a day, by alias and purpose."""
    lately = Outage.objects.filter(began_at__gte=timezone.now() - _DAY).order_by()
    try:
        rows = lately.values_list("alias", "purpose").annotate(times=Count("pk"))
        return {(alias, purpose): times for alias, purpose, times in rows}
    except UNREADABLE:
        return {}


def latest_runs() -> dict[str, WarmRun]:
    """Return the run of each status that began last, of those that have ended."""
    ended = WarmRun.objects.exclude(finished_at=None).order_by()
    try:
        latest = [pk for _status, pk in ended.values_list("status").annotate(latest=Max("pk"))]
        runs = WarmRun.objects.filter(pk__in=latest).only("status", "started_at", "finished_at")
        return {run.status: run for run in runs}
    except UNREADABLE:
        return {}


def _aware(moment: dt.datetime) -> dt.datetime:
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
