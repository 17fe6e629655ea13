"""A fragment in the course of time: charts, and the same numbers as a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext as _

from fragcache.admin import wording
from fragcache.admin.charts import Chart, Series, bands, nice_top, overlaid, stacked
from fragcache.admin.figures import Figures
from fragcache.counters import Label, Sheet, add
from fragcache.events import Miss
from fragcache.management.actions.stats import reason_in_words
from fragcache.stats.ledger import Account, accounts_of

#: Reasons that have a colour of their own, in a chart; the rarer ones share one.
COLOURS: Final = 6
#: Labels of the horizontal axis.
_MOMENTS: Final = 5


class Moment(NamedTuple):
    """One step of a fragment."""

    began: int
    account: Account


class StepRow(NamedTuple):
    """The same in words: when, and the cells under ``columns_of``."""

    when: str
    cells: Sequence[str]


def charts(found: Figures) -> list[Chart]:
    """Return hits, misses by reason, and render times."""
    moments = _moments(found)
    return [_hits(found, moments), _misses(found, moments), _renders(found, moments)]


def columns_of(found: Figures) -> list[str]:
    """Return the heads of the table of steps, after that of the time."""
    words = [str(wording.MISS_WORDS[reason]) for reason in _reasons(_moments(found))]
    return [_("Hits"), *words, _("Renders"), _("Half, at most"), _("95 %, at most")]


def rows_of_steps(found: Figures) -> list[StepRow]:
    """Return the steps, the newest first."""
    moments = _moments(found)
    reasons = _reasons(moments)
    return [
        StepRow(_when(found, began), _cells(account, reasons))
        for began, account in reversed(moments)
    ]


def records_of_steps(found: Figures) -> list[Mapping[str, Any]]:
    """Return the same for programs, the oldest first."""
    return [
        {
            "began": dt.datetime.fromtimestamp(began, dt.UTC).isoformat(),
            "seconds": found.step,
            "hits": account.hits,
            "misses": {reason_in_words(one): account.misses.get(one, 0) for one in Miss},
            "renders": account.renders,
            "render_p50": account.render_p50,
            "render_p95": account.render_p95,
        }
        for began, account in _moments(found)
    ]


def _moments(found: Figures) -> list[Moment]:
    return [Moment(step.began, _together(step.sheets, found.step)) for step in found.steps]


def _together(sheets: Mapping[Label, Sheet], seconds: int) -> Account:
    """Return the account of one step, under all axis values."""
    sums: dict[Label, dict[str, int]] = {}
    for sheet in sheets.values():
        add(sums, {("one", ""): sheet})
    [account] = accounts_of(sums or {("one", ""): {}}, seconds)
    return account


def _reasons(moments: Sequence[Moment]) -> list[Miss]:
    """Return the reasons that occur, the most frequent first."""
    sums = {
        reason: sum(moment.account.misses.get(reason, 0) for moment in moments) for reason in Miss
    }
    return sorted((reason for reason in Miss if sums[reason]), key=lambda reason: -sums[reason])


def _cells(account: Account, reasons: Sequence[Miss]) -> list[str]:
    return [
        wording.number(account.hits),
        *(wording.number(account.misses.get(reason, 0)) for reason in reasons),
        wording.number(account.renders),
        wording.duration(account.render_p50),
        wording.duration(account.render_p95),
    ]


def _hits(found: Figures, moments: Sequence[Moment]) -> Chart:
    hits = [moment.account.hits for moment in moments]
    stale = [moment.account.stale_served for moment in moments]
    series = [Series(kind="hit", label=_("Hits"), values=hits)]
    if any(stale):
        series.append(Series(kind="stale", label=_("Stale served"), values=stale))
    summary = _("%(sum)s hits in all, at most %(most)s at a time.") % {
        "sum": wording.number(sum(hits)),
        "most": wording.number(max(hits, default=0)),
    }
    return _counts(found, moments, _("Hits"), summary, series)


def _misses(found: Figures, moments: Sequence[Moment]) -> Chart:
    reasons = _reasons(moments)
    own = reasons if len(reasons) <= COLOURS else reasons[: COLOURS - 1]
    series = [
        Series(
            kind=f"reason-{number}",
            label=wording.MISS_WORDS[reason],
            values=[moment.account.misses.get(reason, 0) for moment in moments],
        )
        for number, reason in enumerate(own, 1)
    ]
    if rest := reasons[len(own) :]:
        values = [sum(moment.account.misses.get(one, 0) for one in rest) for moment in moments]
        series.append(Series(kind=f"reason-{COLOURS}", label=_("other reasons"), values=values))
    said = [f"{one.label} {wording.number(sum(one.values))}" for one in series]
    summary = _("Misses: %(reasons)s.") % {"reasons": ", ".join(said) or _("none")}
    return _counts(found, moments, _("Misses by reason"), summary, series)


def _counts(
    found: Figures,
    moments: Sequence[Moment],
    title: str,
    summary: str,
    series: Sequence[Series],
) -> Chart:
    sums = [sum(values) for values in zip(*(one.values for one in series), strict=True)]
    top = nice_top(max(sums, default=0))
    titles = [
        _title(found, moment, [(one, wording.number(one.values[at])) for one in series])
        for at, moment in enumerate(moments)
    ]
    return Chart(
        title=title,
        summary=summary,
        legend=series,
        shapes=stacked(series, top=top),
        bands=bands(titles),
        heights=[wording.number(top), wording.number(0)],
        moments=_labels(found, moments),
    )


def _renders(found: Figures, moments: Sequence[Moment]) -> Chart:
    times = {
        "p95": (_("95 % of renders, at most"), [one.account.render_p95 for one in moments]),
        "p50": (_("half of them, at most"), [one.account.render_p50 for one in moments]),
    }
    series = [
        Series(kind=kind, label=label, values=[value or 0.0 for value in values])
        for kind, (label, values) in times.items()
    ]
    longest = max(series[0].values, default=0.0)
    top = nice_top(longest)
    summary = _("Render time: at most %(longest)s for 95 %% of the renders of a step.") % {
        "longest": wording.duration(longest)
    }
    titles = [
        _title(found, moment, [(one, wording.duration(one.values[at])) for one in series])
        for at, moment in enumerate(moments)
    ]
    return Chart(
        title=_("Render time"),
        summary=summary if longest else _("Render time: nothing was rendered."),
        legend=series,
        shapes=overlaid(series, top=top),
        bands=bands(titles),
        heights=[wording.duration(top), wording.number(0)],
        moments=_labels(found, moments),
    )


def _title(found: Figures, moment: Moment, values: Sequence[tuple[Series, str]]) -> str:
    said = ", ".join(f"{series.label} {value}" for series, value in values)
    return f"{_when(found, moment.began)}: {said}"


def _labels(found: Figures, moments: Sequence[Moment]) -> list[str]:
    """Return when it began, ended, and was in between, at equal distances."""
    if not moments:
        return []
    last = len(moments) - 1
    at = [round(number * last / (_MOMENTS - 1)) for number in range(_MOMENTS)]
    return [_when(found, moments[number].began, short=True) for number in at]


def _when(found: Figures, began: int, *, short: bool = False) -> str:
    if short and found.span == "7d":
        return wording.weekday(began)
    return wording.moment(began, with_day=not short and found.span != "1h")
