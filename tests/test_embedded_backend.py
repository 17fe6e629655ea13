"""The embedded backend: its file, its bounds, and what happens to a file that is damaged."""

from __future__ import annotations

import functools
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from fragcache import get_fragments
from fragcache.backends import EmbeddedCache, sqlite_file
from fragcache.events import Event
from fragcache.store import store
from fragcache.testing.racing import in_children
from tests.fixtures import happened
from tests.stopwatch import Stopwatch


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "made" / "on demand" / "cache.sqlite3"
    sqlite_file._close_idle()


def cache_at(path: Path, **options: Any) -> EmbeddedCache:
    return EmbeddedCache(str(path), {"OPTIONS": options})


def other_connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_a_missing_directory_is_made_for_this_user_alone(path: Path) -> None:
    cache_at(path).set("a", b"1")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_path_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    obstacle = tmp_path / "file"
    obstacle.touch()
    cache = cache_at(obstacle / "cache.sqlite3")
    with pytest.raises(
        sqlite3.OperationalError,
        match=r"cache '.*file/cache\.sqlite3' cannot be opened: .*writable",
    ) as caught:
        cache.get("a")
    assert isinstance(caught.value, cache.errors)
    (stats,) = cache.server_stats()
    assert "cannot be opened" in stats.error


def test_a_missing_location_is_an_error_with_an_example() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"needs a LOCATION .* such as '/var/cache"):
        EmbeddedCache("", {})


def test_what_is_stored_outlives_the_process_cache(path: Path) -> None:
    cache_at(path).set("a", b"1")
    sqlite_file._close_idle()
    assert cache_at(path).get("a") == b"1"


def test_reading_writes_nothing(path: Path) -> None:
    cache = cache_at(path)
    cache.set_many({"a": b"1", "expired": b"1"}, 60)
    cache.set("expired", b"1", 0)
    log = path.with_name(f"{path.name}-wal")
    before = log.read_bytes(), path.read_bytes()
    assert cache.get_many(["a", "expired", "absent"]) == {"a": b"1"}
    assert cache.server_stats()[0].figures["entries"] == 2
    assert (log.read_bytes(), path.read_bytes()) == before


def test_readers_do_not_wait_for_a_writer_and_writers_not_for_ever(path: Path) -> None:
    cache = cache_at(path, TIMEOUT=0.05)
    cache.set("a", b"1")
    writer = other_connection(path)
    writer.execute("BEGIN IMMEDIATE")
    assert cache.get("a") == b"1"
    with pytest.raises(cache.errors, match="database is locked"):
        cache.set("a", b"2")
    writer.execute("ROLLBACK")
    writer.close()
    cache.set("a", b"3")
    assert cache.get("a") == b"3"


def test_a_write_that_fails_leaves_nothing_of_itself(path: Path) -> None:
    cache = cache_at(path)
    cache.set("a", b"1")
    with pytest.raises(ZeroDivisionError), cache._file.writing() as connection:
        connection.execute("DELETE FROM entries").rowcount / 0
    assert cache.get("a") == b"1"


@pytest.mark.parametrize("is_open", [True, False])
def test_a_deleted_file_is_begun_anew(path: Path, is_open: bool) -> None:
    cache = cache_at(path)
    cache.set("a", b"1")
    if not is_open:
        sqlite_file._close_idle()
    path.unlink()
    assert cache.get("a") is None
    cache.set("a", b"2")
    assert cache_at(path, TIMEOUT=1).get("a") == b"2"


def test_a_deleted_directory_is_made_again(path: Path) -> None:
    cache = cache_at(path)
    cache.set("a", b"1")
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()
    assert cache.get("a") is None
    cache.set("a", b"2")
    assert cache.get("a") == b"2"


@pytest.mark.parametrize(
    "garbage", [b"no database" * 1000, b"SQLite format 3\x00" + b"\xff" * 9000]
)
def test_a_file_of_garbage_is_begun_anew(path: Path, garbage: bytes) -> None:
    cache = cache_at(path)
    cache.set("a", b"1")
    sqlite_file._close_idle()
    path.write_bytes(garbage)
    assert cache.get("a") is None
    cache.set("a", b"2")
    assert cache.get("a") == b"2"


def test_damage_that_shows_late_costs_one_error(path: Path) -> None:
    cache = cache_at(path)
    cache.set_many({str(number): b"x" * 3000 for number in range(200)}, None)
    sqlite_file._close_idle()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        cache.get_many(list(map(str, range(200))))
    assert cache.get_many(["1"]) == {}
    cache.set("1", b"2")
    assert cache.get("1") == b"2"


