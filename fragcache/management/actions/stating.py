"""What ``fragments stats`` says of the caches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from django import db
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.connection import ConnectionDoesNotExist

from fragcache.models import Outage
from fragcache.stats.answering import aliases, ask
from fragcache.stats.outages import going_on


def caches_described() -> list[dict[str, Any]]:
    """Return what is known of each cache alias that fragments are kept under, as JSON."""
    outages = _outages()
    answers = map(ask, dict.fromkeys([*aliases(), *outages]))
    return [
        {
            "alias": answer.alias,
            "seconds": None if answer.took is None else round(answer.took, 6),
            "problem": answer.problem,
            "open_guards": [_described(group) for group in outages.get(answer.alias, [])],
        }
        for answer in answers
    ]


def stats_lines(caches: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Yield the same as lines for people."""
    width = max(len(cache["alias"]) for cache in caches)
    for cache in caches:
        took = cache["seconds"]
        said = f"answers in {took * 1000:.1f} ms" if took is not None else "does not answer"
        yield f"{cache['alias']:<{width}}  {said}"
        if cache["problem"]:
            yield f"{'':<{width}}  {cache['problem']}"
        for guard in cache["open_guards"]:
            where = ", ".join(f"{host} ({number})" for host, number in guard["processes"].items())
            since = f"open since {guard['since']}: {where}"
            yield f"{'':<{width}}  guard for {guard['purpose']} {since}"


def _outages() -> dict[str, list[list[Outage]]]:
    """Return what goes on by alias, and in each by purpose; nothing where nobody can tell."""
    try:
        found = sorted(going_on(), key=lambda outage: (outage.alias, outage.purpose))
    except (db.Error, ImproperlyConfigured, ConnectionDoesNotExist):
        return {}
    by_alias: dict[str, list[list[Outage]]] = {}
    for (alias, _purpose), group in groupby(found, lambda outage: (outage.alias, outage.purpose)):
        by_alias.setdefault(alias, []).append(list(group))
    return by_alias


def _described(outages: Sequence[Outage]) -> dict[str, Any]:
    began = min(outage.began_at for outage in outages)
    local = timezone.localtime(began) if timezone.is_aware(began) else began
    return {
        "purpose": outages[0].purpose,
        "since": local.isoformat(sep=" ", timespec="seconds"),
        "processes": dict(Counter(outage.host for outage in outages)),
    }
