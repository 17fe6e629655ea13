"""The table of fragments: its columns, its order, and what stands in its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fragcache import registry
from fragcache.admin import wording
from fragcache.admin.asked import Asked
from fragcache.admin.charts import HEIGHT, WIDTH, Series, Shape, stacked
from fragcache.admin.figures import Figures
from fragcache.admin.wording import Judgement, Text
from fragcache.counters import Sheet
from fragcache.events import Event, Miss
from fragcache.stats.ledger import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fragment, in words."""

    account: Account
    template: str
    judgement: Judgement
    trend: Trend | None

    @property
    def name(self) -> str:
        return self.account.fragment

    @property
    def is_counted(self) -> bool:
        return self.judgement is not wording.UNCOUNTED

    @property
    def lookups(self) -> str:
        return wording.number(self.account.lookups)

    @property
    def hit_percent(self) -> str:
        """The hit ratio for a ``<meter>``, which reads numbers without a language."""
        return "" if self.account.hit_ratio is None else f"{self.account.hit_ratio * 100:.1f}"

    @property
    def hits(self) -> str:
        return wording.share(self.account.hit_ratio)

    @property
    def renders(self) -> str:
        return wording.number(self.account.renders)

    @property
    def render_times(self) -> str:
        return _pair(self.account.render_p50, self.account.render_p95)

    @property
    def ages(self) -> str:
        return _pair(self.account.age_p50, self.account.age_p99)

    @property
    def errors(self) -> str:
        return wording.number(self.account.errors)

    @property
    def saved(self) -> str:
        return wording.duration(self.account.saved_per_hour)


class Trend(NamedTuple):
    """Hits and misses in the course of time, small."""

    shapes: Sequence[Shape]
    summary: str
    box: str = f"0 0 {WIDTH} {HEIGHT}"


class Column(NamedTuple):
    """A column that the table can be sorted by."""

    label: Text
    #: What it is sorted by; rows without it come last.
    value: Callable[[Row], Any]
    is_number: bool = True
    hint: Text = ""
    #: What its two numbers are.
    detail: Text = ""


class Head(NamedTuple):
    """The head of a column, with the address of the page that it sorts."""

    name: str
    column: Column
    link: str
    #: "ascending" or "descending", as ARIA says it; "" where another column sorts.
    order: str


COLUMNS: Final = {
    "name": Column(gettext_lazy("Fragment"), lambda row: row.name, is_number=False),
    "lookups": Column(
        gettext_lazy("Lookups"),
        lambda row: row.account.lookups,
        hint=gettext_lazy("Instances that pages asked for, and their hits and misses in time"),
    ),
    "hits": Column(
        gettext_lazy("Hits"),
        lambda row: row.account.hit_ratio,
        hint=gettext_lazy("The share of lookups that was found fresh"),
    ),
    "renders": Column(
        gettext_lazy("Renders"),
        lambda row: row.account.renders,
        hint=gettext_lazy("By pages and by warm_fragments"),
    ),
    "render": Column(
        gettext_lazy("Render time"),
        lambda row: row.account.render_p95,
        hint=gettext_lazy("Half of the renders take at most so long, and 95 % of them"),
        detail=gettext_lazy("half · 95 %"),
    ),
    "age": Column(
        gettext_lazy("Served age"),
        lambda row: row.account.age_p99,
        hint=gettext_lazy("How old half of what readers were shown was at most, and 99 % of it"),
        detail=gettext_lazy("half · 99 %"),
    ),
    "errors": Column(
        gettext_lazy("Errors"),
        lambda row: row.account.errors,
        hint=gettext_lazy("Calls of templates and context functions that raised"),
    ),
    "saved": Column(
        gettext_lazy("Saved per hour"),
        lambda row: row.account.saved_per_hour,
        hint=gettext_lazy("Rendering that visitors were spared, less what the cache cost them"),
    ),
    "verdict": Column(
        gettext_lazy("Verdict"), lambda row: str(row.judgement.word), is_number=False
    ),
}


def rows(found: Figures, declared: Sequence[str]) -> list[Row]:
    """Return a row for each fragment that was counted or is declared."""
    counted = {name for name, _axes in found.sheets if name}
    by_step = found.by_step()
    return [
        Row(
            account=account,
            template=_template(account.fragment),
            judgement=wording.JUDGEMENTS[account.verdict]
            if account.fragment in counted
            else wording.UNCOUNTED,
            trend=_trend(by_step[account.fragment]) if account.lookups else None,
        )
        for account in found.accounts(declared)
    ]


def sorted_rows(rows: Sequence[Row], column: str, *, is_descending: bool) -> list[Row]:
    """Return rows in the order of a column, and by name where that says nothing."""
    value = COLUMNS[column].value
    by_name = sorted(rows, key=lambda row: row.name)
    known = [row for row in by_name if value(row) is not None]
    unknown = [row for row in by_name if value(row) is None]
    return [*sorted(known, key=value, reverse=is_descending), *unknown]


def headed(asked: Asked) -> list[Head]:
    """Return the heads of the columns; each sorts the other way when it is followed again."""
    heads = []
    for name, column in COLUMNS.items():
        is_sorted = name == asked.column
        is_descending = not asked.is_descending if is_sorted else column.is_number
        link = asked.link(sort=f"-{name}" if is_descending else name, page=None)
        order = ("descending" if asked.is_descending else "ascending") if is_sorted else ""
        heads.append(Head(name, column, link, order))
    return heads


def _template(name: str) -> str:
    fragment = registry.find(name)
    return (fragment.template_name or "") if fragment else ""


def _trend(sheets: Sequence[Sheet]) -> Trend:
    hits = [sheet.get(Event.HIT, 0) for sheet in sheets]
    misses = [sum(sheet.get(reason, 0) for reason in Miss) for sheet in sheets]
    most = max(map(sum, zip(hits, misses, strict=True)), default=0)
    series = [
        Series(kind="miss", label="", values=misses),
        Series(kind="hit", label="", values=hits),
    ]
    summary = _("%(hits)s hits, %(misses)s misses; at most %(most)s in one step") % {
        "hits": wording.number(sum(hits)),
        "misses": wording.number(sum(misses)),
        "most": wording.number(most),
    }
    return Trend(stacked(series, top=most or 1), summary)


def _pair(one: float | None, other: float | None) -> str:
    if one is None and other is None:
        return wording.NOTHING
    # Where there is no room, lines end between the two.
    return " · ".join(wording.duration(time).replace(" ", "\xa0") for time in (one, other))
