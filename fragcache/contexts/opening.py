"""Opening: from what stands on the wire to the values of a context.

What is opened was sealed by who has a secret key, and still nothing of it is called, imported or
named after anything here.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from fragcache.contexts import values, wire
from fragcache.contexts.records import Record, RecordKind, Records
from fragcache.exceptions import Unreadable

_PLAIN: Final = frozenset({type(None), bool, int, float, str})
_new = object.__new__


def opened(data: bytes) -> dict[str, Any]:
    """Return the context that a snapshot holds.

    Raises:
        Unreadable: it is none, or one of a later format.
    """
    document = wire.unpack(data)
    try:
        return _Opener(document).root
    except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
        raise Unreadable(f"its values are none ({type(error).__name__})") from error


class _Opener:
    def __init__(self, document: wire.Document) -> None:
        self.root: dict[str, Any] = {}
        self._records = [_new(Record) for _row in document.rows]
        kinds = [self._kind(kind) for kind in document.kinds]
        for record, row in zip(self._records, document.rows, strict=True):
            if row.kind < 0:
                raise IndexError(row.kind)
            self._fill(record, row, document.kinds[row.kind], kinds[row.kind])
        for name, value in document.root.items():
            self.root[name] = self.open(value)

    def open(self, value: wire.Value) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        return _OPENERS[kind](self, value)

    def all(self, taken: Sequence[wire.Value]) -> list[Any]:
        return list(map(self.open, taken))

    def record(self, number: int) -> Record:
        if number < 0:
            raise IndexError(number)
        return self._records[number]

    def _kind(self, kind: wire.Kind) -> RecordKind:
        names = [*kind.names, *kind.pk, *kind.keys, *kind.keys.values()]
        if not all(map(_is_public, names)):
            raise ValueError(f"{names} are no names of attributes")
        return RecordKind(
            kind.label,
            kind.name,
            is_row=bool(kind.pk),
            unloaded={name: remedy for remedy, own in kind.unloaded.items() for name in own},
            keys=kind.keys,
            root=self.root,
        )

    def _fill(self, record: Record, row: wire.Row, kind: wire.Kind, shared: RecordKind) -> None:
        attributes = record.__dict__
        absent: dict[str, str] = {}
        for name, value in zip(kind.names, row.values, strict=True):
            if type(value) is wire.Absent:
                absent[name] = value.reason
            else:
                attributes[name] = self.open(value)
        methods = {name: attributes.pop(name) for name in kind.methods if name in attributes}
        keys = [attributes.get(name) for name in kind.pk]
        record._kind = shared
        record._absent = absent
        record._methods = methods
        record._pk = keys[0] if len(keys) == 1 else tuple(keys)
        record._text = self._text(row, kind)

    def _text(self, row: wire.Row, kind: wire.Kind) -> str | None:
        text = row.text
        if isinstance(text, wire.Safe):
            return values.html(text.text)
        if isinstance(text, int):
            found = row.values[text]
            if text < 0 or type(found) is not str:
                raise TypeError(f"value {text} is no text")
            return found
        return repr_of(kind.name) if text is None and not kind.pk else text


def repr_of(name: str) -> str:
    """Return the text of a dataclass that has none of its own."""
    return f"{name} object"


def _is_public(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_")


def _moment(_opener: _Opener, value: wire.Moment) -> dt.datetime:
    moment = dt.datetime.fromisoformat(value.text)
    if not value.zone:
        return moment
    try:
        return moment.astimezone(ZoneInfo(value.zone))
    except (LookupError, ValueError, OSError):  # this machine does not know it
        return moment


def _pairs(opener: _Opener, value: wire.Pairs) -> dict[Any, Any]:
    return {opener.open(key): opener.open(one) for key, one in value.pairs}


def _map(opener: _Opener, value: wire.Map) -> dict[str, Any]:
    return {key: opener.open(one) for key, one in value.values.items()}


def _set(opener: _Opener, value: wire.Set) -> set[Any] | frozenset[Any]:
    found = opener.all(value.values)
    return frozenset(found) if value.is_frozen else set(found)


def _member(opener: _Opener, value: wire.Member) -> values.Member:
    return values.member(
        value.enum,
        value.name,
        opener.open(value.value),
        value.text,
        opener.open(value.label),
        is_mixed=value.is_mixed,
    )


_OPENERS: Final[dict[type, Callable[[_Opener, Any], Any]]] = {
    wire.Safe: lambda _opener, value: values.html(value.text),
    wire.Items: lambda opener, value: opener.all(value.values),
    wire.Tuple: lambda opener, value: tuple(opener.all(value.values)),
    wire.Map: _map,
    wire.Pairs: _pairs,
    wire.Set: _set,
    wire.Number: lambda _opener, value: Decimal(value.text),
    wire.Moment: _moment,
    wire.Day: lambda _opener, value: dt.date.fromisoformat(value.text),
    wire.Clock: lambda _opener, value: dt.time.fromisoformat(value.text),
    wire.Span: lambda _opener, value: dt.timedelta(value.days, value.seconds, value.microseconds),
    wire.Uid: lambda _opener, value: uuid.UUID(bytes=value.raw),
    wire.Large: lambda _opener, value: int(value.text),
    wire.Member: _member,
    wire.File: lambda _opener, value: values.File(value.name, value.url),
    wire.Listed: lambda opener, value: Records(opener.all(value.values)),
    wire.Named: lambda opener, value: values.NamedValues.of(value.names, opener.all(value.values)),
    wire.Ref: lambda opener, value: opener.record(value.row),
    wire.Binary: lambda _opener, value: value.raw,
}
