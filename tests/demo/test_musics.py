"""Music by contexts, from a source on PostgreSQL to targets without a database: each a process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.demo.music_sites import (
    API,
    API_KEY,
    MusicSites,
    Site,
    Stored,
    new_database,
    new_release,
    until,
)
from tests.plugin import BY_NAME
from tests.servers import ServerFailed, Servers

ROWS = 1 + 347
NUMBERS = count(1)
FIRST_ARTIST = """
from fragcache import publish_context
from musics.models import Artist
print(publish_context("musics.discography", Artist.objects.get(number=1)))
"""
OTHER_SHAPE = """
from dataclasses import dataclass
from django.test import Client
from fragcache import registry

@dataclass
class Discography:
    artist: str

registry.get("musics.discography").shape = Discography
response = Client(headers={"host": "localhost"}).get("/musics/warmed/")
print(response.status_code)
print(response.content.decode().partition("notice")[2].replace("\\n", " "))
"""


@pytest.fixture(scope="module", params=["redis", "memcached"])
def sites(
    request: pytest.FixtureRequest,
    postgresql_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MusicSites]:
    """Source and targets, with a cache server of their own: nothing they share is another's."""
    servers = Servers()
    try:
        cache = servers.new(BY_NAME[request.param])
    except ServerFailed as error:
        servers.stop()
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("musics")
    try:
        cache.start()
        with new_database(postgresql_url, f"musics_on_{request.param}") as database:
            found = MusicSites(folder, cache, database)
            try:
                found.start()
                yield found
            finally:
                found.stop()
    finally:
        servers.stop()


@pytest.fixture
def stored(sites: MusicSites) -> Iterator[Stored]:
    stored = Stored(sites.cache)
    yield stored
    stored.close()


@pytest.fixture(autouse=True)
def no_site_breaks(sites: MusicSites) -> Iterator[None]:
    before = sites.logs
    yield
    said = sites.said_since(before)
    assert "Traceback" not in said
    assert '" 500 ' not in said


def rename(sites: MusicSites) -> str:
    """Give AC/DC a name that it never had, and return it."""
    name = f"AC/DC {next(NUMBERS)}"
    sites.rename(name)
    return name


def test_both_pages_show_all_albums_without_a_query(sites: MusicSites) -> None:
    sites.warm()
    asked_for = sites.target.get("/musics/")
    # Other tests have changed a name, which is seen after INVALIDATION_LAG at the latest.
    until(lambda: sites.target.get("/musics/warmed/").rows == asked_for.rows)
    warmed = sites.target.get("/musics/warmed/")

    assert (asked_for.status, warmed.status) == (200, 200)
    assert len(warmed.rows) == ROWS
    assert "For Those About To Rock We Salute You" in warmed.text
    assert asked_for.cost == "SQL queries: 0; requests to the source: 1."
    assert warmed.cost == "SQL queries: 0; requests to the source: 0."


def test_a_change_is_shown_by_asking_at_once_and_warmed_after_both_runs(sites: MusicSites) -> None:
    name = rename(sites)

    assert name in sites.target.get("/musics/").text
    assert name not in sites.target.get("/musics/warmed/").text
    sites.warm()
    # INVALIDATION_LAG bounds how long the list's context is read from process memory.
    until(lambda: name in sites.target.get("/musics/warmed/").text)


def test_loading_again_writes_only_what_differs(sites: MusicSites) -> None:
    rename(sites)

    assert sites.at("source", "load_musics") == (
        "275 artists, 347 albums, 3,503 tracks: 0 rows added, 1 changed.\n"
    )


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "Send an API key in the header X-Api-Key."),
        ({"X_Api_Key": "guessed"}, "The API key in the header X-Api-Key is unknown here."),
    ],
)
def test_nobody_gets_a_key_without_an_api_key(
    sites: MusicSites, headers: dict[str, str], detail: str
) -> None:
    answer = sites.source.get(API, **headers)

    assert (answer.status, answer.text) == (401, f'{{"detail":"{detail}"}}')
    assert sites.source.get(API, X_Api_Key=API_KEY).status == 200


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 500, "It answers with status 500 Internal Server Error."),
        ({"detail": "unknown"}, 401, "It answers with status 401 Unauthorized."),
        (b"<html>", 200, "Its answer is no key."),
        ({"kye": ""}, 200, "Its answer is no key."),
        (["key"], 200, "Its answer is no key."),
        ({"key": 5}, 200, "Its answer is no key."),
        ({"key": "fc1:musics.music:-:no:such.entry"}, 200, "not in the shared cache"),
        ({"key": "../../etc/passwd"}, 200, "not in the shared cache"),
        ({"key": "fc1:\n\x00"}, 200, "not in the shared cache"),
    ],
)
def test_a_source_that_answers_wrongly(
    sites: MusicSites, body: object, status: int, says: str
) -> None:
    sites.stand_in.answers(body, status)

    answer = sites.doubtful_target.get("/musics/")

    assert answer.status == 503
    assert says in answer.notice


def test_a_source_that_does_not_answer_is_not_waited_for(sites: MusicSites) -> None:
    sites.stand_in.answers({"key": sites.key()}, seconds=1)

    answer = sites.doubtful_target.get("/musics/")

    assert "It does not answer in time." in answer.notice
    milliseconds = re.search(r"took ([\d.]+) ms", answer.text)
    assert milliseconds is not None
    assert 300 <= float(milliseconds[1]) < 1000


