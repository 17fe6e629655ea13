"""The suite for pytest-django: `pytest tests/press/pytest_suite.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from fragcache.testing import override_fragcache
from tests.press import steps


@pytest.fixture
def fragments() -> Iterator[str]:
    with override_fragcache(**steps.SETTINGS) as alias:
        yield alias


@pytest.mark.parametrize("time", ["first", "second"])
@pytest.mark.django_db
def test_stored(fragments: str, time: str) -> None:
    steps.begins_empty_is_stored_and_found()


@pytest.mark.django_db
def test_pages(fragments: str) -> None:
    steps.pages_read_what_pages_stored()


@pytest.mark.django_db(transaction=True)
def test_followed_with_commits(fragments: str) -> None:
    steps.changes_and_invalidations_are_followed()


@pytest.mark.django_db
def test_followed(fragments: str) -> None:
    steps.changes_and_invalidations_are_followed()


@pytest.mark.django_db
def test_sound() -> None:
    steps.fragments_are_sound()


@override_fragcache(TIMEOUT=5, **steps.SETTINGS)
def test_a_function_is_decorated_and_has_its_fixtures(tmp_path: object) -> None:
    assert settings.FRAGCACHE["TIMEOUT"] == 5
    assert tmp_path


def test_settings_are_reset() -> None:
    assert settings.FRAGCACHE == {"TIMEOUT": 600}
    assert "fragcache_test" not in settings.CACHES
