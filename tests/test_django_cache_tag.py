"""Django's own tests of ``{% cache %}``, with our library in the place of Django's."""

from __future__ import annotations

import importlib
import sys
import tarfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import django
import pytest

TESTED = "tests/template_tests/syntax_tests/test_cache.py"
NEEDED = (
    TESTED,
    "tests/template_tests/syntax_tests/__init__.py",
    "tests/template_tests/__init__.py",
    "tests/template_tests/utils.py",
    "tests/template_tests/templatetags/__init__.py",
    "tests/template_tests/templatetags/custom.py",
)
#: They show in one template what another one has rendered by the same name, body or not.
OF_SHARING = {"test_cache04", "test_cache07", "test_cache08", "test_none_timeout"}


@pytest.fixture
def django_tests(tmp_path: Path) -> Iterator[ModuleType]:
    """The module of Django's source distribution, in which nothing but the library is swapped."""
    archive = Path(sys.prefix, "source", f"django-{django.get_version()}.tar.gz")
    if not archive.exists():
        pytest.skip("Django's source distribution is absent: make pytest fetches it.")
    with tarfile.open(archive) as source:
        for name in NEEDED:
            text = source.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{name}").read()  # type: ignore[union-attr]
            path = tmp_path / name.removeprefix("tests/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                text.decode().replace(
                    "django.templatetags.cache", "fragcache.templatetags.fragcache"
                )
            )
    sys.path.insert(0, str(tmp_path))
    try:
        yield importlib.import_module("template_tests.syntax_tests.test_cache")
    finally:
        sys.path.remove(str(tmp_path))
        for name in [name for name in sys.modules if name.startswith("template_tests")]:
            del sys.modules[name]


@pytest.mark.parametrize("are_shared", [True, False])
def test_all_pass_but_for_blocks_that_are_shared_by_default(
    django_tests: ModuleType, settings: Any, are_shared: bool
) -> None:
    settings.CACHES = {"default": settings.CACHES["default"]}
    settings.FRAGCACHE = {"SHARED_BLOCKS": are_shared, "PAGE_BUDGET": None}
    assert "fragcache.templatetags.fragcache" in Path(str(django_tests.__file__)).read_text()

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(django_tests).run(result)

    failed = {case.id().rpartition(".")[2] for case, _why in [*result.failures, *result.errors]}
    assert failed == (set() if are_shared else OF_SHARING), [*result.failures, *result.errors]
    assert result.testsRun >= 17
    assert not result.skipped
