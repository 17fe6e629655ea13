"""Explaining: every part of an instance's keys, and why its entry is or is not current."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fragcache import axes, page, tokens, versions
from fragcache.arguments import Instance
from fragcache.contexts.forms import context_form
from fragcache.declarations import Fragment
from fragcache.dependencies import unpack
from fragcache.digests import digest_of
from fragcache.entry import Entry, Field
from fragcache.events import Measure
from fragcache.keys import base_key, encode_axes, entry_key, head_key, suffix
from fragcache.manifest import RemoteFragment
from fragcache.reading.standing import standings
from fragcache.records import Head
from fragcache.slots import includes_are_current, recorded_includes, token_names
from fragcache.store import Store

Row = tuple[str, str]


class Explanation(NamedTuple):
    """Rows of a label and a text each, and the entry that they tell of, if there is one."""

    rows: list[Row]
    entry: Entry | None


def explain(fragment: Fragment, cache: Store, *args: Any, **kwargs: Any) -> Explanation:
    """Explain one instance under the axis values in force.

    Raises:
        InvalidArguments, NoIdentity: the arguments name no instance.
        CacheUnavailable: the cache does not answer.
    """
    if fragment.publish == "context":
        fragment = context_form(fragment)
    instance = fragment.parameters.instance(args, kwargs)
    values = axes.current_values(fragment.axes, None)
    base = base_key(fragment.name, instance.encoded, encode_axes(values))
    digest = fragment.digest if isinstance(fragment, RemoteFragment) else digest_of(fragment)
    names = token_names(fragment, instance.encoded)
    current = tokens.read(cache, names, may_write=False)
    rows = [*_declared_rows(fragment, instance, values), ("digest", digest)]
    rows += [
        (label, f"{token.moment} ({_when(token.moment)})")
        for label, name in zip(("token", "stamp"), names, strict=False)
        if (token := current.current.get(name))
    ]
    wanted = None
    if fragment.is_local and fragment.is_versioned:
        version = versions.of_instances(fragment, [instance], page.outside())[0]
        rows.append(("version", version.encoded if version else "none: no such item"))
        wanted = suffix(version.encoded, digest) if version else None
    head_rows, key = _head(cache, base, digest, wanted)
    rows += head_rows
    if key is None:
        return Explanation(rows, None)
    entry = cache.read_many([key]).get(key)
    rows += [("entry key", cache.physical_key(key)), *_entry_rows(entry, current.pair(*names))]
    return Explanation(rows, entry)


def _declared_rows(
    fragment: Fragment, instance: Instance, values: Mapping[str, Any]
) -> Iterator[Row]:
    given = ", ".join(map(repr, instance.arguments)) or "none"
    yield "fragment", fragment.name
    yield "template", fragment.template_name or _why_none(fragment)
    yield "arguments", f"{given} -> {instance.encoded}"
    yield "axes", ", ".join(f"{name}={value}" for name, value in values.items()) or "none"


def _why_none(fragment: Fragment) -> str:
    if fragment.publish == "context":
        return "none: published as context"
    return "none here: rendered by the source"


def _head(cache: Store, base: str, digest: str, wanted: str | None) -> tuple[list[Row], str | None]:
    """Return what the head says, and the key of the entry of the version, or else of the head."""
    key = head_key(base, digest, cache.room)
    rows = [("head key", cache.physical_key(key))]
    entry = cache.read_many([key]).get(key)
    if entry is None:
        rows.append(("head", "missing: never warmed, evicted, or another digest"))
    else:
        head = Head.unpack(entry.payload)
        rows += _head_rows(head, entry)
        wanted = wanted or head.suffix
    return rows, None if wanted is None else entry_key(base, wanted, cache.room)


def _head_rows(head: Head, entry: Entry) -> Iterator[Row]:
    yield "head", "tombstone: deleted" if head.is_tombstone else head.suffix
    if head.predecessor:
        yield "predecessor", head.predecessor
    yield "as of", _when(entry.as_of)


def _entry_rows(entry: Entry | None, pair: bytes | None) -> Iterator[Row]:
    if entry is None:
        yield "entry", "missing: not rendered yet, evicted or expired"
        return
    yield "entry", f"{len(entry.payload):,} bytes, {_verdict(entry, pair)}"
    yield "built", f"{_when(entry.built_at)}, {_age(entry.built_at)} ago"
    yield "fresh until", _when(entry.fresh_until) if entry.fresh_until else "replaced"
    if (cost := entry.field(Field.COST)) is not None:
        yield "render took", f"{int.from_bytes(cost) / 1000:.1f} ms"
    if (writer := entry.field(Field.WRITER)) is not None:
        yield "written by", writer.decode()
    if (reason := entry.field(Field.REASON)) is not None:
        yield "last miss", _in_words(reason.decode())
    if includes := recorded_includes(entry.field(Field.INCLUDES)):
        yield "includes", ", ".join(includes)
    if shown := unpack(entry.field(Field.DEPENDENCIES)):
        yield "shows", ", ".join(sorted({one.fragment or one.token for one in shown}))


def _verdict(entry: Entry, pair: bytes | None) -> str:
    if entry.tokens != pair:
        return "stale: invalidated"
    if not includes_are_current(entry.field(Field.INCLUDES)):
        return "stale: a template that it includes by a variable has changed"
    shown = entry.field(Field.DEPENDENCIES)
    if shown and not standings([shown], page.outside(), may_write=False)[shown].is_current:
        return "stale: a fragment that it shows has changed"
    if entry.fresh_until and entry.fresh_until < page.now():
        return "stale: older than its max_age"
    return "fresh"


def _in_words(reason: str) -> str:
    """Return why an entry was made, by what it carries."""
    if reason == Measure.WARMED:
        return "none since warm_fragments has rendered it"
    return reason.removeprefix("miss_").replace("_", " ")


def _when(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _age(microseconds: int) -> str:
    seconds = max(0, page.now() - microseconds) / 1_000_000
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
