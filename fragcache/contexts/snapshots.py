"""Snapshots: a context as bytes that a site without its models can read, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fragcache.exceptions import ExtraMissing, SnapshotTooLarge

if TYPE_CHECKING:
    from fragcache.contexts import wire


def take_snapshot(context: Mapping[str, Any], expose: Sequence[str] = ()) -> bytes:
    """Return a context as bytes.

    ``expose`` names properties and methods without arguments of models, whose values are taken as
    well: ``full_name`` of every model that has it, ``Artist.full_name`` of one.

    Raises:
        Unpublishable: a value is of a type that cannot be published, with its path; or a text has
            half of a surrogate pair.
        SnapshotTooLarge: with the largest part.
        ExtraMissing: the library is not installed.
    """
    require()
    from fragcache.contexts import wire
    from fragcache.contexts.refusals import unpublishable_text
    from fragcache.contexts.silence import silence
    from fragcache.contexts.taking import Taker

    try:
        with silence() as silent:
            taker = Taker(expose, silent)
            root = taker.mapping({str(name): value for name, value in context.items()})
        assert isinstance(root, wire.Map)
        document = wire.Document(taker.kinds, taker.rows, root.values)
        data = wire.pack(document)
    except UnicodeEncodeError as error:
        raise unpublishable_text(error.object) from error
    if len(data) > wire.MAX_BYTES:
        raise SnapshotTooLarge(
            f"The context has {len(data):,} bytes, and {wire.MAX_BYTES:,} may be published. Its "
            f"largest part is {_largest(document)}: publish less of it, with only() or values()."
        )
    return data


def open_snapshot(data: bytes) -> dict[str, Any]:
    """Return the context that a snapshot holds, with records in place of rows.

    Raises:
        Unreadable: it is no snapshot, or one of a later format.
        ExtraMissing: the library is not installed.
    """
    require()
    from fragcache.contexts.opening import opened

    return opened(data)


def largest_part(data: bytes) -> str:
    """Return which value of a context takes most of its snapshot: "'albums' (812,345 bytes)"."""
    from fragcache.contexts import wire

    return _largest(wire.unpack(data))


def described(data: bytes) -> str:
    """Return what a snapshot holds as JSON for people, to be compared with another one.

    Raises:
        Unreadable: it is no snapshot, or one of a later format.
        ExtraMissing: the library is not installed.
    """
    require()
    import msgspec

    from fragcache.contexts import wire

    plain = msgspec.to_builtins(wire.unpack(data), builtin_types=(bytes,))
    return json.dumps(plain, indent=1, ensure_ascii=False, default=repr)


def require() -> None:
    """See that the library is installed.

    Raises:
        ExtraMissing: it is not.
    """
    try:
        import msgspec  # noqa: F401
    except ImportError as error:
        raise ExtraMissing(
            "Contexts are published with msgspec, which is not installed: "
            "pip install 'fragcache[contexts]'."
        ) from error


def _largest(document: wire.Document) -> str:
    from fragcache.contexts.sizes import sizes

    found = sizes(document)
    if not found:
        return "nothing"
    name = max(found, key=found.__getitem__)
    return f"{name!r} ({found[name]:,} bytes)"
