"""The page of one fragment: what is declared of it, what it costs and earns, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from fragcache import registry
from fragcache.admin import wording
from fragcache.admin.accounts import facts, misses
from fragcache.admin.asked import Asked
from fragcache.admin.declared import described
from fragcache.admin.documents import document, record
from fragcache.admin.figures import Figures, figures
from fragcache.admin.pages import page, shown
from fragcache.admin.timelines import charts, columns_of, records_of_steps, rows_of_steps
from fragcache.admin.wording import SPAN_WORDS, Judgement
from fragcache.stats.ledger import Account

if TYPE_CHECKING:
    from fragcache.admin.overview import FragmentCacheAdmin

#: Sets of axis values on the page of a fragment; a site of many tenants has thousands.
AXES_SHOWN: Final = 100


@page("fragment/<fragment_name:name>/", name="fragment")
def show_fragment(admin: FragmentCacheAdmin, request: HttpRequest, name: str) -> HttpResponse:
    """Return the page of a fragment, or with ``table=axes|steps`` one table as JSON or CSV."""
    asked = Asked.of(request, columns=[""], sort="")
    found = figures(asked.span).of(name)
    fragment = registry.find(name)
    if fragment is None and not (found.sheets or found.before or found.problem):
        raise Http404(_("No fragment is called %(name)r, and none was.") % {"name": name})
    [account] = found.accounts([name])
    if asked.form != "html":
        return _document(asked, found, account)
    by_axes = found.accounts_by_axes()
    shown_axes = _most_looked_for(by_axes)
    judgement = wording.JUDGEMENTS[account.verdict] if found.sheets else wording.UNCOUNTED
    return shown(
        admin,
        request,
        "admin/fragcache/fragment.html",
        title=name,
        asked=asked,
        account=facts(account),
        charts=charts(found) if found.sheets else [],
        declaration=described(fragment) if fragment else [],
        judgement=judgement,
        axes=[_by_axes(one) for one in shown_axes],
        all_axes=wording.number(len(by_axes)) if len(by_axes) > len(shown_axes) else "",
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


def _most_looked_for(accounts: Sequence[Account]) -> list[Account]:
    """Return those with the most lookups, no more than a page shows, in the order they have."""
    by_lookups = sorted(accounts, key=lambda account: -account.lookups)
    chosen = {account.axes for account in by_lookups[:AXES_SHOWN]}
    return [account for account in accounts if account.axes in chosen]


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
        missed=misses(account),
        renders=wording.number(account.renders),
        p50=wording.duration(account.render_p50),
        p95=wording.duration(account.render_p95),
        saved=wording.duration(account.saved_per_hour),
        judgement=wording.JUDGEMENTS[account.verdict],
    )
