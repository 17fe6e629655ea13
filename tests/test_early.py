"""Early expiry: what lives by time alone is renewed before its end, and nobody waits for it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fragcache import Fragment, get_fragment
from fragcache.reading import costs, early
from tests.fixtures import Clock, in_request, without_local_cache
from tests.pages import shared_caches

pytestmark = [shared_caches, pytest.mark.usefixtures("cache_alias"), without_local_cache]
TIMEOUT = 600


class Chance:
    """What ``random()`` returns; as likely as not, unless a test says otherwise."""

    value = 0.5

    def random(self) -> float:
        return self.value


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> Chance:
    chance = Chance()
    monkeypatch.setattr(early, "_random", chance)
    return chance


@pytest.fixture
def news(
    declare: Any, templates: Any, renders: list[str], monkeypatch: pytest.MonkeyPatch
) -> Fragment:
    """A fragment that takes ten seconds to render, as far as this process knows."""
    templates({"news.html": "{{ number }}"})

    @declare("news.html", name="library.news", timeout=TIMEOUT)
    def news() -> dict[str, Any]:
        renders.append("news")
        return {"number": len(renders)}

    monkeypatch.setattr(costs, "usual", lambda _name: 10.0)
    fragment: Fragment = news
    return fragment


def visit(news: Fragment, renders: list[str]) -> tuple[str, int]:
    """Return what a visitor sees, and how many renders there were by then."""
    with in_request():
        return str(get_fragment(news)), len(renders)


def test_long_before_its_end_it_is_left_alone(
    news: Fragment, renders: list[str], chance: Chance, clock: Clock
) -> None:
    visit(news, renders)
    clock.step(TIMEOUT - 10)
    assert visit(news, renders) == ("1", 1)
    assert len(renders) == 1


def test_shortly_before_it_is_renewed_after_the_answer(
    news: Fragment, renders: list[str], chance: Chance, clock: Clock
) -> None:
    visit(news, renders)
    clock.step(TIMEOUT - 5)  # -10 s * ln(1 - 0.5) is 6.9 s
    assert visit(news, renders) == ("1", 1)
    assert len(renders) == 2
    assert visit(news, renders) == ("2", 2)
    assert len(renders) == 2, "it is new"


def test_the_rarer_the_chance_the_earlier(
    news: Fragment, renders: list[str], chance: Chance, clock: Clock
) -> None:
    visit(news, renders)
    clock.step(TIMEOUT - 40)
    chance.value = 1 - math.exp(-3.9)
    visit(news, renders)
    assert len(renders) == 1
    chance.value = 1 - math.exp(-4.1)
    visit(news, renders)
    assert len(renders) == 2


def test_a_page_that_shows_it_often_renews_it_once(
    news: Fragment, renders: list[str], chance: Chance, clock: Clock
) -> None:
    visit(news, renders)
    clock.step(TIMEOUT - 5)
    with in_request():
        for _place in range(5):
            get_fragment(news)
    assert len(renders) == 2


def test_a_cheap_one_is_not(
    news: Fragment,
    renders: list[str],
    chance: Chance,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(costs, "usual", lambda _name: 0.001)
    visit(news, renders)
    clock.step(TIMEOUT - 5)
    visit(news, renders)
    assert len(renders) == 1


def test_one_with_a_version_lives_by_that(
    declare: Any, templates: Any, renders: list[str], chance: Chance, clock: Clock, news: Fragment
) -> None:
    @declare("news.html", version=lambda: 1, timeout=TIMEOUT, max_age=TIMEOUT)
    def other() -> dict[str, Any]:
        renders.append("other")
        return {"number": 1}

    visit(other, renders)
    clock.step(TIMEOUT - 5)
    visit(other, renders)
    assert renders == ["other"]


def test_outside_of_a_request_it_is_left_alone(
    news: Fragment, renders: list[str], chance: Chance, clock: Clock
) -> None:
    visit(news, renders)
    clock.step(TIMEOUT - 5)
    get_fragment(news)
    assert len(renders) == 1
