"""Promise X2: what is not as it was sealed, where it was sealed, is missing and no error."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.core.cache import caches

from fragcache import conf, manifest
from fragcache.entry import Entry, Ring, Unsealed
from fragcache.events import Event
from fragcache.store import store
from fragcache.token_copies import opened
from fragcache.warming import Locked, WarmingLock
from tests.fixtures import Clock, any_cache, happened, without_local_cache
from tests.library.models import Artist
from tests.pages import SHARED
from tests.sealed_site import (
    GREETING,
    SHOWN,
    SHOWN_ON_TARGET,
    Site,
    kind_of,
    kinds,
)

pytestmark = [pytest.mark.django_db, without_local_cache]
shared = pytest.mark.parametrize("cache_alias", SHARED, indirect=True)
DAY = 86_400


class TestAltered:
    """X2: what is not as it was sealed, where it was sealed, is a miss."""

    #: Other values for each byte of what is stored, of 255.
    PER_BYTE = 60

    @any_cache
    def test_every_byte_of_what_a_site_stores(self, cache_alias: str, site: Site) -> None:
        site.live()
        chance, tried = random.Random(20261121), 0
        for key, data in sealed(site).items():
            for place, byte in enumerate(data):
                for other in chance.sample(range(256), self.PER_BYTE):
                    if other != byte:
                        changed = b"%b%c%b" % (data[:place], other, data[place + 1 :])
                        assert isinstance(ring().open(key, changed), Unsealed), (key, place, other)
                        tried += 1
        assert tried > 100_000
        print(f"{tried} mutations")

    def test_a_token_that_was_believed_before(self, cache_alias: str, site: Site) -> None:
        site.live()
        stored = site.stored()
        key = next(key for key in stored if kind_of(key) == "token")
        data = stored[key]
        for _time in range(2):
            assert opened(store(), {key: data}) == store().open_many({key: data}) != {}
        elsewhere = key.replace("#0", "#1")
        altered = data[:-1] + bytes([data[-1] ^ 1])
        assert opened(store(), {elsewhere: data}) == {}
        assert opened(store(), {key: altered}) == {}
        assert opened(store(), {key: altered, elsewhere: data}) == {}

    @any_cache
    def test_every_length_and_every_other_key(
        self, cache_alias: str, site: Site, settings: Any
    ) -> None:
        site.live()
        values, tried = sealed(site), 0
        others = [f"{prefix}:{version}:" for prefix in ("", "other") for version in (1, 2)][1:]
        for key, data in values.items():
            bare = key.removeprefix(":1:")
            forged = [
                *((key, data[:length]) for length in range(len(data))),
                *((key, data + bytes([n % 256]) * n) for n in range(1, 300)),
                *((other, data) for other in values if other != key),
                *((f"{prefix}{bare}", data) for prefix in others),
                *((key, data[n:] + data[:n]) for n in range(1, len(data))),
            ]
            for where, what in forged:
                assert isinstance(ring().open(where, what), Unsealed), (key, where, what)
            tried += len(forged)
        assert tried > 5_000
        print(f"{tried} forgeries")

    @shared
    def test_in_a_real_cache_no_page_shows_it(self, cache_alias: str, site: Site) -> None:
        """Twenty rounds, in which each value is altered in another way."""
        chance, altered = random.Random(20261121), 0
        first = site.live()
        for _round in range(20):
            stored = {key: data for key, data in site.stored().items() if is_believed(key, data)}
            assert set(kinds(stored)) >= {"entry", "head", "token", "manifest"}
            site.put({key: changed(chance, stored, key) for key in stored})
            altered += len(stored)
            manifest._remembered.clear()
            assert site.visit_target() == [None, None]
            assert site.live() == first
        assert happened(Event.UNBELIEVED) + happened(Event.UNKNOWN_KEY) > altered / 2
        print(f"{altered} values")

    @shared
    def test_what_is_no_lease_or_lock_holds_none(self, cache_alias: str, site: Site) -> None:
        site.live()
        [greeting] = [key for key in site.stored() if "greeting" in key and "@" in key]
        held = {
            key: site.stored()[greeting] for key in site.keys if kind_of(key) in {"lease", "lock"}
        }
        caches[cache_alias].clear()
        site.put(held)
        assert site.live() == [*SHOWN, *SHOWN_ON_TARGET]

    @any_cache
    def test_a_lock_of_a_machine_whose_clock_is_ahead_is_one(
        self, cache_alias: str, site: Site, clock: Clock
    ) -> None:
        locked = WarmingLock(store())
        clock.step(60)
        with locked:
            clock.step(-60)
            with pytest.raises(Locked), WarmingLock(store()):
                pass

    @shared
    def test_a_former_state_that_is_put_back_is_no_present_one(
        self, cache_alias: str, site: Site, artists: list[Artist]
    ) -> None:
        """Each former value under its own key, and under the one that took its place."""
        site.live()
        former = site.stored()
        move(artists[0])
        present = ["<b>Nina Simone</b>", *SHOWN[1:]]
        assert site.visit() == present

        site.put(former)
        assert site.visit() == present
        # The entries of what has a version: the keys of others are drawn by lot.
        entries = [key for key in site.stored() if kind_of(key) == "entry" and "_card" in key]
        for key, old in product(entries, former):
            if key != old:
                site.put({key: former[old]})
                assert site.visit() == present

    @any_cache
    def test_a_whole_former_state_without_a_version_lasts_as_long_as_its_seal_says(
        self, cache_alias: str, site: Site, renders: list[str], clock: Clock
    ) -> None:
        """A limit: token, head and entry that belong together cannot be told from present ones."""
        site.live()
        former = site.stored()
        site.invalidate()
        site.visit()
        rendered = happened(Event.RENDERED, GREETING)

        site.put(former)
        site.visit()
        assert happened(Event.RENDERED, GREETING) == rendered
        clock.step(DAY + 1)
        site.put(former)
        site.visit()
        assert happened(Event.RENDERED, GREETING) == rendered + 1

    @any_cache
    def test_a_former_head_that_is_put_back_shows_targets_the_former_entry_until_the_next_run(
        self, cache_alias: str, site: Site, artists: list[Artist]
    ) -> None:
        """A limit likewise: a target knows no versions."""
        site.live()
        former = site.stored()
        move(artists[0])
        site.live()
        site.put(former)
        assert site.visit_target() == SHOWN_ON_TARGET
        site.warm()
        assert site.visit_target() == ["<b>Nina Simone</b>", "<b>Ella</b>"]


def move(artist: Artist) -> None:
    artist.name = "Nina Simone"
    artist.updated_at += timedelta(seconds=1)
    artist.save()


def ring() -> Ring:
    return Ring(conf.settings().secret_keys)


def sealed(site: Site) -> dict[str, bytes]:
    """Return what is stored, by the keys that the server sees."""
    return {store().physical_key(key): data for key, data in site.stored().items()}


def is_believed(key: str, data: bytes) -> bool:
    return isinstance(ring().open(store().physical_key(key), data), Entry)


def changed(chance: random.Random, stored: Mapping[str, bytes], key: str) -> bytes:
    """Return a value altered in one of the ways that whoever writes to a cache has."""
    data = stored[key]
    place = chance.randrange(len(data))
    other = stored[chance.choice([one for one in stored if one != key])]
    bit = bytes([data[place] ^ 1 << chance.randrange(8)])
    ways = [
        data[:place] + bit + data[place + 1 :],
        data[:place],
        data + bytes(place),
        other,
        data[:72] + other[72:],
        data[: -len(other)] + other[-len(data) :],
        Ring(["another secret"]).seal(key, Entry(data[3], data[85:], as_of=1, built_at=1)),
    ]
    return chance.choice([way for way in ways if way != data])
