"""``fragments verify`` as it is typed: exit codes, and what is said where."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from fragcache import Fragment, registry
from fragcache.management import progress
from fragcache.management.commands.fragments import Command
from fragcache.verifying import comparing
from tests.fixtures import any_cache, warm
from tests.library.models import Artist
from tests.processes import free_port
from tests.verifying import plant

pytestmark = pytest.mark.django_db
shared_caches = pytest.mark.parametrize(
    "cache_alias", ["redis", "memcached", "embedded"], indirect=True
)


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document


Verify = Callable[..., Finished]


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Verify:
    """A function that runs ``fragments verify`` as the command line does."""
    still_needed = SimpleNamespace(close_all=lambda: None)
    monkeypatch.setattr("django.core.management.base.connections", still_needed)
    monkeypatch.setattr(comparing, "PAUSE", 0)

    def run(*arguments: str) -> Finished:
        capsys.readouterr()
        code = 0
        try:
            Command().run_from_argv(["manage.py", "fragments", "verify", *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Finished(code, *capsys.readouterr())

    return run


@pytest.fixture
def warmed(cache_alias: str, artist_card: Fragment, artists: list[Artist]) -> Fragment:
    registry._fragments.clear()
    registry.add(artist_card)
    warm(artist_card)
    return artist_card


@pytest.fixture
def dated(declare: Any, templates: Any) -> Fragment:
    """A fragment without a version, whose data have changed since."""
    templates({"dated.html": "{{ names }}"})
    names = ["Nina"]

    @declare("dated.html", name="library.dated")
    def dated() -> dict[str, Any]:
        return {"names": names}

    warm(dated)
    names.append("Ella")
    fragment: Fragment = dated
    return fragment


class TestExitCodes:
    @shared_caches
    def test_0_when_all_is_sound_and_1_when_an_entry_is_wrong(
        self, verify: Verify, warmed: Fragment, artists: list[Artist]
    ) -> None:
        finished = verify()
        assert (finished.code, finished.out.splitlines()) == (
            0,
            [finished.out.rstrip()],
        )
        assert re.fullmatch(
            r"library\.artist_card        2 instances        2 compared     \d\.\d s\n",
            finished.out,
        )
        assert re.fullmatch(r"Chosen with --seed \d+\.\n", finished.err)

        plant(warmed, [artists[1]])
        finished = verify("--sample=all")
        assert finished.code == 1
        assert finished.err == "CommandError: Of 2 instances: 1 wrong.\n"

    @any_cache
    def test_0_when_nothing_is_stored(
        self, cache_alias: str, verify: Verify, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        finished = verify("library.artist_card", "--json")
        assert finished.code == 0
        assert finished.document["totals"]["missing"] == 2

    @any_cache
    @pytest.mark.parametrize(
        ("source", "options", "message"),
        [
            ("{% now 'u' %}", {}, r"1 not deterministic"),
            ("{{ price }}", {"vary_on": ["-language"]}, "1 key is too narrow"),
            ("{% include missing %}", {}, "1 failed"),
        ],
    )
    def test_1_for_every_other_fault(
        self,
        cache_alias: str,
        verify: Verify,
        declare: Any,
        templates: Any,
        source: str,
        options: dict[str, Any],
        message: str,
    ) -> None:
        templates({"x.html": source})

        @declare("x.html", name="library.x", **options)
        def x() -> dict[str, Any]:
            return {"price": 1234.5, "missing": "no.html"}

        finished = verify("library.x")
        assert finished.code == 1
        assert finished.err.endswith(f"CommandError: Of 1 instances: {message}.\n")

    @any_cache
    def test_what_is_outdated_is_a_fault_only_where_that_is_asked_for(
        self, cache_alias: str, verify: Verify, dated: Fragment
    ) -> None:
        finished = verify("library.dated")
        assert finished.code == 0
        assert "library.dated(), language=en-us, time_zone=UTC: outdated" in finished.out
        assert "+[&#x27;Nina&#x27;, &#x27;Ella&#x27;]" in finished.out

        finished = verify("library.dated", "--strict")
        assert finished.code == 1
        assert "1 outdated" in finished.err
        assert verify("library.dated", "--strict", "--json").document["status"] == "wrong"

    @any_cache
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["library.artist_cart"], "Did you mean 'library.artist_card'?"),
            (["library.greeting"], "library.greeting cannot be verified. It is made on demand"),
            (["--axis", "langauge=de"], "Did you mean 'language'?"),
            (["--axis", "language"], "write NAME=VALUE"),
            (["--using", "nowhere"], "--using: 'nowhere' is not an alias of CACHES."),
            (["--sample", "0"], "'0' is not a number of 1 or more, or 'all'"),
            (["--sample", "few"], "'few' is not a number of 1 or more, or 'all'"),
            (["--seed", "x"], "invalid int value: 'x'"),
        ],
    )
    def test_2_for_usage(
        self,
        verify: Verify,
        warmed: Fragment,
        greeting: Fragment,
        arguments: list[str],
        message: str,
    ) -> None:
        finished = verify(*arguments)
        assert (finished.code, finished.out) == (2, "")
        assert message in finished.err

    def test_2_where_nothing_is_declared(self, verify: Verify) -> None:
        registry._fragments.clear()

        finished = verify()
        assert finished.code == 2
        assert "verify on the site that declares them" in finished.err

    def test_75_when_the_cache_is_down(
        self, verify: Verify, settings: Any, artist_card: Fragment, artists: list[Artist]
    ) -> None:
        if "redis" not in settings.CACHES:
            pytest.skip("redis is not in use")
        location = f"redis://127.0.0.1:{free_port()}"
        down = {**settings.CACHES["redis"], "LOCATION": location}
        settings.CACHES = {**settings.CACHES, "down": down}

        finished = verify("library.artist_card", "--using=down")
        assert finished.code == 75
        assert "The cache is unavailable: alias 'down'" in finished.err

    @any_cache
    def test_a_signal_ends_it_after_the_batch_at_hand(
        self, cache_alias: str, verify: Verify, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": ""})
        calls = []

        @declare("x.html", name="library.x", items=range(1000), version=lambda n: 1)
        def x(n: int) -> dict[str, Any]:
            if not calls:
                signal.raise_signal(signal.SIGTERM)
            calls.append(n)
            return {}

        finished = verify("library.x", "--sample=all", "--json")
        assert (finished.code, finished.document["status"]) == (143, "interrupted")
        assert finished.document["totals"]["instances"] == 100
        assert finished.err == "CommandError: Interrupted: not all was verified.\n"


@any_cache
class TestOutput:
    def test_a_finding_is_printed_with_its_diff_before_the_counts(
        self, verify: Verify, warmed: Fragment, artists: list[Artist]
    ) -> None:
        plant(warmed, [artists[0]])

        lines = verify("library", "--sample=all").out.splitlines()

        key = lines.pop(2)
        assert key.startswith("  :1:fc1:library.artist_card:")
        assert lines[:2] == [
            f"library.artist_card({artists[0].pk}), language=en-us, time_zone=UTC: wrong",
            "  What was stored 0 s ago is not what a render gives now.",
        ]
        assert lines[3:9] == [
            "    --- stored",
            "    +++ rendered now",
            "    @@ -1 +1 @@",
            "    -<i>wrong</i>",
            "    +<b>Nina</b>",
            "",
        ]
        assert lines[9].startswith(
            "library.artist_card        2 instances        2 compared  1 wrong"
        )

    def test_the_document_has_all_of_it(
        self, verify: Verify, warmed: Fragment, artists: list[Artist]
    ) -> None:
        plant(warmed, [artists[0]])

        finished = verify("--json", "--seed=5", "--sample=10")

        document = finished.document
        assert finished.code == 1
        assert {name: document[name] for name in ("format", "status", "seed", "sample")} == {
            "format": 1,
            "status": "wrong",
            "seed": 5,
            "sample": 10,
        }
        of_cards = document["fragments"]["library.artist_card"]
        assert (of_cards["compared"], of_cards["wrong"]) == (2, 1)
        assert document["totals"]["wrong"] == 1
        [finding] = of_cards["findings"]
        assert finding["kind"] == "wrong"
        assert finding["instance"] == f"library.artist_card({artists[0].pk})"
        assert set(finding) == {
            *("kind", "fragment", "instance", "axes", "key", "about", "remedy", "diff")
        }

    def test_v0_is_silent_when_all_is_sound_and_names_what_is_wrong(
        self, verify: Verify, warmed: Fragment, artists: list[Artist], dated: Fragment
    ) -> None:
        assert verify("-v0") == (0, "", "")
        plant(warmed, [artists[0]])
        assert f"library.artist_card({artists[0].pk})" in verify("-v0").out

    def test_what_is_made_on_demand_has_a_line(
        self, verify: Verify, warmed: Fragment, greeting: Fragment
    ) -> None:
        lines = verify().out.splitlines()
        assert lines[1].startswith("library.greeting     It is made on demand: only what can be")

    def test_html_cannot_write_on_the_terminal(
        self, verify: Verify, warmed: Fragment, artists: list[Artist]
    ) -> None:
        plant(warmed, [artists[0]], "\x1b[2J" + "wrong " * 1000 + "\x9b\u202e")

        out = verify().out
        assert r"\x1b[2J" in out
        assert "\x1b" not in out
        assert max(map(len, out.splitlines())) < 300

    def test_progress_is_told_where_it_is_asked_for(
        self, verify: Verify, warmed: Fragment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "INTERVAL", 0)

        [line, _seed] = verify("--progress").err.splitlines()
        assert line.startswith("library.artist_card: 2 of 2 walked")
        [line, _seed] = verify("--progress", "--sample=1").err.splitlines()
        assert line.startswith("library.artist_card: 1 of 1 walked")
        assert verify("--no-progress", "--sample=all").err == ""

    def test_the_help_tells_exit_codes_and_options(self, cache_alias: str, verify: Verify) -> None:
        finished = verify("--help")
        text = " ".join(finished.out.split())
        assert finished.code == 0
        assert "It writes nothing. Exit codes: 0 all is sound; 1" in text
        assert "--sample N" in text
        assert "Default 100." in text
