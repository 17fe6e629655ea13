"""Digests: every change of what makes the output changes them, and nothing else does."""

from __future__ import annotations

import importlib
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import django
import pytest
from django.core import checks
from django.template import engines
from django.test import override_settings
from django.utils import translation
from django.utils.translation import gettext, gettext_lazy

from fragcache import Fragment, digests, registry
from fragcache.digests import OUTPUT_SETTINGS, digest_of
from fragcache.digests.codes import code_parts
from fragcache.rendering import render_many
from tests.library.models import Album
from tests.releases import (
    RELEASE,
    Release,
    cached,
    changed,
    deployed,
    digest,
    html,
    locmem,
    module,
    nothing,
    template_settings,
)

Declare = Callable[..., Any]
Templates = Callable[[Mapping[str, str]], None]


# What changes a digest

CHANGES = [
    ("the template", "page.html", "inside", "outside"),
    ("an extended template", "base.html", "%}", "%}{% block a %}{% endblock %}"),
    ("what an extended template extends", "root.html", "main", "div"),
    ("an included template", "part.html", "a=b", "a=c"),
    ("a template that an included one includes", "nested.html", "nested", "changed"),
    ("an included template that was missing", "none.html", "", "here now"),
    ("the template of an inclusion tag", "badge.html", "<b>", "<b class='x'>"),
    ("the template of a fragment that is shown", "inner.html", "<i>", "<em>"),
    ("the template of fragments that are listed", "listed.html", "{%", "<ol>{%"),
    ("what the template of a shown fragment includes", "listed_part.html", "<li>", "<dt>"),
    ("the code of a filter in a condition, behind its decorator", "tags", "upper", "title"),
    ("the code of a filter that keeps its results", "tags", "center", "ljust"),
    ("the code of a simple tag", "tags", "STAR * number", "number * STAR + STAR"),
    ("a constant that a tag names", "tags", '"*"', '"+"'),
    ("the code of an inclusion tag", "tags", "name.strip()", "name.lstrip()"),
    ("the class of a tag", "tags", "<p>{", "<div>{"),
    ("the context function, behind its decorator", "code", '"rate": RATE', '"rate": 1'),
    ("the decorator of the context function", "code", '"logged": True', '"logged": False'),
    ("the default of a parameter", "code", 'def page(name="x")', 'def page(name="y")'),
    ("a function that the context function calls", "code", "discount(7)", "discount(8)"),
    ("a function that keeps its results", "code", "price - 5", "price - 6"),
    ("a function behind a decorator that hides it", "code", "price // 2", "price // 3"),
    ("the first of two functions of one name", "code", 'name + "1"', 'name + "3"'),
    ("the second of two functions of one name", "code", 'name + "2"', 'name + "3"'),
    ("a decimal that the context function names", "code", '"1.20"', '"1.10"'),
    ("a set that the context function names", "code", '"rare"', '"rarer"'),
    ("a text that is translated later", "code", '"Title"', '"Name"'),
    ("a plural that is translated later", "code", '"%d hits"', '"%d finds"'),
    ("a property of a class that it names", "code", "self.size * 2", "self.size * 3"),
    ("a method that a class inherits", "code", '"a bag"', '"a sack"'),
    ("a static method of a class that it names", "code", "return 0", "return 7"),
    ("a constant of a class that it names", "code", "size = 3", "size = 4"),
    ("the function that is the version", "code", "return 1\n\n@fragment", "return 2\n\n@fragment"),
    (
        "the context function of a shown fragment",
        "code",
        'return {"name": name}',
        'return {"name": [name]}',
    ),
    ("the bulk contexts of a shown fragment", "code", '"item": item}', '"item": [item]}'),
    ("the axes of a shown fragment", "code", 'shop.inner"', 'shop.inner", vary_on=["site"]'),
    ("the revision of a shown fragment", "code", 'shop.inner"', 'shop.inner", revision=2'),
    ("revision=", "code", '"shop.page"', '"shop.page", revision=2'),
    ("vary_on=", "code", '"shop.page"', '"shop.page", vary_on=["site"]'),
    ("a refused axis", "code", '"shop.page"', '"shop.page", vary_on=["-language"]'),
    ("model=", "code", '"shop.page"', '"shop.page", model="library.Album"'),
]