def test_a_context_of_another_shape(sites: MusicSites) -> None:
    script = "from fragcache import publish_context; print(publish_context('musics.catalogue'))"
    key = sites.at("source", "shell", "--verbosity=0", "-c", script).strip()
    sites.stand_in.answers({"key": key})

    answer = sites.doubtful_target.get("/musics/")

    assert answer.status == 503
    assert "has another shape" in answer.notice
    assert "  tracks is unexpected" in "".join(sites.logs)


def test_a_key_that_has_ended(sites: MusicSites, stored: Stored) -> None:
    rename(sites)
    key = sites.key()
    sites.stand_in.answers({"key": key})
    stored.remove(key)

    answer = sites.doubtful_target.get("/musics/")

    assert answer.status == 503
    assert "not in the shared cache" in answer.notice
    assert sites.key() == key  # published anew, since it has gone
    assert len(sites.doubtful_target.get("/musics/").rows) == ROWS


def test_a_context_that_was_overwritten_by_hand(sites: MusicSites, stored: Stored) -> None:
    name = rename(sites)
    key = sites.key()
    sites.stand_in.answers({"key": key})
    true = stored.read(key)
    for poison in (true.replace(name.encode(), name[::-1].encode()), b"poison", true[:-1], b""):
        stored.overwrite(key, poison)
        answer = sites.doubtful_target.get("/musics/")
        assert answer.status == 503
        assert "not a valid one" in answer.notice

    # A source that is asked publishes it anew.
    assert name in sites.target.get("/musics/").text
    assert stored.read(key) != poison
    assert name in sites.doubtful_target.get("/musics/").text


def test_an_artist_whose_context_was_overwritten_is_counted(
    sites: MusicSites, stored: Stored
) -> None:
    rename(sites)
    key = sites.at("source", "shell", "--verbosity=0", "-c", FIRST_ARTIST).strip()
    true = stored.read(key)
    stored.overwrite(key, b"poison")
    answer = sites.doubtful_target.get("/musics/warmed/")
    stored.overwrite(key, true)

    assert answer.status == 200
    assert "1 of 204 artists are not in the cache" in answer.text
    assert len(answer.rows) == ROWS - 2


def test_rows_of_contexts_of_another_shape(sites: MusicSites) -> None:
    status, notice = sites.at("target", "shell", "--verbosity=0", "-c", OTHER_SHAPE).splitlines()

    assert status == "502"
    assert "has another shape" in notice


def test_an_old_release_with_a_new_one(sites: MusicSites, tmp_path: Path) -> None:
    before = sites.target.get("/musics/warmed/")
    shape = "target/shapes.py", "tracks: int", "songs: int"
    published = "musics/fragments.py", '"tracks": Track', '"songs": Track'
    new_source = new_release(tmp_path / "source", *published)
    shapes = new_release(tmp_path / "target", *shape)
    new_target = Site("target", sites.folder, release=shapes, **sites.at_target)
    try:
        new_target.launch()
        new_target.wait()
        with_old_source = new_target.get("/musics/warmed/")
        sites.at("source", "warm_fragments", "musics.catalogue", "-v0", release=new_source)
        old_target = sites.target.get("/musics/warmed/")
        with_new_source = new_target.get("/musics/warmed/")
        sites.at("source", "warm_fragments", "musics.catalogue", "-v0")  # rolled back
        both = new_target.get("/musics/warmed/"), sites.target.get("/musics/warmed/")
    finally:
        new_target.stop()

    assert with_old_source.status == 502
    assert "has another shape" in with_old_source.notice
    for answer in (old_target, with_new_source, *both):
        assert (answer.status, answer.rows) == (200, before.rows)
    assert "For at most 60 minutes the last context that fitted is shown" in sites.logs[1]
    assert "Traceback" not in new_target.log.read_text()


def test_a_source_that_is_down(sites: MusicSites) -> None:
    before = sites.target.get("/musics/warmed/")
    sites.source.stop()
    try:
        asked_for, warmed = sites.target.get("/musics/"), sites.target.get("/musics/warmed/")
    finally:
        sites.source.launch()
        sites.source.wait()

    assert asked_for.status == 502
    assert "It cannot be reached." in asked_for.notice
    assert warmed.status == 200
    assert warmed.rows == before.rows
    assert len(sites.target.get("/musics/").rows) == ROWS


def test_a_cache_that_is_down(sites: MusicSites) -> None:
    sites.cache.stop()
    try:
        asked_for, warmed = sites.target.get("/musics/"), sites.target.get("/musics/warmed/")
        configured = sites.doubtful_target.get("/musics/warmed/")
        others = [sites.target.get(path).status for path in ("/", "/courses/1/", "/modules/1/")]
    finally:
        sites.cache.start()

    assert asked_for.status == 502
    assert "It answers with status 503 Service Unavailable." in asked_for.notice
    assert (warmed.status, configured.status) == (503, 200)
    assert "the cache does not answer" in warmed.notice
    assert warmed.notice == configured.notice
    assert others == [200, 404, 404]

    assert sites.target.get("/").status == 200  # of an empty cache
    sites.warm()
    until(lambda: len(sites.target.get("/musics/warmed/").rows) == ROWS)
