"""Shapes: a context that fits is an instance of the dataclass; else each misfit is named."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, NewType, Optional

import pytest
from django.utils.safestring import SafeString, mark_safe

from fragcache import ImproperlyDeclared, ShapeMismatch, fetch_context, publish_context
from fragcache.contexts import Record, open_snapshot, take_snapshot
from fragcache.contexts.shapes import shaped
from tests.discography import models
from tests.fixtures import any_cache, on_target

Cents = NewType("Cents", int)


class Color(Enum):
    RED = "r"


@dataclass
class Person:
    first_name: str
    mentor: Person | None = None


@dataclass
class Album:
    title: str
    price: Decimal
    singer: Person
    released_at: dt.datetime
    length: dt.timedelta | None = None


@dataclass
class Music:
    albums: list[Album]
    count: int
    note: str = "-"


def fit(annotation: Any, value: Any) -> Any:
    """The value as a dataclass with one field of this annotation has it, there and back."""
    kind = type("Shape", (), {"__annotations__": {"value": annotation}, "__module__": __name__})
    context = open_snapshot(take_snapshot({"value": value}))
    return shaped(context, dataclass(kind), "It").value


MOMENT = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 1),
        (bool, True),
        (str, "x"),
        (str, mark_safe("y")),
        (SafeString, mark_safe("x")),
        (bytes, b"x"),
        (Decimal, Decimal(1)),
        (dt.datetime, MOMENT),
        (dt.date, dt.date(2026, 1, 1)),
        (dt.time, dt.time(1)),
        (dt.timedelta, dt.timedelta(1)),
        (uuid.UUID, uuid.UUID(int=1)),
        (None, None),
        (Any, {"a": [1]}),
        (object, 1),
        (Optional[int], None),  # noqa: UP045
        (int | str | None, "x"),
        (list[int], [1, 2]),
        (list, [1, "x"]),
        (Sequence[int], [1]),
        (tuple[int, str], (1, "x")),
        (tuple[int, ...], (1, 2, 3)),
        (set[int], {1}),
        (frozenset[str], frozenset({"x"})),
        (dict[str, int], {"a": 1}),
        (Mapping[int, list[str]], {1: ["x"]}),
        (Literal["lp", 2], "lp"),
        (Annotated[int, "units"], 1),
        (Cents, 5),
    ],
    ids=str,
)
def test_a_value_that_fits_is_as_it_was(annotation: Any, value: Any) -> None:
    found = fit(annotation, value)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (int, "1", "value is '1' (str), not int"),
        (int, True, "value is True (bool), not int"),
        (int, None, "value is None, not int"),
        (str, 1, "value is 1 (int), not str"),
        (SafeString, "<b>", "value is '<b>' (str), not SafeString"),
        (Decimal, 1.5, "value is 1.5 (float), not Decimal"),
        (dt.date, MOMENT, "(datetime), not date"),
        (None, 0, "value is 0 (int), not None"),
        (int | None, "x", "value is 'x' (str), not int"),
        (int | str, 1.5, "value is 1.5 (float), not int | str"),
        (list[int], [1, "x", None], "value[1] is 'x' (str), not int\n  value[2] is None, not int"),
        (list[int], "12", "value is '12' (str), not list"),
        (list[int], {"a": 1}, "value is {'a': 1} (dict), not list"),
        (tuple[int, str], (1,), "value has 1 values, not 2"),
        (tuple[int, ...], [1], "value is [1] (list), not tuple"),
        (set[int], [1], "value is [1] (list), not set"),
        (dict[str, int], {"a": "x"}, "value.a is 'x' (str), not int"),
        (dict[str, int], [1], "value is [1] (list), not dict"),
        (Literal["lp"], "ep", "value is 'ep' (str), not typing.Literal['lp']"),
        (Color, "g", "value is 'g' (str), not Color"),
        (Person, 5, "value is 5 (int), not Person"),
        (list[Person], [{"first_name": 1}], "value[0].first_name is 1 (int), not str"),
        (Person | None, {"first_name": 1}, "value.first_name is 1 (int), not str"),
        (int, "x" * 5000, "value is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... (str), not"),
    ],
)
def test_a_value_that_does_not_fit_is_named(annotation: Any, value: Any, problem: str) -> None:
    with pytest.raises(ShapeMismatch) as raised:
        fit(annotation, value)
    assert problem in str(raised.value)


def test_members_of_an_enum_come_by_their_values() -> None:
    assert fit(Color, Color.RED) is Color.RED
    assert fit(Color, "r") is Color.RED


def test_an_int_is_a_float_as_well() -> None:
    assert type(fit(float, 1)) is float


def test_defaults_stand_in_for_what_is_missing() -> None:
    @dataclass
    class Shape:
        a: int = 1
        b: list[int] = field(default_factory=list)
        c: ClassVar[int] = 5
        d: int = field(init=False, default=7)

    made = shaped({}, Shape, "It")

    assert (made.a, made.b, made.d) == (1, [], 7)


def test_each_problem_is_named_at_once() -> None:
    with pytest.raises(ShapeMismatch) as raised:
        shaped({"albums": [{"title": 1}], "cuont": 1}, Music, "The context of x")
    assert str(raised.value) == (
        "The context of x does not fit Music:\n"
        "  albums[0].title is 1 (int), not str\n"
        "  albums[0].price is missing\n"
        "  albums[0].singer is missing\n"
        "  albums[0].released_at is missing\n"
        "  count is missing\n"
        "  cuont is unexpected"
    )


def test_of_many_problems_the_first_are_named() -> None:
    with pytest.raises(ShapeMismatch) as raised:
        fit(list[int], ["x"] * 100)
    assert str(raised.value).count("\n") == 21
    assert str(raised.value).endswith("value[19] is 'x' (str), not int\n  and 80 more")


@pytest.mark.parametrize("shape", [dict, "Music", Music(albums=[], count=1), None.__class__])
def test_a_shape_that_is_no_dataclass_is_an_error(shape: Any) -> None:
    with pytest.raises(ImproperlyDeclared, match=r"^shape=.* is not a dataclass\.$"):
        shaped({}, shape, "It")


def test_a_shape_whose_annotations_mean_nothing_is_an_error() -> None:
    @dataclass
    class Shape:
        a: Misspelled  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(ImproperlyDeclared, match="shape=Shape: name 'Misspelled' is not defined"):
        shaped({}, Shape, "It")


def a_record() -> models.Record:
    singer = models.Singer(pk=1, first_name="Nina", last_name="Simone")
    return models.Record(pk=1, title="x", singer=singer, price=Decimal(1))


class TestRecords:
    def test_become_dataclasses_where_the_shape_says_so(self) -> None:
        context = open_snapshot(take_snapshot({"albums": [a_record()], "count": 1}))

        made = shaped(context, Music, "It")

        assert type(made.albums[0]) is Album
        assert made.albums[0].singer == Person("Nina")
        assert made.note == "-"

    def test_stay_records_where_it_says_record(self) -> None:
        @dataclass
        class Shape:
            albums: list[Record]

        context = open_snapshot(take_snapshot({"albums": [a_record()]}))

        album = shaped(context, Shape, "It").albums[0]

        assert album.get_format_display() == "Long player"
        assert album is context["albums"][0]

    def test_that_were_shared_are_shared(self) -> None:
        records = [a_record(), a_record()]
        records[1].title = "y"
        context = open_snapshot(take_snapshot({"albums": records, "count": 2}))

        made = shaped(context, Music, "It")

        assert made.albums[0].singer is made.albums[1].singer

    def test_that_lead_back_to_themselves_are_an_error(self) -> None:
        singer = models.Singer(pk=1, first_name="Nina")
        singer.mentor = singer

        with pytest.raises(ShapeMismatch, match=r"\n  value\.mentor leads back to itself"):
            fit(Person, singer)

    def test_that_are_shared_and_do_not_fit_are_named_each_time(self) -> None:
        records = [a_record(), a_record()]
        records[0].singer.first_name = records[1].singer.first_name = None  # type: ignore[assignment]
        context = open_snapshot(take_snapshot({"albums": records, "count": 2}))

        with pytest.raises(ShapeMismatch) as raised:
            shaped(context, Music, "It")
        assert str(raised.value) == (
            "It does not fit Music:\n"
            "  albums[0].singer.first_name is None, not str\n"
            "  albums[1].singer.first_name is None, not str"
        )

    def test_lack_what_was_not_loaded(self) -> None:
        record = a_record()
        bare = models.Record(pk=2, title="y", singer_id=1, price=Decimal(2))
        context = open_snapshot(take_snapshot({"albums": [record, bare], "count": 2}))

        with pytest.raises(ShapeMismatch) as raised:
            shaped(context, Music, "It")
        assert str(raised.value) == (
            "It does not fit Music:\n"
            "  albums[1].singer was not loaded by the source: add select_related('singer')."
        )


@any_cache
@pytest.mark.django_db
class TestWhenPublishingAndFetching:
    @pytest.fixture
    def music(self, declare: Any) -> Any:
        @declare(name="discography.music", publish="context")
        def music(price: Any = Decimal(1)) -> dict[str, Any]:
            album = a_record()
            album.price = price
            return {"albums": [album], "count": 1}

        return music

    def test_what_fits_is_published_and_fetched(self, cache_alias: str, music: Any) -> None:
        key = publish_context(music, shape=Music)

        with on_target("discography.music"):
            for made in (
                fetch_context("discography.music", shape=Music),
                fetch_context(key, shape=Music),
            ):
                assert type(made) is Music
                assert made.albums[0].price == Decimal(1)

    def test_what_does_not_is_not_published(self, cache_alias: str, music: Any) -> None:
        problem = r"^The context of discography\.music does not fit Music:\n  albums\[0\]\.price is"
        with pytest.raises(ShapeMismatch, match=problem):
            publish_context(music, "free", shape=Music)
        assert fetch_context(music, "free", default=None) is None

    def test_what_does_not_is_an_error_also_with_a_default(
        self, cache_alias: str, music: Any
    ) -> None:
        """It is no miss: who asks and who publishes disagree."""
        key = publish_context(music, "free")

        with on_target("discography.music"):
            for given in (("discography.music", "free"), (key,)):
                with pytest.raises(ShapeMismatch, match=r"price is 'free' \(str\), not Decimal"):
                    fetch_context(*given, shape=Music, default=None)
