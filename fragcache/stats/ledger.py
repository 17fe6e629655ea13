"""The ledger: what each fragment costs and earns, and what is to be thought of it.

    saved = hits x (a render - a lookup) - misses x (a lookup + a store)

A render, a lookup and a store are mean times, of one instance; of what is warmed, the renders are
nobody's waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from fragcache.counters import Sheet, add
from fragcache.events import AGE_BUCKET, RENDER_BUCKET, Event, Measure, Miss
from fragcache.histograms import quantile
from fragcache.stats import history
from fragcache.stats.keeping import Sheets

#: So many lookups say something.
ENOUGH: Final = 30
#: And so many that a fragment is not even looked for any more.
ENOUGH_TO_BYPASS: Final = 1_000
#: A share of hits below which what is kept is kept for nearly nobody.
FEW_HITS: Final = 0.1
_MILLION: Final = 1_000_000


class Verdict(StrEnum):
    """What is to be thought of keeping a fragment."""

    EARNS = "earns its place"
    #: Nearly each lookup asks for something else: its arguments, axes or versions are too many.
    TOO_FINE = "too fine"
    NEVER_READ = "never read"
    #: Looking for it takes as long as rendering it.
    NOT_WORTH_IT = "not worth it"
    UNKNOWN = "too few to tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One fragment, or one under one set of axis values; times are in seconds of one instance."""

    fragment: str
    #: As keys have them; "" for all together.
    axes: str = ""
    #: In which all of this was counted.
    seconds: float
    hits: int
    hits_local: int
    misses: Mapping[Miss, int]
    stale_served: int
    renders: int
    #: Of the renders, those of ``warm_fragments``.
    warmed: int
    stored: int
    waits: int
    errors: int
    bypassed: int
    render: float | None
    render_p50: float | None
    render_p95: float | None
    lookup: float | None
    store: float | None
    wait: float | None
    #: Bytes of what was stored, on average.
    size: float | None
    #: How old what was shown from the cache was.
    age_p50: float | None
    age_p99: float | None
    #: Seconds of rendering that visitors were spared in an hour; None where nothing is known.
    saved_per_hour: float | None
    verdict: Verdict = field(default=Verdict.UNKNOWN)

    @property
    def lookups(self) -> int:
        return self.hits + sum(self.misses.values())

    @property
    def hit_ratio(self) -> float | None:
        return self.hits / self.lookups if self.lookups else None


def accounts(seconds: int, *, now: int | None = None, by_axes: bool = False) -> list[Account]:
    """Return the accounts of all fragments over the last ``seconds``, by what they save.

    Where nothing of a fragment was rendered in that time, a render costs what it did in a week.

    Raises:
        CountsUnavailable: nobody knows.
    """
    longer = max(seconds, history.SPANS["7d"])
    sheets, before = history.counted_and_longer(seconds, longer=longer, now=now)
    return accounts_of(sheets, seconds, before=before, by_axes=by_axes)


def accounts_of(
    sheets: Sheets, seconds: float, *, before: Sheets | None = None, by_axes: bool = False
) -> list[Account]:
    """Return the accounts of sheets that were counted in ``seconds``; see ``accounts``."""
    costs = _by_fragment(sheets if before is None else before)
    if by_axes:
        split = {label: sheet for label, sheet in sheets.items() if label[0] and label[1]}
    else:
        split = {(name, ""): sheet for name, sheet in _by_fragment(sheets).items() if name}
    found = [
        _account(name, axes, sheet, seconds, costs.get(name, {}))
        for (name, axes), sheet in split.items()
    ]
    return sorted(found, key=lambda account: -(account.saved_per_hour or 0))


def unworthy() -> frozenset[str]:
    """Return the fragments that are not worth looking for, by the last day.

    What is bypassed is not counted: after a day without lookups it is tried again.

    Raises:
        CountsUnavailable: nobody knows.
    """
    return frozenset(
        account.fragment
        for account in accounts(history.SPANS["24h"])
        if account.verdict is Verdict.NOT_WORTH_IT and account.lookups >= ENOUGH_TO_BYPASS
    )


