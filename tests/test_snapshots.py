"""Snapshots: what a context is on a target, type by type and in templates written for models."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import models
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy

from fragcache.contexts import open_snapshot, take_snapshot
from fragcache.exceptions import SnapshotTooLarge, Unpublishable


class Color(Enum):
    RED = 1


class Weekday(IntEnum):
    MONDAY = 1


class Format(models.TextChoices):
    LP = "lp", gettext_lazy("Long player")


Point = namedtuple("Point", "x y")


@dataclass
class Price:
    amount: Decimal
    tags: list[str] = field(default_factory=list)


def there_and_back(value: Any) -> Any:
    return open_snapshot(take_snapshot({"value": value}))["value"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        2**63,
        2**64,
        -(2**80),
        1.5,
        float("inf"),
        "",
        "für <b>",
        "a" * 100_000,
        b"\x00\xff",
        Decimal("1.10"),
        Decimal("1E+3"),
        Decimal("-0"),
        dt.date(2026, 11, 21),
        dt.time(13, 5, 7, 11),
        dt.timedelta(days=-1, seconds=5, microseconds=3),
        dt.datetime(2026, 11, 21, 17, 8, 40, 123456),  # noqa: DTZ001
        dt.datetime(2026, 11, 21, 17, 8, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 21, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
        uuid.UUID("12345678123456781234567812345678"),
        [],
        [1, "1", [None]],
        (1, (2,)),
        {},
        {"a": {"b": [1]}},
        {1: "one", (2, "x"): "two", None: 0, "": 1, dt.date(2026, 1, 1): 2},
        {1, "1", (2,)},
        frozenset({Decimal("1.1")}),
    ],
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    found = there_and_back(value)

    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value) or isinstance(value, set | frozenset)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        ({"b": 1}.keys(), ["b"]),
        (range(3), [0, 1, 2]),
        (bytearray(b"x"), b"x"),
        (gettext_lazy("Yes"), "Yes"),
        (SimpleLazyObject(lambda: {"a": 1}), {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_of_its_own_gets_a_plain_one(value: Any, expected: Any) -> None:
    found = there_and_back(value)

    assert found == expected
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)


def test_safe_text_stays_safe_and_other_text_does_not() -> None:
    found = there_and_back([mark_safe("<b>"), "<b>", {"html": mark_safe("")}])

    assert [type(one) for one in found[:2]] == [SafeString, str]
    assert type(found[2]["html"]) is SafeString


def test_a_time_zone_comes_back_by_name() -> None:
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    found = there_and_back(moment)

    assert found == moment
    assert found.tzinfo == ZoneInfo("Europe/Berlin")
    assert found + dt.timedelta(days=180) == moment + dt.timedelta(days=180)


def test_a_named_tuple_has_names_and_positions() -> None:
    found = there_and_back(Point(1, Decimal(2)))

    assert found == (1, Decimal(2))
    assert (found.x, found[1]) == (1, Decimal(2))
    with pytest.raises(AttributeError, match="A named tuple of x, y has no 'z'"):
        _ = found.z


@pytest.mark.parametrize("member", [Color.RED, Weekday.MONDAY, Format.LP], ids=repr)
def test_a_member_of_an_enum_has_name_value_and_text(member: Any) -> None:
    found = there_and_back(member)

    assert (found.name, found.value, str(found)) == (member.name, member.value, str(member))
    assert found == member
    assert hash(found) == hash(member)
    if member is not Color.RED:
        assert found == member.value
    else:
        assert found != member.value


def test_a_member_of_choices_has_a_label() -> None:
    assert there_and_back(Format.LP).label == "Long player"


def test_a_dataclass_has_its_fields_as_attributes_and_items() -> None:
    found = there_and_back([Price(Decimal("1.10"), ["new"]), Price(Decimal("1.10"), ["new"])])

    assert found[0].amount == found[0]["amount"] == Decimal("1.10")
    assert found[0].tags == ["new"]
    assert found[0] == found[1]
    assert repr(found[0]) == "Price(amount=Decimal('1.10'), tags=['new'])"


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            Odd(),
            "value[0].a is <odd> (tests.test_snapshots.Odd), which cannot be published: put in",
        ),
        (iter([1]), "make a list of it, since it can be walked only once."),
        ((n for n in "ab"), "make a list of it, since it can be walked only once."),
        (len, "call it in the context function, and put in what it returns."),
        (Odd, "(builtins.type), which cannot be published: call it in the context function"),
    ],
    ids=["object", "iterator", "generator", "function", "class"],
)
def test_what_cannot_be_published_is_named_with_its_path(value: Any, message: str) -> None:
    with pytest.raises(Unpublishable) as raised:
        take_snapshot({"value": [{"a": value}]})

    assert message in str(raised.value)
    assert str(raised.value).startswith("value[0].a is ")


@pytest.mark.parametrize(
    "value", ["a\ud800", {"\ud800": 1}, Price(Decimal(1), ["\ud800"]), SafeString("\ud800")]
)
def test_a_text_without_a_form_in_utf_8_is_an_error(value: Any) -> None:
    with pytest.raises(Unpublishable, match=r"\\ud800' has half of a surrogate pair"):
        take_snapshot({"value": value})


def test_a_list_that_holds_itself_is_an_error() -> None:
    endless: list[Any] = []
    endless.append({"inner": endless})

    with pytest.raises(Unpublishable, match=r"^value\[0\]\.inner leads 100 values deep"):
        take_snapshot({"value": endless})


def test_lists_that_share_lists_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fragcache.contexts.taking.MAX_VALUES", 1000)
    shared: list[Any] = [1]
    for _level in range(20):
        shared = [shared, shared]

    with pytest.raises(SnapshotTooLarge, match="has more than 1,000 values"):
        take_snapshot({"value": shared})


def test_a_large_context_is_an_error_that_names_its_largest_part() -> None:
    with pytest.raises(SnapshotTooLarge) as raised:
        take_snapshot({"small": "x", "albums": ["y" * 1000] * 5000})

    assert str(raised.value).startswith("The context has 5,0")
    assert "bytes, and 4,194,304 may be published. Its largest part is 'albums' (5,0" in str(
        raised.value
    )


def test_one_context_is_one_snapshot() -> None:
    first, second = ({"set": set(order)} for order in (["a", "b", "c"], ["c", "b", "a"]))

    assert take_snapshot(first) == take_snapshot(second)
