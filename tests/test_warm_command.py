"""``warm_fragments`` as it is typed: exit codes, and what is said where."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from django.core.cache import caches

from fragcache import Fragment, get_fragment, get_fragments, invalidate, registry
from fragcache.axes import Axis
from fragcache.checks import check_versions
from fragcache.management import progress
from fragcache.management.commands.warm_fragments import Command, _what_is_left
from fragcache.store import store
from fragcache.warming import Locked, Report, Status, Tally, WarmingLock
from fragcache.warming.locks import cache as cache_lock
from fragcache.warming.locks import lock as warming_lock
from tests.fixtures import Clock, RoundTrips, any_cache
from tests.library.models import Album
from tests.processes import free_port
from tests.stopwatch import Stopwatch
from tests.warming import all_stored, shared_caches

NUMBERS = 5


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    def counts(self, name: str) -> dict[str, int]:
        """Return what is not zero of a fragment's counts."""
        counts = self.document["fragments"][name]
        return {word: n for word, n in counts.items() if n and word != "seconds"}


Manage = Callable[..., Finished]


@pytest.fixture
def manage(
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Manage:
    """A function that runs ``warm_fragments`` as the command line does."""
    still_needed = SimpleNamespace(close_all=lambda: None)
    monkeypatch.setattr("django.core.management.base.connections", still_needed)

    def run(*arguments: str) -> Finished:
        capsys.readouterr()
        code = 0
        try:
            Command().run_from_argv(["manage.py", "warm_fragments", *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Finished(code, *capsys.readouterr())

    return run


@pytest.fixture
def shop(declare: Any, templates: Any, renders: list[Any]) -> dict[int, int]:
    """Two fragments of five numbers each, without a database; by number, the versions."""
    versions = dict.fromkeys(range(NUMBERS), 1)
    templates({"n.html": "{{ n }}"})

    @declare(
        "n.html",
        name="shop.price",
        items=lambda: list(versions),
        version=lambda n: versions[n],
    )
    def price(n: int) -> dict[str, Any]:
        renders.append(("price", n))
        return {"n": n}

    @declare(
        "n.html",
        name="shop.offer",
        items=lambda: list(versions),
        version=lambda n, size: versions[n],
        choices={"size": ["s", "l"]},
    )
    def offer(n: int, size: str) -> dict[str, Any]:
        renders.append(("offer", n))
        return {"n": n}

    @declare("n.html", name="garden.flower", items=["rose"], version=lambda n: 1)
    def flower(n: str) -> dict[str, Any]:
        renders.append(("flower", n))
        return {"n": n}

    return versions


@pytest.fixture
def poisonous(declare: Any, templates: Any, shop: dict[int, int]) -> Fragment:
    @declare("n.html", name="shop.poison", items=[1, 2, 3], version=lambda n: 1)
    def poison(n: int) -> dict[str, Any]:
        return {"n": 6 // (n - 2)}

    fragment: Fragment = poison
    return fragment


@pytest.fixture
def held_lock() -> Any:
    """A run of another process, which goes on."""
    with WarmingLock(store()) as lock:
        yield lock


@shared_caches
@pytest.mark.usefixtures("cache_alias", "shop")
class TestExitCodes:
    def test_0_when_all_is_warm(self, manage: Manage) -> None:
        finished = manage()
        assert (finished.code, finished.err) == (0, "")
        finished = manage()
        assert (finished.code, finished.err) == (0, "")
        assert manage("--check").code == 0

    def test_0_at_once_and_one_line_when_another_run_holds_the_lock(
        self, manage: Manage, held_lock: WarmingLock, renders: list[Any]
    ) -> None:
        with Stopwatch() as watch:
            finished = manage()

        assert watch.seconds < 1
        assert (finished.code, finished.out, renders) == (0, "", [])
        assert re.fullmatch(
            r"Another run holds the lock: process \d+ on \S+, since \d\d:\d\d:\d\d UTC\.\n",
            finished.err,
        )

    def test_75_when_waiting_for_the_lock_was_in_vain(
        self, manage: Manage, held_lock: WarmingLock, renders: list[Any]
    ) -> None:
        finished = manage("--wait", "0.1")

        assert finished.code == 75
        assert re.search(r"Another run holds the lock.*\. --wait ran out\.\n$", finished.err)
        assert renders == []

    def test_0_when_waiting_was_not_in_vain(self, manage: Manage) -> None:
        lock = WarmingLock(store())
        lock.__enter__()
        other = warming_lock.time.sleep

        def end_of_the_other_run(seconds: float) -> None:
            lock.__exit__(None, None, None)
            other(0)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(warming_lock.time, "sleep", end_of_the_other_run)
            finished = manage("--wait", "30")

        assert (finished.code, finished.err) == (0, "")

    def test_1_when_something_fails(
        self, manage: Manage, poisonous: Fragment, caplog: pytest.LogCaptureFixture
    ) -> None:
        finished = manage()

        assert finished.code == 1
        assert finished.err == (
            "CommandError: 1 failed and 0 were refused by the cache, of 19; the log names them.\n"
        )
        assert "shop.poison(2) failed: ZeroDivisionError" in caplog.text
        assert get_fragments(poisonous, [1, 3]) == ["-6", "6"]

    def test_1_when_the_cache_refuses_something(
        self, manage: Manage, declare: Any, cache_alias: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @declare("n.html", name="shop.long", items=["x" * 5000], version=lambda n: 1)
        def long(n: str) -> dict[str, Any]:
            return {"n": n}

        monkeypatch.setattr(caches[cache_alias], "max_value_bytes", 2000)
        finished = manage("shop.long")

        assert finished.code == 1
        assert "0 failed and 1 were refused by the cache, of 1" in finished.err
        assert "1 refused" in finished.out

    def test_0_and_a_line_when_the_time_budget_is_used_up(
        self, manage: Manage, renders: list[Any]
    ) -> None:
        finished = manage("--time-budget", "0", "--json")
        assert (finished.code, finished.document["status"], renders) == (0, "incomplete", [])
        assert finished.err == (
            "The time budget of 0 s is used up. Left are 1 that are missing or stale, and what "
            "was not looked at; run again for the rest.\n"
        )

    @pytest.mark.parametrize(
        ("option", "value"),
        [("--max-rate", "0"), ("--max-rate", "inf"), ("--time-budget", "-1"), ("--max-rate", "x")],
    )
    def test_2_for_a_bound_that_is_none(self, manage: Manage, option: str, value: str) -> None:
        finished = manage(option, value)
        assert finished.code == 2
        assert f"argument {option}: '{value}' is not a number" in finished.err

    def test_1_when_a_check_finds_something_missing_or_stale(
        self, manage: Manage, shop: dict[int, int]
    ) -> None:
        finished = manage("--check")
        assert (finished.code, finished.err) == (
            1,
            "CommandError: 16 of 16 are missing or stale.\n",
        )
        manage()
        assert manage("--check").code == 0
        shop[3] += 1
        finished = manage("--check", "-v0")
        assert (finished.code, finished.out) == (1, "")
        assert finished.err == "CommandError: 3 of 16 are missing or stale.\n"

    def test_a_check_finds_a_fragment_without_version_fresh_until_it_is_old_or_invalidated(
        self, manage: Manage, declare: Any, clock: Clock
    ) -> None:
        @declare("n.html", name="shop.news", items=range(10), timeout=1000)
        def news(n: int) -> dict[str, Any]:
            return {"n": n}

        assert manage("shop.news", "--check").code == 1
        manage("shop.news")
        clock.step(990)
        assert manage("shop.news", "--check").code == 0
        assert "10 to render" in manage("shop.news", "--dry-run").out
        invalidate(news, 1)
        assert "1 of 10 are missing or stale" in manage("shop.news", "--check").err
        clock.step(20)
        assert "10 of 10 are missing or stale" in manage("shop.news", "--check").err

    @pytest.mark.parametrize("limit", ["0", "1", "15"])
    def test_0_and_one_line_at_the_limit(self, manage: Manage, limit: str) -> None:
        finished = manage("--limit", limit)

        assert finished.code == 0
        assert finished.err == (
            f"The limit of {limit} renders was reached; run again for the rest.\n"
        )

    def test_a_limit_of_which_a_process_gave_something_back_is_no_time_budget(self) -> None:
        report = Report(Status.INCOMPLETE, {"shop.price": Tally(planned=9, rendered=4)})

        line = _what_is_left(report, {"limit": 5, "time_budget": None})

        assert line == "The limit of 5 renders was reached; run again for the rest."

    def test_0_and_no_line_within_the_limit(self, manage: Manage) -> None:
        finished = manage("--limit", "16")

        assert (finished.code, finished.err) == (0, "")

    def test_1_when_something_failed_before_the_limit(
        self, manage: Manage, poisonous: Fragment
    ) -> None:
        finished = manage("shop.poison", "shop.price", "--limit", "3")

        assert finished.code == 1
        assert "1 failed" in finished.err


@pytest.mark.parametrize("alias", ["redis", "memcached", "embedded"])
class TestCacheDown:
    @pytest.mark.parametrize("options", [[], ["--check"], ["--dry-run"], ["--wait", "1"]])
    def test_75_and_one_line(
        self,
        manage: Manage,
        shop: Any,
        settings: Any,
        tmp_path: Any,
        alias: str,
        options: list[str],
        renders: list[Any],
    ) -> None:
        (tmp_path / "file").write_text("")
        places = {
            "redis": f"redis://127.0.0.1:{free_port()}/0",
            "memcached": f"127.0.0.1:{free_port()}",
            "embedded": str(tmp_path / "file" / "cache"),
        }
        backend = settings.CACHES[alias]["BACKEND"]
        settings.CACHES = settings.CACHES | {
            "down": {"BACKEND": backend, "LOCATION": places[alias]}
        }
        settings.FRAGCACHE = {"CACHE_ALIAS": "down"}

        finished = manage("--json", *options)

        assert finished.code == 75
        assert re.fullmatch(
            r"CommandError: The cache is unavailable: alias 'down': .+\n", finished.err
        )
        assert finished.document["status"] == "unavailable"
        assert renders == []


#: By what is wrong: the arguments, and what the message says.
USAGE: dict[str, tuple[list[str], str]] = {
    "an unknown name": (
        ["shop.prise"],
        "No fragment and no app with fragments is called 'shop.prise'. Did you mean 'shop.price'?",
    ),
    "an unknown app": (["gardn"], "called 'gardn'. Did you mean 'garden'?"),
    "a part of a name": (["sho"], "called 'sho'. Did you mean 'shop'?"),
    "an unknown exclusion": (["--exclude", "shop.offr"], "Did you mean 'shop.offer'?"),
    "everything excluded": (["--exclude", "shop", "--exclude", "garden"], "No fragment is left"),
    "a fragment that cannot be warmed": (
        ["shop.on_demand"],
        "shop.on_demand cannot be warmed: it has no items, and parameters without choices",
    ),
    "an axis without value": (["--axis", "language"], "--axis 'language': write NAME=VALUE"),
    "an axis with an empty value": (["--axis", "language="], "--axis 'language=': write NAME"),
    "an unknown axis": (["--axis", "langage=de"], "Did you mean 'language'?"),
    "an axis of no fragment": (
        ["--axis", "site=1"],
        "--axis 'site=1': none of the chosen fragments varies on it.",
    ),
    "a value that the axis cannot take": (
        ["--axis", "time_zone=Mars/Olympus"],
        "--axis 'time_zone=Mars/Olympus': it is no time zone",
    ),
    "items of several fragments": (["--items", "1"], "--items needs exactly one fragment"),
    "unknown items": (
        ["shop.price", "--items", "1", "77", "78"],
        "77, 78 is not among the items of shop.price.",
    ),
    "items of a fragment without": (
        ["shop.one", "--items", "s"],
        "--items: shop.one has none.",
    ),
    "an unknown cache": (
        ["--using", "redsi"],
        "'redsi' is not an alias of CACHES. Did you mean 'redis'?",
    ),
    "items that are no UTF-8": (
        ["shop.price", "--items", "1", "\udcff"],
        "'\\udcff' is not written in UTF-8.",
    ),
    "a batch larger than any": (["--batch-size", "1" * 20], "is more than 2,147,483,646"),
    "more processes than are counted": (
        ["--parallel", "2147483647"],
        "'2147483647' is more than 2,147,483,646",
    ),
    "a limit below zero": (["--limit", "-1"], "'-1' is not a number of 0 or more"),
    "a limit that is no number": (["--limit", "few"], "'few' is not a number of 0 or more"),
    "an endless wait": (["--wait", "nan"], "'nan' is not a number of 0.0 or more"),
    "an empty batch": (["--batch-size", "0"], "'0' is not a number of 1 or more"),
    "an unknown option": (["--colour"], "unrecognized arguments: --colour"),
}


@any_cache
@pytest.mark.usefixtures("cache_alias", "shop")
class TestUsage:
    @pytest.fixture(autouse=True)
    def more_fragments(self, shop: Any, declare: Any) -> None:
        @declare("n.html", name="shop.on_demand", version=lambda n: 1)
        def on_demand(n: int) -> dict[str, Any]:
            return {"n": n}

        @declare("n.html", name="shop.one", choices={"size": ["s"]}, version=lambda size: 1)
        def one(size: str) -> dict[str, Any]:
            return {}

    @pytest.mark.parametrize("mistake", USAGE)
    def test_2_and_what_is_wrong(
        self, manage: Manage, mistake: str, renders: list[Any], trips: RoundTrips
    ) -> None:
        arguments, message = USAGE[mistake]

        finished = manage(*arguments)

        assert finished.code == 2
        assert message in finished.err
        assert (finished.out, renders, trips) == ("", [], [])

    def test_2_when_nothing_is_declared(self, manage: Manage) -> None:
        for fragment in registry.all_fragments():
            registry.remove(fragment.name)

        finished = manage()

        assert finished.code == 2
        assert finished.err == (
            "CommandError: No fragments are declared: add a fragments.py with @fragment to an "
            "installed app.\n"
        )

    @pytest.mark.django_db
    def test_1_when_the_database_cannot_look_items_up(self, manage: Manage, declare: Any) -> None:
        @declare("n.html", name="shop.lost", items=Album.objects.extra(tables=["nowhere"]).all)
        def lost(album: Album) -> dict[str, Any]:
            return {}

        finished = manage("shop.lost", "--items", "1")

        assert finished.code == 1
        assert finished.err.startswith("CommandError: --items cannot be looked up: ")

    @pytest.mark.parametrize("options", [[], ["--check"]])
    def test_2_on_a_site_that_only_reads(
        self, manage: Manage, settings: Any, options: list[str], trips: RoundTrips
    ) -> None:
        settings.FRAGCACHE = settings.FRAGCACHE | {"READ_ONLY": True}

        finished = manage(*options)

        assert finished.code == 2
        assert "FRAGCACHE['READ_ONLY'] is set: this site only reads." in finished.err
        assert trips == []

    @pytest.mark.django_db
    def test_2_for_what_is_no_primary_key(self, manage: Manage, artist_card: Fragment) -> None:
        finished = manage("library.artist_card", "--items", "first")

        assert finished.code == 2
        assert "'first' is not a primary key of its model" in finished.err

    def test_2_for_a_value_of_an_axis_that_is_no_text(
        self, manage: Manage, declare: Any, settings: Any
    ) -> None:
        settings.FRAGCACHE = settings.FRAGCACHE | {"AXES": [f"{__name__}.Shelf"]}

        @declare("n.html", name="shop.shelf", vary_on=["shelf"], version=lambda: 1)
        def shelf() -> dict[str, Any]:
            return {}

        assert manage("shop.shelf", "--axis", "shelf=2").code == 0
        finished = manage("shop.shelf", "--axis", "shelf=9")
        assert finished.code == 2
        assert "--axis 'shelf=9': it is none of 1, 2." in finished.err


class Shelf(Axis):
    """An axis whose values are numbers."""

    name = "shelf"

    def current(self, request: Any) -> int:
        return 1

    def values(self) -> list[int]:
        return [1, 2]

    def activate(self, value: int) -> Any:
        return nullcontext()


@shared_caches
@pytest.mark.usefixtures("cache_alias", "shop")
class TestJSON:
    def test_one_document_with_fixed_fields_is_all_there_is_on_stdout(self, manage: Manage) -> None:
        finished = manage("--json", "-v3", "--progress")

        document = finished.document
        assert list(document) == ["format", "status", "fragments", "totals"]
        assert (document["format"], document["status"]) == (1, "ok")
        assert list(document["fragments"]) == ["garden.flower", "shop.offer", "shop.price"]
        for counts in (document["totals"], *document["fragments"].values()):
            assert list(counts) == [
                *("planned", "fresh", "rendered", "stored", "refused", "failed", "seconds")
            ]
            assert isinstance(counts.pop("seconds"), float)
            assert all(type(count) is int for count in counts.values())
        assert finished.counts("shop.offer") == {"planned": 10, "rendered": 10, "stored": 10}
        assert manage("--json").counts("shop.offer") == {"planned": 10, "fresh": 10}

    def test_totals_are_sums(self, manage: Manage, poisonous: Fragment) -> None:
        document = manage("--json").document

        for word, total in document["totals"].items():
            parts = [counts[word] for counts in document["fragments"].values()]
            assert total == pytest.approx(sum(parts), abs=0.01)

    @pytest.mark.parametrize(
        ("options", "status", "code"),
        [
            ([], "failed", 1),
            (["shop.price"], "ok", 0),
            (["shop.price", "--limit", "2"], "incomplete", 0),
            (["shop.price", "--check"], "ok", 1),
            (["--dry-run"], "ok", 0),
        ],
    )
    def test_its_status_says_how_the_run_ended(
        self, manage: Manage, poisonous: Fragment, options: list[str], status: str, code: int
    ) -> None:
        finished = manage("--json", *options)

        assert (finished.document["status"], finished.code) == (status, code)

    def test_its_status_is_locked_under_another_runs_lock(
        self, manage: Manage, held_lock: WarmingLock
    ) -> None:
        finished = manage("--json")

        assert finished.document["status"] == "locked"
        assert finished.document["fragments"] == {}
        assert "holds the lock" in finished.err


@any_cache
@pytest.mark.usefixtures("cache_alias", "shop")
class TestOutput:
    def test_a_line_for_each_fragment(self, manage: Manage) -> None:
        assert [line.split()[:-2] for line in manage().out.splitlines()] == [
            "garden.flower 1 planned 0 fresh 1 rendered 1 stored".split(),
            "shop.offer 10 planned 0 fresh 10 rendered 10 stored".split(),
            "shop.price 5 planned 0 fresh 5 rendered 5 stored".split(),
        ]

    def test_a_dry_run_says_what_would_be_rendered(
        self, manage: Manage, shop: dict[int, int]
    ) -> None:
        manage("shop")
        shop[2] += 1

        lines = [re.split(r" {2,}", line) for line in manage("--dry-run").out.splitlines()]
        assert [[*line[:4], line[5]] for line in lines] == [
            ["garden.flower", "1 planned", "0 fresh", "1 to render", "1 item"],
            ["shop.offer", "10 planned", "8 fresh", "2 to render", "5 items x 2 sizes = 10"],
            ["shop.price", "5 planned", "4 fresh", "1 to render", "5 items"],
        ]
        assert "items" not in manage("--check").out

    def test_what_failed_is_counted_in_its_fragments_line(
        self, manage: Manage, poisonous: Fragment
    ) -> None:
        assert re.search(r"^shop\.poison .* 2 stored  1 failed ", manage().out, re.MULTILINE)

    def test_v0_is_silent_when_all_is_well(self, manage: Manage) -> None:
        for options in ([], [], ["--force"], ["--limit", "0"], ["--check"], ["--dry-run"]):
            assert manage("-v0", *options) == (0, "", ""), options

    def test_v0_is_silent_under_another_runs_lock(
        self, manage: Manage, held_lock: WarmingLock
    ) -> None:
        assert manage("-v0") == (0, "", "")

    def test_v0_says_what_failed(self, manage: Manage, poisonous: Fragment) -> None:
        finished = manage("-v0")

        assert (finished.code, finished.out) == (1, "")
        assert len(finished.err.splitlines()) == 1

    def test_v2_says_first_how_large_the_product_is(
        self, manage: Manage, shop: dict[int, int], settings: Any
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French")]
        said = [
            "garden.flower: 1 item x 3 languages = 3",
            "shop.offer: 5 items x 2 sizes x 3 languages = 30",
            "shop.price: 5 items x 3 languages = 15",
        ]
        assert manage("-v2").err.splitlines()[:3] == said
        narrowed = manage("-v2", "shop.offer", "--axis", "language=de", "--axis", "language=fr")
        assert narrowed.err.splitlines()[0] == "shop.offer: 5 items x 2 sizes x 2 languages = 20"

    def test_v2_names_each_instance_that_is_due(self, manage: Manage, shop: dict[int, int]) -> None:
        manage()
        shop[3] += 1

        named = ["shop.offer(3, 's')", "shop.offer(3, 'l')", "shop.price(3)"]
        assert manage("-v2", "--dry-run").err.splitlines() == named
        assert manage("-v2").err.splitlines()[3:] == named
        assert manage("-v2").err.splitlines()[3:] == []

    def test_help_says_something_of_every_option(self) -> None:
        parser = Command().create_parser("manage.py", "warm_fragments")

        for option in (
            *("--exclude", "--items", "--axis", "--using", "--batch-size", "--force", "--dry-run"),
            *("--check", "--limit", "--wait", "--json", "--progress", "--no-progress"),
        ):
            action = parser._option_string_actions[option]
            assert action.help, option
        assert parser._positionals._group_actions[0].help


@shared_caches
@pytest.mark.usefixtures("cache_alias")
class TestDry:
    @pytest.mark.parametrize("option", ["--dry-run", "--check"])
    def test_nothing_at_all_is_written(
        self,
        manage: Manage,
        shop: dict[int, int],
        trips: RoundTrips,
        renders: list[Any],
        option: str,
    ) -> None:
        manage(option)
        assert (trips.writes, renders) == ([], [])
        manage()
        shop[2] += 1
        trips.clear()
        renders.clear()
        manage(option)
        manage(option, "--force")
        assert (trips.writes, renders) == ([], [])

    @pytest.mark.parametrize("option", ["--dry-run", "--check"])
    def test_it_does_not_wait_for_another_run(
        self, manage: Manage, shop: Any, held_lock: WarmingLock, option: str
    ) -> None:
        finished = manage(option, "--json")

        assert (finished.document["status"], finished.document["totals"]["planned"]) == ("ok", 16)


@pytest.mark.parametrize("option", ["--dry-run", "--check"])
def test_a_dry_run_leaves_the_server_as_it_was(
    redis_url: str, settings: Any, manage: Manage, shop: dict[int, int], option: str
) -> None:
    settings.FRAGCACHE = {"CACHE_ALIAS": "redis"}
    cache: Any = caches["redis"]
    cache.clear()
    manage("shop")
    shop[2] += 1
    server = cache.client.get_client()
    for key in server.keys("*"):
        server.expire(key, 1000)
    before = {key: (server.get(key), 1000) for key in server.keys("*")}

    manage(option)

    assert {
        key: (server.get(key), round(server.ttl(key), -1)) for key in server.keys("*")
    } == before


def rendered_of(renders: list[Any]) -> list[str]:
    return sorted({name for name, _n in renders})


@any_cache
@pytest.mark.usefixtures("cache_alias", "shop")
class TestSelection:
    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ([], ["flower", "offer", "price"]),
            (["shop"], ["offer", "price"]),
            (["garden"], ["flower"]),
            (["shop.price"], ["price"]),
            (["shop.price", "garden"], ["flower", "price"]),
            (["shop", "shop.price"], ["offer", "price"]),
            (["--exclude", "shop"], ["flower"]),
            (["--exclude", "shop.price"], ["flower", "offer"]),
            (["shop", "--exclude", "shop.price"], ["offer"]),
            (["--exclude", "shop.price", "--exclude", "garden"], ["offer"]),
        ],
    )
    def test_labels_are_apps_or_names(
        self, manage: Manage, renders: list[Any], labels: list[str], expected: list[str]
    ) -> None:
        assert manage(*labels).code == 0
        assert rendered_of(renders) == expected

    def test_an_app_leaves_out_what_is_made_on_demand(
        self, manage: Manage, declare: Any, renders: list[Any]
    ) -> None:
        @declare("n.html", name="shop.on_demand", version=lambda n: 1)
        def on_demand(n: int) -> dict[str, Any]:
            return {"n": n}

        assert manage("shop").code == 0
        assert rendered_of(renders) == ["offer", "price"]

    def test_items_restricts_a_fragment_to_them(self, manage: Manage, renders: list[Any]) -> None:
        finished = manage("shop.offer", "--items", "1", "3", "--json")

        assert finished.code == 0
        assert [n for _name, n in renders] == [1, 1, 3, 3]
        assert finished.counts("shop.offer") == {"planned": 4, "rendered": 4, "stored": 4}

    @pytest.mark.django_db
    def test_items_may_be_primary_keys_in_any_spelling(
        self, manage: Manage, artist_card: Fragment, artists: list[Any], renders: list[Any]
    ) -> None:
        finished = manage("library.artist_card", "--items", f"0{artists[1].pk}")

        assert (finished.code, finished.err) == (0, "")
        assert renders == [artists[1].pk]

    def test_axis_restricts_to_values_of_the_project(
        self, manage: Manage, renders: list[Any], settings: Any
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]
        assert manage("shop.price", "--axis", "language=de", "--json").counts("shop.price") == {
            "planned": 5,
            "rendered": 5,
            "stored": 5,
        }
        refused = manage("shop.price", "--axis", "language=pt")
        assert refused.code == 2
        assert "--axis 'language=pt': it is none of en, de, fr." in refused.err
        counts = manage(
            *("shop.price", "--axis", "language=de", "--axis", "language=fr", "--json")
        ).counts("shop.price")
        assert counts == {"planned": 10, "fresh": 5, "rendered": 5, "stored": 5}
        counts = manage("shop.price", "--json").counts("shop.price")
        assert counts == {"planned": 15, "fresh": 10, "rendered": 5, "stored": 5}

    def test_an_axis_concerns_only_the_fragments_that_vary_on_it(
        self, manage: Manage, declare: Any, settings: Any
    ) -> None:
        settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]

        @declare("n.html", name="shop.same", vary_on=["-language"], version=lambda: 1)
        def same() -> dict[str, Any]:
            return {"n": 1}

        finished = manage("shop.same", "shop.price", "--axis", "language=de", "--json")
        assert finished.counts("shop.same")["stored"] == 1
        assert finished.counts("shop.price")["stored"] == 5

    def test_using_fills_another_cache(
        self, manage: Manage, renders: list[Any], cache_alias: str
    ) -> None:
        caches["locmem"].clear()
        manage("shop.price", "--using", "locmem")
        renders.clear()

        assert get_fragment("shop.price", 1, using="locmem") == "1"
        assert renders == []
        assert get_fragment("shop.price", 1) == "1"
        assert renders == [("price", 1)]

    def test_force_renders_what_is_fresh(self, manage: Manage) -> None:
        manage()

        counts = manage("--force", "--json").document["totals"]
        assert (counts["fresh"], counts["rendered"], counts["stored"]) == (0, 16, 16)

    def test_batch_size_is_how_many_are_rendered_at_a_time(
        self, manage: Manage, trips: RoundTrips
    ) -> None:
        manage("shop.price", "--batch-size", "2")

        assert [len(trip.keys) for trip in trips.of("advance_many")] == [2, 2, 1]


@any_cache
@pytest.mark.usefixtures("cache_alias", "shop")
class TestProgress:
    def test_off_a_terminal_there_is_none(
        self, manage: Manage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "INTERVAL", 0)

        assert manage().err == ""

    def test_off_a_terminal_it_is_plain_lines_where_it_is_asked_for(
        self, manage: Manage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "INTERVAL", 0)

        lines = manage("--progress", "--batch-size", "4").err.splitlines()
        assert [line.partition(" walked, ")[0] for line in lines] == [
            "garden.flower: 1 of 16",
            "shop.offer: 5 of 16",
            "shop.offer: 9 of 16",
            "shop.offer: 11 of 16",
            "shop.price: 15 of 16",
            "shop.price: 16 of 16",
        ]
        assert all(re.search(r" walked, [\d,]+ a second, \d\d:\d\d left$", line) for line in lines)

    def test_where_nobody_knows_how_many_there_are_it_does_not_say(
        self, manage: Manage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "INTERVAL", 0)

        [*_others, line] = manage("--progress", "--changed").err.splitlines()
        assert re.fullmatch(r"shop\.price: 16 walked so far, [\d,]+ a second", line)

    def test_v0_is_silent_also_where_it_is_asked_for(
        self, manage: Manage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "INTERVAL", 0)

        assert manage("-v0", "--progress") == (0, "", "")

    @pytest.mark.django_db
    def test_advice_of_the_system_checks_is_not_for_each_run(
        self, manage: Manage, declare: Any, templates: Any
    ) -> None:
        templates({"album.html": ""})

        @declare("album.html", name="library.album", items=Album.objects.all, version="updated_at")
        def album(album: Album) -> dict[str, Any]:
            return {}

        assert [found.id for found in check_versions()] == ["fragcache.W005"]
        assert manage("library.album", "-v0") == (0, "", "")

    def test_lines_are_seconds_apart(self, manage: Manage) -> None:
        assert manage("--progress").err == ""


@any_cache
@pytest.mark.usefixtures("cache_alias", "shop")
class TestLock:
    def test_it_is_released_after_a_run_that_failed(
        self, manage: Manage, poisonous: Fragment
    ) -> None:
        assert manage().code == 1
        assert manage().err.startswith("CommandError: 1 failed")

    def test_it_is_kept_while_one_batch_takes_longer_than_its_life(
        self, manage: Manage, declare: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache_lock, "LIFE", 0.9)
        locked = []

        @declare("n.html", name="shop.slow", items=[1], version=lambda n: 1)
        def slow(n: int) -> dict[str, Any]:
            time.sleep(1.2)
            try:
                with WarmingLock(store()):
                    locked.append(False)
            except Locked:
                locked.append(True)
            return {"n": n}

        assert manage("shop.slow").code == 0
        assert locked == [True]

    def test_a_run_that_lost_its_lock_leaves_the_other_runs_alone(
        self, cache_alias: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with WarmingLock(store()) as lock:
            caches[cache_alias].delete(lock._lock._key)
            other = WarmingLock(store())
            other.__enter__()
        with pytest.raises(Locked, match="Another run holds the lock: process"):
            WarmingLock(store()).__enter__()
        other.__exit__(None, None, None)
        with WarmingLock(store()):
            pass


@pytest.fixture
def signalling(declare: Any, templates: Any) -> list[signal.Signals]:
    """A fragment of ten numbers that sends this process these signals while it renders 3."""
    templates({"n.html": "{{ n }}"})
    signals: list[signal.Signals] = []

    @declare("n.html", name="shop.signalling", items=range(10), version=lambda n: 1)
    def signalling(n: int) -> dict[str, Any]:
        if n == 3:
            for number in signals:
                signal.raise_signal(number)
        return {"n": n}

    return signals


@pytest.mark.usefixtures("cache_alias")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
class TestSignals:
    @shared_caches
    def test_one_finishes_the_batch_and_releases_the_lock(
        self, manage: Manage, signalling: list[signal.Signals], number: signal.Signals
    ) -> None:
        signalling.append(number)
        finished = manage("--json", "--batch-size", "4")

        assert (finished.code, finished.err) == (
            128 + number,
            "CommandError: Interrupted; what was done is kept.\n",
        )
        assert finished.document["status"] == "interrupted"
        done = {"planned": 4, "rendered": 4, "stored": 4}
        assert finished.counts("shop.signalling") == done
        signalling.clear()
        finished = manage("--json")
        assert (finished.code, finished.document["status"]) == (0, "ok")
        assert finished.counts("shop.signalling")["fresh"] == 4

    @any_cache
    def test_a_second_one_ends_it_at_once_and_releases_the_lock(
        self, manage: Manage, signalling: list[signal.Signals], number: signal.Signals
    ) -> None:
        signalling += [number, number]
        finished = manage()

        assert finished == (128 + number, "", "")
        signalling.clear()
        finished = manage("--json")
        assert finished.counts("shop.signalling") == all_stored(10)

    @any_cache
    def test_one_ends_the_wait_for_another_run(
        self,
        manage: Manage,
        shop: Any,
        held_lock: WarmingLock,
        monkeypatch: pytest.MonkeyPatch,
        renders: list[Any],
        number: signal.Signals,
    ) -> None:
        monkeypatch.setattr(warming_lock.time, "sleep", lambda _: signal.raise_signal(number))
        finished = manage("--json", "--wait", "5")

        assert (finished.code, finished.err) == (
            128 + number,
            "CommandError: Interrupted; what was done is kept.\n",
        )
        assert (finished.document["status"], renders) == ("interrupted", [])

    @any_cache
    def test_the_handlers_from_before_are_back_afterwards(
        self, manage: Manage, signalling: list[signal.Signals], number: signal.Signals
    ) -> None:
        former = signal.getsignal(number)
        signalling.append(number)
        manage()

        assert signal.getsignal(number) is former
