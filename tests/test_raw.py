"""How raw backends store values: everything comes back as it went in, or is refused by name."""

from __future__ import annotations

import math
import pickle
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from django.utils.safestring import SafeString, mark_safe
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fragcache.backends.raw import MISSING, dumps, loads

quick = hypothesis_settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
#: Bytes that have to be told from the forms of other values.
look_alikes = st.builds(
    lambda prefix, rest: prefix + rest,
    st.sampled_from([b"", b"\x00", b"\x00b", b"\x00j", b"\x00s", b"-", b"1", b"12 ", b"fc\x01"]),
    st.binary(max_size=20) | st.from_regex(rb"[-0-9 ]*", fullmatch=True),
)


class Colour(IntEnum):
    RED = 1


class Size(Enum):
    SMALL = "small"


@quick
@given(plain)
def test_plain_values_come_back_equal_and_of_their_type(value: Any) -> None:
    restored = loads(dumps(value))
    assert restored == value
    assert type(restored) is type(value)


@quick
@given(st.binary() | look_alikes)
def test_bytes_come_back_as_bytes_whatever_they_look_like(value: bytes) -> None:
    restored = loads(dumps(value))
    assert restored == value
    assert type(restored) is bytes


@quick
@given(st.binary())
def test_sealed_values_are_stored_as_they_are(payload: bytes) -> None:
    assert dumps(b"fc\x01" + payload) == b"fc\x01" + payload
    assert loads(b"fc\x01" + payload) == b"fc\x01" + payload


@quick
@given(st.text())
def test_safe_strings_stay_safe_and_other_strings_do_not_become_it(text: str) -> None:
    restored = loads(dumps(mark_safe(text)))
    assert type(restored) is SafeString
    assert restored == text
    assert type(loads(dumps(text))) is str


@quick
@given(st.binary() | look_alikes)
def test_reading_what_others_have_stored_raises_nothing(data: bytes) -> None:
    loads(data)


@pytest.mark.parametrize("number", [0, 7, -7, 2**63, 2**64 - 1, -(2**63)])
def test_integers_are_digits_that_a_server_can_count_with(number: int) -> None:
    assert dumps(number) == b"%d" % number


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**300])
def test_integers_beyond_64_bits_come_back_too(number: int) -> None:
    assert loads(dumps(number)) == number


def test_what_memcached_pads_when_it_counts_down_is_a_number() -> None:
    assert loads(b"9  ") == 9


def test_infinity_and_nan_come_back() -> None:
    assert loads(dumps(-math.inf)) == -math.inf
    assert math.isnan(loads(dumps(math.nan)))


def test_lone_surrogates_come_back() -> None:
    for text in ("\ud800", mark_safe("\ud800")):
        assert loads(dumps(text)) == text


@pytest.mark.parametrize(
    "data",
    [
        b"\x00j",
        b"\x00j{",
        b"\x00j\xff",
        b"\x00j" + b"[" * 100_000,
        b"\x00s\xff",
        b"\x00j" + b"9" * 5000,
    ],
    ids=["empty", "cut", "no UTF-8", "deep", "unsafe", "long number"],
)
def test_a_form_that_cannot_be_read_is_missing(data: bytes) -> None:
    assert loads(data) is MISSING


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_comes_back_as_bytes(protocol: int) -> None:
    data = pickle.dumps({"a": object}, protocol)
    assert loads(data) == data


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ((1, 2), r"not tuple: \(1, 2\)"),
        ([("nested",)], r"not tuple: \('nested',\)"),
        ({"deep": {"er": {1, 2}}}, r"not set: \{1, 2\}"),
        ({1: "a"}, "not a dict with the key 1"),
        ({"a": b"bytes"}, "not bytes: b'bytes'"),
        (date(2026, 11, 1), "not date: datetime.date"),
        (Decimal("1.5"), "not Decimal"),
        (Colour.RED, "not Colour"),
        (Size.SMALL, "not Size"),
        ([mark_safe("<b>")], "not SafeString: '<b>'"),
        (bytearray(b"x"), "not bytearray"),
        (object, "not type"),
    ],
)
def test_what_only_pickle_can_store_is_refused_by_name_with_a_remedy(
    value: object, named: str
) -> None:
    with pytest.raises(TypeError, match=f"{named}.*Convert it, or keep it in another alias"):
        dumps(value)
