"""Snapshots of models: a template that was written for them prints the same of records."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Prefetch, QuerySet, Value
from django.template import engines
from django.test.utils import CaptureQueriesContext

from fragcache.contexts import open_snapshot, take_snapshot
from fragcache.exceptions import NotLoaded, Unpublishable
from tests.discography.models import Comment, Genre, Record, Singer, Song
from tests.library.models import Country, Note, Seal

pytestmark = pytest.mark.django_db


@pytest.fixture
def records() -> list[Record]:
    nina = Singer.objects.create(first_name="Nina", last_name="Simone", born_on="1933-02-21")
    ella = Singer.objects.create(first_name="Ella", last_name="F<itz>gerald", mentor=nina)
    jazz, blues = Genre.objects.create(name="Jazz & Blues"), Genre.objects.create(name="Blues")
    made = [
        Record.objects.create(
            title=title,
            singer=singer,
            format=form,
            price=price,
            released_at=dt.datetime(year, 5, 1, 20, 30, tzinfo=dt.UTC),
            length=dt.timedelta(minutes=43),
            details={"label": "Verve", "sides": [1, 2]},
            cover="covers/x.jpg",
        )
        for title, singer, form, price, year in [
            ("Pastel <Blues>", nina, "lp", Decimal("19.90"), 1965),
            ("Wild Is the Wind", nina, "lp", Decimal("21.00"), 1966),
            ("Ella Swings", ella, "ep", Decimal("9.00"), 1969),
        ]
    ]
    made[0].genres.add(jazz, blues)
    for record in made:
        Song.objects.bulk_create([Song(record=record, title=f"{record} {n}") for n in (1, 2)])
    Comment.objects.create(text="Superb", about=made[0])
    return made


def everything() -> QuerySet[Record]:
    return (
        Record.objects.order_by("pk")
        .select_related("singer__mentor")
        .prefetch_related(
            "genres", "comments", Prefetch("songs", Song.objects.order_by("pk"), to_attr="tracks")
        )
        .annotate(n_songs=Count("songs"), kind=Value("vinyl"))
    )


def opened(expose: tuple[str, ...] = (), **context: Any) -> dict[str, Any]:
    """What a target has of a context; it asks no database."""
    data = take_snapshot(context, expose)
    with CaptureQueriesContext(connection) as queries:
        found = open_snapshot(data)
        str(found)
    assert len(queries) == 0
    return found


#: Of each record.
PARTS = [
    "{{ r }} {{ r.title }} {{ r.pk }} {{ r.id }};",
    "{{ r.get_format_display }} {{ r.format }}",
    "{{ r.price|floatformat:1 }} {{ r.price }}",
    "{{ r.released_at|date:'c' }} {{ r.released_at.year }}",
    "{{ r.singer.born_on|date:'D j M Y' }}{{ r.singer.born_on }}",
    "{{ r.length }} {{ r.code }} {{ r.details.label }}{{ r.details.sides.1 }}",
    "{{ r.cover }} {{ r.cover.name }} {% if r.cover %}{{ r.cover.url }}{% endif %}",
    "{{ r.n_songs }} {{ r.kind }}{% for t in r.tracks %}{{ t.title }}{% endfor %}",
    "{{ r.genres.count }}{{ r.genres.all|join:', ' }}{{ r.genres.first }}",
    "{% for c in r.comments.all %}{{ c.text }}{% endfor %}",
    "{% if r.genres.exists %}{{ r.genres.all.0.name }}{% endif %}",
    "{{ r.singer.mentor.first_name }}{{ r.singer.mentor|default:'-' }}",
    "{% ifchanged r.singer %}{{ r.singer }}{% endifchanged %}",
    "{% if r.format == 'lp' and r.price > 20 %}{{ r }}{% endif %}",
    "{% url 'place' r.pk %}",
    "{{ r.typo }}{{ r.singer.typo }}",
    "{% with s=r.singer %}{{ s.last_name|upper }}{% endwith %}",
    "{% for k, v in r.details.items %}{{ k }}={{ v }}{% endfor %}",
]
#: Of all of them.
PAGES = [
    "{% for r in records.all %}{{ r.singer }} {{ r.singer_id }} {{ r.singer.pk }}{% endfor %}",
    "{{ records|length }} {{ records.count }} {{ records.0.title }} {{ records.2.singer }}",
    "{% for r in records|slice:'1:' %}{{ r }}{% endfor %}{{ records|slice:':2'|length }}",
    "{{ records.first }} {{ records.last }} {% if records.exists %}yes{% endif %}",
    "{% if records %}1{% endif %}",
    "{% for r in records|dictsort:'title' %}{{ r.title }}{% endfor %}{{ records|first }}",
    "{% regroup records by singer as found %}{% for s in found %}{{ s.list|length }}{% endfor %}",
    "{% if records.0.singer == records.1.singer %}same{% endif %}",
    "{% if records.0 in records %}in{% endif %}",
    "{% if records.0.singer == records.2.singer %}same{% else %}other{% endif %}",
    "{% for r in records %}{{ r.songs_typo.all|length }}{% endfor %}{{ records.filter_typo }}|",
    "{% for n in names %}{{ n }}{% endfor %}{% for id, n in pairs %}{{ id }}{{ n }}{% endfor %}",
    "{% for row in named %}{{ row.pk }}{{ row.title }}{% endfor %}{{ dicts.0.title }}",
]


@pytest.mark.parametrize(
    "source", [*PAGES, *(f"{{% for r in records %}}{part}{{% endfor %}}|" for part in PARTS)]
)
@pytest.mark.urls("tests.discography.urls")
def test_a_template_prints_the_same_of_records(
    records: list[Record], source: str, settings: Any
) -> None:
    settings.MEDIA_URL = "/media/"
    rows = Record.objects.order_by("pk")
    context = {
        "records": everything(),
        "names": rows.values_list("title", flat=True),
        "pairs": rows.values_list("pk", "title"),
        "named": rows.values_list("pk", "title", named=True),
        "dicts": rows.values("title"),
    }
    template = engines["django"].from_string(f"{{% load tz l10n %}}{source}")
    expected = template.render(context)

    assert template.render(opened(**context)) == expected
    assert expected.strip("|") or "typo" in source


def test_records_work_in_python_as_rows_do(records: list[Record]) -> None:
    row, other = everything()[:2]
    found = opened(record=row, other=other, expose=("full_name", "greeting"))["record"]

    assert found.title == found["title"] == row.title
    assert found.get_format_display() == "Long player"
    assert found.singer.greeting() == "Hello Nina"
    assert found.singer.full_name == "NINA SIMONE"
    assert str(found) == str(row)
    assert repr(found) == repr(row)
    assert (type(found.price), type(found.released_at)) == (Decimal, dt.datetime)
    assert bool(found)


def test_records_are_equal_by_model_and_primary_key(records: list[Record]) -> None:
    nina = records[0].singer
    same_pk = Genre.objects.create(pk=nina.pk + 1000, name="x")
    found = opened(
        a=nina, b=Singer.objects.get(pk=nina.pk), record=records[0], unsaved=[Singer(), Singer()]
    )

    assert found["a"] == found["b"] == nina
    assert hash(found["a"]) == hash(nina)
    assert found["a"] != found["record"]
    assert found["a"] != same_pk
    assert found["a"] != nina.pk
    assert found["unsaved"][0] != Singer()
    assert len({found["a"], found["b"], nina}) == 1
    with pytest.raises(TypeError, match="has no primary key, so it is unhashable"):
        hash(found["unsaved"][0])


def test_what_was_loaded_with_several_rows_is_there_once(records: list[Record]) -> None:
    rows = list(Record.objects.select_related("singer").order_by("pk"))
    assert rows[0].singer is not rows[1].singer

    found = opened(records=rows)["records"]

    assert found[0].singer is found[1].singer
    assert found[0].singer is not found[2].singer


def test_what_leads_back_does(records: list[Record]) -> None:
    singer = Singer.objects.prefetch_related("records").get(first_name="Nina")
    assert singer.records.all()[0].singer is singer

    found = opened(singer=singer)["singer"]

    assert found.records.all()[1].singer is found
    assert found.records[0].singer.records.count() == 2


def test_other_states_of_one_row_stay_apart(records: list[Record]) -> None:
    full, part = Singer.objects.first(), Singer.objects.only("first_name").first()
    changed = Singer.objects.first()
    assert full
    assert part
    assert changed
    changed.first_name = "Eunice"

    found = opened(full=full, part=part, changed=changed)

    assert [one.first_name for one in found.values()] == ["Nina", "Nina", "Eunice"]
    assert found["full"].last_name == "Simone"
    assert found["full"] == found["part"] == found["changed"]


class TestWhatWasNotLoaded:
    @pytest.mark.parametrize(
        ("look_up", "message"),
        [
            (
                lambda c: c["records"][1].singer,
                "records[1].singer was not loaded by the source: add select_related('singer').",
            ),
            (
                lambda c: c["deep"]["comment"].content_type,
                (
                    "deep.comment.content_type was not loaded by the source: add "
                    "select_related('content_type')."
                ),
            ),
            (
                lambda c: c["records"][0].songs.all(),
                "records[0].songs was not loaded by the source: add prefetch_related('songs').",
            ),
            (
                lambda c: c["records"][0].genres,
                "records[0].genres was not loaded by the source: add prefetch_related('genres').",
            ),
            (
                lambda c: c["records"][0]["comments"],
                (
                    "records[0].comments was not loaded by the source: add "
                    "prefetch_related('comments')."
                ),
            ),
            (
                lambda c: c["deep"]["song"].record.singer,
                # It is the same record.
                "records[0].singer was not loaded by the source: add select_related('singer').",
            ),
            (
                lambda c: c["part"].price,
                (
                    "part.price was deferred by the source: take it out of defer(), or add it to "
                    "only()."
                ),
            ),
            (
                lambda c: c["singer"].full_name,
                (
                    "singer.full_name is a property or method of Singer, which the source did not "
                    "publish: add expose=['full_name'] to the fragment."
                ),
            ),
            (lambda c: c["singer"].initials, "singer.initials is a property or method of Singer"),
            (
                lambda c: c["singer"].get_absolute_url(),
                "singer.get_absolute_url is a property or method of Singer",
            ),
            (
                lambda c: c["comment"].about,
                "comment.about was not loaded by the source: add select_related('about').",
            ),
            (
                lambda c: str(c["song"]),
                (
                    "song has no text: on the source, Song.__str__() needs what was not loaded. "
                    "Add it to select_related()."
                ),
            ),
        ],
    )
    def test_is_an_error_with_its_path(
        self, records: list[Record], look_up: Any, message: str
    ) -> None:
        found = opened(
            records=Record.objects.order_by("pk"),
            deep={
                "song": Song.objects.select_related("record").first(),
                "comment": Comment.objects.annotate(n=Value(1)).first(),
            },
            part=Record.objects.only("title").first(),
            singer=Singer.objects.first(),
            comment=Comment.objects.first(),
            song=Song.objects.first(),
        )

        with pytest.raises(NotLoaded) as raised:
            look_up(found)
        assert str(raised.value).startswith(message)

    def test_is_an_error_in_templates_too(self, records: list[Record]) -> None:
        """Where a wrong name prints nothing, as with models."""
        found = opened(record=Record.objects.first())
        template = engines["django"].from_string("{{ record.singer.first_name }}")

        with pytest.raises(NotLoaded, match=r"^record\.singer was not loaded"):
            template.render(found)

    def test_but_is_known_to_be_empty_is_none(self, records: list[Record]) -> None:
        nina = Singer.objects.get(first_name="Nina")

        assert opened(singer=nina)["singer"].mentor is None

    def test_is_not_asked_for_by_publishing(
        self, records: list[Record], django_assert_num_queries: Any
    ) -> None:
        songs = list(Song.objects.all())

        with django_assert_num_queries(1):  # Django counts the one that was refused
            take_snapshot({"songs": songs})

    def test_name_of_an_attribute_is_an_error_that_knows_those_there_are(
        self, records: list[Record]
    ) -> None:
        found = opened(singer=Singer.objects.first())["singer"]

        with pytest.raises(AttributeError) as raised:
            _ = found.frist_name
        assert str(raised.value) == (
            "Singer has no attribute 'frist_name'. Did you mean 'first_name'? The source published "
            "born_on, first_name, id, last_name, mentor_id."
        )
        assert not hasattr(found, "_state")


class TestExposing:
    def test_takes_properties_and_methods_of_every_model_that_has_them(
        self, records: list[Record]
    ) -> None:
        names = ("full_name", "initials", "greeting", "get_absolute_url")
        found = opened(names, records=everything())["records"][0].singer

        assert found.full_name == "NINA SIMONE"
        assert found.initials == "NS"
        assert found.greeting() == "Hello Nina"
        assert engines["django"].from_string("{{ s.get_absolute_url }}").render({"s": found}) == (
            f"/singers/{found.pk}/"
        )

    def test_may_name_the_model(self, records: list[Record]) -> None:
        context = {"singer": Singer.objects.first()}

        assert opened(("Singer.full_name",), **context)["singer"].full_name == "NINA SIMONE"
        with pytest.raises(NotLoaded):
            _ = opened(("Record.full_name",), **context)["singer"].full_name


class Range:
    """A value of a field of another app's, which no target knows."""


