"""Tombstones: heads that say of a row that it is gone, for those who would go on showing it.

A site that declares a fragment looks for the row and shows nothing. A target knows heads alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db import router
from django.db.models import Model

from fragcache import axes, items, manifest
from fragcache.arguments import Instance
from fragcache.declarations import Fragment
from fragcache.digests import digest_of
from fragcache.entry import Entry, Kind
from fragcache.keys import CONTEXTS, base_key, encode_axes, head_key
from fragcache.page import now
from fragcache.records import Head
from fragcache.slots import head_life
from fragcache.store import Store


def gone(fragment: Fragment, instances: Sequence[Instance]) -> list[Instance]:
    """Return the instances whose row was deleted or is not among the items any more, by one query.

    It asks the database that is written to: a replica may have the row still.
    """
    queryset = items.rows(fragment)
    if queryset is None:
        return []
    keys = [
        fragment.parameters.canonical(instance.arguments)[0] if instance.arguments else None
        for instance in instances
    ]
    wanted = {key for key in keys if key is not None}
    if not wanted:
        return []
    firsts = (instance.arguments[0] for instance in instances if instance.arguments)
    row = next((first for first in firsts if isinstance(first, Model)), None)
    alias = router.db_for_write(queryset.model, **({} if row is None else {"instance": row}))
    rows = items.restricted(queryset.using(alias), wanted)
    left = wanted - set(rows.values_list("pk", flat=True))
    return [one for one, key in zip(instances, keys, strict=True) if key in left]


def with_choices(fragment: Fragment, instances: Sequence[Instance]) -> list[Instance]:
    """Return the instances under each combination of the fragment's choices."""
    names = fragment.parameters.names
    found = {}
    for instance in instances:
        for choices in fragment.choice_combinations():
            bound = dict(zip(names, instance.arguments, strict=True)) | choices
            one = fragment.parameters.instance(tuple(bound.values()))
            found[one.encoded] = one
    return list(found.values())


def write(cache: Store, fragment: Fragment, instances: Sequence[Instance]) -> None:
    """Let the heads of instances, under all axis values that are warmed, say that rows are gone.

    They stay for as long as a head lives, so that a run or page that has read the row before puts
    none back; a row of the same key that is made later does.

    Raises:
        CacheUnavailable: the cache does not answer.
    """
    keys = list(_head_keys(cache, fragment, instances))
    moment = now()
    tombstone = Head(suffix="", is_tombstone=True).pack()
    entry = Entry(Kind.HEAD, tombstone, as_of=moment, built_at=moment)
    seen = cache.fetch_many(keys)  # whose clock may be ahead of this machine's
    cache.advance_many(dict.fromkeys(keys, entry), head_life(fragment), seen)


def _head_keys(cache: Store, fragment: Fragment, instances: Sequence[Instance]) -> Iterator[str]:
    published = manifest.find(cache, fragment.name)
    digests = {digest_of(fragment)} | ({published.digest} if published else set())
    if fragment.publish != "html":
        digests.add(CONTEXTS)
    for values in axes.combinations(fragment.axes):
        encoded_axes = encode_axes(values)
        for instance in instances:
            base = base_key(fragment.name, instance.encoded, encoded_axes)
            for digest in digests:
                yield head_key(base, digest, cache.room)
