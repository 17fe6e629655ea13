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

#: A row with further arguments, and the version of the object that was given for it.
_Compared = tuple[tuple[Any, ...], str]


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
    names = _columns(fragment, fragment.item_model)
    compared = {
        position: (row, version.encoded)
        for position, (arguments, row, version) in enumerate(known)
        if row and version and isinstance(arguments[0], Model)
        # Optimisation: most are as their rows.
        if not (names and _are_same(names, row[0].__dict__, arguments[0].__dict__))
    }
    if not compared:
        return frozenset()
    found = {
        position
        for position, value in _of_rows(fragment, compared).items()
        if value is not MISSING and encode_version(value) != compared[position][1]
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


def _columns(fragment: Fragment, model: type[Model]) -> Sequence[str]:
    """Return what no version changes without; nothing where that is in other rows as well."""
    paths = fragment.version_paths
    if paths is None:
        return [field.attname for field in model._meta.concrete_fields]
    return () if any("__" in path for path in paths) else paths


def _are_same(names: Sequence[str], row: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    known = [name for name in names if name in given]
    try:
        return [row.get(name, MISSING) for name in known] == [given[name] for name in known]
    except Exception:  # noqa: BLE001 - of what cannot be compared, such as arrays, the version tells
        return False


def _of_rows(fragment: Fragment, compared: Mapping[int, _Compared]) -> dict[int, Any]:
    """Return the versions that rows have, as far as they are told."""
    rows = [row for row, _encoded in compared.values()]
    if fragment.version_paths is None:
        values = fragment.get_versions(rows)
    else:
        values = [versions.loaded(row[0], fragment.version_paths) for row in rows]
    return dict(zip(compared, values, strict=True))
