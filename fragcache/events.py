"""The words by which is counted what happens, why something is missed, and what it costs."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Event(StrEnum):
    """What can happen to an instance; one word per kind of outcome."""

    HIT = "hit"
    MISSING = "missing"
    STALE = "stale"
    STALE_SERVED = "stale_served"
    RENDERED = "rendered"
    STORED = "stored"
    REFUSED = "refused"
    NOT_STORED = "not_stored"
    UNBELIEVED = "unbelieved"
    UNKNOWN_KEY = "unknown_key"
    UNDEFINED_ARGUMENT = "undefined_argument"
    ABSENT = "absent"
    CACHE_ERROR = "cache_error"
    GUARD_OPEN = "guard_open"
    OVER_BUDGET = "over_budget"
    RENEWAL_FAILED = "renewal_failed"
    TURNED_AWAY = "turned_away"
    LEAK = "leak"
    #: Counts themselves could not be written.
    UNRECORDED = "unrecorded"
    ASKED = "asked"
    SOURCE_ERROR = "source_error"


class Miss(StrEnum):
    """Why an instance was not found; each that a page asks for is a hit, or one of these."""

    #: Nothing of it is known to have been there.
    COLD = "miss_cold"
    #: What was there is gone before its time.
    EVICTED = "miss_evicted"
    NEW_VERSION = "miss_new_version"
    NEW_DIGEST = "miss_new_digest"
    NEW_AXIS_VALUE = "miss_new_axis_value"
    INVALIDATED = "miss_invalidated"
    EXPIRED = "miss_expired"
    #: What it shows of other fragments has changed.
    INNER = "miss_inner"
    #: It was rendered before, and not stored.
    REFUSED = "miss_refused"
    UNVERIFIABLE = "miss_unverifiable"
    UNKNOWN_KEY = "miss_unknown_key"
    #: The cache was not asked, or has not answered.
    GUARD = "miss_guard"
    #: Not there, and why cannot be told.
    MISSING = "miss_missing"


class Measure(StrEnum):
    """Further fields of a sheet."""

    #: Of the hits, those that the process held already.
    HIT_LOCAL = "hit_local"
    LOOKUP_NS = "lookup_ns"
    #: Renders by runs of ``warm_fragments``; they are among those of ``Event.RENDERED``.
    WARMED = "warmed"
    #: Of all renders but the first of each process, whose time is told apart: it compiles and
    #: loads what later ones find.
    RENDER_US = "render_us"
    FIRST = "first"
    FIRST_US = "first_us"
    STORE_US = "store_us"
    BYTES = "bytes"
    #: Instances that were waited for while another thread or process rendered them.
    WAITS = "waits"
    WAIT_US = "wait_us"
    #: Calls of the site's code that raised.
    ERRORS = "errors"
    #: Lookups for nobody's page, as by what warming renders; they are no hits or misses.
    UNVISITED = "unvisited"
    #: Instances that were rendered without looking for them.
    BYPASSED = "bypassed"


#: Before the number of a bucket, in the fields of histograms: microseconds of renders, and of the
#: time that was between the making of what is shown and its showing.
RENDER_BUCKET: Final = "r:"
AGE_BUCKET: Final = "a:"
