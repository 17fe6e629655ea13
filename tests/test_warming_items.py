"""What ``items`` may be: rows and arguments in every form that Django and Python have."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models import Count, F

from fragcache import Fragment, get_fragments, register, registry
from fragcache.exceptions import InvalidArguments
from fragcache.page import now
from fragcache.warming import Status
from fragcache.warming.batches import batches, size_of
from tests.fixtures import Clock, any_cache
from tests.library.models import Album, Artist, Note, Track
from tests.warming import all_fresh, all_stored, counted, warm

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]

NAMES = ["Nina", "Ella", "Etta", "Dinah", "Bessie"]


@pytest.fixture(autouse=True)
def albums(db: None) -> list[Album]:
    """Five albums, each by an artist of its own, with 1 to 5 tracks."""
    albums = [
        Album.objects.create(title=f"{name}'s", artist=Artist.objects.create(name=name))
        for name in NAMES
    ]
    Track.objects.bulk_create(
        Track(album=album, title=str(n)) for n, album in enumerate(albums) for _ in range(n + 1)
    )
    return albums


def of_artists(*names: str) -> Any:
    return Album.objects.filter(artist__name__in=names)


def as_objects() -> list[Album]:
    return list(Album.objects.select_related("artist"))


def as_pairs() -> Iterator[tuple[Album, str]]:
    for album in as_objects():
        yield album, "row"


def first_two_pks() -> list[int]:
    return list(Album.objects.order_by("pk").values_list("pk", flat=True)[:2])


#: By form: ``items``, further options, and the names whose albums are warm, in any order.
FORMS: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    "a manager": (Album.objects, {}, NAMES),
    "a manager's method": (Album.objects.all, {}, NAMES),
    "a queryset": (Album.objects.order_by("-title"), {}, NAMES),
    "a filter": (lambda: of_artists("Ella", "Etta"), {}, ["Ella", "Etta"]),
    "a filter over a relation": (
        lambda: Album.objects.filter(tracks__title__in=["3", "4"]).distinct(),
        {},
        ["Dinah", "Bessie"],
    ),
    "nothing": (Album.objects.none, {}, []),
    "a slice": (lambda: Album.objects.order_by("-pk")[1:4], {}, NAMES[1:4]),
    "a slice of annotated rows": (
        lambda: Album.objects.annotate(n=Count("tracks")).order_by("-n")[:3],
        {},
        NAMES[2:],
    ),
    "a union": (
        lambda: of_artists("Ella").union(of_artists("Dinah", "Nina")),
        {},
        ["Ella", "Dinah", "Nina"],
    ),
    "a union with duplicates": (
        lambda: of_artists("Ella").union(of_artists("Ella", "Nina"), all=True),
        {},
        ["Ella", "Nina"],
    ),
    "a list of objects": (as_objects, {}, NAMES),
    "a list of objects of a model": (as_objects, {"model": Album}, NAMES),
    "a generator of tuples": (as_pairs, {}, NAMES),
    "primary keys of a model": (first_two_pks, {"model": Album}, NAMES[:2]),
    "primary keys as text": (
        lambda: map(str, first_two_pks()),
        {"model": "library.Album"},
        NAMES[:2],
    ),
    "values_list of primary keys": (
        lambda: Album.objects.values_list("pk", flat=True),
        {"model": Album},
        NAMES,
    ),
    "values_list of two arguments": (
        lambda: Album.objects.annotate(variant=F("artist__name")).values_list("pk", "variant"),
        {"model": Album},
        NAMES,
    ),
}
VERSIONS: dict[str, Any] = {
    "a path": "updated_at",
    "a related path": ["updated_at", "artist__updated_at"],
    "a function": lambda album, variant="": album.updated_at,
    "none": None,
}


class TestForms:
    @pytest.mark.parametrize("size", [2, 500])
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("form", FORMS)
    def test_every_item_is_rendered_once_and_then_fresh(
        self, declare: Any, templates: Any, renders: list[str], form: str, version: str, size: int
    ) -> None:
        items, options, expected = FORMS[form]
        templates({"x.html": "{{ album.artist.name }}"})

        @declare("x.html", name="library.x", items=items, version=VERSIONS[version], **options)
        def fragment(album: Album, variant: str = "full") -> dict[str, Any]:
            renders.append(album.artist.name)
            return {"album": album}

        assert counted(warm(fragment, batch_size=size)) == all_stored(len(expected))
        assert sorted(renders) == sorted(expected)
        again = all_stored if version == "none" else all_fresh
        assert counted(warm(fragment, batch_size=size)) == again(len(expected))

    @pytest.mark.parametrize("form", FORMS)
    def test_a_batch_is_no_larger_than_asked(self, declare: Any, templates: Any, form: str) -> None:
        items, options, expected = FORMS[form]
        fragment = card(declare, templates, items=items, version="updated_at", **options)

        sizes = [len(batch) for batch in batches(fragment, 2)]
        assert max(sizes, default=0) <= 2
        assert sum(sizes) == len(expected)

    @pytest.mark.parametrize("form", FORMS)
    def test_the_size_for_a_progress_bar_is_right_or_unknown(
        self, declare: Any, templates: Any, form: str
    ) -> None:
        items, options, expected = FORMS[form]
        fragment = card(declare, templates, items=items, version="updated_at", **options)

        rows_of_a_union = 3 if form == "a union with duplicates" else len(expected)
        assert size_of(fragment) in {None, len(expected), rows_of_a_union}

    def test_what_the_queryset_adds_to_rows_is_there_in_a_slice_too(
        self, declare: Any, templates: Any, renders: list[int]
    ) -> None:
        templates({"x.html": "{{ album.n }}"})

        @declare(
            "x.html",
            name="library.x",
            items=lambda: Album.objects.annotate(n=Count("tracks")).order_by("-n")[:3],
            version=["updated_at", "n"],
        )
        def fragment(album: Any) -> dict[str, Any]:
            renders.append(album.n)
            return {"album": album}

        assert counted(warm(fragment)) == all_stored(3)
        assert sorted(renders) == [3, 4, 5]
        assert counted(warm(fragment)) == all_fresh(3)

    def test_tuples_are_several_arguments(
        self, declare: Any, templates: Any, renders: list[Any]
    ) -> None:
        templates({"x.html": ""})

        @declare(
            "x.html",
            name="library.x",
            items=lambda: (("a", n) for n in range(5)),
            version=lambda letter, n, variant: 1,
        )
        def fragment(letter: str, n: int, variant: str = "full") -> dict[str, Any]:
            renders.append((letter, n, variant))
            return {}

        assert counted(warm(fragment, batch_size=2)) == all_stored(5)
        assert renders == [("a", n, "full") for n in range(5)]
        assert counted(warm(fragment, batch_size=2)) == all_fresh(5)

    @pytest.mark.parametrize("version", [None, "text"])
    def test_primary_keys_may_be_uuids(
        self, declare: Any, templates: Any, renders: list[uuid.UUID], version: str | None
    ) -> None:
        notes = Note.objects.bulk_create(Note(text=str(n)) for n in range(10))
        templates({"x.html": "{{ note.text }}"})

        @declare("x.html", name="library.x", items=Note.objects.all, version=version)
        def fragment(note: Note) -> dict[str, Any]:
            renders.append(note.pk)
            return {"note": note}

        assert counted(warm(fragment, batch_size=3)) == all_stored(10)
        assert sorted(renders) == sorted(note.pk for note in notes)
        assert get_fragments(fragment, notes) == [note.text for note in notes]

    @pytest.mark.parametrize("version", [None, lambda *args: 1])
    def test_without_items_defaults_and_choices_are_all_there_is(
        self, declare: Any, templates: Any, renders: list[Any], version: Any
    ) -> None:
        templates({"x.html": ""})

        @declare("x.html", name="library.x", choices={"n": [1, 2]}, version=version)
        def fragment(n: int, variant: str = "full") -> dict[str, Any]:
            renders.append((n, variant))
            return {}

        assert counted(warm(fragment)) == all_stored(2)
        assert renders == [(1, "full"), (2, "full")]

    def test_a_fragment_without_any_parameter_is_one_instance(
        self, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": ""})

        @declare("x.html", name="library.x", version=lambda: 1)
        def fragment() -> dict[str, Any]:
            return {}

        assert counted(warm(fragment)) == all_stored(1)
        assert counted(warm(fragment)) == all_fresh(1)

    def test_a_fragment_that_needs_arguments_and_has_no_items_is_a_failure(
        self, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        templates({"x.html": ""})

        @declare("x.html", name="library.x", version=lambda n: 1)
        def fragment(n: int) -> dict[str, Any]:
            return {}

        assert counted(warm(fragment)) == {"failed": 1}
        assert "library.x cannot be warmed: it has no items" in caplog.text

    def test_an_instance_that_is_listed_twice_is_rendered_once(
        self, declare: Any, templates: Any, renders: list[int]
    ) -> None:
        templates({"x.html": ""})

        @declare("x.html", name="library.x", items=[1, 2, 1, 1, 3, 2], version=lambda n: 1)
        def fragment(n: int) -> dict[str, Any]:
            renders.append(n)
            return {}

        assert warm(fragment).status is Status.OK
        assert renders == [1, 2, 3]
        assert counted(warm(fragment)) == all_fresh(3)

    def test_objects_in_a_list_are_not_taken_for_newer_than_their_listing(
        self, declare: Any, templates: Any, clock: Clock
    ) -> None:
        """A head that a request moved in the meantime would otherwise be put back."""
        for version in ("updated_at", lambda album, variant: album.updated_at):
            registry.remove("library.x")
            fragment = card(declare, templates, items=as_objects, version=version)
            listed = now()
            moments = []
            for [(_instance, found)] in batches(fragment, 1):
                assert found is not None
                moments.append(found.as_of - listed)
                clock.step(100)
            assert max(moments) < 50_000_000

    def test_a_join_that_repeats_rows_is_refused_by_name(
        self, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        rows = Album.objects.filter(tracks__title__in=["3", "4"])
        fragment = card(declare, templates, items=rows, version="updated_at")

        assert counted(warm(fragment))["failed"] == 1
        assert "a filter of items may lead over a relation to many rows" in caplog.text

    def test_a_path_over_many_rows_is_refused_by_name(
        self, declare: Any, templates: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        fragment = card(declare, templates, items=Album.objects.all, version="tracks__title")

        assert counted(warm(fragment))["failed"] == 1
        assert "may lead over a relation to many rows" in caplog.text


class TestDeletedRows:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_row_that_is_deleted_after_it_was_listed_is_neither_stored_nor_a_failure(
        self, declare: Any, templates: Any, renders: list[str], version: str
    ) -> None:
        templates({"x.html": ""})

        class Card(Fragment):
            name = "library.x"
            template_name = "x.html"
            items = Album.objects.all

            def get_context(self, album: Album, variant: str = "") -> dict[str, Any]:
                renders.append(album.title)
                Album.objects.filter(title="Bessie's").delete()
                return {}

        fragment = Card(version=VERSIONS[version])

        report = warm(fragment, batch_size=2)

        assert len(renders) == 4
        assert counted(report)["stored"] == 4
        assert "failed" not in counted(report)

    def test_a_row_that_is_deleted_while_its_batch_waits_is_left_out(
        self, declare: Any, templates: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fragment = card(declare, templates, items=Album.objects.all, version="updated_at")
        listed = batches(fragment, 500)

        def deleted_meanwhile(*args: Any) -> Iterator[Any]:
            for batch in listed:
                Album.objects.filter(title="Ella's").delete()
                yield batch

        monkeypatch.setattr("fragcache.warming.walks.batches", deleted_meanwhile)

        assert counted(warm(fragment)) == {"planned": 5, "rendered": 4, "stored": 4}

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_primary_key_without_a_row_is_left_out(
        self, declare: Any, templates: Any, albums: list[Album], version: str
    ) -> None:
        pks = [albums[0].pk, albums[-1].pk + 1, albums[1].pk]
        fragment = card(declare, templates, items=pks, model=Album, version=VERSIONS[version])

        report = warm(fragment)
        assert report.status is Status.OK
        # Without a version nothing asks for the row until it is rendered.
        assert counted(report) == all_stored(2) | {"planned": 3 if version == "none" else 2}

    def test_an_object_older_than_its_version_is_read_anew(
        self, declare: Any, templates: Any, albums: list[Album]
    ) -> None:
        """Old data under a new version would be served for as long as that is current."""
        old = list(Album.objects.order_by("pk"))  # without the artists, whose mtimes are asked for
        Album.objects.filter(pk=old[0].pk).update(title="New")
        fragment = card(
            declare,
            templates,
            items=old,
            model=Album,
            version=["updated_at", "artist__updated_at"],
        )
        warm(fragment)

        assert get_fragments(fragment, [old[0].pk]) == ["New"]


class TestOnlySome:
    """``--items``."""

    @pytest.mark.parametrize("form", FORMS)
    def test_only_the_chosen_items_are_warmed(
        self, declare: Any, templates: Any, albums: list[Album], form: str
    ) -> None:
        items, options, expected = FORMS[form]
        fragment = card(declare, templates, items=items, version="updated_at", **options)
        chosen = [album for album in albums if album.artist.name in expected][:2]

        only = [str(album.pk) for album in chosen]
        assert counted(warm(fragment, only=only)) == all_stored(len(chosen))
        assert counted(warm(fragment)).get("fresh", 0) == len(chosen)

    def test_what_is_not_among_the_items_is_not_warmed(
        self, declare: Any, templates: Any, albums: list[Album]
    ) -> None:
        fragment = card(declare, templates, items=lambda: of_artists("Ella"), version="updated_at")

        assert counted(warm(fragment, only=[str(albums[0].pk)])) == {}

    def test_a_primary_key_may_be_written_as_its_model_takes_it(
        self, declare: Any, templates: Any
    ) -> None:
        note = Note.objects.create(text="x")
        templates({"x.html": ""})

        @declare("x.html", name="library.x", items=Note.objects.all, version="text")
        def fragment(note: Note) -> dict[str, Any]:
            return {}

        assert counted(warm(fragment, only=[note.pk.hex.upper()])) == all_stored(1)

    def test_what_is_no_primary_key_is_refused_by_value(self, declare: Any, templates: Any) -> None:
        fragment = card(declare, templates, items=Album.objects.all, version="updated_at")

        with pytest.raises(InvalidArguments, match="'first' is not a primary key of its model"):
            list(batches(fragment, 500, ["first"]))


class TestBulkContexts:
    def test_a_batch_is_given_in_one_call(
        self, declare: Any, templates: Any, renders: list[int]
    ) -> None:
        templates({"x.html": "{{ title }}"})

        @register
        class Card(Fragment):
            name = "library.x"
            template_name = "x.html"
            items = Album.objects.all
            version = "updated_at"

            def get_contexts(self, items: Any) -> list[dict[str, Any]]:
                renders.append(len(items))
                return [{"title": album.title} for (album,) in items]

        assert counted(warm(Card(), batch_size=2)) == all_stored(5)
        assert renders == [2, 2, 1]


def card(declare: Callable[..., Any], templates: Any, **options: Any) -> Fragment:
    templates({"x.html": "{{ album }}"})

    @declare("x.html", name="library.x", **options)
    def fragment(album: Album, variant: str = "full") -> dict[str, Any]:
        return {"album": album}

    declared: Fragment = fragment
    return declared
