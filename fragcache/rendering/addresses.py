"""Absolute addresses, which what is rendered without a request builds of its axes."""

from __future__ import annotations

from typing import Final

from django.utils.encoding import iri_to_uri

from fragcache import axes
from fragcache.bubbling import note_axes

_AXES: Final = ("scheme", "host")


def absolute_uri(location: str) -> str:
    """Return an address of this site with scheme and host, as of ``get_absolute_url()``.

    ``location`` begins with a slash. Within a fragment these are the values of its axes; what does
    not vary on both is not stored. Outside of fragments and requests they are the first that are
    warmed.

    Raises:
        ValueError: ``location`` does not begin with one slash.
        ImproperlyDeclared: no host is known, or a request has one that is not given.
    """
    if not location.startswith("/") or location.startswith("//"):
        raise ValueError(
            f"absolute_uri({location!r}): give a path from the root of the site, as "
            "get_absolute_url() and reverse() return it."
        )
    note_axes(_AXES)
    scheme, host = (axes.get(name).current(None) for name in _AXES)
    uri: str = iri_to_uri(f"{scheme}://{host}{location}")
    return uri
