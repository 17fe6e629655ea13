"""``RENEW_WITH``: what was shown stale is renewed by workers, whom JSON tells of it."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal
from typing import Any

import pytest

from fragcache import Fragment, get_fragment
from fragcache.checks import check_settings
from fragcache.events import Event
from fragcache.warming.renewal import renew
from tests.fixtures import happened, in_request, without_local_cache
from tests.library.models import Artist
from tests.pages import shared_caches
from tests.test_stale import Card, card, change, nina  # noqa: F401 - fixtures

pytestmark = [
    shared_caches,
    pytest.mark.usefixtures("cache_alias"),
    pytest.mark.django_db,
    without_local_cache,
]
TASKS = "django.tasks" if importlib.util.find_spec("django.tasks") else "django_tasks"

sent: list[str] = []


def send(described: dict[str, Any]) -> None:
    sent.append(json.dumps(described))


def fails(described: dict[str, Any]) -> None:
    raise ConnectionError("the queue is down")


@pytest.fixture(autouse=True)
def by_workers(cache_alias: str, settings: Any) -> None:
    sent.clear()
    settings.FRAGCACHE = {**settings.FRAGCACHE, "RENEW_WITH": f"{__name__}.send"}


def test_a_worker_is_told_once_and_renews(card: Card, nina: Artist) -> None:
    card.visit(nina)
    change(nina, "Ella")
    for _visitor in range(3):
        assert (card.visit(nina), card.rendered) == ("Nina", [])

    [described] = sent
    card.rendered.clear()
    assert renew(json.loads(described)) == "fresh"
    assert card.rendered == ["Ella"]
    assert (card.visit(nina), card.rendered) == ("Ella", [])
    assert len(sent) == 1


def test_it_is_told_of_arguments_and_axis_values(
    declare: Any,
    templates: Any,
    nina: Artist,
    settings: Any,
    cache_alias: str,
) -> None:
    settings.LANGUAGES = [("en-us", "English"), ("de", "Deutsch")]
    shown = Card(declare, templates, version="updated_at", stale_while_revalidate=600)
    shown.visit(nina)
    change(nina, "Ella")
    shown.visit(nina)

    assert json.loads(sent[0]) == {
        "fragment": "library.card",
        "arguments": [{"model": "library.Artist", "pk": nina.pk}],
        "axis_values": {"language": "en-us", "time_zone": "UTC"},
        "using": cache_alias,
    }


def test_a_row_that_is_gone_by_then_is_none(card: Card, nina: Artist) -> None:
    card.visit(nina)
    change(nina, "Ella")
    card.visit(nina)
    nina.delete()
    assert renew(json.loads(sent[0])) == "its row is gone"


def test_what_cannot_be_told_is_renewed_here(
    declare: Any,
    templates: Any,
    nina: Artist,
) -> None:
    templates({"x.html": "{{ n }}"})
    versions, rendered = iter([1, 2, 2]), []

    @declare("x.html", version=lambda n: next(versions), stale_while_revalidate=60)
    def x(n: Any) -> dict[str, Any]:
        rendered.append(n)
        return {"n": n}

    fragment: Fragment = x
    for _visit in range(3):
        with in_request():
            get_fragment(fragment, Decimal("1.5"))
    assert rendered == [Decimal("1.5")] * 2
    assert sent == []


def test_a_queue_that_is_down_is_no_outage(
    card: Card,
    nina: Artist,
    settings: Any,
) -> None:
    settings.FRAGCACHE = {**settings.FRAGCACHE, "RENEW_WITH": f"{__name__}.fails"}
    card.visit(nina)
    change(nina, "Ella")

    assert (card.visit(nina), card.rendered) == ("Nina", ["Ella"])
    assert happened(Event.RENEWAL_FAILED, "library.card") == 1


def test_by_django_tasks(card: Card, nina: Artist, settings: Any) -> None:
    pytest.importorskip(TASKS)
    settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.immediate.ImmediateBackend"}}
    path = "fragcache.contrib.tasks.renew_with"
    settings.FRAGCACHE = {**settings.FRAGCACHE, "RENEW_WITH": path}
    card.visit(nina)
    change(nina, "Ella")

    assert (card.visit(nina), card.waited, card.rendered) == ("Nina", [], ["Ella"])
    assert (card.visit(nina), card.rendered) == ("Ella", [])


def test_by_celery(card: Card, nina: Artist, settings: Any) -> None:
    celery = pytest.importorskip("celery")
    path = "fragcache.contrib.celery.tasks.renew_with"
    settings.FRAGCACHE = {**settings.FRAGCACHE, "RENEW_WITH": path}
    former = celery.current_app._get_current_object()
    app = celery.Celery("renewals", set_as_current=True)
    app.conf.task_always_eager = True
    try:
        card.visit(nina)
        change(nina, "Ella")
        assert (card.visit(nina), card.waited, card.rendered) == ("Nina", [], ["Ella"])
    finally:
        app.close()
        former.set_current()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no.such.function", "which cannot be imported: No module named 'no'."),
        (f"{__name__}.sent", "which is no function."),
    ],
)
def test_a_path_that_leads_nowhere_is_a_check_error(settings: Any, path: str, said: str) -> None:
    settings.FRAGCACHE = {**settings.FRAGCACHE, "RENEW_WITH": path}
    [found] = check_settings()
    assert (found.id, found.msg) == (
        "fragcache.E005",
        f"FRAGCACHE['RENEW_WITH'] is {path!r}, {said}",
    )
