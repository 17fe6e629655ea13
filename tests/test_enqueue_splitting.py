"""A run in batches: of rows by ranges of keys, of other items by their arguments as JSON."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.safestring import mark_safe

from fragcache.axes import Axis
from fragcache.warming import Plan
from fragcache.warming.distributed import CannotEnqueue
from fragcache.warming.distributed.splitting import descriptions
from tests.enqueued import begun, delivered, ended
from tests.fixtures import any_cache
from tests.library.models import Album, Artist, Country, Note, Seal

pytestmark = [pytest.mark.django_db, any_cache, pytest.mark.usefixtures("cache_alias")]


@pytest.fixture
def card(declare: Any, templates: Any, renders: list[Any]) -> Any:
    """A function that declares a fragment which notes what it renders."""
    templates({"card.html": "{{ row }}"})

    def declared(items: Any, **options: Any) -> Any:
        @declare("card.html", name="library.card", items=items, **{"version": None, **options})
        def render(row: Any) -> dict[str, Any]:
            renders.append(getattr(row, "pk", row))
            return {"row": row}

        return render

    return declared


def parts(fragment: Any, size: int = 3, **plan: Any) -> list[dict[str, Any]]:
    """Return what batches are about, without axes and digest, after a way through JSON."""
    found = json.loads(json.dumps(list(descriptions(fragment, _plan(fragment, size, plan)))))
    return [
        {word: value for word, value in part.items() if word not in {"axis_values", "digest"}}
        for part in found
    ]


def _plan(fragment: Any, size: int, options: dict[str, Any]) -> Plan:
    return Plan(fragments=[fragment], batch_size=size, **options)


def named(code: int) -> str:
    return f"c{code:02}"


KINDS = {
    "int": lambda n: Artist(name="x", id=1000 + 7 * n),
    "uuid": lambda n: Note(id=uuid.uuid5(uuid.NAMESPACE_DNS, str(n))),
    "text": lambda n: Country(code=named(n)),
}


class TestRows:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("number", [0, 1, 3, 4, 6, 10])
    def test_ranges_cover_every_row_once(
        self, card: Any, renders: list[Any], kind: str, number: int
    ) -> None:
        rows = [KINDS[kind](n) for n in range(number)]
        model = type(KINDS[kind](0))
        model.objects.bulk_create(rows)

        run, sent = delivered(card(model.objects.all), batch_size=3)
        assert len(sent) == max(1, -(-number // 3))
        assert set(sent.work()) == {"ok"}

        assert Counter(renders) == {row.pk: 1 for row in rows}
        assert ended(run).total("stored") == number

    def test_a_range_is_told_by_its_keys_and_has_no_bound_at_the_ends(self, card: Any) -> None:
        Artist.objects.bulk_create(Artist(id=n, name="x") for n in range(1, 8))

        assert parts(card(Artist.objects.all)) == [
            {"until": 3},
            {"after": 3, "until": 6},
            {"after": 6},
        ]

    def test_a_key_that_is_no_number_is_told_as_text(self, card: Any) -> None:
        Note.objects.bulk_create(Note() for _ in range(4))
        last = sorted(Note.objects.values_list("pk", flat=True))[2]

        assert parts(card(Note.objects.all))[0] == {"until": str(last)}

    def test_keys_that_no_text_tells_are_refused(self, card: Any) -> None:
        Seal.objects.bulk_create(Seal(mark=bytes([n])) for n in range(4))

        with pytest.raises(CannotEnqueue, match=r"library\.card cannot be enqueued: its primary "):
            begun(card(Seal.objects.all), batch_size=2)

    def test_rows_that_come_and_go_meanwhile_are_done_or_left_out(
        self, card: Any, renders: list[Any]
    ) -> None:
        Artist.objects.bulk_create(Artist(id=10 * n, name="x") for n in range(1, 8))
        run, sent = delivered(card(Artist.objects.all), batch_size=3)
        Artist.objects.filter(pk__in=[30, 40]).delete()  # one of them the end of a range
        Artist.objects.bulk_create(Artist(id=n, name="x") for n in (1, 30, 35, 99))

        assert set(sent.work()) == {"ok"}
        assert sorted(renders) == [1, 10, 20, 30, 35, 50, 60, 70, 99]
        assert ended(run).status == "ok"

    def test_one_key_for_each_batch_is_read(self, card: Any) -> None:
        Artist.objects.bulk_create(Artist(name="x") for n in range(10))
        fragment = card(Artist.objects.all)
        parts(fragment)

        with CaptureQueriesContext(connection) as queries:
            assert len(parts(fragment)) == 4
        assert len(queries) == 4
        assert all("LIMIT 2 OFFSET 2" in query["sql"] for query in queries)

    @pytest.mark.parametrize(
        "items",
        [
            lambda: Artist.objects.order_by("-pk")[:4],
            lambda: Artist.objects.filter(pk__gt=6).union(Artist.objects.filter(pk__in=[4, 5, 6])),
        ],
        ids=["slice", "union"],
    )
    def test_a_slice_or_union_is_told_by_all_of_its_keys(
        self, card: Any, renders: list[Any], items: Any
    ) -> None:
        Artist.objects.bulk_create(Artist(id=n, name="x") for n in range(1, 8))
        fragment = card(items)

        told = parts(fragment)
        assert [sorted(part) for part in told] == [["keys"], ["keys"]]
        assert sorted(key for part in told for key in part["keys"]) == [4, 5, 6, 7]
        _run, sent = delivered(fragment, batch_size=3)
        sent.work()
        assert sorted(renders) == [4, 5, 6, 7]

    def test_of_chosen_items_only_those(self, card: Any, renders: list[Any]) -> None:
        Artist.objects.bulk_create(Artist(id=n, name="x") for n in range(1, 8))
        items = lambda: Artist.objects.exclude(pk=5)  # noqa: E731
        _run, sent = delivered(card(items), batch_size=2, only=["2", "3", "5", "7"])

        assert len(sent) == 2
        sent.work()
        assert sorted(renders) == [2, 3, 7]

    def test_a_version_that_is_a_path_is_read_in_the_worker(self, card: Any) -> None:
        Artist.objects.bulk_create(Artist(name="x") for _ in range(5))
        fragment = card(Artist.objects.all, version="updated_at")
        delivered(fragment, batch_size=2)[1].work()
        Artist.objects.filter(pk=Artist.objects.first().pk).update(
            updated_at=dt.datetime.now(dt.UTC)
        )

        run, sent = delivered(fragment, batch_size=2)
        sent.work()
        totals = ended(run).fragments["library.card"]
        assert (totals["planned"], totals["fresh"], totals["rendered"]) == (5, 4, 1)


class TestListedItems:
    def test_plain_values_and_tuples_travel_as_they_are(
        self, declare: Any, templates: Any, renders: list[Any]
    ) -> None:
        templates({"t.html": "x"})
        items = [("a", 1, None), ("a:b", 1.5, True), ("ü", 10**15, False)]

        @declare("t.html", name="library.line", items=lambda: iter(items))
        def line(a: str, b: Any, c: Any) -> dict[str, Any]:
            renders.append((a, b, c))
            return {}

        assert parts(line, 2) == [
            {"arguments": [list(items[0]), list(items[1])]},
            {"arguments": [list(items[2])]},
        ]
        _run, sent = delivered(line, batch_size=2)
        assert sent.work() == ["ok", "ok"]
        assert list(map(repr, renders)) == list(map(repr, items))

    def test_rows_among_them_travel_by_their_keys(
        self, declare: Any, templates: Any, artists: list[Artist]
    ) -> None:
        templates({"t.html": "x"})
        note = Note.objects.create(text="n")
        albums = [Album.objects.create(title=f"{n}", artist=artists[0]) for n in range(3)]
        seen = []

        @declare("t.html", name="library.line", items=lambda: [(a, note, 1) for a in albums])
        def line(album: Album, note: Note, n: int) -> dict[str, Any]:
            seen.append((album, note, n))
            return {}

        told = parts(line)
        assert told[0]["arguments"][1] == [
            {"model": "library.Album", "pk": albums[1].pk},
            {"model": "library.Note", "pk": str(note.pk)},
            1,
        ]
        run, sent = delivered(line)
        albums[1].delete()
        assert sent.work() == ["ok"]
        assert seen == [(albums[0], note, 1), (albums[2], note, 1)]
        assert ended(run).total("stored") == 2

    @pytest.mark.parametrize(
        "item",
        [
            Decimal("1.5"),
            dt.date(2026, 11, 21),
            {"a": 1},
            ["a"],
            float("nan"),
            mark_safe("<b>"),
            "a\0b",
            "\udc80",
            Artist(name="not saved"),
        ],
        ids=repr,
    )
    def test_anything_else_is_refused_with_the_remedy(self, card: Any, item: Any) -> None:
        with pytest.raises(CannotEnqueue) as caught:
            begun(card([1, item]))
        said = str(caught.value)
        assert said.startswith(f"library.card cannot be enqueued: {item!r}, an item or a part of ")
        assert said.endswith(
            "Warm it without --enqueue, and enqueue the others with --exclude library.card."
        )

    def test_a_refusal_leaves_no_run_behind(self, card: Any) -> None:
        from fragcache.models import WarmBatch, WarmRun

        with pytest.raises(CannotEnqueue):
            begun(card([*range(2000), {}]), batch_size=1)
        assert (WarmRun.objects.count(), WarmBatch.objects.count()) == (0, 0)

    def test_they_are_not_listed_before_they_are_needed(self, card: Any) -> None:
        asked = []

        def items() -> Any:
            for number in range(100):
                asked.append(number)
                yield number

        fragment = card(items)
        told = descriptions(fragment, _plan(fragment, 5, {}))
        next(told)
        assert len(asked) == 5

    def test_of_chosen_items_only_those(self, card: Any, renders: list[Any]) -> None:
        _run, sent = delivered(card(["a", "b", "c"]), only=["a", "c"])
        sent.work()
        assert renders == ["a", "c"]

    @pytest.mark.parametrize("items", [[], Artist.objects.none])
    def test_no_items_are_one_batch_so_that_the_report_names_the_fragment(
        self, card: Any, items: Any
    ) -> None:
        run, sent = delivered(card(items))
        assert sent.work() == ["ok"]
        assert ended(run).fragments["library.card"]["planned"] == 0


class TestChoices:
    def test_all_choices_go_with_their_row(
        self, declare: Any, templates: Any, renders: list[Any]
    ) -> None:
        templates({"t.html": "x"})
        Artist.objects.bulk_create(Artist(id=n, name="x") for n in (1, 2, 3))

        @declare("t.html", name="library.c", items=Artist.objects.all, choices={"size": ["s", "l"]})
        def chosen(artist: Artist, size: str) -> dict[str, Any]:
            renders.append((artist.pk, size))
            return {}

        assert parts(chosen, 2) == [{"until": 2}, {"after": 2}]
        _run, sent = delivered(chosen, batch_size=2)
        sent.work()
        assert sorted(renders) == [(n, size) for n in (1, 2, 3) for size in ("l", "s")]

    def test_a_fragment_of_choices_alone_is_one_batch(
        self, declare: Any, templates: Any, renders: list[Any]
    ) -> None:
        templates({"t.html": "x"})

        @declare("t.html", name="library.c", choices={"size": list("abcdefg")})
        def chosen(size: str) -> dict[str, Any]:
            renders.append(size)
            return {}

        assert parts(chosen, 2) == [{}]
        _run, sent = delivered(chosen, batch_size=2)
        assert sent.work() == ["ok"]
        assert renders == list("abcdefg")


class Shelf(Axis):
    """An axis whose values are no texts."""

    name = "shelf"
    current_value = (0, "none")

    def current(self, request: Any) -> tuple[int, str]:
        return Shelf.current_value

    def values(self) -> list[tuple[int, str]]:
        return [(1, "upper"), (2, "lower")]

    @contextmanager
    def activate(self, value: tuple[int, str]) -> Iterator[None]:
        former, Shelf.current_value = Shelf.current_value, value
        yield
        Shelf.current_value = former


class WrittenShelf(Shelf):
    """One that writes and reads them, of which not all are listed."""

    def to_text(self, value: tuple[int, str]) -> str:
        return f"{value[0]} {value[1]}"

    def from_text(self, text: str) -> tuple[int, str]:
        number, name = text.split()
        return int(number), name


class MuteShelf(Shelf):
    """One whose texts say less than its values."""

    def to_text(self, value: tuple[int, str]) -> str:
        return "shelf"


class TestAxes:
    def test_each_combination_is_a_batch_of_its_own(
        self, card: Any, settings: Any, renders: list[Any]
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "German")]
        fragment = card([1])
        told = list(descriptions(fragment, Plan(fragments=[fragment])))

        assert [part["axis_values"] for part in told] == [
            {"language": "en", "time_zone": "UTC"},
            {"language": "de", "time_zone": "UTC"},
        ]
        _run, sent = delivered(fragment)
        assert sent.work() == ["ok", "ok"]
        assert renders == [1, 1]

    def test_values_that_were_asked_for_alone(self, card: Any, settings: Any) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "German")]
        fragment = card([1])
        plan = Plan(fragments=[fragment], axis_values={"language": ["de"], "other": ["x"]})

        [told] = descriptions(fragment, plan)
        assert told["axis_values"] == {"language": "de", "time_zone": "UTC"}

    @pytest.mark.parametrize("kind", [Shelf, WrittenShelf])
    def test_values_that_are_no_texts_are_written_and_read_by_their_axis(
        self, declare: Any, templates: Any, settings: Any, kind: type[Axis]
    ) -> None:
        settings.FRAGCACHE = settings.FRAGCACHE | {"AXES": [f"{__name__}.{kind.__name__}"]}
        templates({"t.html": "x"})
        seen = []

        @declare("t.html", name="library.s", items=[1], vary_on=["shelf"])
        def on_shelf(n: int) -> dict[str, Any]:
            seen.append(Shelf.current_value)
            return {}

        _run, sent = delivered(on_shelf)
        assert sent.work() == ["ok", "ok"]
        assert seen == [(1, "upper"), (2, "lower")]

    def test_an_axis_that_does_not_read_back_what_it_writes_is_named(
        self, card: Any, settings: Any
    ) -> None:
        settings.FRAGCACHE = settings.FRAGCACHE | {"AXES": [f"{__name__}.MuteShelf"]}

        with pytest.raises(
            CannotEnqueue,
            match=r"The axis 'shelf' does not read \(1, 'upper'\) back from the text 'shelf', ",
        ):
            begun(card([1], vary_on=["shelf"]))
