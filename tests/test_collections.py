"""The version of a collection changes with its rows and their order, and with nothing else."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.db.models import Count, F, Max, QuerySet
from django.db.models.functions import Lower, Random
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.connection import ConnectionDoesNotExist

from fragcache import ImproperlyDeclared, acollection_version, collection_version
from tests.library.models import Artist, Country, Note, Track
from tests.studio.models import Band, Label, LiveSession, Musician, Session

SESSIONS = Session.objects.order_by()


@pytest.fixture
def sessions(db: None) -> list[Session]:
    bands = [Band.objects.create(name=name) for name in ("Kraan", "Can")]
    sessions = [Session.objects.create(title=f"{n}", band=bands[n % 2]) for n in range(4)]
    labels = [Label.objects.create(name=name) for name in ("live", "best")]
    for session in sessions[:2]:
        session.labels.add(*labels)
    return sessions


def rename(row: Session) -> None:
    Session.objects.filter(pk=row.pk).update(title="Another")


COLLECTIONS: dict[str, Callable[[], QuerySet[Session]]] = {
    "all": lambda: Session.objects.all(),  # noqa: PLW0108 - when it is called
    "filtered": lambda: Session.objects.filter(band__name="Kraan"),
    "ordered": lambda: Session.objects.order_by("-pk"),
    "sliced": lambda: Session.objects.order_by("pk")[:3],
    "sliced later": lambda: Session.objects.order_by("-title", "-pk")[1:],
    "joined": lambda: Session.objects.filter(labels__name__in=["live", "best"]),
    "joined and ordered": lambda: Session.objects.filter(labels__isnull=False).order_by(
        "labels__name", "pk"
    ),
    "distinct": lambda: Session.objects.filter(labels__isnull=False).distinct(),
    "distinct and ordered": lambda: (
        Session.objects.filter(labels__isnull=False).distinct().order_by("band__name")
    ),
    "distinct and sliced": lambda: Session.objects.distinct().order_by("band__name", "title")[:3],
    "distinct and sliced by a column": lambda: Session.objects.distinct().order_by("title")[1:],
    "annotated": lambda: Session.objects.annotate(n=Count("takes")).order_by("-n", "pk"),
    "having": lambda: Session.objects.annotate(n=Count("labels")).filter(n__gt=1),
    "with related": lambda: Session.objects.select_related("band").prefetch_related("labels"),
    "deferred": lambda: Session.objects.only("title"),
    "locked": lambda: Session.objects.select_for_update(),  # noqa: PLW0108
    "ordered by a function": lambda: Session.objects.order_by(Lower("title"), "pk"),
    "ordered by an object": lambda: Session.objects.order_by(F("title").desc(), "pk"),
}


@pytest.mark.parametrize("name", COLLECTIONS)
class TestAnyCollection:
    @pytest.fixture(autouse=True)
    def of(self, sessions: list[Session]) -> None: ...

    def test_it_is_the_same_while_nothing_changes(self, name: str) -> None:
        with transaction.atomic():
            assert collection_version(COLLECTIONS[name]()) == collection_version(
                COLLECTIONS[name]()
            )

    def test_it_counts_the_rows_that_are_shown(self, name: str) -> None:
        with transaction.atomic():
            shown = len(list(COLLECTIONS[name]()))
            assert shown > 1
            assert collection_version(COLLECTIONS[name]()).partition("-")[0] == str(shown)

    def test_it_changes_with_each_row_that_is_shown(self, name: str) -> None:
        with transaction.atomic():
            for row in list(COLLECTIONS[name]()):
                before = collection_version(COLLECTIONS[name]())
                Session.objects.filter(pk=row.pk).update(plays=F("plays") + 1)
                assert collection_version(COLLECTIONS[name]()) != before

    def test_it_is_one_query(self, name: str) -> None:
        with transaction.atomic(), CaptureQueriesContext(connections["default"]) as queries:
            collection_version(COLLECTIONS[name]())

        assert len(queries) == 1


class TestWhatItDependsOn:
    def test_rows_that_are_not_shown(self, sessions: list[Session]) -> None:
        shown = Session.objects.exclude(pk=sessions[0].pk)
        before = collection_version(shown)
        rename(sessions[0])

        assert collection_version(shown) == before

    def test_a_row_for_another_of_the_same_mtime(self, sessions: list[Session]) -> None:
        moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        Session.objects.update(updated_at=moment)

        one, two = (Session.objects.filter(pk=row.pk) for row in sessions[:2])

        assert collection_version(one) != collection_version(two)

    def test_mtimes_that_two_rows_exchange(self, sessions: list[Session]) -> None:
        before = collection_version(SESSIONS)
        first, second = sessions[0].updated_at, sessions[1].updated_at
        Session.objects.filter(pk=sessions[0].pk).update(updated_at=second)
        Session.objects.filter(pk=sessions[1].pk).update(updated_at=first)

        assert collection_version(SESSIONS) != before

    def test_duplicates_of_a_join_do_not_cancel_each_other_out(
        self, sessions: list[Session]
    ) -> None:
        joined = Session.objects.filter(labels__isnull=False)
        before = collection_version(joined)
        rename(sessions[0])

        assert collection_version(joined) != before

    def test_an_order_by_another_table(self, sessions: list[Session]) -> None:
        by_band = Session.objects.order_by("band__name", "pk")
        before = collection_version(by_band), collection_version(SESSIONS)
        QuerySet(Band).filter(name="Can").update(name="Zappa")

        assert collection_version(by_band) != before[0]
        assert collection_version(SESSIONS) == before[1]

    def test_an_order_by_the_default_of_a_related_model(self, db: None) -> None:
        """Track's order is its album's, which may have one of its own."""
        sql = capture(lambda: collection_version(Track.objects.all(), field="position"))
        assert ("array_agg" in sql) is (connections["default"].vendor == "postgresql")

    @pytest.mark.parametrize("order", [["title"], ["-plays", "pk"], ["band_id"]])
    def test_an_order_by_own_columns_is_not_computed(
        self, sessions: list[Session], order: list[str]
    ) -> None:
        sql = capture(lambda: collection_version(Session.objects.order_by(*order)))

        assert "ORDER BY" not in sql.replace("ORDER BY 1", ""), "lines may be sorted"

    def test_an_annotation_that_has_the_name_of_a_column_is_another(self, db: None) -> None:
        sql = capture(
            lambda: collection_version(
                Band.objects.annotate(x=Max("sessions__plays")).order_by("x")
            )
        )

        assert "ORDER BY" in sql

    def test_not_the_time_zone_of_the_connection(self, sessions: list[Session]) -> None:
        before = collection_version(SESSIONS)
        if connections["default"].vendor == "postgresql":
            with connections["default"].cursor() as cursor:
                cursor.execute("SET LOCAL TIME ZONE 'Asia/Kolkata'")

        with timezone.override("Asia/Kolkata"):
            assert collection_version(SESSIONS) == before


class TestWhichColumn:
    def test_a_column_that_is_named(self, db: None) -> None:
        artist = Artist.objects.create(name="x")
        before = collection_version(Artist.objects.all(), field="updated_at")
        artist.updated_at += dt.timedelta(microseconds=1)
        artist.save()

        assert collection_version(Artist.objects.all(), field="updated_at") != before

    @pytest.mark.parametrize(
        ("model", "values", "field"),
        [(Country, {"code": "de"}, "code"), (Note, {"text": "x"}, "text"), (Musician, {}, None)],
    )
    def test_keys_and_versions_of_any_type(
        self, db: None, model: Any, values: dict[str, Any], field: str | None
    ) -> None:
        model.objects.create(**values)

        assert collection_version(model.objects.all(), field=field).startswith("1-")

    def test_a_column_of_another_table_of_the_same_row(self, db: None) -> None:
        live = LiveSession.objects.create(title="x", place="Rome")
        before = collection_version(LiveSession.objects.all())
        live.save()

        assert collection_version(LiveSession.objects.all()) != before

    def test_nothing_at_all(self, db: None) -> None:
        assert collection_version(Session.objects.none()) == "0-0000000000000000"
        assert collection_version(Session.objects.filter(pk=0)) == "0-0000000000000000"

    def test_mtimes_that_are_null(self, db: None) -> None:
        Session.objects.create(title="x")

        assert collection_version(Session.objects.all(), field="band").startswith("1-")

    def test_it_is_computed_where_the_queryset_is(self) -> None:
        with pytest.raises(ConnectionDoesNotExist):
            collection_version(SESSIONS.using("nowhere"))

    def test_the_asynchronous_form(self, sessions: list[Session]) -> None:
        assert async_to_sync(acollection_version)(SESSIONS) == collection_version(SESSIONS)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Session.objects.all()[:2], "a slice without an order"),
        (lambda: Session.objects.order_by("?"), "order_by('?')"),
        (lambda: Session.objects.extra(order_by=["?"]), "of a random order"),
        (lambda: Session.objects.order_by(Random().desc()), "a random order"),
        (lambda: Session.objects.annotate(luck=Random()).order_by("-luck"), "random order, such"),
        (lambda: Session.objects.values("title"), "values() or values_list()"),
        (lambda: Session.objects.all().union(Session.objects.all()), "union() of querysets"),
        (lambda: Artist.objects.filter(), "which column of library.Artist moves"),  # noqa: PLW0108
    ],
)
def test_what_has_no_version_is_refused_by_name(
    make: Callable[[], QuerySet[Any]], said: str
) -> None:
    with pytest.raises(ImproperlyDeclared) as caught:
        collection_version(make())

    assert said in str(caught.value)


def capture(call: Callable[[], Any]) -> str:
    with CaptureQueriesContext(connections["default"]) as queries:
        call()
    (query,) = queries
    return str(query["sql"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    "postgresql" not in connections.settings["default"]["ENGINE"], reason="needs PostgreSQL"
)
class TestTwoConnections:
    """A version that was seen before a commit is not seen after it, whoever stamped first."""

    @pytest.fixture
    def other(self, sessions: list[Session]) -> Iterator[Callable[..., None]]:
        """A function that calls another one in a transaction that is open until `commit`."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(transaction.set_autocommit, False).result(10)
            yield lambda call: thread.submit(call).result(10)
            thread.submit(connections.close_all).result(10)

    @pytest.fixture
    def commit(self, other: Callable[..., None]) -> Callable[[], None]:
        return lambda: other(transaction.commit)

    def test_a_late_commit_is_seen(
        self, sessions: list[Session], other: Any, commit: Callable[[], None]
    ) -> None:
        other(lambda: rename(sessions[0]))
        rename(sessions[1])
        before = collection_version(SESSIONS), latest()
        commit()

        assert collection_version(SESSIONS) != before[0]
        assert latest() == before[1], "else this schedule would show nothing"

    def test_a_late_insert_for_a_delete_is_seen(
        self, sessions: list[Session], other: Any, commit: Callable[[], None]
    ) -> None:
        other(lambda: Session(title="new").save())
        other(lambda: Session.objects.filter(pk=sessions[2].pk).delete())
        rename(sessions[1])
        before = collection_version(SESSIONS), latest()
        commit()

        assert collection_version(SESSIONS) != before[0]
        assert latest() == before[1], "else this schedule would show nothing"

    @pytest.mark.parametrize("gone", range(4))
    def test_a_late_delete_is_seen(
        self, sessions: list[Session], other: Any, commit: Callable[[], None], gone: int
    ) -> None:
        other(lambda: Session.objects.filter(pk=sessions[gone].pk).delete())
        before = collection_version(SESSIONS)
        commit()

        assert collection_version(SESSIONS) != before

    def test_a_late_move_is_seen_by_both(
        self, sessions: list[Session], other: Any, commit: Callable[[], None]
    ) -> None:
        kraan, can = (Session.objects.filter(band__name=name) for name in ("Kraan", "Can"))
        to = Band.objects.get(name="Can")
        other(lambda: Session.objects.filter(pk=sessions[0].pk).update(band=to))
        before = collection_version(kraan), collection_version(can)
        commit()

        assert collection_version(kraan) != before[0]
        assert collection_version(can) != before[1]

    def test_an_exchange_that_moves_no_mtime_is_seen(
        self, sessions: list[Session], other: Any, commit: Callable[[], None]
    ) -> None:
        kraan, can = (Session.objects.filter(band__name=name) for name in ("Kraan", "Can"))
        names = {"Kraan": "X", "Can": "Kraan", "X": "Can"}
        for old, new in names.items():
            other(lambda old=old, new=new: QuerySet(Band).filter(name=old).update(name=new))
        before = collection_version(kraan), collection_version(can)
        commit()

        assert (collection_version(can), collection_version(kraan)) == before
        assert before[0] != before[1]

    def test_in_a_hundred_schedules_each_commit_is_seen(
        self, sessions: list[Session], other: Any, commit: Callable[[], None]
    ) -> None:
        """Of two connections; by the latest mtime and the count many of them would be missed."""
        lot = random.Random(2)
        bands = list(Band.objects.all())
        missed, missed_by_latest = 0, 0
        for number in range(100):
            theirs, ours = lot.sample(list(Session.objects.order_by("pk")), 2)
            changes: list[Callable[[Session], Any]] = [
                rename,
                lambda row: Session.objects.filter(pk=row.pk).update(band=lot.choice(bands)),
                lambda row: (row.delete(), Session.objects.create(title="new", band=row.band)),
                lambda row: Session.objects.create(title=f"{number}", band=lot.choice(bands)),  # noqa: B023
            ]
            change = lot.choice(changes)
            other(lambda row=theirs, change=change: change(row))
            # Without what it touches, for which it would wait.
            QuerySet(Session).filter(pk=ours.pk).update(title="ours", updated_at=timezone.now())
            lists = [Session.objects.filter(band=band) for band in bands]
            before = [(shown(rows), collection_version(rows), latest(rows)) for rows in lists]
            commit()
            for rows, (then, version, moment) in zip(lists, before, strict=True):
                if shown(rows) != then:
                    missed += collection_version(rows) == version
                    missed_by_latest += latest(rows) == moment

        assert missed == 0
        assert missed_by_latest > 10, "else these schedules would show nothing"

    def test_distinct_on(self, sessions: list[Session]) -> None:
        newest = Session.objects.order_by("band_id", "-pk").distinct("band_id")
        before = collection_version(newest)
        rename(sessions[0])
        assert collection_version(newest) == before
        rename(sessions[3])
        assert collection_version(newest) != before


def shown(rows: QuerySet[Session]) -> list[Any]:
    """Return all that a list could show."""
    return list(rows.order_by("pk").values_list("pk", "title", "updated_at"))


def latest(rows: QuerySet[Session] = SESSIONS) -> tuple[Any, int]:
    """Return what a version by the latest mtime would be."""
    return rows.aggregate(Max("updated_at"))["updated_at__max"], rows.count()


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ([1, 2], None, r"takes a queryset, whose rows the database tells, not list: \[1, 2\]\."),
        (
            SESSIONS,
            "updated",
            r"field='updated'\): studio\.Session has no such field\. Did you mean 'updated_at'\?",
        ),
    ],
)
def test_what_is_no_queryset_or_field_is_refused(
    given: Any, field: str | None, message: str
) -> None:
    with pytest.raises(ImproperlyDeclared, match=message):
        collection_version(given, field=field)


def test_a_manager_stands_for_all_of_its_rows(sessions: list[Session]) -> None:
    assert collection_version(Session.objects) == collection_version(SESSIONS)
