"""What the source publishes of the discography: contexts alone, for templates of the target's."""

from typing import Any

from django.db.models import Count, Exists, OuterRef, Prefetch, QuerySet, Sum
from django.db.models.functions import Coalesce

from fragcache import collection_version, fragment
from musics.models import Album, Artist, Track


def artists() -> QuerySet[Artist]:
    """Return those who have an album; others have no row in the table."""
    return Artist.objects.filter(Exists(Album.objects.filter(artist=OuterRef("pk"))))


def albums() -> Prefetch:
    """Load albums with what the table says of their tracks."""
    listed = Album.objects.annotate(
        track_count=Count("tracks"), milliseconds=Coalesce(Sum("tracks__milliseconds"), 0)
    )
    # A query that counts has no order of itself, whatever the model says.
    return Prefetch("albums", listed.order_by("title", "pk"))


def version() -> Any:
    return collection_version(artists())


@fragment(items=artists, version="mtime", prefetch_related=[albums()], publish="context")
def discography(artist: Artist) -> dict[str, Any]:
    return {"artist": artist}


@fragment(version=version, publish="context")
def catalogue() -> dict[str, Any]:
    """Which discographies a page shows, in which order; and how much there is of everything."""
    return {
        "ids": list(artists().values_list("pk", flat=True)),
        "artists": artists().count(),
        "albums": Album.objects.count(),
        "tracks": Track.objects.count(),
    }


@fragment(version=version, publish="context")
def music() -> dict[str, Any]:
    """All discographies at once, for who asks the source at each visit."""
    return {"artists": artists().prefetch_related(albums())}
