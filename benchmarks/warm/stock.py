"""The rows that are warmed: tables that grow from size to size, and rows that change."""

from __future__ import annotations

from datetime import timedelta

from django.core.management import call_command
from django.db import connection
from django.db.models import F, Model
from django.utils import timezone

from benchmarks.cards.content import TEXT
from benchmarks.cards.models import Card
from benchmarks.warm.notes.models import Note

#: One row of so many changes.
PART = 100


def prepare() -> tuple[str, str]:
    """Make the tables; return the database's name and its version."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    version = ".".join(map(str, connection.get_database_version()))
    return connection.display_name, version


def fill(cards: int, notes: int) -> None:
    """Let the tables grow to so many rows; one that is larger stays."""
    _grow(Card, cards, title="Card number ", text=TEXT)
    _grow(Note, notes, title="Note number ")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def change(model: type[Model]) -> int:
    """Change every hundredth row; return how many these are."""
    rows = model._default_manager.alias(rest=F("pk") % PART).filter(rest=0)
    return rows.update(updated_at=timezone.now())


def _grow(model: type[Model], size: int, **texts: str) -> None:
    """Add rows in the database itself; a million objects would take minutes."""
    count = model._default_manager.count()
    if count >= size:
        return
    # Long ago: what changed lately is read by every `--changed`.
    long_ago = timezone.now() - timedelta(days=1)
    moment = connection.ops.adapt_datetimefield_value(long_ago)
    title, *others = texts
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({', '.join(texts)}, updated_at) "
            "WITH RECURSIVE numbers(n) AS "
            "(SELECT %s UNION ALL SELECT n + 1 FROM numbers WHERE n < %s) "
            f"SELECT %s || n{', %s' * len(others)}, %s FROM numbers",
            [count + 1, size, texts[title], *(texts[name] for name in others), moment],
        )
