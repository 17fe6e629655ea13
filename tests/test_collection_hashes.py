"""What the hash of a collection tells apart, on PostgreSQL, SQLite and other databases."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db.models import QuerySet

from fragcache import collection_version
from fragcache.collections import _computed_here
from tests.library.models import Country
from tests.studio.models import Session

MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
#: Pairs as databases send them that are neither PostgreSQL nor SQLite.
PAIRS: list[tuple[Any, Any]] = [(1, None), (2, MOMENT), (2, None), (3, "x")]


class TestNumbersWhoseHalvesHaveOneXor:
    """PostgreSQL's hashes of integers and times take that of 64 bits."""

    @pytest.mark.django_db
    def test_are_different_keys(self) -> None:
        versions = set()
        for pk in (2**33 + 5, 2**34 + (2**33 >> 32 ^ 2**34 >> 32 ^ 5)):
            Session.objects.bulk_create([Session(pk=pk, title="x")])
            QuerySet(Session).filter(pk=pk).update(updated_at=MOMENT)
            versions.add(collection_version(Session.objects.filter(pk=pk)))

        assert len(versions) == 2

    @pytest.mark.django_db
    def test_are_different_mtimes(self) -> None:
        row = Session.objects.create(title="x")
        of_postgresql = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
        number = (MOMENT - of_postgresql) // dt.timedelta(microseconds=1)
        versions = set()
        for other in (number, number ^ (1 << 32 | 1)):
            moment = of_postgresql + dt.timedelta(microseconds=other)
            QuerySet(Session).filter(pk=row.pk).update(updated_at=moment)
            versions.add(collection_version(Session.objects.all()))

        assert len(versions) == 2


@pytest.mark.django_db
def test_keys_that_hold_what_parts_keys_from_versions() -> None:
    collections = [("a", "b"), ("a,b", "c"), ("a','b", "c"), ("a'='a'", "b"), ("", "a,b")]
    versions = set()
    for codes in collections:
        Country.objects.bulk_create(Country(code=code) for code in codes)
        versions.add(collection_version(Country.objects.all(), field="code"))
        Country.objects.all().delete()

    assert len(versions) == len(collections)


class TestPairsThatAreSent:
    @pytest.mark.parametrize("has_positions", [True, False])
    def test_their_order_counts_where_it_is_shown(self, has_positions: bool) -> None:
        others = _computed_here(PAIRS[::-1], has_positions)

        assert (_computed_here(PAIRS, has_positions) != others) is has_positions

    @pytest.mark.parametrize("has_positions", [True, False])
    def test_each_of_them_counts(self, has_positions: bool) -> None:
        found = {_computed_here(PAIRS[:n] + PAIRS[n + 1 :], has_positions) for n in range(4)}
        twice = _computed_here(PAIRS[:2] * 2, has_positions)

        assert len({*found, twice, _computed_here(PAIRS, has_positions)}) == 6

    def test_a_time_is_the_same_in_any_zone(self) -> None:
        there = MOMENT.astimezone(dt.timezone(dt.timedelta(hours=5)))

        assert _computed_here([(1, MOMENT)], False) == _computed_here([(1, there)], False)

    def test_nothing(self) -> None:
        assert _computed_here([], False) == (0, 0)
