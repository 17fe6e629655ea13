"""Words and numbers as the admin shows them, in the language of who looks."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Final, NamedTuple

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.utils.translation import pgettext_lazy as pgettext

from fragcache.counters import OTHER
from fragcache.events import Miss
from fragcache.stats.history import SPANS
from fragcache.stats.ledger import Verdict

#: What stands in a cell without a value.
NOTHING: Final = "–"  # noqa: RUF001 - a dash, as in Django's own lists

Text = str | Promise

SPAN_WORDS: Final[dict[str, Text]] = {
    "1h": gettext_lazy("last hour"),
    "24h": gettext_lazy("last 24 hours"),
    "7d": gettext_lazy("last 7 days"),
}
assert list(SPAN_WORDS) == list(SPANS)

MISS_WORDS: Final[dict[Miss, Text]] = {
    Miss.COLD: pgettext("reason of a miss", "cold"),
    Miss.EVICTED: pgettext("reason of a miss", "evicted"),
    Miss.NEW_VERSION: pgettext("reason of a miss", "new version"),
    Miss.NEW_DIGEST: pgettext("reason of a miss", "new digest"),
    Miss.NEW_AXIS_VALUE: pgettext("reason of a miss", "new axis value"),
    Miss.INVALIDATED: pgettext("reason of a miss", "invalidated"),
    Miss.EXPIRED: pgettext("reason of a miss", "expired"),
    Miss.INNER: pgettext("reason of a miss", "inner"),
    Miss.REFUSED: pgettext("reason of a miss", "refused"),
    Miss.UNVERIFIABLE: pgettext("reason of a miss", "unverifiable"),
    Miss.UNKNOWN_KEY: pgettext("reason of a miss", "unknown key"),
    Miss.GUARD: pgettext("reason of a miss", "guard"),
    Miss.MISSING: pgettext("reason of a miss", "missing"),
}

#: What guards are for.
PURPOSE_WORDS: Final[dict[str, Text]] = {
    "reading": gettext_lazy("reading"),
    "writing": gettext_lazy("writing"),
}


class Judgement(NamedTuple):
    """A verdict in words."""

    #: "good", "bad" or "open": how it is shown.
    mood: str
    word: Text
    advice: Text


JUDGEMENTS: Final = {
    Verdict.EARNS: Judgement(
        "good",
        gettext_lazy("earns its place"),
        gettext_lazy("Visitors wait less with it than without."),
    ),
    Verdict.TOO_FINE: Judgement(
        "bad",
        gettext_lazy("too fine"),
        gettext_lazy(
            "Nearly each lookup asks for something else. Fewer arguments or axes would help, or a "
            "version that moves less often."
        ),
    ),
    Verdict.NEVER_READ: Judgement(
        "bad",
        gettext_lazy("never read"),
        gettext_lazy(
            "It is warmed, and nothing has asked for it. If the last 7 days say so as well, give "
            "up warming it."
        ),
    ),
    Verdict.NOT_WORTH_IT: Judgement(
        "bad",
        gettext_lazy("not worth it"),
        gettext_lazy(
            "Looking for it takes as long as rendering it. Drop it, or let a larger fragment "
            "around it be kept."
        ),
    ),
    Verdict.UNKNOWN: Judgement(
        "open",
        gettext_lazy("too few to tell"),
        gettext_lazy("Fewer than 30 lookups, or the time of a render is not known."),
    ),
}
#: Of fragments that are declared, and of which nothing was counted.
UNCOUNTED: Final = Judgement(
    "open",
    gettext_lazy("nothing counted"),
    gettext_lazy("No page has asked for it in this time, and no run has rendered it."),
)


def number(value: float | None, places: int = 0) -> str:
    """Return a number with its thousands set apart."""
    if value is None:
        return NOTHING
    return number_format(round(value, places), places, use_l10n=True, force_grouping=True)


def share(ratio: float | None) -> str:
    """Return a ratio in per cent: "97.9 %"."""
    return NOTHING if ratio is None else _("%(number)s %%") % {"number": number(ratio * 100, 1)}


def duration(seconds: float | None) -> str:
    """Return seconds in the unit that people would use, with two or three digits: "1.2 ms"."""
    if seconds is None:
        return NOTHING
    sign, seconds = ("-" if round(seconds * 1e6) < 0 else ""), abs(seconds)
    for size, text in (
        (2 * 86_400, _("%(number)s d")),
        (2 * 3_600, _("%(number)s h")),
        (120, _("%(number)s min")),
    ):
        if seconds >= size:
            return sign + text % {"number": number(seconds / (size / 2))}
    for unit, text in ((1.0, _("%(number)s s")), (1e-3, _("%(number)s ms"))):
        if seconds >= unit:
            return sign + text % {"number": _digits(seconds / unit)}
    return sign + _("%(number)s µs") % {"number": number(seconds * 1e6)}


def size(count: float | None) -> str:
    """Return bytes in the unit that people would use."""
    return NOTHING if count is None else filesizeformat(count)


def moment(seconds: int, *, with_day: bool = False) -> str:
    """Return when that is, in seconds since 1970 UTC, in the time zone of who looks."""
    time = date_format(_local(seconds), "TIME_FORMAT")
    return f"{day(seconds)}, {time}" if with_day else time


def day(seconds: int) -> str:
    """Return the day of that, without its year."""
    return date_format(_local(seconds), "MONTH_DAY_FORMAT")


def weekday(seconds: int) -> str:
    """Return the day of that as briefly as can be: "Sat 14"."""
    return date_format(_local(seconds), "D j")


def axis_values(encoded: str) -> str:
    """Return axis values, as keys have them, in the form "language=en, time_zone=UTC"."""
    if encoded == OTHER:
        return _("all others")
    if encoded in {"", "-"}:
        return _("none")
    return re.sub(r"=s\d+:", "=", encoded).replace(";", ", ")


def _local(seconds: int) -> dt.datetime:
    return timezone.localtime(dt.datetime.fromtimestamp(seconds, dt.UTC))


def _digits(value: float) -> str:
    """Return a number from 1 to 1,000 with three digits, or fewer where the last are zeros."""
    places = max(0, 2 - math.floor(math.log10(value)))
    while places and round(value, places) == round(value, places - 1):
        places -= 1
    return number(value, places)
