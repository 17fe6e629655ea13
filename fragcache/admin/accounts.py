"""The account of a fragment, as lines to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.utils.translation import gettext as _

from fragcache.admin import wording
from fragcache.stats.ledger import Account


class Fact(NamedTuple):
    """A word and what is to be said of it."""

    label: str
    text: str


def facts(account: Account) -> list[Fact]:
    """Return what the ledger has of a fragment; nothing of what did not happen."""
    return [*_lookups(account), *_renders(account), *_rare(account)]


def misses(account: Account) -> str:
    """Return why it was missed and how often, the most frequent reason first."""
    largest_first = sorted(account.misses.items(), key=lambda item: -item[1])
    said = [
        f"{wording.MISS_WORDS[reason]} {wording.number(times)}" for reason, times in largest_first
    ]
    return ", ".join(said) or wording.NOTHING


def _lookups(account: Account) -> Iterator[Fact]:
    saved = account.saved_per_hour
    yield Fact(_("Saved per hour"), wording.duration(saved))
    yield Fact(_("Lookups"), wording.number(account.lookups))
    if account.lookups:
        hits = _("%(share)s, %(local)s of them in process memory")
        local = wording.number(account.hits_local)
        share = wording.share(account.hit_ratio)
        yield Fact(_("Hits"), hits % {"share": share, "local": local})
        yield Fact(_("Missed"), misses(account))
        yield Fact(_("A lookup"), _mean(account.lookup))
    if account.age_p50 is not None:
        age = _("%(p50)s for half of what readers see, %(p99)s for 99 %%")
        times = {
            "p50": wording.duration(account.age_p50),
            "p99": wording.duration(account.age_p99),
        }
        yield Fact(_("Served age, at most"), age % times)


def _renders(account: Account) -> Iterator[Fact]:
    renders = _("%(number)s, %(warmed)s of them by warm_fragments")
    counts = {"number": wording.number(account.renders), "warmed": wording.number(account.warmed)}
    yield Fact(_("Renders"), renders % counts)
    if account.render_p50 is not None:
        text = _("%(mean)s on average; at most %(p50)s for half, %(p95)s for 95 %%")
        times = {
            "mean": wording.duration(account.render),
            "p50": wording.duration(account.render_p50),
            "p95": wording.duration(account.render_p95),
        }
        yield Fact(_("A render"), text % times)
    elif account.render is not None:
        yield Fact(_("A render"), _mean(account.render))
    if account.store is not None:
        text = _("%(mean)s on average, for %(size)s")
        store = {"mean": wording.duration(account.store), "size": wording.size(account.size)}
        yield Fact(_("A store"), text % store)


def _rare(account: Account) -> Iterator[Fact]:
    if account.stale_served:
        yield Fact(_("Stale served"), wording.number(account.stale_served))
    if account.waits:
        text = _("%(number)s, of %(mean)s on average")
        waits = {"number": wording.number(account.waits), "mean": wording.duration(account.wait)}
        yield Fact(_("Waits"), text % waits)
    yield Fact(_("Errors"), wording.number(account.errors))
    if account.bypassed:
        yield Fact(_("Bypassed"), wording.number(account.bypassed))


def _mean(seconds: float | None) -> str:
    return _("%(mean)s on average") % {"mean": wording.duration(seconds)}
