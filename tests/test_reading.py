"""Reading fragments in Python: what is returned, raised and kept."""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.db.models.functions import Lower
from django.forms import modelform_factory
from django.template import TemplateSyntaxError
from django.utils.safestring import SafeString

from fragcache import (
    Fragment,
    FragmentMissing,
    ImproperlyDeclared,
    InvalidArguments,
    NoIdentity,
    UnknownFragment,
    aget_fragment,
    aget_fragments,
    arender_fragment,
    get_fragment,
    get_fragments,
    invalidate_all,
    register,
    render_fragment,
)
from fragcache.events import Event
from tests.fixtures import RoundTrips, any_cache, elsewhere, happened, in_request
from tests.library.models import Album, Artist, Note, Shelf

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]
A_SECOND = dt.timedelta(seconds=1)


class TestOutput:
    @pytest.mark.parametrize("read", ["rendered", "from the cache"])
    def test_is_safe_html(self, artist_card: Fragment, artists: list[Artist], read: str) -> None:
        if read == "from the cache":
            get_fragments(artist_card, artists)
        for html in get_fragments(artist_card, artists):
            assert type(html) is SafeString

    def test_keeps_the_order_and_the_duplicates_of_the_items(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        nina, ella = artists
        get_fragment(artist_card, ella)  # one from the cache, one rendered

        assert get_fragments(artist_card, [nina, ella, nina.pk, ella]) == [
            "<b>Nina</b>",
            "<b>Ella</b>",
            "<b>Nina</b>",
            "<b>Ella</b>",
        ]

    def test_takes_any_iterable(self, artist_card: Fragment, artists: list[Artist]) -> None:
        assert len(get_fragments(artist_card, Artist.objects.all())) == 2
        assert len(get_fragments(artist_card, (artist for artist in artists))) == 2

    def test_is_not_ascii_alone(self, greeting: Fragment) -> None:
        for _read in ("rendered", "from the cache"):
            assert get_fragment(greeting, "Žofie 🎷") == "Hello Žofie 🎷"

    def test_is_the_same_by_name_fragment_and_class(
        self, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ name }}"})

        @register
        class Card(Fragment):
            name = "library.card"
            template_name = "x.html"
            items = Artist.objects.all
            version = "updated_at"

            def get_context(self, artist: Artist) -> dict[str, Any]:
                return {"name": artist.name}

        by_name = get_fragment("library.card", artists[0])
        assert by_name == get_fragment(Card, artists[0]) == "Nina"
        assert happened(Event.RENDERED) == 1

    def test_of_a_fragment_without_arguments(self, declare: Any, templates: Any) -> None:
        templates({"x.html": "{{ number }} artists"})

        @declare("x.html")
        def footer() -> dict[str, Any]:
            return {"number": Artist.objects.count()}

        assert get_fragment(footer) == get_fragment(footer) == "0 artists"
        assert happened(Event.RENDERED) == 1

    def test_of_keys_that_are_no_numbers(self, declare: Any, templates: Any) -> None:
        templates({"x.html": "{{ note }}"})
        note = Note.objects.create(text="Feeling good")

        @declare("x.html", model=Note)
        def x(note: Note) -> dict[str, Any]:
            return {"note": note}

        given = [note, note.pk, str(note.pk), note.pk.hex]
        assert get_fragments(x, given) == ["Feeling good"] * 4
        assert happened(Event.RENDERED) == 1

    def test_with_keyword_arguments_is_that_of_positional_ones(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ variant }} of {{ artist }}"})

        @declare("x.html", items=Artist.objects.all, choices={"variant": ["row", "full"]})
        def x(artist: Artist, variant: str = "full") -> dict[str, Any]:
            return {"artist": artist, "variant": variant}

        nina = artists[0]
        assert get_fragment(x, nina, variant="row") == "row of Nina"
        assert get_fragments(x, [(nina, "row")]) == ["row of Nina"]
        assert get_fragment(x, artist=nina.pk, variant="row") == "row of Nina"
        assert get_fragment(x, nina) == get_fragment(x, nina, "full") == "full of Nina"
        assert get_fragments(x, [nina], variant="row") == ["row of Nina"]
        assert happened(Event.RENDERED) == 2

    def test_is_rendered_each_time_where_fragcache_is_off(
        self,
        settings: Any,
        artist_card: Fragment,
        artists: list[Artist],
        renders: list[int],
        trips: RoundTrips,
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "ENABLED": False}
        nina = artists[0]

        for _read in range(2):
            assert get_fragment(artist_card, nina) == "<b>Nina</b>"
            assert get_fragment(artist_card, nina.pk + 1000, default=None) is None
        assert renders == [nina.pk, nina.pk]
        assert trips == []

    def test_is_kept_apart_by_using(
        self, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        caches["default"].clear()

        get_fragment(artist_card, artists[0])
        get_fragment(artist_card, artists[0], using="default")
        assert len(renders) == 2
        get_fragment(artist_card, artists[0], using="default")
        assert len(renders) == 2

    def test_is_kept_under_the_alias_that_the_declaration_names(
        self, declare: Any, templates: Any, renders: list[int]
    ) -> None:
        caches["default"].clear()
        templates({"x.html": "x"})

        @declare("x.html", using="default")
        def x() -> dict[str, Any]:
            renders.append(1)
            return {}

        get_fragment(x)
        get_fragment(x, using="default")
        assert len(renders) == 1


class TestVersions:
    def test_are_what_a_function_returns(
        self, declare: Any, templates: Any, artists: list[Artist], renders: list[Any]
    ) -> None:
        templates({"x.html": "{{ artist }} has {{ albums }}"})

        def number_of_albums(artist: Artist) -> int:
            return artist.albums.count()

        @declare("x.html", items=Artist.objects.all, version=number_of_albums)
        def x(artist: Artist) -> dict[str, Any]:
            renders.append(artist)
            return {"artist": artist, "albums": artist.albums.count()}

        nina = artists[0]
        assert get_fragment(x, nina) == get_fragment(x, nina.pk) == "Nina has 0"
        Album.objects.create(title="Pastel Blues", artist=nina)
        assert get_fragment(x, nina.pk) == get_fragment(x, nina) == "Nina has 1"
        assert len(renders) == 2

    def test_are_computed_from_arguments_that_are_no_rows(
        self, declare: Any, templates: Any, renders: list[Any]
    ) -> None:
        templates({"x.html": "{{ word }}"})

        @declare("x.html", version=len)
        def x(word: str) -> dict[str, Any]:
            renders.append(word)
            return {"word": word}

        assert get_fragments(x, ["a", "bc", "a"]) == get_fragments(x, ["a", "bc", "a"])
        assert renders == ["a", "bc"]

    def test_are_computed_from_rows_without_a_model_in_the_declaration(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ artist.name }}"})

        @declare("x.html", version=lambda artist: artist.updated_at)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        assert get_fragment(x, artists[0]) == "Nina"

    def test_of_related_rows_count(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ album }} by {{ album.artist }}"})
        nina = artists[0]
        album = Album.objects.create(title="Pastel Blues", artist=nina)

        @declare("x.html", items=Album.objects.all, version=["updated_at", "artist__updated_at"])
        def x(album: Album) -> dict[str, Any]:
            return {"album": album}

        assert get_fragment(x, album) == "Pastel Blues by Nina"
        Artist.objects.filter(pk=nina.pk).update(
            name="Nina Simone", updated_at=nina.updated_at + A_SECOND
        )
        for given in (album.pk, Album.objects.get(), Album.objects.select_related("artist").get()):
            assert get_fragment(x, given) == "Pastel Blues by Nina Simone"

    def test_over_many_rows_are_refused(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "x"})
        for title in ("Pastel Blues", "Wild Is the Wind"):
            Album.objects.create(title=title, artist=artists[0])

        @declare("x.html", items=Artist.objects.all, version="albums__updated_at")
        def x(artist: Artist) -> dict[str, Any]:
            return {}

        with pytest.raises(ImproperlyDeclared, match=r"several values for .* Use a function"):
            get_fragment(x, artists[0])

    def test_as_paths_need_a_model(self, declare: Any, templates: Any) -> None:
        templates({"x.html": "x"})

        @declare("x.html", version="updated_at")
        def x(word: str) -> dict[str, Any]:
            return {}

        with pytest.raises(ImproperlyDeclared, match=r"it has no model\. Give it items or model"):
            get_fragment(x, "word")

    def test_from_the_database_make_a_stale_object_be_loaded_anew(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        """Else the old name would be stored under the new version, for all to see."""
        templates({"x.html": "{{ album.title }} by {{ album.artist.name }}"})
        album = Album.objects.create(title="Pastel Blues", artist=artists[0])

        @declare("x.html", items=Album.objects.all, version=["updated_at", "artist__updated_at"])
        def x(album: Album) -> dict[str, Any]:
            return {"album": album}

        with in_request():
            in_the_views_hands = Album.objects.get()
            later = Album.objects.get()
            later.title = "Little Girl Blue"
            later.save()

            html = get_fragment(x, in_the_views_hands)

        assert html == get_fragment(x, album.pk) == "Little Girl Blue by Nina"

    @pytest.mark.parametrize("where", ["in a request", "outside"])
    def test_that_are_absent_make_an_object_of_unknown_age_be_loaded_anew(
        self, declare: Any, templates: Any, artists: list[Artist], where: str
    ) -> None:
        templates({"x.html": "{{ artist.name }}"})

        @declare("x.html", name="library.x", items=Artist.objects.all)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        get_fragment(x, artists[1])  # the fragment's token is known
        with in_request() if where == "in a request" else nullcontext():
            loaded = Artist.objects.get(name="Nina")
            Artist.objects.filter(name="Nina").update(name="Nina Simone")
            with elsewhere():
                invalidate_all(x)
            html = get_fragment(x, loaded)

        assert html == "Nina Simone"
        assert get_fragment(x, loaded.pk) == "Nina Simone"

    def test_what_a_refused_form_put_into_an_object_is_not_stored(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        """Django's ModelForm changes its instance before it finds the data invalid."""
        form = modelform_factory(Artist, fields=["name", "updated_at"])(
            {"name": "<b>Mallory</b>", "updated_at": "never"}, instance=artists[0]
        )
        assert not form.is_valid()
        assert artists[0].name == "<b>Mallory</b>"

        with in_request():
            assert "Mallory" not in get_fragment(artist_card, artists[0])
        assert "Mallory" not in get_fragment(artist_card, artists[0].pk)

    def test_that_are_expressions_are_read_from_the_database(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ artist.name }}"})

        @declare("x.html", items=Artist.objects.all, version="name")
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        artists[0].name = Lower("name")
        assert get_fragment(x, artists[0]) == "Nina"

    def test_that_a_function_computes_make_a_stale_object_be_loaded_anew(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ artist.name }}"})

        @declare("x.html", items=Artist.objects.all, version=number_of_albums)
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        with in_request():
            in_the_views_hands = artists[0]
            Artist.objects.filter(pk=artists[0].pk).update(name="Nina Simone")
            Album.objects.create(title="Pastel Blues", artist=artists[0])

            assert get_fragment(x, in_the_views_hands) == "Nina Simone"


