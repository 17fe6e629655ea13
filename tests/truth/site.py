"""The site: its fragments, of every kind that tells its state in its own way, in two releases."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fragcache import Fragment
from fragcache import collections as collections_module
from fragcache.declarations import FunctionFragment
from tests.library.models import Artist
from tests.studio.models import Band, Musician, Session

#: What may be told apart in the database: a model's name, and which of its rows.
Cell = tuple[str, int]

BAND: Cell = ("band", 1)
SESSIONS: tuple[Cell, ...] = (("session", 1), ("session", 2))
ARTIST: Cell = ("artist", 1)
MUSICIANS: tuple[Cell, ...] = (("musician", 1), ("musician", 2), ("musician", 3))
MODELS: dict[str, type[Any]] = {
    "band": Band,
    "session": Session,
    "artist": Artist,
    "musician": Musician,
}

#: Seconds for which the fragment `truth.eager` may be shown stale.
STALE_SECONDS = 30

_TEMPLATES = {
    "session.html": "session:{{ session.pk }}={{ session.title }};",
    "band.html": "{% load fragcache %}band:{{ band.pk }}={{ band.name }};"
    "{% fragments 'truth.session' sessions %}",
    "musicians.html": "{% for one in musicians %}musician:{{ one.pk.int }}={{ one.name }};"
    "{% endfor %}",
    "artist.html": "artist:{{ artist.pk }}={{ artist.name }};",
}


class Portrait:
    """An object of the site's own, which carries what was read when a view made it."""

    def __init__(self, pk: int, name: str) -> None:
        self.pk = pk
        self.name = name

    def fragment_identity(self) -> int:
        return self.pk


@dataclass(frozen=True)
class Shown:
    """One instance of a fragment, as a page shows it."""

    fragment: str
    pk: int | None
    cells: tuple[Cell, ...] = field(repr=False)


SHOWN = (
    *(Shown("truth.session", cell[1], (cell,)) for cell in SESSIONS),
    Shown("truth.eager", 1, SESSIONS[:1]),
    Shown("truth.band", 1, (BAND, *SESSIONS)),
    Shown("truth.musicians", None, MUSICIANS),
    Shown("truth.artist", 1, (ARTIST,)),
    Shown("truth.portrait", 1, (ARTIST,)),
)
#: Which are found by head, and are as true as their tokens.
BY_HEAD = frozenset({"truth.artist", "truth.portrait"})


@dataclass
class Release:
    """One state of the site's code."""

    number: int
    fragments: dict[str, Fragment]
    digests: dict[str, str] = field(default_factory=dict)


def templates() -> dict[str, str]:
    """Return the templates of both releases, which say by whom they were rendered."""
    return {
        f"{number}/{name}": f"{number}|{source}"
        for number in (1, 2)
        for name, source in _TEMPLATES.items()
    }


def release(number: int, spend: Callable[[float], None]) -> Release:
    """Return a release, whose renders ``spend`` the seconds that they take."""
    made: dict[str, Fragment] = {}

    def declare(template: str, name: str, **options: Any) -> Callable[[Any], Any]:
        def add(function: Any) -> Any:
            options["vary_on"] = ["-language", "-time_zone"]
            path = f"{number}/{template}.html"
            made[name] = FunctionFragment(function, template_name=path, name=name, **options)
            return made[name]

        return add

    def first_session() -> Any:
        return Session.objects.filter(pk=1)

    rows = {"version": "updated_at", "timeout": 3600}

    @declare("session", "truth.session", items=Session.objects.all, **rows)
    def session(session: Session) -> dict[str, Any]:
        return {"session": session}

    @declare(
        *("session", "truth.eager"),
        **{"items": first_session, "stale_while_revalidate": STALE_SECONDS, **rows},
    )
    def eager(session: Session) -> dict[str, Any]:
        spend(0.002)
        return {"session": session}

    @declare("band", "truth.band", items=Band.objects.all, **rows)
    def band(band: Band) -> dict[str, Any]:
        spend(0.002)
        return {"band": band, "sessions": list(band.sessions.order_by("pk"))}

    def version_of_musicians() -> str:
        return collections_module.collection_version(Musician.objects.all())

    @declare("musicians", "truth.musicians", version=version_of_musicians, timeout=3600)
    def musicians() -> dict[str, Any]:
        return {"musicians": list(Musician.objects.order_by("pk"))}

    @declare("artist", "truth.artist", items=Artist.objects.all, timeout=300)
    def artist(artist: Artist) -> dict[str, Any]:
        spend(0.002)
        return {"artist": artist}

    def portraits() -> list[Portrait]:
        return [Portrait(*row) for row in Artist.objects.order_by("pk").values_list("pk", "name")]

    @declare("artist", "truth.portrait", items=portraits, timeout=300)
    def portrait(portrait: Portrait) -> dict[str, Any]:
        return {"artist": portrait}

    return Release(number, made)


def primary_key(cell: Cell) -> Any:
    """Return the primary key of a cell's row."""
    model, number = cell
    return uuid.UUID(int=number) if model == "musician" else number
