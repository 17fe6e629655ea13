"""Batches: the instances of a fragment with their versions, in flat memory."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from fragcache import items, page, versions
from fragcache.arguments import Instance
from fragcache.declarations import Fragment, is_rows
from fragcache.exceptions import ImproperlyDeclared
from fragcache.page import Page
from fragcache.versions import Version
from fragcache.warming.parts import Arguments, Part
from fragcache.warming.watermarks import changed

#: Instances and their versions: None without versions, an exception where finding it failed.
Batch = Sequence[tuple[Instance, Version | Exception | None]]


def batches(
    fragment: Fragment,
    size: int,
    only: Sequence[str] | None = None,
    since: dt.datetime | None = None,
    within: Part | None = None,
) -> Iterator[Batch]:
    """Yield the instances that are to be warm; the version is None for a fragment without.

    ``only`` restricts them to items of these primary keys (or texts), ``since`` to rows with a
    version that is not older, ``within`` to a part.

    Raises:
        ImproperlyDeclared: the fragment lists no items.
        InvalidArguments: ``only`` has what is no primary key, or items do not fit the fragment.
    """
    began = page.outside()  # objects in a list are not newer than this
    found = within.loaded() if isinstance(within, Arguments) else fragment.get_items()
    if found is None:
        yield from _chunks(_from_choices(fragment), fragment, size, began)
    elif not is_rows(found):
        yield from _chunks(_from_iterable(fragment, found, only), fragment, size, began)
    else:
        if only is not None:
            found = items.restricted(found, map(fragment.parameters.primary_key, only))
        if within is not None and not isinstance(within, Arguments):
            found = within.of(found)
        if since is not None and fragment.version_paths is not None:
            found = changed(found, fragment.version_paths, since)
        yield from _from_rows(fragment, found, size, began)


def size_of(fragment: Fragment) -> int | None:
    """Return how many instances there are, for a progress bar; None where that is not cheap."""
    number = number_of_items(fragment)
    return None if number is None else number * len(fragment.choice_combinations())


def number_of_items(fragment: Fragment) -> int | None:
    """Return how many items there are, 1 without any; None where that is not cheap."""
    found = fragment.get_items()
    if found is None:
        return 1
    if isinstance(found, QuerySet):
        return found.count()
    return len(found) if isinstance(found, Sequence) else None


def keyset(
    rows: QuerySet[Any], size: int, owner: str, paths: Sequence[str] | None
) -> Iterator[Sequence[tuple[Any, Version | None]]]:
    """Yield lists of (pk, version, where it is a path) of ``size`` rows each.

    A page per query by primary key, so that memory is flat with every driver, behind connection
    poolers too. Of a slice or union, which cannot be ordered anew, the keys are read first.
    """

    def read(part: QuerySet[Any]) -> Sequence[tuple[Any, Version | None]]:
        if paths is not None:
            return versions.read_rows(part, paths, owner)
        return [(pk, None) for pk in part.values_list("pk", flat=True)]

    if items.is_fixed(rows):
        pks = list(dict.fromkeys(rows.values_list("pk", flat=True)))
        for start in range(0, len(pks), size):
            yield read(items.restrictable(rows).filter(pk__in=pks[start : start + size]))
        return
    ordered = rows.order_by("pk")
    chunk = read(ordered[:size])
    while chunk:
        yield chunk
        chunk = read(ordered.filter(pk__gt=chunk[-1][0])[:size]) if len(chunk) == size else []


def _from_rows(fragment: Fragment, rows: QuerySet[Any], size: int, began: Page) -> Iterator[Batch]:
    combinations = fragment.choice_combinations()
    paths = fragment.version_paths
    for chunk in keyset(rows, size, fragment.name, paths):
        pks = [pk for pk, _version in chunk]
        chosen = [fragment.parameters.instances(pks, choices) for choices in combinations]
        pairs = [
            (instance, version)
            for (_pk, version), *instances in zip(chunk, *chosen, strict=True)
            for instance in instances
        ]
        if paths is not None:
            yield pairs
        else:
            yield from _chunks((instance for instance, _ in pairs), fragment, len(pairs), began)


def _from_iterable(
    fragment: Fragment, found: Iterable[Any], only: Sequence[str] | None
) -> Iterator[Instance]:
    combinations = fragment.choice_combinations()
    for item in found:
        arguments = item if isinstance(item, tuple) else (item,)
        if only is None or str(getattr(arguments[0], "pk", arguments[0])) in only:
            for choices in combinations:
                yield fragment.parameters.instance(arguments, choices)


def _from_choices(fragment: Fragment) -> Iterator[Instance]:
    if not fragment.is_warmable:
        raise ImproperlyDeclared(
            f"{fragment.name} cannot be warmed: it has no items, and parameters without choices "
            "or defaults."
        )
    for choices in fragment.choice_combinations():
        yield fragment.parameters.instance((), choices)


def _chunks(
    instances: Iterable[Instance], fragment: Fragment, size: int, began: Page
) -> Iterator[Batch]:
    iterator = iter(instances)
    while chunk := list(itertools.islice(iterator, size)):
        if not fragment.is_versioned:
            yield [(instance, None) for instance in chunk]
            continue
        known = _versions(fragment, chunk, began)
        yield [pair for pair in zip(chunk, known, strict=True) if pair[1] is not None]


def _versions(
    fragment: Fragment, instances: Sequence[Instance], began: Page
) -> Sequence[Version | Exception | None]:
    """Return the versions of instances; where that fails, of each of them alone."""
    try:
        return versions.of_instances(fragment, instances, began)
    except Exception as error:  # noqa: BLE001 - whatever the site raises is reported
        if len(instances) == 1:
            return [error]
    return [version for one in instances for version in _versions(fragment, [one], began)]