def test_an_attribute_that_cannot_be_published_is_missed_when_it_is_read() -> None:
    singer = Singer(first_name="Nina")
    singer.voice = Range()  # type: ignore[attr-defined]
    found = opened(singers=[singer])["singers"][0]

    assert found.first_name == "Nina"
    with pytest.raises(NotLoaded, match=r"^singers\[0\]\.voice is <tests\..*, which cannot be"):
        _ = found.voice


def test_an_attribute_that_holds_what_cannot_be_published_is_an_error_at_once() -> None:
    singer = Singer(first_name="Nina")
    singer.voices = [Range()]  # type: ignore[attr-defined]

    with pytest.raises(Unpublishable, match=r"^singer\.voices\[0\] is <tests\."):
        take_snapshot({"singer": singer})


def test_primary_keys_are_of_any_type() -> None:
    rows = [Note.objects.create(text="x"), Country.objects.create(code="de"), Seal(mark=b"\x00")]

    assert [one.pk for one in opened(rows=rows)["rows"]] == [row.pk for row in rows]


def test_a_manager_is_all_its_rows(records: list[Record]) -> None:
    singer = Singer.objects.get(first_name="Nina")

    found = opened(all=Singer.objects, own=singer.records.order_by("pk"))

    assert found["all"].count() == 2
    assert [one.title for one in found["own"]] == ["Pastel <Blues>", "Wild Is the Wind"]
