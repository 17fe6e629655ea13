"""Watermarks: since when rows have to be read again, so that a run need not read all of them.

A watermark trusts that what changed carries a later time. Clocks step back and transactions commit
late; hence what changed shortly before it is looked at again, and everything now and then.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateTimeField, Model, Q, QuerySet
from django.utils import timezone

from fragcache import items, manifest, tokens
from fragcache.declarations import Fragment, is_rows
from fragcache.digests import digest_of, shown_by
from fragcache.keys import encode, encode_axes
from fragcache.page import now
from fragcache.store import Store

#: Seconds before a watermark that are read again: the longest transaction, and clocks that differ.
OVERLAP: Final = 600
#: Seconds after which everything is read again at the latest.
WHOLE_EVERY: Final = 86_400
#: Parts of its max_age after which everything of a fragment is read again.
_AGES: Final = 10
_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """How far a fragment was warmed; moments are microseconds since 1970 UTC."""

    #: When the last completed run began to read rows.
    read_at: int
    #: When the last one began that read all of them.
    whole_at: int
    #: What was warmed: under other code, tokens, choices or axis values everything is due.
    scope: str

    @property
    def since(self) -> dt.datetime:
        """From when on the times of rows are new, as columns of this project hold it."""
        moment = dt.datetime.fromtimestamp(self.read_at / _SECOND - OVERLAP, dt.UTC)
        return moment if settings.USE_TZ else _without_zone(moment)


def usable(fragment: Fragment, cache: Store, scope: str) -> Watermark | None:
    """Return the watermark that a run may rely on; None if it has to read everything.

    It is kept in the cache: what loses the entries loses it as well.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    if not tells_changes(fragment):
        return None
    document = manifest.walked(cache, fragment.name)
    if document is None:
        return None
    try:
        mark = Watermark(**document)
    except TypeError:  # of a release that notes something else
        return None
    is_due = now() - mark.whole_at > _whole_every(fragment) * _SECOND
    return None if is_due or mark.scope != scope else mark


def tells_changes(fragment: Fragment) -> bool:
    """Whether its rows carry the times of all changes: a version of columns that are times."""
    paths = fragment.version_paths
    if paths is None or fragment.item_model is None:  # whose items are not listed for this
        return False
    rows = fragment.get_items()
    if not is_rows(rows) or items.is_fixed(rows):
        return False
    if fragment.is_stamped or shown_by(fragment):  # which change without its rows
        return False
    return all(_is_time(rows.model, path) for path in paths)


def changed(rows: QuerySet[Any], paths: Sequence[str], since: dt.datetime) -> QuerySet[Any]:
    """Return the rows of which some version column is not older than ``since``."""
    return rows.filter(Q(*((f"{path}__gte", since) for path in paths), _connector=Q.OR))


def scope_of(
    fragment: Fragment,
    cache: Store,
    axis_values: Sequence[Mapping[str, Any]],
    *,
    may_write: bool,
) -> str:
    """Return what a run under these combinations of axis values makes, as a hash.

    ``may_write``: whether a token that is absent is made.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    name = fragment.token_name
    token = tokens.read(cache, [name], may_write=may_write).pair(name)
    parts = [
        digest_of(fragment),
        "" if token is None else token.hex(),
        *map(encode_axes, axis_values),
        *(
            f"{name}={encode(value)}"
            for chosen in fragment.choice_combinations()
            for name, value in chosen.items()
        ),
    ]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _without_zone(moment: dt.datetime) -> dt.datetime:
    """Return a moment as columns without a zone have it, or before, where clocks were set back.

    At the end of summer time what changes later has earlier times for an hour.
    """
    zone = timezone.get_default_timezone()
    present = dt.datetime.fromtimestamp(now() / _SECOND, dt.UTC)
    naive = timezone.make_naive(moment, zone)
    set_back = (naive - timezone.make_naive(present, zone)) + (present - moment)
    return naive - max(set_back, dt.timedelta())


def _whole_every(fragment: Fragment) -> float:
    """Return the seconds after which entries that nobody touched would be gone, or too old."""
    life, max_age = fragment.life, fragment.effective_max_age
    bounds: list[float] = [WHOLE_EVERY]
    if life is not None:
        bounds.append(life / 2)
    if max_age is not None:
        bounds.append(max_age / _AGES)
    return min(bounds)


def _is_time(model: type[Model], path: str) -> bool:
    *relations, name = path.split("__")
    try:
        for relation in relations:
            related = model._meta.get_field(relation).related_model
            if related is None or isinstance(related, str):
                return False
            model = related
        return isinstance(model._meta.get_field(name), DateTimeField)
    except FieldDoesNotExist:  # an annotation
        return False
