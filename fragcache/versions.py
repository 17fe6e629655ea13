"""Versions: which state of the data an instance shows, and when that was about to be read."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Model, QuerySet, TextField
from django.db.models.functions import Now

from fragcache import databases, items, transactions
from fragcache.arguments import MISSING, Instance
from fragcache.declarations import Fragment
from fragcache.exceptions import ImproperlyDeclared
from fragcache.keys import encode_version, microseconds
from fragcache.page import Page, now
from fragcache.row_reading import carried

_new = tuple.__new__


class Version(NamedTuple):
    """The version of one instance, encoded, and its ``as_of`` in microseconds since 1970."""

    encoded: str
    as_of: int
    #: The aliases of the databases that it was read from, as far as any were.
    databases: frozenset[str] = frozenset()


def of_instances(
    fragment: Fragment, instances: Sequence[Instance], page: Page
) -> list[Version | None]:
    """Return the versions of instances of a versioned fragment, None where there is no row.

    What a view loaded carries its version with it; primary keys cost one query in all.
    """
    paths = fragment.version_paths
    if paths is None:
        return _computed(fragment, instances, page)
    versions: list[Version | None] = []
    unknown: list[int] = []
    for position, (arguments, _encoded) in enumerate(instances):
        value = loaded(arguments[0] if arguments else None, paths)
        if value is MISSING:
            unknown.append(position)
            versions.append(None)
        else:
            read_from = databases_of(arguments[0], paths)
            versions.append(Version(encode_version(value), page.began_at, read_from))
    if unknown:
        keys = [_primary_key(fragment, instances[position]) for position in unknown]
        queried = of_keys(fragment, keys, paths, page)
        for position, key in zip(unknown, keys, strict=True):
            versions[position] = queried.get(key)
    return versions


def of_keys(
    fragment: Fragment, keys: Sequence[Any], paths: Sequence[str], page: Page
) -> dict[Any, Version]:
    """Return the versions of rows by primary key, without those that are not among the items.

    Raises:
        ImproperlyDeclared: the fragment has no model, or a path leads to many rows.
    """
    queryset = items.rows(fragment)
    if queryset is None:
        raise ImproperlyDeclared(
            f"{fragment.name}: its version is the path {', '.join(paths)}, but it has no model. "
            "Give it items or model, or a function as version."
        )
    found = dict(read_rows(items.restricted(queryset, keys), paths, fragment.name))
    if transactions.is_open():  # whose snapshot is older than the statement
        found = {
            key: version._replace(as_of=min(version.as_of, page.began_at))
            for key, version in found.items()
        }
    return found


def databases_of(value: object, paths: Sequence[str] = ()) -> frozenset[str]:
    """Return where an object in memory was read from, and the relations on the way of ``paths``."""
    if not isinstance(value, Model):
        return frozenset()
    found = databases.only(value._state.db)
    for path in paths:
        row: Any = value
        for relation in path.split("__")[:-1]:
            row = row and row._state.fields_cache[relation]
            found |= databases_of(row)
    return found


def read_rows(
    queryset: QuerySet[Any], paths: Sequence[str], owner: str
) -> list[tuple[Any, Version]]:
    """Return (primary key, version) of each row; ``as_of`` is the database's clock.

    Raises:
        ImproperlyDeclared: a path leads over a relation to many rows.
    """
    queryset = queryset.using(queryset.db)  # a router may draw lots, each time it is asked
    # A text where the database has no times (SQLite), which is not parsed for each row.
    rows = list(queryset.values_list("pk", *paths, Now(output_field=TextField())))
    if not rows:
        return []
    _check_unique([row[0] for row in rows], paths, owner)
    # SQLite's clock runs on while rows are read: only its first answer is surely not too late.
    as_of = _clock(rows[0][-1], queryset.db)
    read_from = databases.only(queryset.db)
    if len(paths) == 1:
        return [(pk, _version(value, as_of, read_from)) for pk, value, _moment in rows]
    return [(pk, _version(tuple(values), as_of, read_from)) for pk, *values, _moment in rows]


def _check_unique(pks: Sequence[Any], paths: Sequence[str], owner: str) -> None:
    if len(set(pks)) == len(pks):
        return
    [(pk, _times)] = Counter(pks).most_common(1)
    raise ImproperlyDeclared(
        f"{owner}: its version {', '.join(paths)} has several values for {pk!r}: neither "
        "a path nor a filter of items may lead over a relation to many rows. Use a "
        "function as version, or distinct()."
    )


def _version(value: Any, as_of: int, read_from: frozenset[str]) -> Version:
    # Optimisation: most versions are times.
    usual = type(value) is dt.datetime
    encoded = str(microseconds(value)) if usual else encode_version(value)
    return _new(Version, (encoded, as_of, read_from))


def _clock(answer: dt.datetime | str, alias: str) -> int:
    moment = dt.datetime.fromisoformat(answer) if isinstance(answer, str) else answer
    # With USE_TZ=False PostgreSQL answers in the connection's time zone, SQLite in UTC.
    zone = connections[alias].timezone_name if connections[alias].vendor != "sqlite" else "UTC"
    if moment.tzinfo:
        return microseconds(moment)
    # Of the hour that comes twice when clocks are set back, the one that it is.
    local = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    both = [microseconds(local.replace(fold=fold).astimezone(dt.UTC)) for fold in (0, 1)]
    return min(both, key=lambda one: abs(one - now()))


def _computed(
    fragment: Fragment, instances: Sequence[Instance], page: Page
) -> list[Version | None]:
    has_primary_keys = fragment.item_model is not None and any(
        not isinstance(arguments[0], Model) for arguments, _ in instances if arguments
    )
    as_of = now() if has_primary_keys else page.began_at
    given = [instance.arguments for instance in instances]
    with databases.recorded() as asked:
        loaded = items.load(fragment, given) if has_primary_keys else given
        present = [arguments for arguments in loaded if arguments is not None]
        found = iter(fragment.get_versions(present))
        versions = [None if arguments is None else _encoded(next(found)) for arguments in loaded]
    read_from = frozenset(asked)
    return [
        None
        if version is None or arguments is None
        else Version(version, as_of, read_from.union(*map(databases_of, arguments)))
        for version, arguments in zip(versions, loaded, strict=True)
    ]


def _encoded(version: Any) -> str | None:
    return None if version is MISSING else encode_version(version)


def _primary_key(fragment: Fragment, instance: Instance) -> Any:
    if not instance.arguments or fragment.item_model is None:
        return None
    return fragment.parameters.canonical(instance.arguments)[0]


def loaded(row: Any, paths: Sequence[str]) -> Any:
    """Return the version that an object in memory carries, or MISSING."""
    if not isinstance(row, Model):
        return MISSING
    try:
        values = [carried(row.__dict__, path) for path in paths]
    except KeyError:
        return MISSING
    if any(hasattr(value, "resolve_expression") for value in values):  # F("n") + 1 until refreshed
        return MISSING
    return values[0] if len(values) == 1 else tuple(values)