def number_of_albums(artist: Artist) -> int:
    return artist.albums.count()


class TestMissing:
    def test_raises_with_the_name_and_the_arguments(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        with pytest.raises(
            FragmentMissing,
            match=r"library\.artist_card\(0\) is not among the fragment's items: it was deleted",
        ):
            get_fragment(artist_card, 0)

    def test_is_the_default_that_was_given(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        assert get_fragment(artist_card, 0, default=None) is None
        assert get_fragments(artist_card, [artists[0], 0], default="gone") == [
            "<b>Nina</b>",
            "gone",
        ]
        assert happened(Event.ABSENT, "library.artist_card") == 2

    def test_is_what_items_leave_out(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"x.html": "{{ artist }}"})

        @declare("x.html", items=Artist.objects.filter(name="Ella"))
        def x(artist: Artist) -> dict[str, Any]:
            return {"artist": artist}

        assert get_fragments(x, [a.pk for a in artists], default=None) == [None, "Ella"]

    def test_is_what_was_deleted_while_the_page_was_built(
        self, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        in_the_views_hands = Artist.objects.defer("updated_at").get(name="Nina")
        artists[0].delete()

        assert get_fragment(artist_card, in_the_views_hands, default=None) is None


class TestMistakes:
    def test_an_unknown_name_comes_with_the_nearest(self, artist_card: Fragment) -> None:
        with pytest.raises(
            UnknownFragment,
            match=r"No fragment is called 'library\.artist_cart'\. "
            r"Did you mean 'library\.artist_card'\? .*`manage\.py fragments list` shows them",
        ):
            get_fragment("library.artist_cart", 1)

    @pytest.mark.parametrize(
        ("args", "kwargs", "error", "message"),
        [
            ((), {}, InvalidArguments, r"library\.artist_card\(artist\) misses 'artist'\."),
            ((1, 2), {}, InvalidArguments, r"takes 1 argument, not 2: \(1, 2\)"),
            ((1,), {"artits": 1}, InvalidArguments, "no parameter 'artits'. Did you mean 'artist'"),
            ((1,), {"artist": 1}, InvalidArguments, "got 'artist' twice"),
            (("Nina",), {}, InvalidArguments, "'Nina' is not a primary key of its model"),
            ((None,), {}, InvalidArguments, "None is not a primary key"),
            ((Note(),), {}, InvalidArguments, r"takes a library\.Artist, not .*library\.Note"),
            ((Artist(),), {}, InvalidArguments, "is not saved yet, so it has no key: save it"),
        ],
    )
    def test_arguments_that_do_not_fit_are_told(
        self,
        artist_card: Fragment,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            get_fragment(artist_card, *args, **kwargs)

    def test_an_argument_without_canonical_form_is_told(self, greeting: Fragment) -> None:
        with pytest.raises(NoIdentity, match=r"object.*cannot be an argument.*fragment_identity"):
            get_fragment(greeting, object())

    @pytest.mark.parametrize(
        ("contexts", "message"),
        [
            ([], r"get_contexts\(\) returned 0 contexts for 1 items: one each is needed"),
            (["html"], "its context is a str, not a dict: 'html'"),
        ],
    )
    def test_contexts_that_do_not_fit_are_told(
        self, templates: Any, contexts: list[Any], message: str
    ) -> None:
        templates({"x.html": "x"})

        @register
        class X(Fragment):
            template_name = "x.html"

            def get_contexts(self, items: Any) -> Any:
                return contexts

        with pytest.raises(ImproperlyDeclared, match=message):
            get_fragment(X, 1)

    def test_an_error_of_the_context_function_is_the_callers_and_nothing_is_stored(
        self, declare: Any, templates: Any, trips: RoundTrips
    ) -> None:
        templates({"x.html": "{{ word }}"})

        @declare("x.html", stamped=False)
        def x(word: str) -> dict[str, Any]:
            if word == "bad":
                raise ZeroDivisionError(word)
            return {"word": word}

        with pytest.raises(ZeroDivisionError, match="bad"):
            get_fragments(x, ["good", "bad"])
        assert trips.of("store_many") == trips.of("advance_many") == []
        assert get_fragment(x, "good") == "good"

    @pytest.mark.parametrize(
        ("source", "error"),
        [
            ("{{ raises }}", ZeroDivisionError),
            ("{% include missing %}", Exception),
            ("{% if %}{% endif %}", TemplateSyntaxError),
        ],
    )
    def test_an_error_of_the_template_is_the_callers_and_nothing_is_stored(
        self,
        declare: Any,
        templates: Any,
        trips: RoundTrips,
        source: str,
        error: type[Exception],
    ) -> None:
        templates({"x.html": source})

        @declare("x.html")
        def x() -> dict[str, Any]:
            return {"raises": divided, "missing": "nowhere.html"}

        with pytest.raises(error):
            get_fragment(x)
        assert trips.of("store_many") == trips.of("advance_many") == []


def divided() -> float:
    return 1 / 0


class TestAsync:
    def test_forms_return_what_the_others_do(
        self, artist_card: Fragment, artists: list[Artist], renders: list[int]
    ) -> None:
        async def page() -> list[Any]:
            return [
                await aget_fragment(artist_card, artists[0]),
                await aget_fragments(artist_card, artists),
                await aget_fragment(artist_card, 0, default=None),
                await arender_fragment(artist_card, artists[0]),
            ]

        nina, both, missing, again = async_to_sync(page)()

        assert [nina, missing, again] == ["<b>Nina</b>", None, "<b>Nina</b>"]
        assert both == ["<b>Nina</b>", "<b>Ella</b>"]
        assert len(renders) == 3


class TestRendering:
    def test_render_fragment_does_without_the_cache(
        self, artist_card: Fragment, artists: list[Artist], trips: RoundTrips
    ) -> None:
        for given in (artists[0], artists[0].pk):
            assert render_fragment(artist_card, given) == "<b>Nina</b>"
        assert trips == []

    def test_render_fragment_of_what_is_missing_raises(self, artist_card: Fragment) -> None:
        with pytest.raises(FragmentMissing, match="not among the fragment's items"):
            render_fragment(artist_card, 0)


@pytest.mark.parametrize("version", ["revision", lambda shelf: shelf.revision])
def test_what_an_object_carries_unsaved_names_no_entry(
    declare: Any, templates: Any, version: Any
) -> None:
    """The next save may bring that version about with another state."""
    templates({"shelf.html": "{{ shelf }}"})
    about = {"items": Shelf.objects.all, "version": version, "name": "library.shelf"}
    declare("shelf.html", **about)(lambda shelf: {"shelf": shelf})
    Shelf.objects.create(number=3, label="old")
    shelf = Shelf.objects.get()
    shelf.revision += 1  # by a form that was refused, or a save that was rolled back

    assert get_fragment("library.shelf", shelf) == "old"
    assert happened(Event.NOT_STORED) == 1
    Shelf.objects.update(label="new", revision=shelf.revision)

    assert get_fragment("library.shelf", Shelf.objects.get()) == "new"
    assert happened(Event.STORED) == 1


def test_fields_that_cannot_be_compared_are_told_by_the_version(
    declare: Any, templates: Any
) -> None:
    """Arrays answer a comparison with an array, which is neither true nor false."""

    class Vector:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    templates({"shelf.html": "{{ shelf.label }}"})
    about = {"items": Shelf.objects.all, "version": lambda shelf: shelf.revision}
    declare("shelf.html", name="library.shelf", **about)(lambda shelf: {"shelf": shelf})
    Shelf.objects.create(number=3, label="kept")
    shelf = Shelf.objects.get()
    shelf.label = Vector()

    assert get_fragment("library.shelf", shelf) == "kept"
    assert happened(Event.STORED) == 1
