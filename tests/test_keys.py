"""Keys: typed, injective, short, ASCII, and equal everywhere."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import re
import subprocess
import sys
import uuid
from collections import Counter, namedtuple
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum, IntEnum
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.cache.backends.base import memcache_key_warnings
from django.db.models import TextChoices
from django.utils.safestring import SafeString, mark_safe
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fragcache import keys
from fragcache.exceptions import InvalidArguments, KeyTooLong, NoIdentity
from fragcache.keys import (
    MAX_BYTES,
    NOTHING,
    Encoded,
    Reference,
    base_key,
    encode,
    encode_arguments,
    encode_axes,
    encode_version,
    entry_key,
    fit,
    head_key,
    lock_key,
    manifest_key,
    suffix,
    token_key,
)
from fragcache.store import store

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
NAIVE_NOON = NOON.replace(tzinfo=None)
UGLY = ["\ud800", "\x00", "\r\n", "\x7f\x85", "a b", "č☃🎷", "x" * 1000, "☃" * 1000, "%00", "~#@!"]

#: Printable ASCII without a space.
SAFE = re.compile(r"[!-~]+")

Point = namedtuple("Point", "x y")


class Variant(TextChoices):
    ROW = "row"
    FULL = "full"


class Size(IntEnum):
    SMALL = 1


class Weekday(Enum):
    MONDAY = ("mon", 1)


class Text(str):
    __slots__ = ()


class Money:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def fragment_identity(self) -> int:
        return self.amount


class Weight(Money):
    pass


# The canonical form of one value


def test_values_of_different_meaning_never_meet() -> None:
    values = [
        *(None, True, False, 0, 1, -1, 10**30, 0.0, -0.0, 1.0, float("inf")),
        *(Decimal(1), Decimal("1.0"), Decimal("1e2"), Decimal(100)),
        *("", "1", "None", "True", "1.0", "n", "t", "i1:1", "-", "a:b", "%3A", ":", b"", b"1"),
        *(dt.date(2026, 11, 21), "2026-11-21", NAIVE_NOON, NOON, dt.time(12)),
        *(dt.time(12, tzinfo=dt.UTC), dt.timedelta(1), dt.timedelta(microseconds=1)),
        *(uuid.UUID(int=1), uuid.UUID(int=1).hex, str(uuid.UUID(int=1))),
        *([], (), set(), {}, [1], (1,), {1}, {1: 1}, [[1]], [(1,)], [1, 1], [None], [[]]),
        *([1, 2], [[1], 2], [1, [2]], {1: 2}, {2: 1}, {1: {2: 3}}, {(1, 2): 3}, {1, 2}),
        *(Reference("library.album", 1), Reference("library.track", 1)),
        *(Reference("library.album", "1"), ("library.album", 1), Money(1), Weight(1), Money(2)),
        *("<b>", mark_safe("<b>"), mark_safe("&amp;"), "&amp;", mark_safe("<i>")),
    ]

    repeated = [form for form, times in Counter(map(encode, values)).items() if times > 1]

    assert repeated == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("a:b", "c"), ("a", "b:c"), id="colons"),
        pytest.param(("ab", "c"), ("a", "bc"), id="no separator"),
        pytest.param(("", "a"), ("a", ""), id="empty text"),
        pytest.param(("as1:b",), ("a", "b"), id="a text that looks encoded"),
        pytest.param((None, None), (None,), id="one argument less"),
        pytest.param((), (NOTHING,), id="no arguments"),
        pytest.param(([1], 2), ([1, 2],), id="a list and what follows it"),
        pytest.param((1, 23), (12, 3), id="digits"),
        pytest.param((True,), (None,), id="tags without length"),
    ],
)
def test_argument_lists_that_concatenate_alike_never_meet(
    one: tuple[Any, ...], other: tuple[Any, ...]
) -> None:
    assert encode_arguments(one) != encode_arguments(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(mark_safe("row"), "row", id="SafeString without markup"),
        pytest.param(Text("row"), "row", id="subclass of str"),
        pytest.param(Variant.ROW, "row", id="TextChoices"),
        pytest.param(Size.SMALL, 1, id="IntEnum"),
        pytest.param(Weekday.MONDAY, ("mon", 1), id="Enum"),
        pytest.param(NOON, NOON.astimezone(ZoneInfo("Asia/Kathmandu")), id="instants"),
        pytest.param(
            dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Vienna"), fold=1),
            dt.datetime(2026, 10, 25, 1, 30, tzinfo=dt.UTC),
            id="the second 2:30 of a night",
        ),
        pytest.param({1, 2, 3}, frozenset([3, 2, 1]), id="sets"),
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, id="order of a dict"),
        pytest.param(Point(1, 2), (1, 2), id="named tuple"),
        pytest.param([Variant.ROW, mark_safe("x")], ["row", "x"], id="nested"),
        pytest.param(Encoded(encode(12)), 12, id="what a source encoded"),
    ],
)
def test_values_of_one_meaning_are_one(one: Any, other: Any) -> None:
    assert encode(one) == encode(other)


@pytest.mark.parametrize("markup", ["<b>", "&", "'", '"', "&lt;"])
def test_a_safe_string_that_autoescaping_would_change_is_another_value(markup: str) -> None:
    assert encode(mark_safe(markup)) != encode(markup)


def test_the_two_half_past_twos_of_a_night_are_not_one() -> None:
    first = dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Vienna"))

    assert encode(first) != encode(first.replace(fold=1))


@pytest.mark.parametrize("value", [object(), object, len, {1: object()}, [object()], 1j, range(3)])
def test_a_value_without_canonical_form_is_refused_by_name(value: Any) -> None:
    with pytest.raises(NoIdentity, match=r"cannot be an argument of a fragment: it has no canon"):
        encode(value)


def test_the_refusal_says_the_value_its_type_and_the_remedy() -> None:
    class Basket:
        def __repr__(self) -> str:
            return "<basket of 3>"

    with pytest.raises(InvalidArguments) as raised:
        encode(Basket())

    name = f"{__name__}.test_the_refusal_says_the_value_its_type_and_the_remedy.<locals>.Basket"
    assert str(raised.value) == (
        f"<basket of 3> ({name}) cannot be an argument of a fragment: it has no canonical form. "
        "Pass a number, text, date, UUID or model instance, or give its class a method "
        "fragment_identity() that returns one."
    )


# Injective: what can be decoded again has lost nothing


def decoded(text: str) -> list[Any]:
    """Return (tag, content) of each value: the inverse of ``encode_arguments``."""
    values: list[Any] = []
    while text:
        tag, text = text[0], text[1:]
        if tag in "ntf":
            values.append((tag, None))
            continue
        length, text = text.split(":", 1)
        content, text = text[: int(length)], text[int(length) :]
        assert len(content) == int(length)
        values.append((tag, decoded(content) if tag in "lpmxok" else content))
    return values


def identity(value: Any) -> Any:
    """Return what has to be told apart, found without any of the code under test."""
    for kind, tag in ((list, "l"), (tuple, "p"), (type(None), "n"), (bool, "t"), (int, "i")):
        if isinstance(value, kind):
            if kind in {list, tuple}:
                return (tag, [identity(item) for item in value])
            return ("f" if value is False else tag, None if tag in "nt" else str(value))
    if isinstance(value, dict):
        return ("m", sorted(map(repr, [(identity(k), identity(v)) for k, v in value.items()])))
    if isinstance(value, set | frozenset):
        return ("x", sorted(repr(identity(item)) for item in value))
    if isinstance(value, float):
        return ("d", repr(value))
    return ("s", "".join(percent_encoded(value)))


def percent_encoded(text: str) -> Iterator[str]:
    for byte in text.encode("utf-8", "surrogatepass"):
        character = chr(byte)
        plain = character.isascii() and (character.isalnum() or character in "_.,/+-")
        yield character if plain else f"%{byte:02X}"


def as_identity(values: list[Any]) -> list[Any]:
    """Return decoded values in the form of ``identity``."""
    return [comparable(value) for value in values]


def comparable(value: Any) -> Any:
    tag, content = value
    if tag in "lp":
        return (tag, as_identity(content))
    if tag == "x":
        return (tag, sorted(map(repr, as_identity(content))))
    if tag == "m":
        pairs = as_identity(content)
        return (tag, sorted(map(repr, zip(pairs[::2], pairs[1::2], strict=True))))
    return value


def assert_nothing_is_lost(arguments: list[Any]) -> None:
    encoded = encode_arguments(arguments)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert " " not in encoded
    found = [] if encoded == NOTHING else as_identity(decoded(encoded))
    assert found == [identity(value) for value in arguments]


#: Letters that mean something in a key, to be met often.
ALPHABET = "a1:-%~#@!=;.sinlp\u00e9\ud800\x00 "


def some_value(chance: random.Random, depth: int = 3) -> Any:
    makers: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.random() < 0.5,
        lambda: chance.choice([0, 1, -1, 12, 10**20]),
        lambda: chance.choice([0.0, 1.0, 1e300]),
        lambda: "".join(chance.choices(ALPHABET, k=chance.randrange(8))),
    ]
    if depth:
        size = chance.randrange(4)
        makers += [
            lambda: [some_value(chance, depth - 1) for _ in range(size)],
            lambda: tuple(some_value(chance, depth - 1) for _ in range(size)),
            lambda: {some_value(chance, 0) for _ in range(size)},
            lambda: {some_value(chance, 0): some_value(chance, depth - 1) for _ in range(size)},
        ]
    return chance.choice(makers)()


def test_twenty_thousand_random_argument_lists_lose_nothing() -> None:
    chance = random.Random(20261121)
    for _ in range(20_000):
        assert_nothing_is_lost([some_value(chance) for _ in range(chance.randrange(5))])


def test_no_two_of_a_hundred_thousand_random_argument_lists_share_a_key() -> None:
    """Whole keys, the longest of them hashed; and all of them are such as any cache takes."""
    chance = random.Random(20261121)
    # Lists of values are told apart by the identities of these, which take longer than keys.
    pool = [*UGLY * 5, *(some_value(chance) for _ in range(3_000))]
    known = {repr(identity(value)): number for number, value in enumerate(pool)}
    told_of = [known[repr(identity(value))] for value in pool]
    lists: dict[str, tuple[int, ...]] = {}
    made: dict[tuple[int, ...], str] = {}
    for _ in range(100_000):
        chosen = chance.choices(range(len(pool)), k=chance.randrange(1, 6))
        told = tuple(told_of[number] for number in chosen)
        arguments = encode_arguments([pool[number] for number in chosen])
        key = entry_key(base_key("library.card", arguments, NOTHING), "1.d")
        assert lists.setdefault(key, told) == told
        assert made.setdefault(told, key) == key
    assert len(lists) > 70_000
    assert sum("~" in key for key in lists) > 500
    assert all(len(key) <= MAX_BYTES and SAFE.fullmatch(key) for key in lists)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
texts = st.text(st.characters(codec=None, categories=None))  # surrogates as well
values = st.recursive(
    scalars | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(scalars | texts, inner, max_size=3)
    ),
    max_leaves=6,
)


@hypothesis_settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(st.lists(values, max_size=4))
def test_whatever_the_arguments_nothing_is_lost(arguments: list[Any]) -> None:
    assert_nothing_is_lost(arguments)


# Versions


@pytest.mark.parametrize(
    ("version", "text"),
    [
        pytest.param(NOON, "1795262400000000", id="mtime"),
        pytest.param(NAIVE_NOON, "1795262400000000", id="naive mtime, taken as UTC"),
        pytest.param(dt.datetime(1969, 12, 31, 23, tzinfo=dt.UTC), "-3600000000", id="before"),
        pytest.param(7, "7", id="integer"),
        pytest.param((NOON, 7), "1795262400000000_7", id="several paths"),
        pytest.param([NOON, None], "1795262400000000_n", id="a relation that is null"),
        pytest.param("a_b", "s3:a_b", id="text"),
        pytest.param(True, "t", id="boolean"),
        pytest.param((), "-", id="of nothing"),
        pytest.param(Decimal("1.5"), "D3:1.5", id="decimal"),
    ],
)
def test_a_version_is_readable(version: Any, text: str) -> None:
    assert encode_version(version) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(([1, 2], [3]), ([1], [2, 3]), id="mtimes of two relations"),
        pytest.param([[1], 2], [1, 2], id="nested"),
        pytest.param(1, "1", id="number and text"),
        pytest.param(1, True, id="number and boolean"),
        pytest.param("1_2", (1, 2), id="text and tuple"),
        pytest.param((1,), (1, 1), id="length"),
        pytest.param(list(range(1000)), [*range(999), 1000], id="long"),
    ],
)
def test_versions_of_different_states_never_meet(one: Any, other: Any) -> None:
    assert encode_version(one) != encode_version(other)


def test_a_version_of_many_mtimes_is_short_since_heads_and_headers_carry_it() -> None:
    version = encode_version([(pk, NOON) for pk in range(10_000)])

    assert version.startswith("h32:")
    assert len(version) == 36


def test_a_microsecond_makes_another_version() -> None:
    for moment in (NOON, NOON.replace(year=1), NOON.replace(year=9999)):
        later = moment + dt.timedelta(microseconds=1)
        assert int(encode_version(later)) - int(encode_version(moment)) == 1


# Whole keys


def test_a_key_has_the_parts_that_the_module_shows() -> None:
    arguments = encode_arguments([12, "full"])
    base = base_key("courses.course_card", arguments, encode_axes({"language": "en"}))

    assert entry_key(base, suffix("1732150000000000", "9f86d081884c7d65")) == (
        "fc1:courses.course_card:i2:12s4:full:language=s2:en:1732150000000000.9f86d081884c7d65"
    )
    assert head_key(base, "9f86d081884c7d65") == (
        "fc1:courses.course_card:i2:12s4:full:language=s2:en@9f86d081884c7d65"
    )


def test_axes_are_in_one_order() -> None:
    one = encode_axes({"language": "de", "site": 1})

    assert one == encode_axes({"site": 1, "language": "de"}) == "language=s2:de;site=i1:1"
    assert encode_axes({}) == encode_arguments([]) == NOTHING


def key_parts() -> tuple[list[str], list[str], list[str], list[str]]:
    arguments = ["", "@*", "#0", "!manifest", ":1.d", "-", ";a=n", "~", *UGLY]
    return (
        ["a", "a.b", "a-b", "-", "a-", "_"],
        [NOTHING, *(encode_arguments([text]) for text in arguments), encode_arguments([1, None])],
        [NOTHING, encode_axes({"language": "de"}), encode_axes({"language": "@d", "t": None})],
        ["1.d", "1_2.d", "-.d", "s1:@.d"],
    )


@pytest.mark.parametrize("room", [MAX_BYTES, 100, 60])
def test_keys_of_different_kinds_and_parts_never_meet(room: int) -> None:
    names, arguments, axes, suffixes = key_parts()
    made: list[str] = []
    for name, encoded, values in product(names, arguments, axes):
        base = base_key(name, encoded, values)
        made += [entry_key(base, end, room) for end in suffixes]
        made += [head_key(base, digest, room) for digest in ("*", "d", "1.d")]
    for name in names:
        made += [token_key(name, None, copy, room) for copy in range(3)]
        made += [token_key(name, encoded, copy, room) for encoded in arguments for copy in (0, 1)]
        made += [manifest_key(name, room), lock_key(name, room)]

    repeated = [key for key, times in Counter(made).items() if times > 1]

    assert repeated == []
    assert all(len(key) <= room and key.isascii() and key.isprintable() for key in made)


@pytest.mark.parametrize("text", UGLY, ids=lambda text: ascii(text)[:20])
def test_an_ugly_argument_makes_a_key_that_memcached_takes(text: str, settings: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "KEY_PREFIX": "žofie",
            "VERSION": 12,
        }
    }
    cache = store("default")
    base = base_key("library.card", encode_arguments([text]), encode_axes({"language": text}))

    for key in (
        entry_key(base, suffix(encode_version(text), "0" * 16), cache.room),
        head_key(base, "*", cache.room),
        token_key("library.card", encode_arguments([text]), 2, cache.room),
    ):
        assert key.isascii()
        assert len(cache.physical_key(key).encode()) <= MAX_BYTES
        assert list(memcache_key_warnings(cache.physical_key(key))) == []


# Too long a key


def test_a_key_that_fits_stays_as_it_is() -> None:
    assert fit("x" * 100, 100) == "x" * 100


def test_a_key_that_does_not_fit_keeps_its_readable_beginning() -> None:
    key = base_key("library.album_card", encode_arguments(["x" * 300]), NOTHING)

    fitted = fit(key, 100)

    assert fitted.startswith("fc1:library.album_card:s300:xxx")
    assert len(fitted) == 100
    assert fitted[67] == "~"
    assert fitted[:67] == key[:67]


def test_hashed_keys_differ_where_only_what_was_cut_does() -> None:
    fitted = {fit("x" * 150 + str(number), 100) for number in range(1000)}

    assert len(fitted) == 1000


def test_no_plain_key_can_be_taken_for_a_hashed_one() -> None:
    """The mark of a hashed key occurs in no plain one, whatever the arguments."""
    hashed = fit(base_key("a", encode_arguments(["x" * 300]), NOTHING), MAX_BYTES)

    assert hashed.count("~") == 1
    for text in ("~", hashed, mark_safe("<~>"), ["~"], {"~": "~"}, b"~", Variant.ROW):
        assert "~" not in encode(text)
        assert "~" not in encode_axes({"x": text})


@pytest.mark.parametrize("room", [59, 10, 0, -20])
def test_a_key_prefix_that_leaves_no_room_is_an_error(room: int) -> None:
    message = rf"leave {room} of the 200 bytes of a key; at least 60 are needed. Shorten KEY_PREFIX"
    with pytest.raises(KeyTooLong, match=message):
        fit("x" * 100, room)


def test_the_least_room_is_enough() -> None:
    assert len(fit("x" * 100, 60)) == 60


# Golden vectors: a change here is a wave of misses at every site, and splits mixed deployments

GOLDEN: list[tuple[list[Any], str]] = [
    ([], "-"),
    ([None, True, False], "ntf"),
    ([12], "i2:12"),
    (["12"], "s2:12"),
    ([-1, 10**20], "i2:-1i21:100000000000000000000"),
    ([1.0, 0.1, 1e300], "d3:1.0d3:0.1d6:1e+300"),
    ([Decimal("1.10")], "D4:1.10"),
    (["a:b", "c"], "s5:a%3Abs1:c"),
    (["a", "b:c"], "s1:as5:b%3Ac"),
    (["İıßŽ"], "s24:%C4%B0%C4%B1%C3%9F%C5%BD"),
    (["\ud800\x00 \U0001f3b7"], "s27:%ED%A0%80%00%20%F0%9F%8E%B7"),
    ([SafeString("row"), SafeString("<b>")], "s3:rowS7:%3Cb%3E"),
    ([b"\x00\xff"], "b4:00ff"),
    ([dt.date(2026, 11, 21)], "a10:2026-11-21"),
    ([NAIVE_NOON], "N19:2026-11-21T12:00:00"),
    (
        [dt.datetime(2026, 7, 1, 12, 30, tzinfo=ZoneInfo("Europe/Vienna"))],
        "T16:1782901800000000",
    ),
    ([dt.time(12, 30), dt.timedelta(days=1)], "c8:12:30:00e11:86400000000"),
    ([uuid.UUID(int=255)], "u32:000000000000000000000000000000ff"),
    ([["x", [1]], ("x",)], "l11:s1:xl4:i1:1p4:s1:x"),
    ([{"b": 1, "a": None}], "m13:s1:ans1:bi1:1"),
    ([{"one", "two", "three"}], "x20:s3:ones3:twos5:three"),
    ([Reference("library.album", 12)], "o22:s13:library.albumi2:12"),
    ([Variant.ROW, Size.SMALL], "s3:rowi1:1"),
    ([Money(3)], "k29:s21:tests.test_keys.Moneyi1:3"),
]


def golden_keys() -> dict[str, str]:
    """Return what this process makes of the vectors, and of a long key."""
    made = {ascii(arguments): encode_arguments(arguments) for arguments, _expected in GOLDEN}
    base = base_key("library.card", encode_arguments(["İ" * 300]), encode_axes({"language": "tr"}))
    made["long"] = entry_key(base, suffix(encode_version((NOON, 1)), "0123456789abcdef"))
    return {str(number): key for number, key in enumerate(made.values())}


@pytest.mark.parametrize(
    ("arguments", "expected"), GOLDEN, ids=[expected for _arguments, expected in GOLDEN]
)
def test_the_form_of_arguments_never_changes(arguments: list[Any], expected: str) -> None:
    assert encode_arguments(arguments) == expected


def test_the_form_of_a_long_key_never_changes() -> None:
    long = golden_keys()[str(len(GOLDEN))]

    assert long == (f"fc1:library.card:s1800:{'%C4%B0' * 24}~c89357f4f4ad80c0017bb67dde097540")


def test_copies_of_a_token_are_told_apart_by_the_last_character_however_long_it_is() -> None:
    """By that they lie on several nodes."""
    arguments = encode_arguments(["\u0130" * 300])
    stem = f"fc1:library.card:s1800:{'%C4%B0' * 23}%C4%~e8aa0a5e7f8bb03d9d5d880e0386e52b"
    copies = [token_key("library.card", arguments, copy) for copy in range(3)]

    assert copies == [f"{stem}#0", f"{stem}#1", f"{stem}#2"]
    assert set(map(len, copies)) == {MAX_BYTES}
    assert token_key("library.card", "i1:5", 2) == "fc1:library.card:i1:5#2"


def test_keys_do_not_depend_on_hash_seed_locale_or_time_zone() -> None:
    environments = [
        {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONUTF8": "0"},
        {"PYTHONHASHSEED": "4294967295", "LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns"},
    ]
    program = f"import json; from {__name__} import golden_keys; print(json.dumps(golden_keys()))"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env=os.environ | environment,
            cwd=Path(keys.__file__).parent.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        for environment in environments
    ]

    made = [json.loads(process.communicate(timeout=60)[0]) for process in running]

    assert made == [golden_keys()] * len(environments)