@pytest.mark.parametrize(
    ("part", "old", "new"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_a_change_of_what_makes_the_output_changes_the_digest(
    part: str, old: str, new: str
) -> None:
    assert digest(changed(RELEASE, part, old, new)) != digest(RELEASE)


ANOTHER_VALUE: dict[str, Any] = {
    "DATETIME_INPUT_FORMATS": ["%Y"],
    "DATE_INPUT_FORMATS": ["%Y"],
    "FIRST_DAY_OF_WEEK": 1,
    "LANGUAGES": [("en", "English"), ("de", "Deutsch")],
    "TIME_INPUT_FORMATS": ["%H"],
    "URLIZE_ASSUME_HTTPS": True,
    "LANGUAGE_CODE": "de",
    "NUMBER_GROUPING": 3,
    "TIME_ZONE": "Europe/Vienna",
    "USE_I18N": False,
    "USE_THOUSAND_SEPARATOR": True,
    "USE_TZ": False,
}


@pytest.mark.parametrize("name", OUTPUT_SETTINGS)
def test_a_setting_that_shows_in_output_changes_the_digest(name: str) -> None:
    settings = {name: ANOTHER_VALUE.get(name, "/another/")}

    assert digest(replace(RELEASE, settings=settings)) != digest(RELEASE)


FORMATS = {
    "the separator of decimals": {"DECIMAL_SEPARATOR": "'"},
    "the separator of thousands": {"THOUSAND_SEPARATOR": "'"},
    "how digits are grouped": {"NUMBER_GROUPING": (3, 2, 0)},
    "a date": {"DATE_FORMAT": "Y"},
    "what a form is filled with": {"DATE_INPUT_FORMATS": ["%Y"]},
    "a format of one's own": {"MOON_FORMAT": "moon"},
}


@pytest.mark.parametrize("changed_formats", FORMATS.values(), ids=list(FORMATS))
@pytest.mark.parametrize("language", ["de", "pt_BR"])
def test_a_format_of_the_project_changes_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, changed_formats: dict[str, Any]
) -> None:
    """In any of its languages: there is no switch for formats but language and settings."""
    monkeypatch.syspath_prepend(tmp_path)

    def with_formats(path: str, values: Mapping[str, Any]) -> Release:
        folder = tmp_path / path / language
        folder.mkdir(parents=True)
        text = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        (folder / "formats.py").write_text(text)
        return replace(RELEASE, settings={"FORMAT_MODULE_PATH": [path]})

    numbers = {"DECIMAL_SEPARATOR": ",", "THOUSAND_SEPARATOR": "."}
    kept = with_formats(f"formats_{language}", numbers)
    one = digest(kept)
    assert digest(kept) == one
    shutil.rmtree(tmp_path / f"formats_{language}")
    sys.modules.pop(f"formats_{language}.{language}.formats")
    importlib.invalidate_caches()
    other = with_formats(f"formats_{language}", numbers | changed_formats)

    assert digest(other) != one
    for name in [name for name in sys.modules if name.startswith("formats_")]:
        del sys.modules[name]


def test_an_option_of_the_engine_that_shows_changes_the_digest(declare: Declare) -> None:
    card = declare("x.html", name="library.card")(nothing)
    found = set()
    for options in ({}, {"string_if_invalid": "?"}, {"autoescape": False}, {}):
        loaders = cached(locmem({"x.html": ""}))
        with override_settings(TEMPLATES=template_settings(loaders, **options)):
            found.add(digest_of(card))

    assert len(found) == 3


def test_a_name_of_a_language_is_one_in_all_languages() -> None:
    with deployed(replace(RELEASE, settings={"LANGUAGES": [("de", gettext_lazy("German"))]})):
        found = set()
        for language in ("en", "de"):
            digests.forget()
            with translation.override(language):
                found.add(digest_of(registry.get("shop.page")))

    assert len(found) == 1


def test_djangos_version_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(RELEASE)
    monkeypatch.setattr(django, "get_version", lambda: "9.9")

    assert digest(RELEASE) != before


@pytest.mark.parametrize("attribute", ["__str__", "price", "page_count"])
def test_a_method_of_the_model_changes_the_digest(
    declare: Declare, templates: Templates, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    templates({"x.html": "{{ album }}"})
    card = declare("x.html", name="library.card", items=Album.objects.all)(lambda album: {})
    before = digest_of(card)
    made: Any = {"price": property(lambda album: 5), "page_count": 7}
    value = made.get(attribute, lambda album: "another")
    monkeypatch.setattr(Album, attribute, value, raising=False)

    digests.forget()

    assert digest_of(card) != before


def mo_file(messages: Mapping[str, str]) -> bytes:
    """Return a compiled catalog: https://www.gnu.org/software/gettext/manual/html_node/MO-Files"""
    pairs = {"": "Content-Type: text/plain; charset=UTF-8\n", **messages}
    texts = [text.encode() for text in (*sorted(pairs), *(pairs[key] for key in sorted(pairs)))]
    offset = 28 + 8 * len(texts)
    table = b""
    for text in texts:
        table += struct.pack("<2I", len(text), offset)
        offset += len(text) + 1
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 4 * len(texts), 0, 0)
    return header + table + b"".join(text + b"\0" for text in texts)


def with_catalog(directory: Path, language: str, messages: Mapping[str, str]) -> Release:
    folder = directory / language / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(mo_file(messages))
    return replace(
        RELEASE,
        settings={
            "LOCALE_PATHS": [directory],
            "LANGUAGES": [("en", "English"), ("de", "German")],
            "LANGUAGE_CODE": "en",
        },
    )


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_translation_changes_the_digest(tmp_path: Path, language: str) -> None:
    """In any of the languages that are warmed, not only in the one in force."""
    one = with_catalog(tmp_path / "one", language, {"A title": "Ein Titel"})
    same = with_catalog(tmp_path / "same", language, {"A title": "Ein Titel"})
    other = with_catalog(tmp_path / "other", language, {"A title": "Der Titel"})

    assert digest(one) == digest(same)
    assert digest(one) != digest(other)
    with deployed(other), translation.override(language):
        assert gettext("A title") == "Der Titel"  # the catalog of this test is one


def test_the_manifest_of_static_files_changes_the_digest(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = set(checks.registry.registry.registered_checks)  # an app adds its own for good
    monkeypatch.setattr(checks.registry.registry, "registered_checks", known)

    def with_manifest(name: str) -> Release:
        (tmp_path / name).mkdir()
        manifest = f'{{"version": "1.1", "paths": {{}}, "hash": "{name}"}}'
        (tmp_path / name / "staticfiles.json").write_text(manifest)
        storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
        return replace(
            RELEASE,
            settings={
                "INSTALLED_APPS": [*settings.INSTALLED_APPS, "django.contrib.staticfiles"],
                "STATIC_ROOT": tmp_path / name,
                "STORAGES": {**settings.STORAGES, "staticfiles": {"BACKEND": storage}},
            },
        )

    assert digest(with_manifest("one")) != digest(with_manifest("two"))


def test_what_an_overriding_template_overrides_changes_the_digest(
    declare: Declare, settings: Any
) -> None:
    """It extends the template of its own name that the next loader finds."""
    card = declare("card.html", name="library.card")(nothing)

    def overriding(original: str, base: str = "base") -> str:
        settings.TEMPLATES = template_settings(
            [
                locmem({"card.html": "{% extends 'card.html' %}{% block a %}mine{% endblock %}"}),
                locmem({"card.html": original, "base.html": base}),
            ]
        )
        return digest_of(card)

    first = overriding("<p>{% block a %}{% endblock %}")
    assert overriding("<p>{% block a %}{% endblock %}") == first
    assert overriding("<b>{% block a %}{% endblock %}") != first
    assert overriding("{% extends 'base.html' %}") != overriding("{% extends 'base.html' %}", "2")
    assert render_many(card, [()])[0].html == "2"  # type: ignore[union-attr]


def test_a_class_based_fragment_is_known_by_all_its_methods(templates: Templates) -> None:
    templates({"x.html": ""})
    source = """
from fragcache import Fragment, register
@register
class Card(Fragment):
    template_name = "x.html"
    limit = 5
    def get_context(self, album):
        return self.more()
    def more(self):
        return {"limit": self.limit}
    def get_version(self, album):
        return 42
"""

    def digest_with(old: str, new: str) -> str:
        assert old in source
        module("shop.fragments", source.replace(old, new))
        digests.forget()
        try:
            return digest_of(registry.get("shop.card"))
        finally:
            registry.remove("shop.card")

    before = digest_with("5", "5")
    assert digest_with("5", "6") != before
    assert digest_with('{"limit"', '{"max"') != before
    assert digest_with("42", "43") != before


# What does not change it

NO_CHANGES = [
    ("an unrelated template", "unrelated.html", "unrelated", "changed"),
    ("an unrelated function beside the context function", "code", "unrelated", "another"),
    ("an unrelated function beside the tags", "tags", "unrelated", "another"),
    ("a comment", "code", "def helper(name):\n", "def helper(name):\n    # A reason.\n\n"),
    ("what a variable keeps, written in small letters", "code", "seen = {}", "seen = {1: 2}"),
    ("what a class keeps, written in small letters", "code", "cache = {}", "cache = {1: 2}"),
]


@pytest.mark.parametrize(
    ("part", "old", "new"), [case[1:] for case in NO_CHANGES], ids=[case[0] for case in NO_CHANGES]
)
def test_nothing_else_changes_the_digest(part: str, old: str, new: str) -> None:
    assert digest(changed(RELEASE, part, old, new)) == digest(RELEASE)


@pytest.mark.parametrize("language", ["de", None])
def test_the_language_in_force_does_not_change_the_digest(language: str | None) -> None:
    before = digest(RELEASE)

    with translation.override(language):
        assert digest(RELEASE) == before


def test_a_setting_that_does_not_show_in_output_does_not_change_the_digest() -> None:
    settings = {"APPEND_SLASH": False, "FRAGCACHE": {"TIMEOUT": 5}, "DEBUG": True}

    assert digest(replace(RELEASE, settings=settings)) == digest(RELEASE)


def test_all_processes_of_a_release_compute_one_digest() -> None:
    program = (
        "import django; django.setup(); "
        "from tests.releases import RELEASE, digest; print(digest(RELEASE))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "PYTHONHASHSEED": seed,
                "LC_ALL": "C",
                "TZ": zone,
            },
            cwd=Path(__file__).parent.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, zone in (("1", "Asia/Kathmandu"), ("4294967295", "EST"))
    ]

    found = {process.communicate(timeout=60)[0].strip() for process in running}

    assert found == {digest(RELEASE)}


def test_a_digest_is_short_and_fit_for_a_key() -> None:
    found = digest(RELEASE)

    assert len(found) == digests.fragments.CHARACTERS == 16
    assert set(found) <= set("0123456789abcdef")


# Of what this process compiled, not of files


@pytest.fixture
def card_on_disk(declare: Declare, settings: Any, tmp_path: Path) -> Callable[[bool], Any]:
    """A function that declares a fragment of a file, with or without the cached loader."""
    (tmp_path / "card.html").write_text("old")

    def use(is_cached: bool) -> Any:
        files = ("django.template.loaders.filesystem.Loader", [tmp_path])
        settings.TEMPLATES = template_settings(cached(files) if is_cached else [files])
        return declare("card.html", name="library.card")(nothing)

    return use


def test_a_file_that_changes_under_a_running_process_changes_nothing(
    card_on_disk: Callable[[bool], Any], tmp_path: Path
) -> None:
    """An old worker renders old HTML, and must not store it under the key of the new release."""
    card = card_on_disk(True)
    before = digest_of(card)

    (tmp_path / "card.html").write_text("new")
    digests.forget()

    assert (digest_of(card), html(card)) == (before, "old")


def test_a_process_that_starts_after_the_change_has_another_digest(
    card_on_disk: Callable[[bool], Any], tmp_path: Path
) -> None:
    card = card_on_disk(True)
    before = digest_of(card)

    (tmp_path / "card.html").write_text("new")
    engines["django"].engine.template_loaders[0].reset()
    digests.forget()

    assert digest_of(card) != before
    assert html(card) == "new"


def test_without_the_cached_loader_a_changed_file_counts_at_once(
    card_on_disk: Callable[[bool], Any], tmp_path: Path
) -> None:
    """During development: each render compiles anew, so each digest is computed anew."""
    card = card_on_disk(False)
    before = digest_of(card)

    (tmp_path / "card.html").write_text("new")

    assert digest_of(card) != before
    assert html(card) == "new"


def test_a_digest_is_computed_once_per_process(
    declare: Declare, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates({"x.html": ""})
    card = declare("x.html", name="library.card")(nothing)
    before = digest_of(card)
    monkeypatch.setattr(digests.fragments, "_parts", None)

    assert digest_of(card) == before


# Code


def test_code_of_django_and_of_this_package_is_known_by_its_version() -> None:
    from django.template.defaultfilters import upper

    assert code_parts(upper) == []
    assert code_parts(Fragment) == []


def test_code_that_names_itself_ends() -> None:
    source = "def even(n):\n  return odd(n - 1)\ndef odd(n):\n  return even(n - 1)"

    assert len(code_parts(module("loop", source).even)) == 4


def test_a_set_in_code_is_written_in_one_order() -> None:
    parts = code_parts(module("sets", "def f(x):\n  return x in {'c', 'a', 'b'}").f)

    assert "{'a', 'b', 'c'}" in parts[0]
