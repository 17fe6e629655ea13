"""A site of which all that it stores is known: to be poisoned, or sealed with other keys."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any, Final

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.management import call_command
from django.template import Context, Template

from fragcache import Fragment, fragment, get_fragment, get_fragments, invalidate
from fragcache.reading import costs
from fragcache.store import store
from tests.backends import new_cache
from tests.fixtures import RoundTrips, in_request, on_target
from tests.library.models import Artist

#: What keys of a kind have in common, and no others.
MARKS: Final = {"lock": "!warm", "manifest": "!manifest", "lease": "~", "token": "#", "head": "@"}
CARD, GREETING = "library.sealed_card", "library.sealed_greeting"
#: Django's own caches, which pickle, for the servers of our aliases.
PICKLING: Final = {
    "redis": "django.core.cache.backends.redis.RedisCache",
    "memcached": "django.core.cache.backends.memcached.PyMemcacheCache",
}


class Bomb:
    """What runs code where it is unpickled, and counts how often it did."""

    exploded = 0

    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> bytes:
    Bomb.exploded += 1
    return b"boom"


def kind_of(key: str) -> str:
    """Return what a key is for: an entry, or one of MARKS."""
    return next((kind for kind, mark in MARKS.items() if mark in key), "entry")


def kinds(keys: Mapping[str, Any] | set[str]) -> Counter[str]:
    return Counter(map(kind_of, keys))


class Site:
    """Pages with stamped and versioned instances, one without a version, and a block."""

    def __init__(self, artists: list[Artist], templates: Any, trips: RoundTrips) -> None:
        templates(
            {
                "sealed_card.html": "<b>{{ artist.name }}</b>",
                "sealed_greeting.html": "Hello {{ name }}",
            }
        )
        self.pks = [artist.pk for artist in artists]
        self.trips = trips
        self.cards: Fragment = fragment(
            "sealed_card.html",
            name=CARD,
            items=Artist.objects.all,
            version="updated_at",
            stamped=True,
        )(_card)
        self.greeting: Fragment = fragment("sealed_greeting.html", name=GREETING)(_greeting)

    def visit(self) -> list[str]:
        """Return what a page of the site shows."""
        with in_request():
            block = Template("{% load fragcache %}{% cache 600 menu 1 %}menu{% endcache %}")
            html = get_fragments(self.cards, self.pks)
            return [*html, get_fragment(self.greeting, "you"), block.render(Context())]

    def visit_target(self) -> list[str | None]:
        """Return what a target shows of it."""
        with on_target(CARD):
            return get_fragments(CARD, self.pks, default=None)

    def warm(self) -> None:
        call_command("warm_fragments", CARD, verbosity=0, stdout=StringIO())

    def live(self) -> list[str | None]:
        """Do all that the site does; return what was shown."""
        shown = self.visit()
        self.warm()
        return [*shown, *self.visit_target()]

    def invalidate(self) -> None:
        """Invalidate what has no version, and one of those that are stamped."""
        invalidate(self.greeting, "you")
        invalidate(self.cards, self.pks[0])

    @property
    def keys(self) -> set[str]:
        """All keys that it has asked for or written."""
        return {key for trip in self.trips for key in trip.keys}

    def stored(self) -> dict[str, bytes]:
        """Return what is there of it, by key."""
        found: dict[str, bytes] = caches[store().alias].get_many(self.keys)
        return found

    def put(self, values: Mapping[str, bytes]) -> None:
        caches[store().alias].set_many(values, 600)


SHOWN: Final = ["<b>Nina</b>", "<b>Ella</b>", "Hello you", "menu"]
SHOWN_ON_TARGET: Final = SHOWN[:2]


@pytest.fixture
def site(
    cache_alias: str,
    artists: list[Artist],
    templates: Any,
    trips: RoundTrips,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    monkeypatch.setattr(costs, "are_worth_a_lease", lambda _name: True)
    Bomb.exploded = 0
    return Site(artists, templates, trips)


def by_django(alias: str) -> Callable[[set[str]], None]:
    """Return what puts pickles under keys as Django does, with the server's flags for them."""
    cache = new_cache(PICKLING[alias], settings.CACHES[alias]["LOCATION"])
    return lambda keys: cache.set_many(dict.fromkeys(keys, Bomb()), None)


def as_bytes(alias: str, value: object, protocol: int) -> Callable[[set[str]], None]:
    """Return what puts a pickle under keys as it is."""
    data = pickle.dumps(value, protocol)
    return lambda keys: caches[alias].set_many(dict.fromkeys(keys, data), None)


def _card(artist: Artist) -> dict[str, Any]:
    return {"artist": artist}


def _greeting(name: str) -> dict[str, Any]:
    return {"name": name}
