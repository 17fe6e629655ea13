"""``fragments sets``: what atomic sets there are, and rolling one back."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command

from fragcache import fetch_context, fragment, publish_set, use_set
from fragcache.sets import rolling
from fragcache.sets.records import read_members, read_shown
from fragcache.store import store
from tests.fixtures import RoundTrips, any_cache

pytestmark = any_cache
SET, COUNT = "library.front", "library.count"


@pytest.fixture
def source(cache_alias: str) -> dict[str, int]:
    """A set that was published twice."""
    state = {"n": 0}
    fragment(name=COUNT, publish="context")(lambda k=1: dict(state))
    for n in (1, 2):
        state["n"] = n
        with publish_set(SET) as new:
            new.publish_many(COUNT, [1, 2])
    return state


def said(*arguments: str, **options: Any) -> str:
    output = StringIO()
    call_command("fragments", "sets", *arguments, stdout=output, **options)
    return output.getvalue()


def number() -> int:
    with use_set(SET):
        n: int = fetch_context(COUNT)["n"]
        return n


def test_lists_what_is_shown_and_what_was_before(source: dict[str, int]) -> None:
    assert said() == (
        "library.front  2 of 2 members of 1 fragment, first shown 0 s ago\n"
        "               before it: 2 of 2 members of 1 fragment, first shown 0 s ago\n"
    )
    document = json.loads(said(SET, "--json"))
    assert document["sets"][SET]["current"]["fragments"] == [COUNT]
    assert document["sets"][SET]["former"]["missing"] == 0
    assert said("-v0") == ""


def test_rolls_back_without_asking(source: dict[str, int]) -> None:
    assert said(SET, "--rollback", "--noinput").endswith("first shown 0 s ago is shown again.\n")
    assert number() == 1
    assert "ago, rolled back to\n" in said(SET)


@pytest.mark.parametrize(("answer", "shown"), [("y", 1), ("", 2), ("no", 2)])
def test_asks_before_it_rolls_back(
    source: dict[str, int], monkeypatch: pytest.MonkeyPatch, answer: str, shown: int
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: answer)
    if shown == 1:
        said(SET, "--rollback")
    else:
        with pytest.raises(CommandError, match="Nothing was rolled back") as raised:
            said(SET, "--rollback")
        assert raised.value.returncode == 1
    assert number() == shown


def test_rolls_nothing_back_where_nobody_can_answer(
    source: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError, match=r"Nobody is there .* give --noinput") as raised:
        said(SET, "--rollback")
    assert raised.value.returncode == 2
    assert number() == 2


def test_says_what_is_missing(source: dict[str, int]) -> None:
    shown = read_shown(store(), SET)
    assert shown is not None
    [first, *_others] = read_members(store(), SET, shown.current) or []
    caches[store().alias].delete(first)
    with pytest.raises(CommandError, match=r"Members of library\.front are missing") as raised:
        said()
    assert raised.value.returncode == 1


def test_fetches_some_members_at_a_time(
    source: dict[str, int], monkeypatch: pytest.MonkeyPatch, trips: RoundTrips
) -> None:
    monkeypatch.setattr(rolling, "_SIZE", 2)
    assert said().startswith("library.front  2 of 2 members of 1 fragment")
    members = [[key for key in trip.keys if COUNT in key] for trip in trips.of("get_many")]
    assert max(map(len, members)) == 2
    assert sum(map(len, members)) == 4


def test_says_that_there_are_none(cache_alias: str) -> None:
    assert said() == "No sets were published in this cache.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rollback"], "--rollback needs the NAME of a set."),
        (["library.frnt"], "No set 'library.frnt' is in this cache"),
        (["library.frnt", "--rollback"], "No set 'library.frnt' is in this cache"),
        (["a b"], "'a b' is no name of a set"),
    ],
)
def test_says_what_is_wrong(source: dict[str, int], arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message) as raised:
        said(*arguments)
    assert raised.value.returncode == 2
