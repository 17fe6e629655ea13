"""Scalars: values that hold no others, as they stand on the wire."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models.fields.files import FieldFile
from django.utils.functional import Promise
from django.utils.safestring import SafeData, SafeString

from fragcache.contexts import wire

_BITS_64: Final = range(-(2**63), 2**64)


def _text(value: str) -> wire.Value:
    return wire.Safe(str.__str__(value)) if isinstance(value, SafeData) else str.__str__(value)


def _integer(value: int) -> wire.Value:
    return int(value) if value in _BITS_64 else wire.Large(str(int(value)))


def _moment(value: dt.datetime) -> wire.Value:
    zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else ""
    return wire.Moment(value.isoformat(), "" if zone == "UTC" else zone)


def _span(value: dt.timedelta) -> wire.Value:
    return wire.Span(value.days, value.seconds, value.microseconds)


def _file(value: FieldFile) -> wire.Value:
    try:
        url = value.url if value else None
    except (ValueError, NotImplementedError):  # its storage has none
        url = None
    return wire.File(value.name or "", url)


#: By exact type.
SCALARS: Final[dict[type, Callable[[Any], wire.Value]]] = {
    int: _integer,
    SafeString: _text,
    bytes: wire.Binary,
    Decimal: lambda value: wire.Number(str(value)),
    dt.datetime: _moment,
    dt.date: lambda value: wire.Day(value.isoformat()),
    dt.time: lambda value: wire.Clock(value.isoformat()),
    dt.timedelta: _span,
    uuid.UUID: lambda value: wire.Uid(value.bytes),
    FieldFile: _file,
}
#: For what derives from a type, the nearest base first.
DERIVED: Final[tuple[tuple[Any, Callable[[Any], wire.Value]], ...]] = (
    (Promise, lambda value: _text(str(value))),
    (memoryview | bytearray, lambda value: wire.Binary(bytes(value))),
    (str, _text),
    (float, float),
    *SCALARS.items(),
)
