"""``override_fragcache``: a cache of a test's own, under both runners that sites use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from django.test import override_settings

from fragcache import Fragment, conf, get_fragment
from fragcache.exceptions import InvalidArguments
from fragcache.reading import costs
from fragcache.store import store
from fragcache.testing import override_fragcache
from tests.fixtures import any_cache, elsewhere
from tests.plugin import require

ROOT = Path(__file__).parent.parent
DJANGO = [*("-m", "django", "test", "tests.press.django_suite"), "--shuffle=1"]
PYTEST = [
    *(
        "-m",
        "pytest",
        "-c",
        "/dev/null",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--noconftest",
    ),
    *("-p", "no:hypothesispytest", "--rootdir=.", "-W", "error", "tests/press/pytest_suite.py"),
]


class TestSuites:
    """A site's own suite, in a process of its own; the server of its settings is not there."""

    @pytest.mark.parametrize("server", [None, "redis", "memcached"])
    @pytest.mark.parametrize(
        ("runner", "end"),
        [(DJANGO, "Ran 12 tests"), (PYTEST, "8 passed")],
        ids=["django", "pytest"],
    )
    def test_pass_under(
        self, pytestconfig: pytest.Config, server: str | None, runner: list[str], end: str
    ) -> None:
        finished = run_suite(pytestconfig, server, runner)

        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert end in finished.stdout + finished.stderr


def run_suite(
    config: pytest.Config, server: str | None, runner: list[str]
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV", "DJANGO"))}
    environment = {
        **kept,
        "DJANGO_SETTINGS_MODULE": "tests.press_settings",
        "PYTHONPATH": str(ROOT),
    }
    if server is not None:
        environment["PRESS_SERVER"] = require(config, server)
    return subprocess.run(
        [sys.executable, *runner],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@any_cache
class TestIsolation:
    def test_nothing_gets_in_or_out(
        self, cache_alias: str, greeting: Fragment, renders: list[str]
    ) -> None:
        get_fragment(greeting, "before")
        with override_fragcache():
            get_fragment(greeting, "before")
            get_fragment(greeting, "within")
        with override_fragcache():
            get_fragment(greeting, "within")
        get_fragment(greeting, "before")
        get_fragment(greeting, "within")

        assert renders == ["before", "before", "within", "within", "within"]

    @pytest.mark.parametrize("alias", ["redis", "memcached", "embedded", "locmem"])
    def test_an_alias_that_is_named_is_kept_under_a_prefix_of_its_own(
        self, cache_alias: str, settings: Any, alias: str, greeting: Fragment, renders: list[str]
    ) -> None:
        if alias not in settings.CACHES:
            pytest.skip(f"{alias} is not in use")
        settings.FRAGCACHE = {"CACHE_ALIAS": alias}
        caches[alias].clear()
        before = caches[alias].make_key("x")
        get_fragment(greeting, "you")
        with override_fragcache(CACHE_ALIAS=alias) as entered:
            assert entered == alias == store().alias
            assert caches[alias].make_key("x") != before
            get_fragment(greeting, "you")
            get_fragment(greeting, "you")
        assert caches[alias].make_key("x") == before
        get_fragment(greeting, "you")

        assert renders == ["you", "you"]

    def test_a_fragment_that_names_an_alias_is_isolated_in_it(
        self, cache_alias: str, declare: Any, templates: Any
    ) -> None:
        templates({"x.html": "x"})

        @declare("x.html", name="library.x", using="locmem")
        def x() -> dict[str, Any]:
            return {}

        prefix = caches["locmem"].key_prefix
        with override_fragcache():
            assert caches["locmem"].key_prefix.startswith("test-")
            assert caches["default"].key_prefix == ""
        assert caches["locmem"].key_prefix == prefix

    def test_the_process_forgets_what_it_knew_of_the_other_cache(
        self,
        cache_alias: str,
        greeting: Fragment,
        renders: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Of its floods, and of what renders cost; its tokens are made anew."""
        monkeypatch.setattr("fragcache.reading.doorkeeper.FREE", 1)
        get_fragment(greeting, "you")
        with override_fragcache(CACHE_ALIAS=cache_alias):
            assert costs.usual(greeting.name) is None
            get_fragment(greeting, "you")
            with elsewhere():
                get_fragment(greeting, "you")
        assert costs.usual(greeting.name) is None
        assert renders == ["you", "you"]

        get_fragment(greeting, "them")
        with elsewhere():
            get_fragment(greeting, "them")
        assert renders == ["you", "you", "them"]

    def test_a_test_waits_for_its_cache_as_long_as_it_takes(self, cache_alias: str) -> None:
        with override_settings(FRAGCACHE={}):
            with override_fragcache():
                assert conf.settings().PAGE_BUDGET is None
            with override_fragcache(PAGE_BUDGET=1):
                assert conf.settings().PAGE_BUDGET == 1

    def test_the_file_of_the_cache_is_removed(self, cache_alias: str, greeting: Fragment) -> None:
        with override_fragcache() as alias:
            get_fragment(greeting, "you")
            file = Path(django_settings.CACHES[alias]["LOCATION"])
            assert file.exists()
        assert not file.parent.exists()

    def test_it_ends_with_an_exception_as_well(self, cache_alias: str) -> None:
        former = dict(django_settings.FRAGCACHE)
        with pytest.raises(ZeroDivisionError), override_fragcache(TIMEOUT=1):
            _ = 1 // 0
        assert former == django_settings.FRAGCACHE

    def test_it_nests(self, cache_alias: str) -> None:
        with override_fragcache(TIMEOUT=1) as outer:
            with override_fragcache(LOCAL_MAX_BYTES=0):
                assert django_settings.FRAGCACHE["TIMEOUT"] == 1
                assert django_settings.FRAGCACHE["LOCAL_MAX_BYTES"] == 0
            assert "LOCAL_MAX_BYTES" not in django_settings.FRAGCACHE
            assert store().alias == outer

    def test_a_site_whose_tests_switch_the_cache_off_has_it_here(
        self, cache_alias: str, settings: Any, greeting: Fragment, renders: list[str]
    ) -> None:
        settings.FRAGCACHE = {**settings.FRAGCACHE, "ENABLED": False}
        with override_fragcache():
            get_fragment(greeting, "you")
            get_fragment(greeting, "you")
        assert renders == ["you"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"TIMEOT": 1}, r"'TIMEOT' is not a setting of FRAGCACHE\. Did you mean 'TIMEOUT'\?"),
        ({"CACHE_ALIAS": "embeded"}, r"CACHE_ALIAS='embeded' is not an alias.*'embedded'\?"),
    ],
)
def test_what_there_is_not_is_an_error(given: dict[str, Any], message: str) -> None:
    former = dict(django_settings.CACHES)
    with pytest.raises(InvalidArguments, match=message), override_fragcache(**given):
        pass
    assert former == django_settings.CACHES
