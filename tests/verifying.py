"""What the tests of verifying share: wrong entries that are sealed as right ones are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import translation

from fragcache import Fragment, axes, page, versions
from fragcache.digests import digest_of
from fragcache.keys import base_key, encode_axes, entry_key, head_key, suffix
from fragcache.records import Head
from fragcache.store import store
from fragcache.verifying import Report, Verification, VerifyPlan


def verified(*fragments: Fragment, **options: Any) -> Report:
    """Verify all instances of fragments, unless told otherwise."""
    options = {"sample": None, "seed": 1, **options}
    return Verification(VerifyPlan(fragments=fragments, **options)).execute()


def found(report: Report) -> dict[str, int]:
    """Return the counts that are not zero."""
    document = report.as_document(seed=1, sample=None, strict=False)["totals"]
    return {name: number for name, number in document.items() if number and name != "seconds"}


def plant(
    fragment: Fragment,
    wanted: Iterable[Any],
    html: str | bytes = "<i>wrong</i>",
    fields: bytes | None = None,
) -> None:
    """Put other HTML, or other fields, into the entries of instances, and seal them."""
    cache = store(fragment.using)
    for item in wanted:
        key = entry_key_of(fragment, item)
        [entry] = cache.read_many([key]).values()
        if fields is not None:
            planted = entry._replace(tagged=fields)
        else:
            payload = html.encode() if isinstance(html, str) else html
            planted = entry._replace(payload=payload)
        assert planted != entry
        assert not cache.write_many({key: planted}, fragment.life)


def entry_key_of(fragment: Fragment, item: Any) -> str:
    """Return the key of an instance's entry: that of its version, or else what its head names."""
    args = item if isinstance(item, tuple) else (item,)
    instance = fragment.parameters.instance(args)
    values = axes.current_values(fragment.axes, None)
    base = base_key(fragment.name, instance.encoded, encode_axes(values))
    cache, digest = store(fragment.using), digest_of(fragment)
    if fragment.is_versioned:
        [version] = versions.of_instances(fragment, [instance], page.outside())
        assert version is not None
        return entry_key(base, suffix(version.encoded, digest), cache.room)
    key = head_key(base, digest, cache.room)
    return entry_key(base, Head.unpack(cache.read_many([key])[key].payload).suffix, cache.room)


def bury(fragment: Fragment, item: Any) -> None:
    """Put a tombstone in the place of the head of an instance without a version."""
    key = entry_key_of(fragment, item)
    base, _colon, own = key.rpartition(":")
    cache = store(fragment.using)
    head = head_key(base, digest_of(fragment), cache.room)
    [entry] = cache.read_many([head]).values()
    tombstone = entry._replace(payload=Head(own, is_tombstone=True).pack())
    assert not cache.write_many({head: tombstone}, fragment.life)


def plant_in(language: str, fragment: Fragment, wanted: Iterable[Any]) -> None:
    """Plant wrong entries of one language."""
    with translation.override(language):
        plant(fragment, wanted)
