"""``assert_fragment_sound`` names what changes an output without changing its key."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.db.models import F
from django.db.models.signals import post_save
from django.test import SimpleTestCase
from django.utils import timezone, translation

from fragcache import Fragment, FragmentMissing, UnknownFragment, collection_version, invalidate
from fragcache.testing import assert_fragment_sound
from tests.fixtures import RoundTrips, any_cache
from tests.library.models import Album, Artist, Country, Note, Track
from tests.studio.models import Band, Label, Session, Take

pytestmark = [
    pytest.mark.django_db,
    any_cache,
    pytest.mark.usefixtures("cache_alias"),
]
visitor = threading.local()
REMEDY = "save() did not move version=['updated_at']: make it a TouchField, or add 'name' to it."


def visitors(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Middleware that keeps the request where anything can reach it, as packages do."""

    def middleware(request: Any) -> Any:
        visitor.request = request
        try:
            return get_response(request)
        finally:
            del visitor.request

    return middleware


def kathmandu(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Middleware that activates a visitor's time zone, and leaves it at that."""

    def middleware(request: Any) -> Any:
        timezone.activate("Asia/Kathmandu")
        return get_response(request)

    return middleware


def nobody(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Middleware that answers itself."""

    def middleware(request: Any) -> Any:
        raise LookupError("no such tenant")

    return middleware


@pytest.fixture
def album(db: None) -> Album:
    return Album.objects.create(title="Silk & Soul", artist=Artist.objects.create(name="Nina"))


@pytest.fixture
def make(declare: Any, templates: Any) -> Callable[..., Fragment]:
    """A function that declares a fragment of albums, of sessions, or of nothing."""

    def make(source: str, **options: Any) -> Fragment:
        templates({"x.html": source})

        @declare("x.html", name="library.x", **options)
        def x(item: Any) -> dict[str, Any]:
            return {"item": item}

        fragment: Fragment = x
        return fragment

    return make


def complaint(fragment: Any, *args: Any, **kwargs: Any) -> str:
    """Return what it says of a fragment that is not sound."""
    with pytest.raises(AssertionError) as raised:
        assert_fragment_sound(fragment, *args, **kwargs)
    return str(raised.value)


class TestSound:
    def test_a_fragment_whose_version_covers_all_that_shows(
        self, make: Callable[..., Fragment]
    ) -> None:
        session = Session.objects.create(title="One", band=Band.objects.create(name="Trio"))
        session.labels.add(Label.objects.create(name="jazz"))
        Take.objects.create(session=session)
        fragment = make(
            "{{ item.title }} {{ item.plays }} {{ item.band.name }} {{ item.updated_at }}"
            "{% for take in item.takes.all %}{{ take.number }}{% endfor %}"
            "{% for label in item.labels.all %}{{ label }}{% endfor %}",
            items=Session.objects.all,
            version=["updated_at", "band__updated_at"],
        )

        assert_fragment_sound(fragment, session)
        assert_fragment_sound("library.x", session.pk)
        assert_fragment_sound(fragment, item=str(session.pk))

    def test_the_database_is_as_before(self, make: Callable[..., Fragment], album: Album) -> None:
        fragment = make("{{ item.title }}", items=Album.objects.all, version="updated_at")
        before = Album.objects.values().get()

        assert_fragment_sound(fragment, album)

        assert Album.objects.values().get() == before
        assert album.title == "Silk & Soul"

    def test_nothing_is_read_from_the_cache_or_stored(
        self,
        make: Callable[..., Fragment],
        artist_card: Fragment,
        album: Album,
        templates: Any,
        trips: RoundTrips,
    ) -> None:
        fragment = make(
            "{% load fragcache %}{{ item.title }}{% fragment 'library.artist_card' item.artist %}",
            items=Album.objects.all,
            version=["updated_at", "artist__name"],
        )

        assert_fragment_sound(fragment, album)
        assert trips == []

    def test_what_a_context_makes_itself_is_no_row(self, make: Callable[..., Fragment]) -> None:
        fragment = make("{{ item }}{{ other.name }}", version=lambda item: 1)
        fragment.function = lambda item: {"other": Artist(pk=99, name="Made up")}  # type: ignore[attr-defined]

        assert_fragment_sound(fragment, 1)

    def test_a_site_is_no_content(self, make: Callable[..., Fragment]) -> None:
        """Of which processes keep copies."""
        fragment = make("{{ site.name }}", version=lambda item: 1)
        fragment.function = lambda item: {"site": Site.objects.get(pk=1)}  # type: ignore[attr-defined]

        assert_fragment_sound(fragment, 1)

    def test_without_a_version_data_may_be_newer(
        self, make: Callable[..., Fragment], album: Album
    ) -> None:
        assert_fragment_sound(make("{{ item.title }}", items=Album.objects.all), album)

    def test_an_invalidation_is_as_good_as_a_version(
        self, make: Callable[..., Fragment], album: Album
    ) -> None:
        fragment = make(
            "{{ item.artist.name }}", items=Album.objects.all, version="title", stamped=True
        )
        assert "library.Artist.name changes the output" in complaint(fragment, album)

        def follow(instance: Artist, **_kwargs: Any) -> None:
            for one in instance.albums.all():
                invalidate(fragment, one)

        post_save.connect(follow, sender=Artist)
        try:
            assert_fragment_sound(fragment, album)
        finally:
            post_save.disconnect(follow, sender=Artist)

    def test_a_version_of_many_rows(self, make: Callable[..., Fragment]) -> None:
        Session.objects.bulk_create([Session(title="One"), Session(title="Two")])
        fragment = make(
            "{{ item }}{% for one in all %}{{ one.title }}{% endfor %}",
            version=lambda item: collection_version(Session.objects.all()),
        )
        fragment.function = lambda item: {"item": item, "all": Session.objects.all()}  # type: ignore[attr-defined]

        assert_fragment_sound(fragment, "all of them")


class TestFields:
    def test_a_field_whose_save_moves_no_version_is_named(
        self, make: Callable[..., Fragment], artists: list[Artist]
    ) -> None:
        fragment = make("<b>{{ item.name }}</b>", items=Artist.objects.all, version="updated_at")

        assert complaint(fragment, artists[0]).splitlines() == [
            f"library.x({artists[0].pk}) is not sound.",
            "",
            "library.Artist.name changes the output when it is saved, and the key stays the same.",
            "--- as it is",
            "+++ another library.Artist.name",
            "@@ -1 +1 @@",
            "-<b>Nina</b>",
            "+<b>Changed Nina</b>",
            REMEDY,
        ]

    def test_a_field_of_a_related_row_is_named_with_its_path(
        self, make: Callable[..., Fragment], album: Album
    ) -> None:
        fragment = make("{{ item.artist.name }}", items=Album.objects.all, version="updated_at")

        text = complaint(fragment, album)
        assert "library.Artist.name changes the output" in text
        assert (
            "Declare version=['updated_at', 'artist__name'], or let library.Artist touch it" in text
        )

    def test_the_mtime_of_a_related_row_is_what_a_version_should_have(
        self, make: Callable[..., Fragment]
    ) -> None:
        session = Session.objects.create(title="One", band=Band.objects.create(name="Trio"))
        take = Take.objects.create(session=session)
        fragment = make("{{ item.session.band.name }}", items=Take.objects.all, version="mtime")

        text = complaint(fragment, take)
        assert "Declare version=['mtime', 'session__band__updated_at'], or let" in text

    def test_rows_that_lead_to_it_are_named_as_many(
        self, make: Callable[..., Fragment], album: Album
    ) -> None:
        Track.objects.bulk_create(
            Track(album=album, position=n * 10 + 10, title=f"Track {n}") for n in range(5)
        )
        fragment = make(
            "{% for track in item.tracks.all %}{{ track.title }}{% endfor %}",
            items=Album.objects.all,
            version="updated_at",
            prefetch_related=["tracks"],
        )

        saved = set()

        def note(instance: Track, **_kwargs: Any) -> None:
            saved.add(instance.pk)

        post_save.connect(note, sender=Track)
        try:
            text = complaint(fragment, album)
        finally:
            post_save.disconnect(note, sender=Track)
        assert len(saved) == 3
        assert text.count("library.Track.title changes the output") == 1
        assert "collection_version() for many rows; or let library.Track touch" in text

    def test_a_row_that_is_a_further_argument_is_changed_as_well(
        self, declare: Any, templates: Any, album: Album
    ) -> None:
        templates({"y.html": "{{ album.title }} {{ country.code }} {{ note.text }}"})
        note, country = Note.objects.create(text="first"), Country.objects.create(code="fr")

        @declare("y.html", name="library.y", version=lambda album, note, country: album.title)
        def y(album: Album, note: Note, country: Country) -> dict[str, Any]:
            return {"album": album, "note": note, "country": country}

        text = complaint(y, album, note, country=country)
        assert text.count("changes the output") == 1
        assert "library.Note.text changes the output" in text
        assert "-Silk &amp; Soul fr first\n+Silk &amp; Soul fr Changed first" in text

    def test_a_foreign_key_is_pointed_at_another_row(
        self, make: Callable[..., Fragment], album: Album
    ) -> None:
        Artist.objects.create(name="Ella")
        fragment = make("{{ item.artist_id }}", items=Album.objects.all, version="title")

        assert "library.Album.artist changes the output" in complaint(fragment, album)

    def test_what_the_live_page_is_given_to_fill_in_shows_as_well(
        self, make: Callable[..., Fragment], artists: list[Artist]
    ) -> None:
        fragment = make(
            "{% load fragcache %}{% csrf_token %}"
            "{% nocache with name=item.name %}{{ name }}{% endnocache %}",
            items=Artist.objects.all,
            version="updated_at",
        )

        text = complaint(fragment, artists[0])
        assert "library.Artist.name changes the output" in text
        assert '{"name": "Changed Nina"}]' in text

    def test_what_the_site_refuses_to_save_is_left(
        self, make: Callable[..., Fragment], album: Album
    ) -> None:
        def refuse(**_kwargs: Any) -> None:
            raise ValueError("artists are never renamed")

        fragment = make("{{ item.artist.name }}", items=Album.objects.all, version="updated_at")
        post_save.connect(refuse, sender=Artist)
        try:
            assert_fragment_sound(fragment, album)
        finally:
            post_save.disconnect(refuse, sender=Artist)
        assert "library.Artist.name" in complaint(fragment, album)

    def test_all_problems_are_told_at_once(
        self, make: Callable[..., Fragment], artists: list[Artist]
    ) -> None:
        fragment = make(
            "{{ item.name }} {% if item.pk %}{{ 1.5 }}{% endif %}",
            items=Artist.objects.annotate(n=F("pk")).all,
            version="updated_at",
            vary_on=["-language"],
        )

        text = complaint(fragment, artists[0])
        assert "library.Artist.name changes" in text
        assert "The axis 'language' changes" in text


class TestSurroundings:
    def test_an_axis_that_is_not_in_the_key(self, make: Callable[..., Fragment]) -> None:
        fragment = make("{{ 1.5 }}", vary_on=["-language", "-time_zone"])

        text = complaint(fragment, 1)
        assert "The axis 'language' changes the output, and the key stays the same." in text
        assert text.count("changes the output") == 1
        assert "-1.5\n+1,5" in text
        assert "Take '-language' out of its vary_on." in text
        assert "time_zone" not in text

    @pytest.mark.parametrize(
        ("shown", "cause"),
        [
            ("request.get_host", "The request's scheme, host, path or headers"),
            ("request.scheme", "The request's scheme, host, path or headers"),
            ("request.GET.page", "The request's scheme, host, path or headers"),
            ("request.META.HTTP_X_REQUESTED_WITH", "The request's scheme, host, path or headers"),
            ("request.user", "The user who is logged in"),
        ],
    )
    def test_a_request_that_is_kept_somewhere(
        self, declare: Any, templates: Any, settings: Any, shown: str, cause: str
    ) -> None:
        auth = "django.contrib.auth.middleware.AuthenticationMiddleware"
        sessions = "django.contrib.sessions.middleware.SessionMiddleware"
        settings.MIDDLEWARE = [sessions, auth, f"{__name__}.visitors"]
        settings.ALLOWED_HOSTS = ["testserver"]
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        templates({"y.html": f"{{{{ {shown} }}}}"})

        @declare("y.html", name="library.y")
        def y() -> dict[str, Any]:
            return {"request": getattr(visitor, "request", None)}

        text = complaint(y)
        assert f"{cause} changes the output, and the key stays the same." in text
        assert text.count("changes the output") == 1
        assert "pass what it needs as an argument, or declare an axis" in text

    def test_a_language_and_zone_that_middleware_activates_are_in_the_key(
        self, make: Callable[..., Fragment], settings: Any
    ) -> None:
        settings.MIDDLEWARE = [
            "django.middleware.locale.LocaleMiddleware",
            f"{__name__}.kathmandu",
        ]

        assert_fragment_sound(make("{{ 1.5 }} {% now 'e' %}"), 1)
        assert translation.get_language() == "en-us"
        assert timezone.get_current_timezone_name() == "UTC"

    def test_middleware_that_answers_itself_tells_nothing(
        self, make: Callable[..., Fragment], settings: Any
    ) -> None:
        settings.MIDDLEWARE = [f"{__name__}.nobody"]

        assert_fragment_sound(make("{{ item }}"), 1)

    def test_output_by_chance(self, make: Callable[..., Fragment]) -> None:
        numbers = itertools.count()
        fragment = make("{{ n }}", vary_on=["-language"])
        fragment.function = lambda item: {"n": next(numbers) > 3}  # type: ignore[attr-defined]

        text = complaint(fragment, 1)
        assert "Two renders in a row of the same data differ: it is not deterministic." in text
        assert text.count("\n\n") == 1


class TestUsage:
    def test_what_there_is_not_is_an_error_of_its_own(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        with pytest.raises(UnknownFragment, match=r"Did you mean 'library\.artist_card'"):
            assert_fragment_sound("library.artist_cart", 1)
        with pytest.raises(FragmentMissing):
            assert_fragment_sound(artist_card, artists[-1].pk + 1)

    def test_an_error_of_the_fragment_is_the_callers(
        self, make: Callable[..., Fragment], settings: Any
    ) -> None:
        settings.MIDDLEWARE = [f"{__name__}.visitors"]
        fragment = make("{{ item }}")
        fragment.function = lambda item: {"n": 1 // (not hasattr(visitor, "request"))}  # type: ignore[attr-defined]

        with pytest.raises(ZeroDivisionError):
            assert_fragment_sound(fragment, 1)


def test_a_fragment_without_rows_needs_no_database(greeting: Fragment) -> None:
    class Tests(SimpleTestCase):
        def test(self) -> None:
            assert_fragment_sound(greeting, "you")

    result = Tests("test").run()
    assert result is not None
    assert result.wasSuccessful(), result.errors
