"""Noting: what a render shows of other fragments is told to it, whoever rendered that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.utils.safestring import SafeString

from fragcache.bubbling import note_dependencies, note_end, note_includes, note_unstorable
from fragcache.counters import tell
from fragcache.declarations import Fragment
from fragcache.dependencies import ABSENT, Dependency, state_of, unpack
from fragcache.digests import Digested
from fragcache.events import Event
from fragcache.exceptions import NotPackable
from fragcache.keys import encode, head_key
from fragcache.local import Kept
from fragcache.packing import packed_key, packed_value
from fragcache.page import now
from fragcache.reading.batch import Batch
from fragcache.records import token_moments
from fragcache.slots import recorded_includes

_SECOND = 1_000_000


class Inner(NamedTuple):
    """What a read found of instances, by position."""

    #: The tokens that each is current under, None where they are not known.
    pairs: Sequence[bytes | None]
    #: The versions, or what heads name where only a source knows them; None for no row.
    versions: Sequence[str | None]
    #: None for what has to be rendered.
    copies: Sequence[Kept | None]


def note(batch: Batch, inner: Inner) -> None:
    """Tell the render that is running what it shows of a batch."""
    _note_copies(batch.fragment, inner.copies)
    if None in inner.pairs:
        note_unstorable()
        return
    try:
        note_dependencies([_dependency(batch, inner)])
    except NotPackable:
        name = batch.fragment.name
        message = (
            "What shows %s is not stored, since nobody could ask for its version again: one of its "
            "arguments has no form in JSON that is read back as the same."
        )
        tell(Event.NOT_STORED, name, "unpackable", message, name)
        note_unstorable()


def _note_copies(fragment: Fragment, copies: Sequence[Kept | None]) -> None:
    """Note until when what is shown is fresh, and what is shown inside of it."""
    longest = fragment.effective_max_age if fragment.is_local else None
    if longest is not None and None in copies:
        note_end(now() + int(longest * _SECOND))
    for copy in copies:
        if copy is not None:
            note_end(copy.fresh_until)
            if copy.conditions is not None:
                note_includes(recorded_includes(copy.conditions.includes))
                note_dependencies(unpack(copy.conditions.dependencies))


def _dependency(batch: Batch, inner: Inner) -> Dependency:
    fragment = batch.fragment
    positions = {encoded: n for n, encoded in enumerate(batch.arguments)}.values()
    pairs = [pair for n in positions if (pair := inner.pairs[n]) is not None]
    tokens = [pair.hex() for pair in (pairs if fragment.is_stamped else pairs[:1])]
    is_remote, is_declared = not fragment.is_local, not isinstance(fragment, Digested)
    is_versioned = fragment.is_versioned and not is_remote
    instances = [_asked_for(fragment, batch, n) for n in positions] if is_versioned else []
    heads = [head_key(batch.base(n), batch.digest, batch.cache.room) for n in positions]
    versions = [inner.versions[n] or ABSENT for n in positions if is_versioned or is_remote]
    return Dependency(
        alias=batch.cache.alias,
        fragment=fragment.name if is_declared else "",
        token=fragment.token_name.fragment,
        stamps=tuple(batch.arguments[n] for n in positions) if fragment.is_stamped else (),
        tokens=state_of(tokens),
        made_at=min(min(filter(None, token_moments(pair))) for pair in pairs),
        instances=tuple(instances),
        heads=tuple(heads) if is_remote else (),
        versions=state_of([batch.digest, *versions]) if is_declared else "",
    )


def _asked_for(fragment: Fragment, batch: Batch, position: int) -> int | str:
    """Return what the version of an instance is asked for: a row's key, or all arguments."""
    arguments = batch.instance(position).arguments
    if fragment.version_paths is not None:
        return packed_key(fragment.parameters.primary_key(arguments[0]))
    if fragment.item_model is None:
        return json.dumps([packed_value(_plain(value)) for value in arguments])
    key = packed_key(fragment.parameters.primary_key(arguments[0]))
    return json.dumps([key, *(packed_value(_plain(value)) for value in arguments[1:])])


def _plain(value: Any) -> Any:
    """Return a literal of a template as the text that has the same key."""
    return (
        str.__str__(value) if isinstance(value, SafeString) and encode(value)[0] == "s" else value
    )
