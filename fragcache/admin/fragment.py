"""The page of one fragment: what is declared of it, what it costs and earns, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from fragcache import registry
from fragcache.admin import wording
from fragcache.admin.asked import Asked
from fragcache.admin.declared import described
from fragcache.admin.documents import document, record
from fragcache.admin.figures import Figures, figures
from fragcache.admin.pages import page, shown
from fragcache.admin.timelines import charts, columns_of, records_of_steps, rows_of_steps
from fragcache.admin.wording import SPAN_WORDS, Judgement
from fragcache.counters import Miss
from fragcache.stats.ledger import Account

if TYPE_CHECKING:
    from fragcache.admin.overview import FragmentCacheAdmin


class Fact(NamedTuple):
    """A word and what is to be said of it."""

    label: str
    text: str


@page("fragment/<path:name>/", name="fragment")
def show_fragment(admin: FragmentCacheAdmin, request: HttpRequest, name: str) -> HttpResponse:
    """Return the page of a fragment, or with ``table=axes|steps`` one table as JSON or CSV."""
    asked = Asked.of(request, columns=[""], sort="")
    found = figures(asked.span).of(name)
    fragment = registry.find(name)
    if fragment is None and not found.sheets and not found.before:
        raise Http404(_("No fragment is called %(name)r, and none was.") % {"name": name})
    [account] = found.accounts([name])
    if asked.form != "html":
        return _document(asked, found, account)
    judgement = wording.JUDGEMENTS[account.verdict] if found.sheets else wording.UNCOUNTED
    return shown(
        admin,
        request,
        "admin/fragcache/fragment.html",
        title=name,
        asked=asked,
        account=_facts(account),
        charts=charts(found) if found.sheets else [],
        declaration=described(fragment) if fragment else [],
        judgement=judgement,
        axes=[_by_axes(one) for one in found.accounts_by_axes()],
        steps=rows_of_steps(found) if found.sheets else [],
        step_columns=columns_of(found),
        problem=found.problem,
        span=SPAN_WORDS[asked.span],
        spans=[
            (asked.link(last=span), words, span == asked.span) for span, words in SPAN_WORDS.items()
        ],
        documents={
            table: [asked.link(table=table, format=form) for form in ("json", "csv")]
            for table in ("axes", "steps")
        },
    )


def _document(asked: Asked, found: Figures, account: Account) -> HttpResponse:
    about = {"seconds": found.seconds, "problem": found.problem, "account": record(account)}
    if asked.table == "steps":
        records: list[Any] = records_of_steps(found)
    else:
        records = [record(one) for one in found.accounts_by_axes()]
    name = f"{account.fragment}-{asked.table}"
    return document(asked.form, records, name=name, about=about)


def _facts(account: Account) -> list[Fact]:
    """Return what the ledger has of a fragment, in words."""
    per = wording.duration
    return [
        Fact(_("Lookups"), wording.number(account.lookups)),
        Fact(
            _("Hits"),
            _("%(share)s, %(local)s of them in process memory")
            % {
                "share": wording.share(account.hit_ratio),
                "local": wording.number(account.hits_local),
            },
        ),
        Fact(_("Missed"), _misses(account)),
        Fact(_("Stale served"), wording.number(account.stale_served)),
        Fact(
            _("Renders"),
            _("%(number)s, %(warmed)s of them by warm_fragments")
            % {"number": wording.number(account.renders), "warmed": wording.number(account.warmed)},
        ),
        Fact(
            _("Render time"),
            _("%(mean)s on average; %(p50)s for half, %(p95)s for 95 %%")
            % {
                "mean": per(account.render),
                "p50": per(account.render_p50),
                "p95": per(account.render_p95),
            },
        ),
        Fact(_("Lookup"), _("%(mean)s on average") % {"mean": per(account.lookup)}),
        Fact(
            _("Stored"),
            _("%(number)s, in %(mean)s on average, of %(size)s")
            % {
                "number": wording.number(account.stored),
                "mean": per(account.store),
                "size": wording.size(account.size),
            },
        ),
        Fact(
            _("Served age"),
            _("%(p50)s for half, %(p99)s for 99 %%")
            % {"p50": per(account.age_p50), "p99": per(account.age_p99)},
        ),
        Fact(
            _("Waits"),
            _("%(number)s, of %(mean)s on average")
            % {"number": wording.number(account.waits), "mean": per(account.wait)},
        ),
        Fact(_("Errors"), wording.number(account.errors)),
        Fact(_("Bypassed"), wording.number(account.bypassed)),
        Fact(_("Saved per hour"), per(account.saved_per_hour)),
    ]


def _misses(account: Account) -> str:
    largest_first = sorted(account.misses.items(), key=lambda item: -item[1])
    said = [_reason(reason, times) for reason, times in largest_first]
    return ", ".join(said) or wording.number(0)


def _reason(reason: Miss, times: int) -> str:
    return f"{wording.MISS_WORDS[reason]} {wording.number(times)}"


class AxesRow(NamedTuple):
    """A fragment under one set of axis values, in words."""

    axes: str
    lookups: str
    hits: str
    missed: str
    renders: str
    p50: str
    p95: str
    saved: str
    judgement: Judgement


def _by_axes(account: Account) -> AxesRow:
    return AxesRow(
        axes=wording.axis_values(account.axes),
        lookups=wording.number(account.lookups),
        hits=wording.share(account.hit_ratio),
        missed=_misses(account),
        renders=wording.number(account.renders),
        p50=wording.duration(account.render_p50),
        p95=wording.duration(account.render_p95),
        saved=wording.duration(account.saved_per_hour),
        judgement=wording.JUDGEMENTS[account.verdict],
    )
