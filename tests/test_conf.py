"""Settings: one dict with defaults, read once and anew when it changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from fragcache import conf
from fragcache.conf import FALLBACK_ALIASES, NAMES, Settings
from fragcache.entry import Entry, Kind, Ring, Unsealed
from fragcache.store import store

LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
ENTRY = Entry(Kind.HTML, b"<b>", as_of=1, built_at=1)


def test_nothing_has_to_be_set(settings: Any) -> None:
    assert not hasattr(settings, "FRAGCACHE")

    assert conf.settings() == Settings(
        ENABLED=True,
        CACHE_ALIAS=None,
        SECRET_KEYS=(),
        TIMEOUT=86_400,
        READ_ONLY=False,
        AXES=(),
        ADDITIONS=(),
        LOCAL_MAX_BYTES=32 * 2**20,
        INVALIDATION_LAG=5,
        PAGE_BUDGET=0.1,
    )


def test_the_settings_are_those_of_the_design() -> None:
    assert set(NAMES) == {
        *("ENABLED", "CACHE_ALIAS", "SECRET_KEYS", "TIMEOUT", "READ_ONLY", "AXES"),
        *("LOCAL_MAX_BYTES", "INVALIDATION_LAG", "PAGE_BUDGET"),
        *("MONITORING_KEYS",),
        *("READ_ONLY_BATCHES", "RENEW_WITH", "STATEMENT_TIMEOUT", "LOCK", "QUEUE"),
        *("SHARED_BLOCKS", "ADDITIONS", "STATS", "BYPASS_UNWORTHY"),
        *("API_KEYS", "SOURCE", "DEBUG_COMMENTS"),
    }


def test_what_is_set_wins_and_the_rest_keeps_its_default(settings: Any) -> None:
    settings.FRAGCACHE = {"TIMEOUT": None, "READ_ONLY": True}

    found = conf.settings()

    assert (found.TIMEOUT, found.READ_ONLY, found.INVALIDATION_LAG) == (None, True, 5)


def test_a_change_is_seen_and_nothing_else_is_read_twice() -> None:
    first = conf.settings()
    assert conf.settings() is first

    with override_settings(FRAGCACHE={"TIMEOUT": 1}):
        assert conf.settings().TIMEOUT == 1
        with override_settings(FRAGCACHE={"TIMEOUT": 2}):
            assert conf.settings().TIMEOUT == 2
        assert conf.settings().TIMEOUT == 1
    assert conf.settings() == first


def test_a_name_that_is_no_setting_is_kept_for_the_check(settings: Any) -> None:
    settings.FRAGCACHE = {"TIEMOUT": 1, "unknown": 2, "TIMEOUT": 3}

    assert conf.settings().unknown == ("TIEMOUT", "unknown")
    assert conf.settings().TIMEOUT == 3


@pytest.mark.parametrize("given", [None, [], "TIMEOUT", 5], ids=repr)
def test_what_is_no_dict_leaves_the_defaults_for_the_check_to_speak(
    settings: Any, given: object
) -> None:
    settings.FRAGCACHE = given

    assert conf.settings() == Settings()


@pytest.mark.parametrize(
    ("aliases", "chosen"),
    [
        (["default", "template_fragments", "fragments"], "fragments"),
        (["default", "template_fragments"], "template_fragments"),
        (["default", "other"], "default"),
        ([], "default"),  # Django's own check says that it is missing
    ],
    ids=repr,
)
def test_the_alias_is_the_first_that_exists(settings: Any, aliases: list[str], chosen: str) -> None:
    settings.CACHES = {alias: {**LOCMEM, "LOCATION": alias} for alias in aliases}

    assert conf.settings().cache_alias == chosen


def test_a_given_alias_wins_over_all_others(settings: Any) -> None:
    settings.CACHES = dict.fromkeys((*FALLBACK_ALIASES, "other"), LOCMEM)
    settings.FRAGCACHE = {"CACHE_ALIAS": "other"}

    assert conf.settings().cache_alias == "other"
    assert store().alias == "other"


def test_the_store_follows_a_changed_alias(settings: Any) -> None:
    settings.FRAGCACHE = {"CACHE_ALIAS": "locmem"}
    assert store().alias == "locmem"
    settings.FRAGCACHE = {"CACHE_ALIAS": "default"}
    assert store().alias == "default"


# Secret keys


def test_secret_keys_default_to_the_sites_key_and_its_fallbacks(settings: Any) -> None:
    settings.SECRET_KEY = "current"
    settings.SECRET_KEY_FALLBACKS = ["former", b"as bytes"]

    assert list(conf.settings().secret_keys) == ["current", "former", "as bytes"]


def test_given_secret_keys_are_used_alone(settings: Any) -> None:
    settings.FRAGCACHE = {"SECRET_KEYS": ["shared", "shared before"]}

    assert list(conf.settings().secret_keys) == ["shared", "shared before"]


def test_one_text_is_one_key_and_not_a_key_for_each_letter(settings: Any) -> None:
    """It is a mistake, which the check names; sealing with its first letter would be a hole."""
    settings.FRAGCACHE = {"SECRET_KEYS": "shared"}
    sealed = store("locmem")._sealed({"key": ENTRY})["key"]
    key = store("locmem").physical_key("key")

    assert Ring("shared").open(key, sealed) is Unsealed.UNKNOWN_KEY
    assert Ring(["shared"]).open(key, sealed) == ENTRY


def test_a_rotated_secret_key_opens_what_the_former_one_sealed(settings: Any) -> None:
    """The former key is among the fallbacks, as Django's documentation asks."""
    settings.SECRET_KEY = "former"
    store("locmem").write_many({"key": ENTRY}, 60)

    settings.SECRET_KEY_FALLBACKS = ["former"]
    settings.SECRET_KEY = "current"
    assert store("locmem").read_many(["key"]) == {"key": ENTRY}

    settings.SECRET_KEY_FALLBACKS = []
    assert store("locmem").read_many(["key"]) == {}
