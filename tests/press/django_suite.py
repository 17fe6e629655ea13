"""The suite for Django's runner: `python -m django test tests.press.django_suite`."""

from __future__ import annotations

from django.conf import settings
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from fragcache.testing import override_fragcache
from tests.press import steps


class Steps:
    def test_stored(self) -> None:
        steps.begins_empty_is_stored_and_found()

    def test_stored_again(self) -> None:
        steps.begins_empty_is_stored_and_found()

    def test_pages(self) -> None:
        steps.pages_read_what_pages_stored()

    def test_followed(self) -> None:
        steps.changes_and_invalidations_are_followed()

    def test_sound(self) -> None:
        steps.fragments_are_sound()


@override_fragcache(**steps.SETTINGS)
class InTransactions(Steps, TestCase):
    def setUp(self) -> None:
        steps.begins_empty_is_stored_and_found()
        steps.Article.objects.all().delete()
        # What setUp stored is there, since it is of the same test.
        steps.invalidate("press.titles")


@override_fragcache(**steps.SETTINGS)
class WithCommits(Steps, TransactionTestCase):
    pass


class ByMethod(SimpleTestCase):
    @override_fragcache(TIMEOUT=5, **steps.SETTINGS)
    def test_settings_are_in_force(self) -> None:
        assert settings.FRAGCACHE["TIMEOUT"] == 5

    def test_and_are_reset(self) -> None:
        assert settings.FRAGCACHE == {"TIMEOUT": 600}
        assert "fragcache_test" not in settings.CACHES
