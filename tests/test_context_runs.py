"""Runs of contexts by workers, and visitors that miss what a target renders of one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fragcache import Fragment, fetch_context, fragment, get_fragment, registry, remote_fragment
from fragcache.contexts.remote import TargetFragment
from fragcache.models import WarmRun
from fragcache.page import entered, of_request
from fragcache.reading import costs
from tests.enqueued import delivered
from tests.fixtures import any_cache, on_target, warm
from tests.library.models import Artist

NAME = "library.card"


@pytest.fixture
def cards(cache_alias: str, artists: list[Artist], templates: Any, renders: list[Any]) -> Fragment:
    templates({"card.html": "<b>{{ artist.name }}</b>"})

    @fragment(
        "card.html", name=NAME, items=Artist.objects.all, version="updated_at", publish="both"
    )
    def card(artist: Artist) -> dict[str, Any]:
        renders.append(artist.pk)
        return {"artist": artist}

    return card


@any_cache
@pytest.mark.django_db
def test_workers_publish_both_forms_and_a_target_shows_them(
    cards: Fragment, artists: list[Artist]
) -> None:
    run, sent = delivered(cards, batch_size=1)

    assert sent.work() == ["ok", "ok"]

    assert WarmRun.objects.get(pk=run.pk).total("stored") == 4
    with on_target(NAME):
        for artist in artists:
            assert fetch_context(NAME, artist.pk)["artist"].name == artist.name
            assert get_fragment(NAME, artist.pk) == f"<b>{artist.name}</b>"


@pytest.mark.parametrize("cache_alias", ["redis", "memcached"], indirect=True)
@pytest.mark.django_db
def test_of_many_visitors_of_a_target_one_renders_a_context(
    cards: Fragment,
    artists: list[Artist],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(costs, "are_worth_a_lease", lambda _name: True)
    warm(cards)
    rendered, start = [], threading.Barrier(8)
    get_contexts = TargetFragment.get_contexts

    def slowly(self: TargetFragment, items: Any) -> Any:
        rendered.append(items)
        time.sleep(0.1)
        return get_contexts(self, items)

    def visit(_number: int) -> str:
        start.wait()
        with entered(of_request()):
            return str(get_fragment(NAME, artists[0].pk))

    with on_target(NAME, READ_ONLY=False):
        remote_fragment(NAME, "card.html")
        monkeypatch.setattr(TargetFragment, "get_contexts", slowly)
        try:
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(visit, range(8)))
        finally:
            registry.remove(NAME)

    assert found == ["<b>Nina</b>"] * 8
    assert len(rendered) == 1
