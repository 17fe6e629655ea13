"""The discography twice: by asking the source at each visit, and from what was warmed."""

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fragcache import FragmentMissing, ShapeMismatch, fetch_context, get_fragments
from target.shapes import Catalogue, Music
from target.source_api import SourceUnavailable, music_context_key

logger = logging.getLogger(__name__)

NO_CONTEXT = "The source has named a context that is not in the shared cache, or not a valid one."
NOTHING_WARMED = (
    "The catalogue is not in the cache that this site reads: the cache does not answer, or the "
    "source's warm_fragments has not run yet."
)
WRONG_SHAPE = "What the source has published has another shape than this page is made for."


def asked_for(request: HttpRequest) -> HttpResponse:
    """Ask the source's API for a key, and show the context that is under it."""
    try:
        music = fetch_context(music_context_key(), shape=Music)
    except SourceUnavailable as error:
        return unavailable(request, f"The source was asked for it. {error}", error)
    except FragmentMissing as error:
        return unavailable(request, NO_CONTEXT, error)
    except ShapeMismatch as error:
        return unavailable(request, WRONG_SHAPE, error)
    return render(request, "target/musics.html", {"artists": music.artists})


def warmed(request: HttpRequest) -> HttpResponse:
    """Show what was warmed of all that the source has chosen to list; ask nobody but the cache."""
    try:
        catalogue = fetch_context("musics.catalogue", shape=Catalogue, default=None)
        if catalogue is None:
            return unavailable(
                request, NOTHING_WARMED, "no catalogue", status=settings.DEMO_CACHE_STATUS
            )
        found = get_fragments("musics.discography", catalogue.ids, request=request, default=None)
    except ShapeMismatch as error:
        return unavailable(request, WRONG_SHAPE, error)
    context = {"catalogue": catalogue, "rows": [html for html in found if html is not None]}
    context["missing"] = len(found) - len(context["rows"])
    is_empty = context["missing"] and not context["rows"]
    status = settings.DEMO_CACHE_STATUS if is_empty else 200
    return render(request, "target/warmed_musics.html", context, status=status)


def unavailable(
    request: HttpRequest, reason: str, error: object, *, status: int | None = None
) -> HttpResponse:
    """Return a page that says why there is no discography; the log has the details."""
    logger.warning("%s shows no discography: %s", request.path, error)
    return render(
        request,
        "target/no_musics.html",
        {"reason": reason},
        status=status or settings.DEMO_SOURCE_STATUS,
    )
