"""Models whose mtimes move: by which write paths, how far, and how they are declared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import django
import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

from fragcache.models import (
    TouchedManager,
    TouchedModel,
    TouchedQuerySet,
    TouchField,
    gathered_touches,
)
from fragcache.touching.moves import touches_of
from tests.studio.models import Band, Label, LiveSession, Mic, Musician, Session, Take

pytestmark = pytest.mark.django_db


def mtime(row: models.Model) -> dt.datetime:
    """Return what the database has."""
    kind: Any = type(row)
    name = "mtime" if kind in {Label, Take, Musician} else "updated_at"
    value: dt.datetime = kind.base_objects.values_list(name, flat=True).get(pk=row.pk)
    return value


def set_mtime(row: models.Model, moment: dt.datetime) -> None:
    """Set it as no write path of the ORM would."""
    kind: Any = type(row)
    name = "mtime" if kind in {Label, Take, Musician} else "updated_at"
    models.QuerySet(kind).filter(pk=row.pk).update(**{name: moment})


@pytest.fixture
def band() -> Band:
    return Band.objects.create(name="The Band")


@pytest.fixture
def session(band: Band) -> Session:
    return Session.objects.create(title="First", slug="first", band=band)


@pytest.fixture
def label(session: Session) -> Label:
    label = Label.objects.create(name="live")
    session.labels.add(label)
    return label


@pytest.fixture
def take(session: Session) -> Take:
    return Take.objects.create(session=session)


def save_fields(session: Session) -> None:
    session.title = "Second"
    session.save(update_fields=["title"])


def bulk_update(session: Session) -> None:
    session.title = "Second"
    Session.objects.bulk_update([session], ["title"])


def upsert(session: Session) -> None:
    Session.objects.bulk_create(
        [Session(title="Second", slug="first")],
        update_conflicts=True,
        update_fields=["title"],
        unique_fields=["slug"],
    )


#: The write paths of the ORM. What is raw, or loaded as data, is the trigger's.
PATHS: dict[str, Callable[[Session], Any]] = {
    "save": lambda session: session.save(),
    "save of some fields": save_fields,
    "update": lambda session: Session.objects.filter(pk=session.pk).update(title="Second"),
    "update by an expression": lambda session: Session.objects.update(plays=models.F("plays") + 1),
    "bulk_update": bulk_update,
    "bulk_create of what there is": upsert,
    "update_or_create": lambda session: Session.objects.update_or_create(
        slug="first", defaults={"title": "Second"}
    ),
    "m2m add": lambda session: session.labels.add(Label.objects.create(name="new")),
    "m2m clear": lambda session: session.labels.clear(),
    "child save": lambda session: Take(session=session, number=9).save(),
    "child delete": lambda session: Take.objects.get().delete(),
    "children update": lambda session: session.takes.update(number=7),
    "related rename": lambda session: Label.objects.filter(name="live").update(name="studio"),
}
FURTHER: dict[str, Callable[[Session], Any]] = {
    "m2m add from the other side": lambda session: Label.objects.create(name="new").sessions.add(  # noqa: PLW0108
        session
    ),
    "m2m set": lambda session: session.labels.set([]),
    "m2m remove": lambda session: session.labels.remove(Label.objects.get()),
    "m2m remove from the other side": lambda session: Label.objects.get().sessions.remove(session),  # noqa: PLW0108
    "m2m clear from the other side": lambda session: Label.objects.get().sessions.clear(),
    "m2m create": lambda session: session.labels.create(name="new"),
    "related save": lambda session: Label.objects.get().save(),
    "related delete": lambda session: Label.objects.get().delete(),
    "related delete in bulk": lambda session: Label.objects.all().delete(),
    "children bulk_create": lambda session: Take.objects.bulk_create(
        [Take(session=session, number=n) for n in (8, 9)]
    ),
    "children bulk_update": lambda session: Take.objects.bulk_update(
        [Take.objects.get()], ["number"]
    ),
    "children upsert": lambda session: Take.objects.bulk_create(
        [Take(session=session, number=1)],
        update_conflicts=True,
        update_fields=["mic"],
        unique_fields=["session", "number"],
    ),
    "children delete in bulk": lambda session: session.takes.all().delete(),
    "children get_or_create": lambda session: session.takes.get_or_create(number=5),
    "child cascade": lambda session: Mic.objects.all().delete(),
    "the relation set from its other side": lambda session: Band.objects.create(  # noqa: PLW0108
        name="Other"
    ).sessions.add(session),
    "the relation cleared": lambda session: Band.objects.get().sessions.clear(),
    "related gone": lambda session: Band.objects.all().delete(),
}


@pytest.mark.parametrize("write", [*PATHS, *FURTHER])
@pytest.mark.parametrize("skew", [dt.timedelta(days=-1), dt.timedelta(days=1)], ids=str)
def test_every_write_path_moves_the_mtime_upwards(
    session: Session, label: Label, take: Take, write: str, skew: dt.timedelta
) -> None:
    """A day ahead: the machine that wrote last had another clock."""
    Take.objects.update(mic=Mic.objects.create(name="Ribbon"))
    before = timezone.now() + skew
    set_mtime(session, before)

    (PATHS | FURTHER)[write](Session.objects.get())

    assert mtime(session) > before


def test_fifteen_write_paths_are_two_more_than_the_orm_has() -> None:
    """Raw SQL and loaddata: tests/test_touch_triggers.py."""
    assert len(PATHS) == 15 - 2


class TestMovingARow:
    def test_an_object_has_the_mtime_of_its_row_after_a_save(self, session: Session) -> None:
        set_mtime(session, timezone.now() + dt.timedelta(days=1))

        session.save()

        assert "updated_at" in session.__dict__
        assert session.updated_at == mtime(session)

    def test_receivers_of_post_save_see_it_too(self, session: Session) -> None:
        seen = []

        def receive(instance: Session, **_kwargs: Any) -> None:
            seen.append(instance.__dict__["updated_at"] == mtime(instance))

        models.signals.post_save.connect(receive, sender=Session)
        try:
            session.save()
        finally:
            models.signals.post_save.disconnect(receive, sender=Session)

        assert seen == [True]

    def test_so_it_has_after_bulk_update(self, session: Session) -> None:
        set_mtime(session, timezone.now() + dt.timedelta(days=1))

        Session.objects.bulk_update([session], ["title"])

        assert session.__dict__["updated_at"] == mtime(session)

    def test_so_it_has_after_an_upsert(self, session: Session) -> None:
        set_mtime(session, timezone.now() + dt.timedelta(days=1))
        other = Session(title="Second", slug="first")

        Session.objects.bulk_create(
            [other], update_conflicts=True, update_fields=["title"], unique_fields=["slug"]
        )

        assert other.updated_at == mtime(session)

    def test_a_copy_is_saved_as_one_saves_copies(self, session: Session) -> None:
        session.save()
        session.pk, session.slug = None, "copy"
        session.save()

        assert Session.objects.count() == 2

    def test_an_object_without_its_mtime_moves_it_all_the_same(self, session: Session) -> None:
        before = mtime(session)
        Session.objects.defer("updated_at").get().save()

        assert mtime(session) > before

    def test_a_save_of_no_fields_writes_nothing(self, session: Session) -> None:
        before = mtime(session)
        session.save(update_fields=[])

        assert mtime(session) == before

    def test_an_update_may_say_the_mtime(self, session: Session) -> None:
        Session.objects.update(updated_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))

        assert mtime(session).year == 2020

    def test_a_step_is_a_microsecond(self, session: Session) -> None:
        future = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
        set_mtime(session, future)

        for microsecond in range(1, 4):
            Session.objects.update(plays=0)
            assert mtime(session) == future.replace(microsecond=microsecond)

    def test_a_row_of_two_tables_has_one_mtime(self) -> None:
        live = LiveSession.objects.create(title="Live", place="Bremen")
        assert [f.name for f in LiveSession._meta.fields if isinstance(f, TouchField)] == [
            "updated_at"
        ]
        for write in (
            lambda: LiveSession.objects.update(place="Oslo"),
            lambda: LiveSession.objects.update(title="More", place="Rome"),
            lambda: live.save(update_fields=["place"]),
            live.save,
        ):
            before = mtime(live)
            write()
            assert mtime(live) > before


class TestTouching:
    def test_a_row_touches_what_it_leaves_and_what_it_joins(
        self, band: Band, session: Session
    ) -> None:
        other = Band.objects.create(name="Other")
        for write in (
            lambda: Session(pk=session.pk, title="x", slug="first", band=other).save(),
            lambda: Session.objects.update(band=band),
            lambda: Session.objects.bulk_update([Session(pk=session.pk, band=other)], ["band"]),
            lambda: Session.objects.bulk_create(
                [Session(title="x", slug="first", band=band)],
                update_conflicts=True,
                update_fields=["band"],
                unique_fields=["slug"],
            ),
        ):
            before = mtime(band), mtime(other)
            write()
            assert mtime(band) > before[0]
            assert mtime(other) > before[1]

    def test_what_is_touched_touches_on(self, band: Band, take: Take) -> None:
        before = mtime(band)
        take.save()

        assert mtime(band) > before

    def test_what_a_row_has_in_memory_alone_does_not_decide_what_its_deletion_touches(
        self, session: Session, take: Take
    ) -> None:
        other = Session.objects.create(title="Other")
        before = mtime(session)
        take.session = other
        take.delete()

        assert mtime(session) > before

    def test_friends_are_moved_on_both_sides(self) -> None:
        one, two, three = (Musician.objects.create(name=name) for name in "abc")
        before = [mtime(one), mtime(two), mtime(three)]

        one.friends.add(two)

        assert mtime(one) > before[0]
        assert mtime(two) > before[1]
        assert mtime(three) == before[2]
        before = [mtime(one), mtime(two)]
        two.friends.clear()
        assert mtime(one) > before[0]
        assert mtime(two) > before[1]

    def test_a_relation_that_was_there_moves_nothing(self, session: Session, label: Label) -> None:
        before = mtime(session)
        session.labels.add(label)
        session.labels.set([label])

        assert mtime(session) == before

    @pytest.mark.parametrize("count", [1, 40])
    def test_what_many_rows_touch_is_moved_by_one_statement(
        self, session: Session, count: int
    ) -> None:
        takes = [Take(session=session, number=n) for n in range(count)]
        for write in (
            lambda: Take.objects.bulk_create(takes),
            lambda: Take.objects.update(mic=None),
            lambda: Take.objects.bulk_update(takes, ["mic"], batch_size=10),
            lambda: Take.objects.all().delete(),
        ):
            with CaptureQueriesContext(connection) as queries:
                write()
            statements = [q["sql"] for q in queries if q["sql"].startswith("UPDATE")]
            assert sum('UPDATE "studio_session"' in sql for sql in statements) == 1
            assert sum('UPDATE "studio_band"' in sql for sql in statements) == 1

    def test_gathered_changes_move_at_the_end_of_the_block(
        self, session: Session, take: Take
    ) -> None:
        before = mtime(session)
        with CaptureQueriesContext(connection) as queries, gathered_touches():
            take.save()
            take.save()
            assert mtime(session) == before

        assert mtime(session) > before
        assert sum('UPDATE "studio_session"' in q["sql"] for q in queries) == 1

    def test_a_block_that_fails_moves_nothing(self, session: Session, take: Take) -> None:
        before = mtime(session)

        def fail() -> None:
            with gathered_touches():
                take.save()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        with gathered_touches():
            pass

        assert mtime(session) == before

    @pytest.mark.parametrize(("is_there", "count"), [(False, 2), (True, 4)])
    def test_a_foreign_key_costs_one_query_or_three(
        self, band: Band, is_there: bool, count: int
    ) -> None:
        session = Session(title="x", band=band)
        if is_there:
            session.save()
        reads_its_mtime = is_there and django.VERSION < (6, 0)

        with CaptureQueriesContext(connection) as queries:
            session.save()

        assert len(queries) == count + reads_its_mtime

    def test_models_that_touch_nothing_open_no_transaction(self, band: Band) -> None:
        with CaptureQueriesContext(connection) as queries:
            Band.objects.update(name="x")

        assert len(queries) == 1


class TestDeclaring:
    def test_a_models_own_field_takes_the_place_of_mtime(self) -> None:
        assert [f.name for f in Band._meta.fields] == ["id", "name", "updated_at"]
        assert [f.name for f in Label._meta.fields] == ["id", "mtime", "name"]

    @isolate_apps("tests.studio")
    def test_so_does_one_of_an_abstract_model(self) -> None:
        class Base(TouchedModel):
            changed_at = TouchField()

            class Meta:
                abstract = True

        class Song(Base):
            class Meta:
                app_label = "studio"

        assert [f.name for f in Song._meta.fields] == ["id", "changed_at"]

    def test_it_is_written_into_migrations_by_its_public_path(self) -> None:
        assert TouchField(db_index=True).deconstruct()[1:] == (
            "fragcache.models.TouchField",
            [],
            {"db_index": True},
        )

    def test_the_models_of_the_tests_pass_the_checks(self) -> None:
        assert [*Session.check(), *Take.check(), *LiveSession.check(), *Musician.check()] == []

    @isolate_apps("tests.studio")
    def test_a_field_of_a_model_that_does_not_move_it_is_an_error(self) -> None:
        class Song(models.Model):
            updated_at = TouchField()

            class Meta:
                app_label = "studio"

        (message,) = Song.check()

        assert message.id == "fragcache.E011"
        assert "studio.Song.updated_at is a TouchField, but its model is no" in message.msg

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("bnad", "studio.Song has no relation 'bnad'. Did you mean 'band'?"),
            ("title", "studio.Song.title is no relation to one model."),
            ("mic", "studio.Mic has no TouchField that could move."),
        ],
    )
    @isolate_apps("tests.studio")
    def test_a_path_that_leads_nowhere_is_an_error(self, path: str, said: str) -> None:
        class Song(TouchedModel):
            title = models.CharField(max_length=10)
            band = models.ForeignKey(Band, models.CASCADE, related_name="+")
            mic = models.ForeignKey(Mic, models.CASCADE, related_name="+")
            touches = [path]

            class Meta:
                app_label = "studio"

        (message,) = [m for m in Song.check() if m.id == "fragcache.E012"]

        assert message.msg == f"studio.Song.touches has {path!r}: {said}"

    @isolate_apps("tests.studio")
    def test_a_manager_that_moves_nothing_is_warned_of(self) -> None:
        class Song(TouchedModel):
            objects = models.Manager()
            good = TouchedManager.from_queryset(TouchedQuerySet)()

            class Meta:
                app_label = "studio"

        (message,) = Song.check()

        assert message.id == "fragcache.W006"
        assert message.msg.startswith("studio.Song.objects has querysets that do not move")

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 has them")
    @pytest.mark.parametrize(
        ("on_delete", "touches", "is_warned_of"),
        [
            ("DB_SET_NULL", [], True),
            ("DB_CASCADE", ["session"], True),
            ("DB_CASCADE", [], False),
            ("CASCADE", ["session"], False),
        ],
    )
    @isolate_apps("tests.studio")
    def test_deletions_that_the_orm_does_not_see_are_warned_of(
        self, on_delete: str, touches: list[str], is_warned_of: bool
    ) -> None:
        class Song(TouchedModel):
            mic = models.ForeignKey(Mic, getattr(models, on_delete), null=True, related_name="+")
            session = models.ForeignKey(Session, models.DO_NOTHING, related_name="+")

            class Meta:
                app_label = "studio"

        Song.touches = touches

        found = [message.msg for message in Song.check() if message.id == "fragcache.W017"]

        said = "studio.Song.mic is changed by the database itself where what it points to is "
        assert (
            found == [f"{said}deleted (on_delete={on_delete}), which moves nothing."][:is_warned_of]
        )

    @isolate_apps("tests.studio")
    def test_touches_of_a_model_without_an_mtime_are_its_own_affair(self) -> None:
        class Song(models.Model):
            touches = "something else"

            class Meta:
                app_label = "studio"

        assert touches_of(Song) == ()

    def test_a_manager_that_hides_rows_hides_none_from_a_cascade(self) -> None:
        assert isinstance(Session._base_manager.get_queryset(), TouchedQuerySet)
        assert Session._base_manager.name == "base_objects"

    @pytest.mark.parametrize("is_named", [False, True])
    @isolate_apps("tests.studio")
    def test_so_it_is_with_another_base_in_front(self, is_named: bool) -> None:
        class Dated(models.Model):
            created_at = models.DateTimeField(auto_now_add=True)

            class Meta:
                app_label = "studio"
                abstract = True
                ordering = ["created_at"]

        meta = {"Meta": Dated.Meta} if is_named else {}
        song: Any = type("Song", (Dated, TouchedModel), {"__module__": __name__, **meta})

        assert isinstance(song._base_manager.get_queryset(), TouchedQuerySet)
        assert song.check() == []
