"""Unsaved versions: what a caller's object carries as its version, and its row has not.

A field that was set, a save that failed or was rolled back: under such a version the row's state
must not be stored, as the next save may bring it about with another one.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from django.db.models import Model

from fragcache import versions
from fragcache.arguments import MISSING
from fragcache.counters import tell
from fragcache.declarations import Fragment
from fragcache.events import Event
from fragcache.keys import encode_version
from fragcache.versions import Version


def unsaved_among(
    fragment: Fragment,
    given: Sequence[tuple[Any, ...]],
    loaded: Sequence[tuple[Any, ...] | None],
    carried: Sequence[Version | None],
) -> Set[int]:
    """Return the positions, among those with a row, of objects that carry another version."""
    if not carried or fragment.item_model is None or not fragment.is_versioned:
        return frozenset()
    known = [one for one in zip(given, loaded, carried, strict=True) if one[1] is not None]
    found = {
        position
        for position, (arguments, row, version) in enumerate(known)
        if row and version and isinstance(arguments[0], Model)
        if not _has(fragment, row, arguments[0], version.encoded)
    }
    if found:
        tell(
            Event.NOT_STORED,
            fragment.name,
            "unsaved",
            "%s is not stored: an object that was passed carries a version that its row has not. "
            "It was changed and not saved, or is older than the row.",
            fragment.name,
        )
    return found


def _has(fragment: Fragment, row: tuple[Any, ...], known: Model, encoded: str) -> bool:
    if fragment.version_paths is not None:
        value = versions.loaded(row[0], fragment.version_paths)
        return value is MISSING or encode_version(value) == encoded
    if _fields(row[0]).items() >= _fields(known).items():
        return True
    (value,) = fragment.get_versions([row])
    return value is not MISSING and encode_version(value) == encoded


def _fields(row: Model) -> dict[str, Any]:
    names = (field.attname for field in row._meta.concrete_fields)
    return {name: row.__dict__[name] for name in names if name in row.__dict__}