def test_the_oldest_go_when_there_are_too_many(path: Path) -> None:
    cache = cache_at(path, MAX_ENTRIES=50)
    for number in range(200):
        cache.set(str(number), b"1", None)
    entries = cache.server_stats()[0].figures["entries"]
    assert 40 <= entries <= 60
    assert cache.get_many(list(map(str, range(170, 200)))).keys() == set(map(str, range(170, 200)))
    assert cache.get_many(list(map(str, range(100)))) == {}


def test_what_was_written_again_is_not_the_oldest(path: Path) -> None:
    cache = cache_at(path, MAX_ENTRIES=50)
    for number in range(200):
        cache.set(str(number), b"1", None)
        cache.set("again", b"1", None)
    assert cache.get("again") == b"1"


def test_what_has_expired_goes_first(path: Path) -> None:
    cache = cache_at(path, MAX_ENTRIES=50)
    for number in range(20):
        cache.set(f"kept {number}", b"1", None)
    for number in range(200):
        cache.set(f"gone {number}", b"1", 0)
    kept = [f"kept {number}" for number in range(20)]
    assert sorted(cache.get_many(kept)) == sorted(kept)


def test_the_bytes_in_use_stay_within_the_bound(path: Path) -> None:
    cache = cache_at(path, MAX_BYTES=2**20)
    for number in range(60):
        assert cache.set_many({f"{number}:{n}": b"x" * 10_000 for n in range(10)}, None) == []
        figures = cache.server_stats()[0].figures
        assert figures["bytes"] <= 2**20
    assert cache.get("59:9") == b"x" * 10_000
    assert path.stat().st_size < 2 * 2**20


def test_a_bound_below_an_empty_file_keeps_nothing_and_ends(path: Path) -> None:
    cache = cache_at(path, MAX_BYTES=1000)
    cache.set("a", b"1")
    assert cache.get("a") is None


def test_processes_that_create_the_file_at_once_wait_for_each_other(path: Path) -> None:
    def write(number: int) -> None:
        cache_at(path).set(str(number), b"1", None)

    with in_children([functools.partial(write, number) for number in range(8)]):
        pass
    assert len(cache_at(path).get_many(list(map(str, range(8))))) == 8


def test_one_value_does_not_fill_the_file(path: Path) -> None:
    cache = cache_at(path, MAX_BYTES=2**20)
    assert cache.set_many({"a": b"x" * (2**17 + 1), "b": b"1"}, None) == ["a"]


def test_a_value_that_cannot_be_read_is_absent(path: Path) -> None:
    cache = cache_at(path)
    cache.set("bad", b"1")
    writer = other_connection(path)
    writer.execute("UPDATE entries SET value = ?", (b"\x00j{",))
    writer.close()
    assert cache.get("bad", "default") == "default"


def test_aliases_with_one_file_share_it_and_keep_their_bounds(path: Path) -> None:
    small, large = cache_at(path, MAX_ENTRIES=50), cache_at(path, MAX_ENTRIES=500)
    small.set("a", b"1")
    assert large.get("a") == b"1"
    assert small._file.max_entries == 50
    assert large._file.max_entries == 500


def test_a_forked_child_inherits_no_connection(path: Path) -> None:
    cache = cache_at(path)
    cache.set("a", b"1")

    def read() -> None:
        assert not cache._file._idle
        assert cache.get("a") == b"1"

    with in_children([read]):
        assert cache.get("a") == b"1"


def test_a_connection_of_another_process_is_neither_used_nor_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_inherited", inherited := [])
    cache = cache_at(path)
    cache.set("a", b"1")
    (foreign,) = cache._file._idle
    foreign.pid += 1
    assert cache.get("a") == b"1"
    assert inherited == [foreign.connection]
    foreign.connection.close()


def test_clearing_leaves_nothing(path: Path) -> None:
    cache = cache_at(path)
    cache.set_many({"a": b"1", "b": b"2"}, None)
    cache.clear()
    assert cache.get_many(["a", "b"]) == {}


@pytest.mark.usefixtures("cards")
def test_a_page_waits_for_other_writers_no_longer_than_its_budget(
    settings: Any, tmp_path: Path
) -> None:
    path = tmp_path / "cache.sqlite3"
    backend = "fragcache.backends.embedded.EmbeddedCache"
    settings.CACHES = {**settings.CACHES, "busy": {"BACKEND": backend, "LOCATION": str(path)}}
    settings.FRAGCACHE = {"CACHE_ALIAS": "busy", "LOCAL_MAX_BYTES": 0, "PAGE_BUDGET": 0.2}
    assert get_fragments("library.named_card", ["Nina"])
    with closing(other_connection(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        for name in ("Ella", "Etta"):
            with Stopwatch() as watch:
                html = get_fragments("library.named_card", [name, "Nina"])
            assert html[0].startswith(f"<b>{name}")
            assert watch.seconds < 1
        assert happened(Event.HIT) >= 1, "reading goes on"
        other.execute("ROLLBACK")
    store().writes.close()
