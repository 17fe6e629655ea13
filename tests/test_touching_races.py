"""Two connections that move the same rows wait for each other, and neither for ever."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections, transaction

from fragcache.models import gathered_touches
from fragcache.touching.moves import move
from tests.studio.models import Band, Session, Take

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "postgresql" not in connections.settings["default"]["ENGINE"], reason="needs PostgreSQL"
    ),
]


@pytest.fixture
def together() -> Iterator[Callable[..., list[Any]]]:
    """A function that calls others at once, each with a connection of its own."""
    with ThreadPoolExecutor(8) as pool:

        def run(*calls: Callable[[], Any]) -> list[Any]:
            def one(call: Callable[[], Any]) -> Any:
                try:
                    return call()
                finally:
                    connections.close_all()

            return [future.result(20) for future in [pool.submit(one, call) for call in calls]]

        yield run


def mtimes() -> list[Any]:
    return list(Session.objects.order_by("pk").values_list("updated_at", flat=True))


def test_many_rows_are_moved_in_one_order_whatever_order_they_lie_in(together: Any) -> None:
    """An UPDATE locks rows as it comes upon them."""
    sessions = Session.objects.bulk_create(Session(title=str(n)) for n in range(300))
    for session in random.Random(1).sample(sessions, 150):  # which lie at the end from now on
        session.save()
    keys = [session.pk for session in sessions]

    def move_ten_times(some: list[Any]) -> None:
        for _ in range(10):
            with transaction.atomic():
                move(Session, some, "default")

    together(*(lambda n=n: move_ten_times(keys[n * 20 :]) for n in range(4)))


def test_transactions_that_touch_in_opposite_orders(together: Any) -> None:
    one, two = (Session.objects.create(title=title) for title in "ab")
    takes = {n: Take.objects.create(session=s, number=n) for n, s in ((1, one), (2, two), (3, one))}
    takes[4] = Take.objects.create(session=two, number=4)
    barrier = Barrier(2)
    before = mtimes()

    def save(first: Take, second: Take) -> None:
        with gathered_touches():
            first.save()
            barrier.wait(10)
            second.save()

    together(lambda: save(takes[1], takes[2]), lambda: save(takes[4], takes[3]))

    assert all(new > old for new, old in zip(mtimes(), before, strict=True))


def test_a_row_that_another_transaction_took_elsewhere_touches_where_it_is(together: Any) -> None:
    """Its change is seen there: what it touched when this change began is not enough."""
    one, two = (Band.objects.create(name=name) for name in "ab")
    session = Session.objects.create(title="x", band=one)
    moved, waits = Barrier(2), Barrier(2)

    def take_over() -> Any:
        with transaction.atomic():
            Session.objects.update(band=two)
            moved.wait(10)
            waits.wait(10)
            wait_for_a_lock()
            return Band.objects.get(pk=two.pk).updated_at

    def rename() -> None:
        moved.wait(10)
        waits.wait(10)
        Session.objects.filter(pk=session.pk).update(title="y")

    then, _ = together(take_over, rename)

    assert Band.objects.get(pk=two.pk).updated_at > then


def wait_for_a_lock() -> None:
    """Return when another connection waits for a lock of this one's."""
    with connections["default"].cursor() as cursor:
        for _ in range(500):
            cursor.execute("SELECT pg_sleep(0.01), count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[1]:
                return
    pytest.fail("No connection waits for a lock.")


def test_mtimes_of_concurrent_changes_are_all_different(together: Any) -> None:
    session = Session.objects.create(title="x")

    def change() -> list[Any]:
        seen = []
        for _ in range(20):
            with transaction.atomic():
                Session.objects.filter(pk=session.pk).update(title="y")
                seen.append(mtimes()[0])
        return seen

    found = [moment for seen in together(*[change] * 4) for moment in seen]

    assert len(set(found)) == 80
