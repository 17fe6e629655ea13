"""Unsaved versions: what a caller's object carries as its version, and its row has not.

A field that was set, a save that failed or was rolled back: under such a version the row's state
must not be stored, as the next save may bring it about with another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from django.db.models import Model

from fragcache import versions
from fragcache.arguments import MISSING
from fragcache.counters import tell
from fragcache.declarations import Fragment
from fragcache.events import Event
from fragcache.keys import encode_version
from fragcache.versions import Version

#: A row with further arguments, the object that was given for it, and the version of that.
_Compared = tuple[tuple[Any, ...], Model, str]


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
    compared = {
        position: (row, arguments[0], version.encoded)
        for position, (arguments, row, version) in enumerate(known)
        if row and version and isinstance(arguments[0], Model)
    }
    found = {
        position
        for position, value in _of_rows(fragment, compared).items()
        if value is not MISSING and encode_version(value) != compared[position][2]
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


def _of_rows(fragment: Fragment, compared: Mapping[int, _Compared]) -> dict[int, Any]:
    """Return the versions that rows have, as far as they may be others."""
    paths = fragment.version_paths
    if paths is not None:
        return {at: versions.loaded(row[0], paths) for at, (row, _given, _one) in compared.items()}
    # Optimisation: of what is the same, so is the version.
    changed = {
        position: row
        for position, (row, given, _one) in compared.items()
        if not _fields(row[0]).items() >= _fields(given).items()
    }
    values = fragment.get_versions(list(changed.values())) if changed else []
    return dict(zip(changed, values, strict=True))


def _fields(row: Model) -> dict[str, Any]:
    names = (field.attname for field in row._meta.concrete_fields)
    return {name: row.__dict__[name] for name in names if name in row.__dict__}
