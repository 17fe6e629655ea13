"""Sealed values: believed as they were sealed, under the key of then, or not at all."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fragcache import counters
from fragcache.entry import (
    FORMAT,
    MAGIC,
    NO_TOKENS,
    RANK,
    Entry,
    Field,
    Kind,
    Ring,
    Unsealed,
    pack_fields,
    rank,
)
from fragcache.events import Event
from fragcache.records import (
    Head,
    Token,
    pack_document,
    token_moments,
    token_pair,
    unpack_document,
)
from fragcache.store import store

KEY = "fc1:library.album_card:i2:12:language=s2:en:1732150000000000.9f86d081884c7d65"
OTHER_KEY = KEY.replace("i2:12", "i2:13")
#: Fixed part of the header, MAC and what stands before them: what sealing adds to a payload.
OVERHEAD = 8 + 61 + 16

RING = Ring(["a secret"])
ENTRY = Entry(
    kind=Kind.HTML,
    payload="<b>Ella Žofie</b>\n".encode() * 16,
    as_of=1_732_150_000_000_000,
    built_at=1_732_150_000_000_500,
    fresh_until=1_732_236_400_000_500,
    tokens=bytes(range(32)),
    tagged=pack_fields({Field.VERSION: b"1732150000000000", Field.COST: b"\x00\x00\x04\xd2"}),
)
SEALED = RING.seal(KEY, ENTRY)

plain_entries = st.builds(
    Entry,
    kind=st.sampled_from(Kind),
    payload=st.binary(max_size=200),
    as_of=st.integers(0, 2**64 - 1),
    built_at=st.integers(0, 2**64 - 1),
    fresh_until=st.integers(0, 2**64 - 1),
    tokens=st.binary(min_size=32, max_size=32),
    tagged=st.dictionaries(
        st.sampled_from([Field.VERSION, Field.WRITER, Field.INCLUDES]), st.binary(max_size=40)
    ).map(pack_fields),
)
quick = hypothesis_settings(max_examples=200, derandomize=True, database=None, deadline=None)


# Round trips


@quick
@given(plain_entries, st.text(st.characters(codec="ascii"), max_size=200))
def test_what_was_sealed_is_what_is_opened(entry: Entry, key: str) -> None:
    opened = RING.open(key, RING.seal(key, entry))

    assert opened == entry


def test_a_field_is_found_by_its_tag() -> None:
    opened = RING.open(KEY, SEALED)

    assert isinstance(opened, Entry)
    assert opened.field(Field.VERSION) == b"1732150000000000"
    assert opened.field(Field.COST) == b"\x00\x00\x04\xd2"
    assert opened.field(Field.INCLUDES) is None
    assert opened._replace(tagged=b"").field(Field.VERSION) is None


def test_sealing_adds_85_bytes_and_5_for_each_field() -> None:
    bare = Entry(Kind.HTML, b"", as_of=1, built_at=1)

    assert len(RING.seal(KEY, bare)) == OVERHEAD == 85
    assert len(SEALED) == OVERHEAD + 2 * 5 + 16 + 4 + len(ENTRY.payload)


def test_a_sealed_value_begins_as_the_module_shows() -> None:
    assert SEALED[:8] == MAGIC + bytes([FORMAT]) + b"E" + struct.pack(">I", 61 + 2 * 5 + 16 + 4)
    assert SEALED.endswith(ENTRY.payload)


def test_the_form_of_a_sealed_value_never_changes() -> None:
    """A golden vector: sites of different releases share entries, and servers outlive releases."""
    entry = Entry(Kind.HEAD, b"payload", as_of=1, built_at=2, fresh_until=3)

    assert Ring(["golden"]).seal("fc1:key", entry).hex() == "".join(
        (
            *("6663", "01", "48", "0000003d"),
            *("0000000000000001", "0000000000000002", "0000000000000003"),
            *("08b7d8b4", "00" * 32, "00"),
            *("3e1d617d2496a5968ad5966b6ada40f5", b"payload".hex()),
        )
    )


# Whatever is not as it was sealed is not believed, and is no error


def mutations(sealed: bytes) -> Iterator[bytes]:
    for position, byte in enumerate(sealed):
        for other in range(256):
            if other != byte:
                yield sealed[:position] + bytes([other]) + sealed[position + 1 :]


def test_no_value_with_a_changed_byte_is_believed() -> None:
    """Each byte in turn, with each of the 255 other values."""
    head = RING.seal(KEY, Entry(Kind.HEAD, Head(suffix="1.d").pack(), as_of=1, built_at=1))
    tried = 0
    for sealed in (SEALED, head):
        for mutated in mutations(sealed):
            assert isinstance(RING.open(KEY, mutated), Unsealed), mutated
            tried += 1

    assert tried > 100_000


def test_no_value_that_was_cut_is_believed() -> None:
    for length in range(len(SEALED)):
        assert isinstance(RING.open(KEY, SEALED[:length]), Unsealed)
        assert isinstance(RING.open(KEY, SEALED[len(SEALED) - length :]), Unsealed)


def test_no_value_that_was_extended_is_believed() -> None:
    for length in range(1, 300):
        for byte in (b"\x00", b"\xff", b" "):
            assert isinstance(RING.open(KEY, SEALED + byte * length), Unsealed)
            assert isinstance(RING.open(KEY, byte * length + SEALED), Unsealed)


def test_no_value_with_pieces_moved_is_believed() -> None:
    chance = random.Random(20261121)
    for _ in range(5_000):
        cuts = sorted(chance.sample(range(len(SEALED) + 1), 3))
        pieces = [SEALED[a:b] for a, b in zip([0, *cuts], [*cuts, len(SEALED)], strict=True)]
        chance.shuffle(pieces)
        moved = b"".join(pieces)
        if moved != SEALED:
            assert isinstance(RING.open(KEY, moved), Unsealed)


@quick
@given(st.binary(max_size=300))
def test_no_random_bytes_are_believed(data: bytes) -> None:
    for prefix in (b"", SEALED[:3], SEALED[:8], SEALED[:32], SEALED[:69]):
        assert isinstance(RING.open(KEY, prefix + data), Unsealed)


@pytest.mark.parametrize("length", [0, 60, 62, 2**31, 2**32 - 1])
def test_a_header_length_that_lies_is_not_believed(length: int) -> None:
    lying = SEALED[:4] + struct.pack(">I", length) + SEALED[8:]

    assert RING.open(KEY, lying) is Unsealed.FORGED


@pytest.mark.parametrize("value", [42, "fc", 1.5, None, True, [1], {"a": 1}, b""], ids=repr)
def test_what_is_no_sealed_value_is_unreadable(value: Any) -> None:
    """A raw cache gives the number 42 for b"42", and text or lists for its own forms of them."""
    assert RING.open(KEY, value) is Unsealed.UNREADABLE


def test_a_value_copied_to_another_key_is_forged() -> None:
    assert RING.open(OTHER_KEY, SEALED) is Unsealed.FORGED
    assert RING.open("", SEALED) is Unsealed.FORGED


def test_key_and_value_cannot_be_cut_elsewhere() -> None:
    """The end of a key cannot become the beginning of a value that is believed."""
    for size in range(1, 20):
        assert isinstance(RING.open(KEY[:-size], KEY[-size:].encode() + SEALED), Unsealed)
        assert isinstance(RING.open(KEY + SEALED[:1].decode(), SEALED[1:]), Unsealed)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind != Kind.HTML])
def test_a_value_is_not_taken_for_another_kind(kind: Kind) -> None:
    relabelled = SEALED[:3] + bytes([kind]) + SEALED[4:]

    assert RING.open(KEY, relabelled) is Unsealed.FORGED


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_format_is_not_believed(version: int) -> None:
    assert RING.open(KEY, MAGIC + bytes([version]) + SEALED[3:]) is Unsealed.UNKNOWN_FORMAT


def test_unbelieved_values_in_a_real_cache_are_absent_and_counted(settings: Any) -> None:
    """Written by whoever can write to the cache: altered, swapped, truncated, foreign."""
    settings.FRAGCACHE = {"CACHE_ALIAS": "embedded"}
    values = store()
    values.write_many({"good": ENTRY, "swapped": ENTRY}, 60)
    sealed = values.fetch_many(["good", "swapped"])
    cache = caches["embedded"]
    cache.set_many(
        {
            "altered": sealed["good"][:-1] + b"!",
            "cut": sealed["good"][:40],
            "swapped": sealed["good"],
            "empty": b"",
            "number": b"42",
            "int": 42,
            "text": "text",
            "list": [1, 2],
            "none": None,
        }
    )
    counters.reset()
    keys = ["good", "altered", "cut", "swapped", "empty", "number", "int", "text", "list", "none"]

    assert values.read_many(keys) == {"good": ENTRY}
    assert counters.totals()["", Event.UNBELIEVED] >= 6


# Keys and their rotation


def test_a_value_of_a_stranger_has_an_unknown_key() -> None:
    stranger = Ring(["another secret"])

    assert RING.open(KEY, stranger.seal(KEY, ENTRY)) is Unsealed.UNKNOWN_KEY
    assert stranger.open(KEY, SEALED) is Unsealed.UNKNOWN_KEY


def test_a_stranger_who_names_our_key_is_a_forger() -> None:
    fingerprint = slice(8 + 24, 8 + 28)
    stranger = bytearray(Ring(["another secret"]).seal(KEY, ENTRY))
    stranger[fingerprint] = SEALED[fingerprint]

    assert RING.open(KEY, bytes(stranger)) is Unsealed.FORGED


def test_keys_rotate_without_a_miss() -> None:
    rotated = Ring(["a new secret", "a secret", "an older one"])

    assert rotated.open(KEY, SEALED) == ENTRY
    assert rotated.open(KEY, Ring(["an older one"]).seal(KEY, ENTRY)) == ENTRY


def test_the_first_key_seals() -> None:
    sealed = Ring(["a new secret", "a secret"]).seal(KEY, ENTRY)

    assert Ring(["a new secret"]).open(KEY, sealed) == ENTRY
    assert RING.open(KEY, sealed) is Unsealed.UNKNOWN_KEY


def test_a_process_that_knows_the_next_key_already_opens_what_it_sealed() -> None:
    """During a rotation in two steps no release meets a key that it does not know."""
    old, both, new = Ring(["old"]), Ring(["old", "new"]), Ring(["new", "old"])

    for writer, reader in ((old, both), (both, old), (both, new), (new, both)):
        assert reader.open(KEY, writer.seal(KEY, ENTRY)) == ENTRY


def test_secrets_are_not_in_sealed_values() -> None:
    assert b"a secret" not in SEALED
    assert Ring(["č☃"]).open(KEY, Ring(["č☃"]).seal(KEY, ENTRY)) == ENTRY


# Fields of later releases


def with_field(tag: int) -> bytes:
    fields: Any = {Field.VERSION: b"1", tag: b"of a later release"}
    return RING.seal(KEY, ENTRY._replace(tagged=pack_fields(fields)))


@pytest.mark.parametrize("tag", [6, 100, 0x7F])
def test_a_field_that_may_be_ignored_is(tag: int) -> None:
    opened = RING.open(KEY, with_field(tag))

    assert isinstance(opened, Entry)
    assert opened.payload == ENTRY.payload
    assert opened.field(Field.VERSION) == b"1"


@pytest.mark.parametrize("tag", [Field.COMPRESSION, Field.DICTIONARY, 0x90, 0xFF])
def test_a_field_that_must_be_understood_and_is_not_makes_a_miss(tag: int) -> None:
    """Else a page with holes would be shown without them, or as compressed bytes."""
    assert RING.open(KEY, with_field(tag)) is Unsealed.UNKNOWN_FIELD


def test_a_critical_field_that_is_understood_is_no_miss() -> None:
    assert isinstance(RING.open(KEY, with_field(Field.INCLUDES)), Entry)


# Rank


@quick
@given(plain_entries)
def test_a_server_finds_the_rank_without_a_key(entry: Entry) -> None:
    sealed = RING.seal(KEY, entry)

    assert rank(sealed) == entry.as_of
    assert sealed[RANK] == entry.as_of.to_bytes(8)


def test_ranks_compare_as_bytes() -> None:
    moments = [0, 1, 255, 256, 2**32, 1_732_150_000_000_000, 2**63, 2**64 - 1]
    bodies = [RING.seal(KEY, ENTRY._replace(as_of=moment))[RANK] for moment in moments]

    assert bodies == sorted(bodies)


@pytest.mark.parametrize("data", [b"", b"fc", SEALED[:15], b"xx" + SEALED[2:], b"42" * 20])
def test_what_is_no_sealed_value_has_the_lowest_rank(data: bytes) -> None:
    assert rank(data) == -1


# Heads and tokens


@pytest.mark.parametrize(
    "head",
    [
        Head(suffix="1732150000000000.9f86d081884c7d65"),
        Head(suffix="2.d", predecessor="1.d"),
        Head(suffix="", is_tombstone=True),
        Head(suffix="s1:a.d", predecessor="-.d", is_tombstone=True),
    ],
    ids=repr,
)
def test_a_head_survives_packing(head: Head) -> None:
    assert Head.unpack(head.pack()) == head


def test_a_token_survives_sealing() -> None:
    token = Token(moment=1_732_150_000_000_000, nonce=b"8 bytes.", purged_until=17)
    sealed = RING.seal("fc1:library.card#0", token.sealed_form())
    opened = RING.open("fc1:library.card#0", sealed)

    assert isinstance(opened, Entry)
    assert opened.kind == Kind.TOKEN
    assert Token.from_entry(opened) == token
    assert rank(sealed) == token.moment


@pytest.mark.parametrize("step", [-10_000_000, -1, 0, 1, 10_000_000])
@pytest.mark.parametrize("purge", [False, True])
def test_a_successor_is_later_whatever_the_clock_says(step: int, purge: bool) -> None:
    token = Token.first(1_732_150_000_000_000)

    successor = token.successor(token.moment + step, purge=purge)

    assert successor.moment >= max(token.moment + 1, token.moment + step)
    assert successor.identity > token.identity
    assert successor.purged_until == (successor.moment if purge else 0)


def test_an_invalidation_without_purge_keeps_the_last_purge() -> None:
    purged = Token.first(5).successor(10, purge=True)

    assert purged.successor(20, purge=False).purged_until == 10


def test_tokens_of_one_microsecond_are_not_one() -> None:
    assert len({Token.first(5).identity for _ in range(100)}) == 100


def test_a_header_names_both_tokens_of_an_instance() -> None:
    fragment, stamp = Token.first(5), Token.first(6)

    assert token_pair(fragment, stamp) == fragment.identity + stamp.identity
    assert token_pair(fragment, None) == fragment.identity + bytes(16)
    assert token_moments(token_pair(fragment, stamp)) == (5, 6)
    assert token_moments(token_pair(fragment, None)) == (5, 0)
    assert len(token_pair(fragment, stamp)) == len(NO_TOKENS)


def test_a_document_survives_packing_in_one_form() -> None:
    document = {"name": "library.card", "axes": ["language"], "digest": None, "text": "Žofie"}

    assert unpack_document(pack_document(document)) == document
    assert pack_document(document) == pack_document(dict(reversed(document.items())))