def _by_fragment(sheets: Sheets) -> dict[str, dict[str, int]]:
    sums: Sheets = {}
    for (name, _axes), sheet in sheets.items():
        add(sums, {(name, ""): sheet})
    return {name: sheet for (name, _axes), sheet in sums.items()}


def _account(name: str, axes: str, sheet: Sheet, seconds: float, before: Sheet) -> Account:
    hits = sheet.get(Event.HIT, 0)
    misses = {reason: times for reason in Miss if (times := sheet.get(reason, 0))}
    lookups = hits + sum(misses.values())
    # What was rendered in other times costs as much.
    rendered = sheet if sheet.get(Event.RENDERED) else before
    render = _mean_render(rendered)
    lookup = sheet.get(Measure.LOOKUP_NS, 0) / 1e9 / lookups if lookups else None
    stored = sheet if sheet.get(Event.STORED) else before
    store = _mean(stored, Measure.STORE_US, _MILLION, Event.STORED)
    saved = _saved(hits, lookups - hits, render, lookup, store)
    renders, ages = (_histogram(sheet, prefix) for prefix in (RENDER_BUCKET, AGE_BUCKET))
    return Account(
        fragment=name,
        axes=axes,
        seconds=seconds,
        hits=hits,
        hits_local=sheet.get(Measure.HIT_LOCAL, 0),
        misses=misses,
        stale_served=sheet.get(Event.STALE_SERVED, 0),
        renders=sheet.get(Event.RENDERED, 0),
        warmed=sheet.get(Measure.WARMED, 0),
        stored=sheet.get(Event.STORED, 0),
        waits=sheet.get(Measure.WAITS, 0),
        errors=sheet.get(Measure.ERRORS, 0),
        bypassed=sheet.get(Measure.BYPASSED, 0),
        render=render,
        render_p50=_quantile(renders, 0.5),
        render_p95=_quantile(renders, 0.95),
        lookup=lookup,
        store=store,
        wait=_mean(sheet, Measure.WAIT_US, _MILLION, Measure.WAITS),
        size=_mean(stored, Measure.BYTES, 1, Event.STORED),
        age_p50=_quantile(ages, 0.5),
        age_p99=_quantile(ages, 0.99),
        saved_per_hour=None if saved is None else saved / seconds * 3_600,
        verdict=_verdict(hits, lookups, sheet, saved),
    )


def _saved(
    hits: int, misses: int, render: float | None, lookup: float | None, store: float | None
) -> float | None:
    if render is None or lookup is None:
        return None
    return hits * (render - lookup) - misses * (lookup + (store or 0.0))


def _verdict(hits: int, lookups: int, sheet: Sheet, saved: float | None) -> Verdict:
    # What renders of others have asked for is of use to these.
    if not lookups and sheet.get(Measure.WARMED) and not sheet.get(Measure.UNVISITED):
        return Verdict.NEVER_READ
    if lookups < ENOUGH:
        return Verdict.UNKNOWN
    if hits / lookups < FEW_HITS:
        return Verdict.TOO_FINE
    if saved is None:
        return Verdict.UNKNOWN
    return Verdict.EARNS if saved > 0 else Verdict.NOT_WORTH_IT


def _mean_render(sheet: Sheet) -> float | None:
    """Return the mean time of renders; that of the first ones of processes where all are such."""
    later = sheet.get(Event.RENDERED, 0) - sheet.get(Measure.FIRST, 0)
    if later > 0:
        return sheet.get(Measure.RENDER_US, 0) / _MILLION / later
    return _mean(sheet, Measure.FIRST_US, _MILLION, Measure.FIRST)


def _mean(sheet: Sheet, total: str, unit: int, number: str) -> float | None:
    times = sheet.get(number, 0)
    return sheet.get(total, 0) / unit / times if times else None


def _histogram(sheet: Sheet, prefix: str) -> dict[int, int]:
    found: Iterable[tuple[str, int]] = sheet.items()
    return {int(name[len(prefix) :]): n for name, n in found if name.startswith(prefix)}


def _quantile(histogram: Mapping[int, int], share: float) -> float | None:
    found = quantile(histogram, share)
    return None if found is None else found / _MILLION
