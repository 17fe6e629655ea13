"""The library behind snapshots is an extra: what a site without it sees."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fragcache.contexts import open_snapshot, take_snapshot
from fragcache.exceptions import ExtraMissing


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)


def test_publishing_and_fetching_say_which_extra_is_missing(without: None) -> None:
    for call in (lambda: take_snapshot({}), lambda: open_snapshot(b"")):
        with pytest.raises(ExtraMissing) as raised:
            call()
        assert str(raised.value) == (
            "Contexts are published with msgspec, which is not installed: "
            "pip install 'fragcache[contexts]'."
        )


def test_a_site_that_publishes_no_contexts_does_not_import_it() -> None:
    program = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "import django; django.setup(); import fragcache, fragcache.contexts\n"
        "sys.exit('msgspec' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
