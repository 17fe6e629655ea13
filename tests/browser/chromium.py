"""The machine's own browser, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]
MISSING = "needs a Chromium: install one, or name its program by FRAGCACHE_TEST_CHROMIUM"


def program() -> str | None:
    """Return the path of a Chromium; None where there is none."""
    named = os.environ.get("FRAGCACHE_TEST_CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@contextmanager
def browser() -> Iterator[Any]:
    """A browser, which ends with the block."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program(), args=FLAGS)
        yield chromium
        chromium.close()
