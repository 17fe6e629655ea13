"""The ledger of four planted fragments, whose renders and lookups take the time they take."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from django.core.cache import caches

from fragcache import conf, counters, get_fragment, registry
from fragcache.events import Event, Measure
from fragcache.models import Counts
from fragcache.stats import bypass, ledger
from fragcache.stats.keeping import keeper
from fragcache.stats.ledger import Account, Verdict
from tests.fixtures import any_cache, counted, in_request, warm, without_local_cache
from tests.pages import configure

HOUR = 3_600
DEAR = 0.004
#: Of each fragment; as many renders make a mean that one of them hardly moves.
INSTANCES = 40
#: How often they are judged before the verdicts are believed to be wrong.
ATTEMPTS = 3
EXPECTED = {
    "planted.dear_and_popular": Verdict.EARNS,
    "planted.cheap_and_popular": Verdict.NOT_WORTH_IT,
    "planted.dear_and_never_read": Verdict.NEVER_READ,
    "planted.changes_on_every_request": Verdict.TOO_FINE,
}


@pytest.fixture
def planted(declare: Any, templates: Any) -> None:
    """Four fragments, of which each is a case of its own."""
    templates({"n.html": "{{ n }}"})
    changes = itertools.count()

    def dear(n: int) -> dict[str, Any]:
        time.sleep(DEAR)
        return {"n": n}

    def cheap(n: int) -> dict[str, Any]:
        return {"n": n}

    one = {"version": lambda _n: 1, "choices": {"n": list(range(INSTANCES))}}
    declare("n.html", name="planted.dear_and_popular", **one)(dear)
    declare("n.html", name="planted.cheap_and_popular", **one)(cheap)
    declare("n.html", name="planted.dear_and_never_read", **one)(dear)
    always = {**one, "version": lambda _n: next(changes)}
    declare("n.html", name="planted.changes_on_every_request", **always)(dear)


def verdicts_of(found: dict[str, Account]) -> dict[str, Verdict]:
    return {name: one.verdict for name, one in found.items()}


def visit(name: str, times: int) -> None:
    for number in range(times):
        with in_request():
            get_fragment(name, number % INSTANCES)


@pytest.mark.django_db
@pytest.mark.usefixtures("no_counts")
@without_local_cache
@any_cache
class TestPlantedFragments:
    def test_are_judged_rightly(self, cache_alias: str, planted: None) -> None:
        for _attempt in range(ATTEMPTS):
            found = self.judged(cache_alias)
            if verdicts_of(found) == EXPECTED:
                break
        assert verdicts_of(found) == EXPECTED
        saved = found["planted.dear_and_popular"].saved_per_hour
        assert saved is not None
        assert saved > 150 * DEAR

    def judged(self, cache_alias: str) -> dict[str, Account]:
        """Count anew, and return the accounts by fragment."""
        Counts.objects.all().delete()
        counters.reset()
        caches[cache_alias].clear()
        warm(registry.get("planted.dear_and_never_read"))
        visit("planted.dear_and_popular", 200)
        visit("planted.cheap_and_popular", 200)
        visit("planted.changes_on_every_request", 40)
        keeper.flush()
        return {found.fragment: found for found in ledger.accounts(HOUR)}

    def test_that_are_not_worth_it_are_bypassed_if_that_is_wanted(
        self, cache_alias: str, planted: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger, "ENOUGH_TO_BYPASS", 100)
        visit("planted.dear_and_popular", 110)
        visit("planted.cheap_and_popular", 110)
        keeper.flush()

        bypass.refresh(ledger.unworthy)
        visit("planted.cheap_and_popular", 1)
        assert counted(Measure.BYPASSED) == 0, "it was not asked for"
        assert not conf.settings().BYPASS_UNWORTHY

        with configure(BYPASS_UNWORTHY=True):
            bypass.refresh(ledger.unworthy)
            counters.reset()
            visit("planted.cheap_and_popular", 3)
            visit("planted.dear_and_popular", 3)

        assert counted(Measure.BYPASSED, "planted.cheap_and_popular") == 3
        assert counted(Event.RENDERED, "planted.cheap_and_popular") == 3
        assert counted(Event.HIT, "planted.cheap_and_popular") == 0
        assert counted(Event.HIT, "planted.dear_and_popular") == 3

        bypass.refresh(ledger.unworthy)
        assert not bypass.is_bypassed("planted.cheap_and_popular")
