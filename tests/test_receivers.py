"""Invalidation by signals: the examples of docs/truth.md, as they stand there, on real models."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import m2m_changed, post_delete, post_save

from fragcache import Fragment, InvalidationFailed, get_fragment, get_fragments
from fragcache.invalidation import ATTEMPTS
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache, on_target, warm, without_local_cache
from tests.pages import in_thread
from tests.releases import importable

pytest.importorskip("simple_history")

from simple_history.signals import post_create_historical_record

from tests.chronicle.models import Essay, Post, Tag, Topic

pytestmark = [
    pytest.mark.django_db(transaction=True),
    any_cache,
    without_local_cache,
]

EXAMPLES = Path(__file__).parent.parent / "docs" / "truth.md"
SIGNALS = (post_save, post_delete, m2m_changed, post_create_historical_record)


@pytest.fixture(params=["blog/signals.py", "blog/history.py"])
def example(request: pytest.FixtureRequest) -> str:
    """The name of one of the examples."""
    name: str = request.param
    return name


@pytest.fixture
def models(example: str) -> tuple[Any, Any]:
    """The posts and the tags that it is about."""
    return (Post, Tag) if example == "blog/history.py" else (Essay, Topic)


@pytest.fixture
def card(
    cache_alias: str, models: Any, declare: Any, templates: Any, renders: list[Any]
) -> Fragment:
    """The fragment of the docs: a post with its tags, without a version."""
    templates({"card.html": "{{ post.title }}: {{ tags|join:', ' }}"})

    @declare("card.html", name="blog.post_card", items=models[0].objects.all)
    def post_card(post: Any) -> dict[str, Any]:
        renders.append(post.pk)
        return {"post": post, "tags": post.tags.order_by("pk")}

    fragment: Fragment = post_card
    return fragment


@pytest.fixture(autouse=True)
def receivers(card: Fragment, models: Any, example: str) -> Iterator[None]:
    """The receivers of the example."""
    before = {signal: list(signal.receivers) for signal in SIGNALS}
    blog, fragments = types.ModuleType("blog.models"), types.ModuleType("blog.fragments")
    blog.Post, fragments.post_card = models[0], card  # type: ignore[attr-defined]
    source = re.search(rf"```python\n(# {re.escape(example)}\n.*?)```", EXAMPLES.read_text(), re.S)
    assert source is not None
    made = types.ModuleType(example)  # which keeps them: signals refer to receivers weakly
    with importable(types.ModuleType("blog")), importable(blog), importable(fragments):
        exec(compile(source[1], example, "exec"), made.__dict__)
    yield
    for signal, former in before.items():
        signal.receivers = former
        signal.sender_receivers_cache.clear()


@pytest.fixture
def post(models: Any) -> Any:
    posts, tags = models
    post = posts.objects.create(title="Cats")
    post.tags.add(tags.objects.create(name="pets"))
    return post


def shown(post: Any) -> Any:
    return get_fragment("blog.post_card", post.pk, default=None)


def shown_elsewhere(post: Any) -> Any:
    """Return what another thread shows, which leaves no connection behind."""

    def show() -> Any:
        try:
            return shown(post)
        finally:
            caches.close_all()
            for connection in connections.all(initialized_only=True):
                BaseDatabaseWrapper.close(connection)  # which SQLite's in memory would not be

    return in_thread(show)


def rename(post: Any) -> None:
    post.title = "Dogs"
    post.save()


def tags_of(post: Any) -> Any:
    return post.tags.model.objects


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "save": (rename, "Dogs: pets"),
    "tag added": (lambda post: post.tags.add(tags_of(post).create(name="new")), "Cats: pets, new"),
    "tag removed": (lambda post: post.tags.remove(tags_of(post).get()), "Cats: "),
    "tags cleared": (lambda post: post.tags.clear(), "Cats: "),
    "tags set": (lambda post: post.tags.set([]), "Cats: "),
    "added by a tag": (
        lambda post: tags_of(post).create(name="new").posts.add(post),
        "Cats: pets, new",
    ),
    "removed by a tag": (lambda post: tags_of(post).get().posts.remove(post), "Cats: "),
    "cleared by a tag": (lambda post: tags_of(post).get().posts.clear(), "Cats: "),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_seen_and_nothing_else_is_rendered(
    post: Any, models: Any, example: str, renders: list[Any], change: str
) -> None:
    if "by a tag" in change and example == "blog/history.py":
        pytest.skip("simple-history 3.13 raises AttributeError for these")
    other = models[0].objects.create(title="Other")
    assert [shown(post), shown(other)] == ["Cats: pets", "Other: "]
    renders.clear()
    call, after = CHANGES[change]

    call(post)

    assert [shown(post), shown(other)] == [after, "Other: "]
    assert renders == [post.pk]


def test_a_deletion_is_seen_on_targets_too(post: Any, card: Fragment) -> None:
    warm(card)
    pk = post.pk
    post.delete()

    assert get_fragment(card, pk, default=None) is None
    with on_target(card.name):
        assert get_fragment(card.name, pk, default=None) is None


class TestInATransaction:
    @pytest.fixture(autouse=True)
    def is_stored(self, post: Any) -> None:
        assert shown(post) == "Cats: pets"

    def test_it_is_seen_here_at_once_and_elsewhere_after_the_commit(self, post: Any) -> None:
        with transaction.atomic():
            rename(post)
            assert shown(post) == "Dogs: pets"
            assert shown_elsewhere(post) == "Cats: pets"

        assert shown_elsewhere(post) == shown(post) == "Dogs: pets"

    def test_a_rollback_leaves_all_as_it_was(self, post: Any, renders: list[Any]) -> None:
        renders.clear()
        with transaction.atomic():
            rename(post)
            transaction.set_rollback(True)

        assert shown_elsewhere(post) == shown(post) == "Cats: pets"
        assert renders == []

    def test_ten_changes_cost_two_round_trips_each_whatever_is_stored(
        self, post: Any, models: Any, card: Fragment, trips: RoundTrips
    ) -> None:
        posts = models[0]
        get_fragments(card, [*posts.objects.bulk_create(posts(title=str(n)) for n in range(50))])
        trips.clear()

        with transaction.atomic():
            for _ in range(10):
                rename(post)
            assert trips == []

        assert trips.commands == ["get_many", "advance_many"] * 10

    def test_a_cache_that_is_down_at_the_commit_is_tried_and_then_raised(
        self, post: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried: list[str] = []

        def fails(_backend: Any, keys: Any) -> Any:
            tried.append("get_many")
            raise OSError("gone")

        with monkeypatch.context() as patched:
            block = transaction.atomic()
            block.__enter__()
            rename(post)
            patched.setattr(type(store().backend), "get_many", fails)
            with pytest.raises(InvalidationFailed, match="ask again"):
                block.__exit__(None, None, None)

        assert len(tried) == ATTEMPTS
        post.refresh_from_db()
        assert post.title == "Dogs", "it is committed all the same"
