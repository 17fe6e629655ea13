"""What the target renders from contexts of the source, by templates of its own."""

from fragcache import fetch_context, remote_fragment
from target.shapes import Catalogue, Discography


def listed() -> list[int]:
    """Return what the source has chosen to list; nothing while it has not."""
    catalogue = fetch_context("musics.catalogue", shape=Catalogue, default=None)
    return catalogue.ids if catalogue else []


remote_fragment("musics.discography", "musics/discography.html", shape=Discography, items=listed)
