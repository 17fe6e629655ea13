"""Bring the discography of the data file into the database, writing only what differs."""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from common.loading import Loaded
from musics.models import Album, Artist, Track


@transaction.atomic
def load(data: dict[str, Any], progress: Callable[[str], object] | None) -> Loaded:
    loaded = Loaded()
    artist_of = numbered(
        loaded.synchronise(
            Artist.objects.all(),
            "number",
            [{"number": artist["id"], "name": artist["name"]} for artist in data["artists"]],
        )
    )
    album_of = numbered(
        loaded.synchronise(
            Album.objects.select_related("artist"),
            "number",
            [
                {
                    "number": album["id"],
                    "artist": artist_of[album["artist_id"]],
                    "title": album["title"],
                }
                for album in data["albums"]
            ],
        )
    )
    loaded.synchronise(
        Track.objects.select_related("album"),
        "number",
        [
            {
                "number": track["id"],
                "album": album_of[track["album_id"]],
                "name": track["name"],
                "composer": track["composer"] or "",
                "milliseconds": track["milliseconds"],
            }
            for track in data["tracks"]
        ],
    )
    return loaded


def numbered(rows: list[Any]) -> dict[int, Any]:
    return {row.number: row for row in rows}
