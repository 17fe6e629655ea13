"""The last context that fitted a shape, while the source publishes what does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from fragcache import (
    ShapeMismatch,
    fetch_context,
    fragment,
    get_fragment,
    invalidate_all,
    publish_context,
    publish_set,
    registry,
    remote_fragment,
    use_set,
)
from fragcache.contexts.lasting import LAST_GOOD
from fragcache.events import Event
from fragcache.store import store
from tests.fixtures import Clock, any_cache, elsewhere, happened, in_request, on_target

NAME = "library.price"


@dataclass
class Price:
    amount: int


@pytest.fixture
def source() -> dict[str, Any]:
    """What the source publishes, whatever its release makes of it."""
    state: dict[str, Any] = {"amount": 1}

    @fragment(name=NAME, publish="context", timeout=86_400)
    def price() -> dict[str, Any]:
        return dict(state)

    return state


def publish(source: dict[str, Any], amount: Any) -> None:
    source["amount"] = amount
    publish_context(NAME)


@contextmanager
def target() -> Iterator[None]:
    """A site without the declaration; settings that change would make its process forget."""
    declared = registry.get(NAME)
    registry.remove(NAME)
    try:
        with elsewhere():
            yield
    finally:
        registry.add(declared)


def seen() -> Any:
    return fetch_context(NAME, shape=Price).amount


def test_is_shown_in_place_of_one_that_does_not_fit(
    cache_alias: str, source: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    publish(source, 1)
    with target():
        assert seen() == 1
    for release in ("one", "two"):  # of which the second is before nothing that fits
        publish(source, release)
        with target():
            assert seen() == 1
    assert happened(Event.STALE_SERVED, NAME) == 2
    assert "amount is 'one' (str), not int" in caplog.text
    assert "For at most 60 minutes the last context that fitted is shown" in caplog.text
    publish(source, 3)
    with target():
        assert seen() == 3
    assert happened(Event.HIT, NAME) == 2


@any_cache
def test_is_found_by_a_process_that_has_just_begun(
    cache_alias: str, source: dict[str, Any]
) -> None:
    publish(source, 1)
    publish(source, "one")
    store().local.clear()
    with target():
        assert seen() == 1


@any_cache
def test_is_shown_for_an_hour_after_it_was_the_newest(
    cache_alias: str, source: dict[str, Any], clock: Clock
) -> None:
    publish(source, 1)
    with target():
        assert seen() == 1
        clock.step(LAST_GOOD / 2)
        assert seen() == 1
    clock.step(1)
    publish(source, "one")
    with target():
        clock.step(LAST_GOOD - 60)
        assert seen() == 1
        clock.step(120)
        with pytest.raises(ShapeMismatch, match="amount is 'one'"):
            seen()


@any_cache
def test_without_one_a_mismatch_is_an_error(cache_alias: str, source: dict[str, Any]) -> None:
    publish(source, "one")
    with target(), pytest.raises(ShapeMismatch, match="amount is 'one'"):
        seen()


@any_cache
def test_is_not_shown_once_it_was_purged(cache_alias: str, source: dict[str, Any]) -> None:
    publish(source, 1)
    with target():
        assert seen() == 1
    invalidate_all(NAME, purge=True)
    publish(source, "one")
    with target(), pytest.raises(ShapeMismatch):
        seen()


@any_cache
def test_is_not_shown_once_html_that_it_holds_was_purged(
    cache_alias: str, source: dict[str, Any], templates: Any
) -> None:
    templates({"inner.html": "<i>private</i>"})
    fragment("inner.html", name="library.inner")(lambda: {"n": 1})

    @fragment(name="library.outer", publish="context")
    def outer() -> dict[str, Any]:
        return {"html": get_fragment("library.inner"), "amount": source["amount"]}

    @dataclass
    class Outer:
        html: str
        amount: int

    with in_request():
        publish_context("library.outer")
        assert fetch_context("library.outer", shape=Outer).html == "<i>private</i>"
    invalidate_all("library.inner", purge=True)
    templates({"inner.html": "<i>public</i>"})
    source["amount"] = "one"
    publish_context("library.outer")
    with pytest.raises(ShapeMismatch):
        fetch_context("library.outer", shape=Outer)


@any_cache
def test_what_only_a_set_shows_was_not_the_newest(cache_alias: str, source: dict[str, Any]) -> None:
    with publish_set("library.set") as new:
        new.publish(NAME)
    publish(source, "one")
    with target():
        with use_set("library.set"):
            assert seen() == 1
        with pytest.raises(ShapeMismatch):
            seen()


@any_cache
def test_is_not_mixed_into_an_atomic_set(cache_alias: str, source: dict[str, Any]) -> None:
    publish(source, 1)
    with target():
        assert seen() == 1
    source["amount"] = "one"
    with publish_set("library.set") as new:
        new.publish(NAME)
    with target(), use_set("library.set"), pytest.raises(ShapeMismatch):
        seen()


@any_cache
def test_under_a_key_is_what_was_asked_for(cache_alias: str, source: dict[str, Any]) -> None:
    publish(source, 1)
    with target():
        assert seen() == 1
    source["amount"] = "one"
    key = publish_context(NAME)
    with target(), pytest.raises(ShapeMismatch):
        fetch_context(key, shape=Price)


@any_cache
@pytest.mark.parametrize("read_only", [True, False])
def test_is_rendered_by_a_template_and_not_stored_as_the_new_one(
    cache_alias: str, source: dict[str, Any], templates: Any, read_only: bool
) -> None:
    templates({"price.html": "<b>{{ amount }}</b>"})
    publish(source, 1)
    publish(source, "one")
    with on_target(NAME, READ_ONLY=read_only), elsewhere():
        remote_fragment(NAME, "price.html", shape=Price)
        try:
            for _time in range(2):
                with in_request():
                    assert get_fragment(NAME) == "<b>1</b>"
        finally:
            registry.remove(NAME)
    assert happened(Event.STORED, NAME) == 2  # by the source
    assert happened(Event.STALE_SERVED, NAME) == 2
