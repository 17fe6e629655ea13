"""The cards of the overview: the few numbers that say how the cache is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from fragcache.admin import wording
from fragcache.admin.figures import Figures
from fragcache.admin.rows import Row
from fragcache.stats.answering import ask_all
from fragcache.stats.condition import Guard, known_aliases, open_guards
from fragcache.stats.ledger import Account


class Card(NamedTuple):
    """One number, or a word, and what stands below it."""

    label: str
    value: str
    details: Sequence[str] = ()
    #: "good", "bad" or "open": how it is shown.
    mood: str = "open"


def cards(found: Figures, rows: Iterable[Row]) -> list[Card]:
    """Return the cards; the last one asks all caches, and waits no longer than a second."""
    account = found.together()
    return [_hits(account), _saved(rows), _age(account), _errors(found, account), _guards()]


def _hits(account: Account) -> Card:
    lookups = ngettext("%(number)s lookup", "%(number)s lookups", account.lookups) % {
        "number": wording.number(account.lookups)
    }
    details = [lookups]
    if account.stale_served:
        stale = _("%(number)s of the misses were answered with a stale entry")
        details.append(stale % {"number": wording.number(account.stale_served)})
    return Card(_("Hit ratio"), wording.share(account.hit_ratio), details)


def _saved(rows: Iterable[Row]) -> Card:
    known = [saved for row in rows if (saved := row.account.saved_per_hour) is not None]
    saved = sum(known) if known else None
    losing = sum(one < 0 for one in known)
    details = [_("of rendering, in each hour")]
    if losing:
        text = ngettext(
            "%(number)s fragment costs more than it spares",
            "%(number)s fragments cost more than they spare",
            losing,
        )
        details.append(text % {"number": wording.number(losing)})
    mood = "bad" if saved is not None and saved < 0 else "open"
    return Card(_("Time saved"), wording.duration(saved), details, mood)


def _age(account: Account) -> Card:
    details = []
    if account.age_p99 is not None:
        text = _("at most, for half of what readers see; %(age)s for 99 %% of it")
        details.append(text % {"age": wording.duration(account.age_p99)})
    return Card(_("Served age"), wording.duration(account.age_p50), details)


def _errors(found: Figures, account: Account) -> Card:
    if found.problem:
        return Card(_("Errors"), wording.NOTHING)
    own, of_caches = account.errors, found.cache_errors()
    details = [
        _("in templates and context functions: %(number)s") % {"number": wording.number(own)},
        _("of caches: %(number)s") % {"number": wording.number(of_caches)},
    ]
    mood = "bad" if own or of_caches else "good"
    return Card(_("Errors"), wording.number(own + of_caches), details, mood)


def _guards() -> Card:
    guards = open_guards()
    answers = ask_all(known_aliases(guards))
    details = [
        _("%(alias)s: no answer") % {"alias": alias}
        if took is None
        else _("%(alias)s: answers in %(time)s") % {"alias": alias, "time": wording.duration(took)}
        for alias, took, *_rest in answers
    ]
    details += [_open_guard(alias, purpose, guard) for (alias, purpose), guard in guards.items()]
    if guards:
        value = ngettext("%(number)s open", "%(number)s open", len(guards))
        return Card(_("Guards"), value % {"number": wording.number(len(guards))}, details, "bad")
    if any(answer.took is None for answer in answers):
        return Card(_("Guards"), _("no answer"), details, "bad")
    return Card(_("Guards"), _("all closed"), details, "good")


def _open_guard(alias: str, purpose: str, guard: Guard) -> str:
    text = ngettext(
        "%(alias)s: open for %(purpose)s since %(since)s, in %(number)s process",
        "%(alias)s: open for %(purpose)s since %(since)s, in %(number)s processes",
        guard.processes,
    )
    return text % {
        "alias": alias,
        "purpose": wording.PURPOSE_WORDS[purpose],
        "since": wording.moment(int(guard.since.timestamp()), with_day=True),
        "number": wording.number(guard.processes),
    }
