"""Snapshots of other releases, and such as nobody has made: nothing else than unreadable."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fragcache.contexts import open_snapshot, take_snapshot, wire
from fragcache.exceptions import Unreadable
from tests.discography.models import Genre, Singer


@dataclass
class Price:
    amount: Decimal


def a_context() -> dict[str, Any]:
    singer = Singer(pk=1, first_name="Nina", last_name="Simone")
    singer.mentor = singer
    return {"singer": singer, "genre": Genre(pk=2, name="Jazz"), "prices": [Price(Decimal(1))]}


def packed(**changes: Any) -> bytes:
    """A snapshot with other parts than it was taken with."""
    document = wire.unpack(take_snapshot(a_context()))
    return wire.pack(msgspec.structs.replace(document, **changes))


def test_any_byte_may_be_another_one() -> None:
    data = take_snapshot(a_context())
    chance = random.Random(8)
    outcomes = set()
    for position in range(len(data)):
        for byte in chance.sample(range(256), 8):
            outcomes.add(_outcome(data[:position] + bytes([byte]) + data[position + 1 :]))
    for end in range(len(data)):
        outcomes.add(_outcome(data[:end]))

    assert outcomes == {"opened", "unreadable"}


def _outcome(data: bytes) -> str:
    try:
        found = open_snapshot(data)
    except Unreadable:
        return "unreadable"
    assert type(found) is dict
    return "opened"


@pytest.mark.parametrize("size", [0, 1, 7, 100, 5000])
def test_random_bytes_are_unreadable(size: int) -> None:
    chance = random.Random(size)

    for _time in range(50):
        with pytest.raises(Unreadable, match="it is no snapshot"):
            open_snapshot(chance.randbytes(size))


@pytest.mark.parametrize("depth", [200, 100_000])
def test_depth_is_bounded(depth: int) -> None:
    value: bytes = msgspec.msgpack.encode(None)
    root = b"\x92\x02\x91" * depth + value  # Items([Items([...])])
    body = b"\x83" + b"".join(
        msgspec.msgpack.encode(name) + content
        for name, content in [
            ("kinds", b"\x90"),
            ("rows", b"\x90"),
            ("root", b"\x81\xa1a" + root),
        ]
    )
    envelope = msgspec.msgpack.encode({"format": 1, "body": msgspec.Raw(body)})

    if depth == 200:
        assert open_snapshot(envelope)["a"]
    else:
        with pytest.raises(Unreadable):
            open_snapshot(envelope)


def test_size_is_bounded() -> None:
    with pytest.raises(Unreadable, match=r"it has 4,194,305 bytes, more than 4,194,304"):
        open_snapshot(b"x" * (wire.MAX_BYTES + 1))


@pytest.mark.parametrize(
    "root",
    [
        {"a": wire.Ref(99)},
        {"a": wire.Ref(-1)},
        {"a": wire.Pairs([(wire.Items([]), 1)])},
        {"a": wire.Set([wire.Items([])], False)},
        {"a": wire.Number("one")},
        {"a": wire.Moment("now")},
        {"a": wire.Moment("2026-11-21T00:00:00+00:00", "../../etc/passwd")},
        {"a": wire.Uid(b"x")},
        {"a": wire.Large("9" * 5000)},
        {"a": wire.Span(10**12, 0, 0)},
        {"a": wire.Absent("nobody expects it here")},
    ],
    ids=repr,
)
def test_values_that_are_none_are_unreadable(root: dict[str, Any]) -> None:
    if isinstance(root["a"], wire.Moment) and root["a"].zone:
        assert open_snapshot(packed(root=root))["a"].year == 2026
        return
    with pytest.raises(Unreadable, match="its values are none"):
        open_snapshot(packed(root=root))


@pytest.mark.parametrize("name", ["__class__", "_kind", "__dict__", "a b", "", "1"])
@pytest.mark.parametrize("place", ["names", "pk", "keys", "attributes"])
def test_names_that_are_none_of_attributes_are_unreadable(name: str, place: str) -> None:
    parts = {
        "names": {"names": [name]},
        "pk": {"pk": [name]},
        "keys": {"keys": {name: "x"}},
        "attributes": {"keys": {"x": name}},
    }[place]
    kind = wire.Kind(**{"label": "a.b", "name": "B", "names": ["x"], **parts})  # type: ignore[arg-type]

    with pytest.raises(Unreadable, match="its values are none"):
        open_snapshot(packed(kinds=[kind], rows=[wire.Row(0, "", [1])], root={}))


@pytest.mark.parametrize(
    "row",
    [
        wire.Row(1, "", [1]),
        wire.Row(-1, "", [1]),
        wire.Row(0, 5, [1]),
        wire.Row(0, -1, ["x"]),
        wire.Row(0, 0, [1]),
        wire.Row(0, "", []),
        wire.Row(0, "", [1, 2]),
    ],
    ids=repr,
)
def test_rows_that_do_not_fit_their_kind_are_unreadable(row: wire.Row) -> None:
    kind = wire.Kind(label="a.b", name="B", names=["x"])

    with pytest.raises(Unreadable):
        open_snapshot(packed(kinds=[kind], rows=[row], root={}))


class TestOtherReleases:
    def test_of_a_later_format_are_unreadable_and_say_so(self) -> None:
        later = msgspec.msgpack.encode({"format": 2, "body": msgspec.Raw(b"\xa2no")})

        with pytest.raises(Unreadable, match="it is of format 2, and this release reads up to 1"):
            open_snapshot(later)

    def test_of_this_format_may_say_more(self) -> None:
        document = msgspec.msgpack.decode(wire.encode(wire.unpack(take_snapshot(a_context()))))
        document["more"] = 1
        for kind in document["kinds"]:
            kind["more"] = {"x": []}
        for row in document["rows"]:
            row.append("more")
        body = msgspec.Raw(msgspec.msgpack.encode(document))
        data = msgspec.msgpack.encode({"more": [], "format": 1, "body": body})

        found = open_snapshot(data)

        assert found["singer"].mentor.first_name == "Nina"
        assert found["prices"][0].amount == Decimal(1)

    def test_of_an_earlier_release_lack_what_it_did_not_know(self) -> None:
        document = msgspec.msgpack.decode(wire.encode(wire.unpack(take_snapshot(a_context()))))
        for kind in document["kinds"]:
            for name in ("unloaded", "keys", "methods"):
                kind.pop(name, None)
        body = msgspec.Raw(msgspec.msgpack.encode(document))

        found = open_snapshot(msgspec.msgpack.encode({"format": 1, "body": body}))

        assert str(found["genre"]) == "<i>Jazz</i>"
        with pytest.raises(AttributeError, match="Singer has no attribute 'pupils'"):
            _ = found["singer"].pupils

    def test_a_stored_one_of_format_1_is_read_for_ever(self) -> None:
        """Golden bytes: whoever changes what is written moves FORMAT, and reads these still."""
        found = open_snapshot(base64.b64decode(GOLDEN))

        assert found["again"].mentor is found["again"]
        assert (found["genre"].pk, str(found["genre"])) == (2, "<i>Jazz</i>")
        assert found["prices"][0].amount == Decimal(1)


GOLDEN = """
gqZmb3JtYXQBpGJvZHmDpWtpbmRzk4WlbGFiZWyxZGlzY29ncmFwaHkuZ2VucmWkbmFtZaVHZW5yZaVuYW1lc5KiaWSkbmFt
ZaJwa5GiaWSodW5sb2FkZWSBsHByZWZldGNoX3JlbGF0ZWSRp3JlY29yZHODpWxhYmVs2SN0ZXN0cy50ZXN0X3NuYXBzaG90
c190aGF0X2xpZS5QcmljZaRuYW1lpVByaWNlpW5hbWVzkaZhbW91bnSFpWxhYmVssmRpc2NvZ3JhcGh5LnNpbmdlcqRuYW1l
plNpbmdlcqVuYW1lc5aiaWSqZmlyc3RfbmFtZalsYXN0X25hbWWnYm9ybl9vbqltZW50b3JfaWSmbWVudG9yonBrkaJpZKh1
bmxvYWRlZIKwcHJlZmV0Y2hfcmVsYXRlZJKmcHVwaWxzp3JlY29yZHOmZXhwb3NllKlmdWxsX25hbWWoaW5pdGlhbHOoZ3Jl
ZXRpbmewZ2V0X2Fic29sdXRlX3VybKRyb3dzk5MAkgGrPGk+SmF6ejwvaT6SAqRKYXp6kwHAkZIGoTGTAqtOaW5hIFNpbW9u
ZZYBpE5pbmGmU2ltb25lwAGSEQKkcm9vdIOlZ2VucmWSEQCmcHJpY2VzkgKRkhEBpWFnYWlukhEC
"""
